"""The plots of a training set, as PNG files.

Figures are made as objects, without pyplot: it would keep them all, and have one state for all threads. Colours are
told apart by people who see colours differently (those of M. Okabe and K. Ito, and shades of one blue), and lie far
enough apart in brightness to be told apart in grey.
"""

# ruff: noqa: PLC0415 (matplotlib takes half a second to import, and most of the pipeline does without)

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASSES_SHOWN = 40
"""A plot by class shows so many; more could not be read. Tables show them all."""

_SPLIT_COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#3B3B3B"}
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#6E6E6E"
_WIDTH, _DPI = 8.0, 110
_LINE, _FRAME = 0.30, 1.3
_COLOURS_KEPT = 128
_TEXT = 10
_SHARE_OF_LIGHT = 0.55
_COLUMNS_SHOWN = 12
_DAYS_BY_DAY, _DAYS_BY_WEEK = 62, 400


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the values of a class lie: the shares of them that are below, in the values' own unit."""

    label: str
    pictures: int
    p5: float
    p25: float
    median: float
    p75: float
    p95: float


def pictures_per_class(counts: Mapping[str, Mapping[str, int]], *, minimum: int = 0) -> bytes:
    """A bar for each class, of as many parts as there are splits.

    Args:
        counts: pictures by label and split.
        minimum: of pictures in a class, drawn as a line; 0 for none.
    """
    shown = dict(list(counts.items())[:CLASSES_SHOWN])
    figure, axes = _figure(len(shown), extra=0.35)
    places = np.arange(len(shown))
    start = np.zeros(len(shown))
    for split, colour in _SPLIT_COLOURS.items():
        values = np.array([row.get(split, 0) for row in shown.values()], float)
        if values.any():
            axes.barh(places, values, left=start, color=colour, label=split, height=0.72, edgecolor="white", lw=0.5)
            start += values
    for place, total in enumerate(start):
        _write_beside(axes, f"{int(total):,}", total, place)
    axes.set_xlim(0, max(float(start.max(initial=0)), minimum, 1) * 1.12)
    if minimum:
        axes.axvline(minimum, color=_ORANGE, ls="--", lw=1.2, label=f"minimum, {minimum:,}")
    _classes_down(axes, list(shown), len(counts))
    axes.set_xlabel("pictures", fontsize=_TEXT)
    _thousands(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=_TEXT, handlelength=1.2)
    return _png(figure)


def seeds_matrix(counts: Mapping[str, Mapping[int, int]]) -> bytes:
    """Classes by number of seeds in a picture: how many pictures, as numbers on a map of colours."""
    shown = dict(list(counts.items())[:CLASSES_SHOWN])
    seeds = sorted({number for row in shown.values() for number in row})
    kept = seeds[:_COLUMNS_SHOWN]
    values = np.array([[row.get(number, 0) for number in kept] for row in shown.values()], float)
    more = f" ({len(seeds) - len(kept)} larger numbers are not shown)" if len(seeds) > len(kept) else ""
    return _matrix(
        values.reshape(len(shown), len(kept)),
        list(shown),
        list(map(str, kept)),
        classes=len(counts),
        across=f"seeds in a picture{more}",
    )


def classes_together(pairs: Mapping[tuple[str, str], int]) -> bytes:
    """Classes by classes: how many pictures show both, of the classes that most often are beside another.

    Args:
        pairs: pictures by two labels, each pair once.
    """
    shared: dict[str, int] = {}
    for pair, count in pairs.items():
        for label in pair:
            shared[label] = shared.get(label, 0) + count
    shown = sorted(sorted(shared, key=lambda label: (-shared[label], label))[:_COLUMNS_SHOWN])
    values = np.array([[pairs.get((min(a, b), max(a, b)), 0) for b in shown] for a in shown], float)
    numbers = [label.partition(" ")[0] for label in shown]
    return _matrix(values, shown, numbers, classes=len(shared), across="class in the same picture")


def _matrix(values: NDArray[np.float64], rows: list[str], columns: list[str], *, classes: int, across: str) -> bytes:
    """Numbers on a map of colours; `classes` of which the rows are some go down, and what `across` says across."""
    figure, axes = _figure(len(rows), width=min(_WIDTH, 3.6 + 0.75 * len(columns)))
    top = max(float(values.max(initial=0)), 1.0)
    # The root shows small classes beside large ones; nought is left white.
    if values.size:
        axes.imshow(
            np.ma.masked_equal(np.sqrt(values), 0), cmap="Blues", vmin=0, vmax=1.15 * np.sqrt(top), aspect="auto"
        )
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        light = np.sqrt(value / top) < _SHARE_OF_LIGHT
        axes.text(
            column,
            row,
            f"{int(value):,}",
            ha="center",
            va="center",
            fontsize=_TEXT - 1,
            color="#9A9A9A" if not value else "black" if light else "white",
        )
    axes.set_xticks(range(len(columns)), columns, fontsize=_TEXT)
    axes.set_xlabel(across, fontsize=_TEXT)
    _classes_down(axes, rows, classes)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return _png(figure)


def uploads_over_time(pictures: Mapping[date, int]) -> bytes:
    """How many pictures of the set were imported when: by day, week or month, as the time is long.

    Args:
        pictures: number of pictures by the day they were imported on.
    """
    figure, axes = _figure(8)
    if pictures:
        days = (max(pictures) - min(pictures)).days
        unit = "day" if days <= _DAYS_BY_DAY else "week" if days <= _DAYS_BY_WEEK else "month"
        binned: dict[date, int] = {}
        for day, count in sorted(pictures.items()):
            first = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[unit]
            binned[first] = binned.get(first, 0) + count
        width = {"day": 0.8, "week": 5.6, "month": 24.0}[unit]
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

        starts = [float(date2num(first)) for first in binned]  # type: ignore[no-untyped-call]
        axes.bar(starts, list(binned.values()), width=width, align="edge" if unit != "day" else "center", color=_BLUE)
        locator = AutoDateLocator(minticks=2, maxticks=10)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=True))  # type: ignore[no-untyped-call]
        if unit == "day":
            # A single day would be as wide as the plot.
            axes.set_xlim(min(starts) - 3, max(starts) + 3)
        axes.set_ylabel(f"pictures imported in a {unit}", fontsize=_TEXT)
    else:
        axes.text(0.5, 0.5, "no picture", transform=axes.transAxes, ha="center", fontsize=_TEXT)
    _thousands(axes, vertical=True)
    axes.tick_params(labelsize=_TEXT)
    return _png(figure)


def sharpness_by_class(spreads: Sequence[Spread], *, classes: int, minimum: float | None = None) -> bytes:
    """Where the sharpness of each class's pictures lies, on a logarithmic scale.

    Args:
        spreads: of the classes of which any picture was measured.
        classes: number of classes of the set.
        minimum: of sharpness that the recipe asks for, drawn as a line.
    """
    shown = list(spreads)[:CLASSES_SHOWN]
    figure, axes = _figure(len(shown), extra=0.35)
    places = np.arange(len(shown))
    axes.set_xscale("log")
    if shown:
        axes.hlines(
            places, [s.p5 for s in shown], [s.p95 for s in shown], color=_GREY, lw=1.4, label="90 % of pictures"
        )
        axes.hlines(places, [s.p25 for s in shown], [s.p75 for s in shown], color=_BLUE, lw=7, label="half of pictures")
        axes.plot([s.median for s in shown], places, "o", color="white", mec="black", ms=6, label="median")
        low, high = min(s.p5 for s in shown), max(s.p95 for s in shown)
        if minimum:
            axes.axvline(minimum, color=_ORANGE, ls="--", lw=1.2, label=f"minimum, {minimum:g}")
            low = min(low, minimum)
        axes.set_xlim(low / 1.5, high * 1.5)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=_TEXT, handlelength=1.6)
    _plain_decades(axes)
    axes.grid(axis="x", which="major", color="#E3E3E3", lw=0.8)
    axes.set_axisbelow(True)
    _classes_down(axes, [spread.label for spread in shown], classes)
    axes.set_xlabel("sharpness (variance of the Laplacian on the seeds)", fontsize=_TEXT)
    return _png(figure)


def difference_by_class(changes: Mapping[str, tuple[int, int]]) -> bytes:
    """Pictures that came into each class since the previous version, and pictures that left it.

    Args:
        changes: number added and number removed, by label.
    """
    shown = dict(list(changes.items())[:CLASSES_SHOWN])
    figure, axes = _figure(len(shown), extra=0.35)
    places = np.arange(len(shown))
    added = np.array([added for added, _ in shown.values()], float)
    removed = np.array([removed for _, removed in shown.values()], float)
    axes.barh(places, added, color=_BLUE, height=0.7, label="added")
    axes.barh(places, -removed, color=_ORANGE, height=0.7, label="removed")
    most = max(float(added.max(initial=0)), float(removed.max(initial=0)), 1.0)
    for place, (plus, minus) in enumerate(shown.values()):
        if plus:
            _write_beside(axes, f"+{plus:,}", plus, place)
        if minus:
            _write_beside(axes, f"\N{MINUS SIGN}{minus:,}", -minus, place)
    left = -float(removed.max(initial=0)) - 0.12 * most if removed.any() else 0
    axes.set_xlim(left, float(added.max(initial=0)) + 0.12 * most)
    axes.axvline(0, color="black", lw=0.8)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, fontsize=_TEXT, handlelength=1.2)
    _classes_down(axes, list(shown), len(changes))
    _thousands(axes, signless=True)
    axes.set_xlabel("pictures", fontsize=_TEXT)
    return _png(figure)


def _figure(rows: int, *, width: float = _WIDTH, extra: float = 0.0) -> tuple["Figure", "Axes"]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, _FRAME + extra + _LINE * max(rows, 2)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _write_beside(axes: "Axes", text: str, end: float, place: float) -> None:
    """Write a text beside the end of a bar."""
    side, offset = ("right", -4) if end < 0 else ("left", 4)
    axes.annotate(text, (end, place), (offset, 0), textcoords="offset points", va="center", ha=side, fontsize=_TEXT - 1)


def _classes_down(axes: "Axes", labels: list[str], classes: int) -> None:
    """Name the classes on the left, the first at the top, and write how many are not shown."""
    axes.set_yticks(range(len(labels)), labels, fontsize=_TEXT)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=_TEXT)
    if classes > len(labels):
        axes.set_title(f"{len(labels)} of {classes} classes", fontsize=_TEXT, loc="right", color=_GREY)


def _thousands(axes: "Axes", *, vertical: bool = False, signless: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.yaxis if vertical else axes.xaxis
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value) if signless else value:,.0f}"))


def _plain_decades(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)


def _png(figure: "Figure") -> bytes:
    """The figure as a PNG of few colours, which is a third as large and looks the same."""
    drawn = io.BytesIO()
    # Without the name and version of the program, the same numbers make the same bytes for longer.
    figure.savefig(drawn, format="png", metadata={"Software": None}, facecolor="white")
    drawn.seek(0)
    stream = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS_KEPT, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def side_by_side(pairs: Sequence[tuple[bytes, bytes]], *, cell: int = 160, gap: int = 6) -> bytes:
    """Thumbnails of pictures that look alike, a pair a row, two pairs beside each other.

    Args:
        pairs: JPEGs, of at most `cell` pixels a side.
        cell: room for a thumbnail, in pixels.
        gap: between the two of a pair; between pairs it is four times as wide.
    """
    columns = min(2, max(len(pairs), 1))
    rows = max(-(-len(pairs) // columns), 1)
    pair_width, height = 2 * cell + gap, cell + 2 * gap
    sheet = Image.new("RGB", (columns * pair_width + (columns - 1) * 4 * gap + 2 * gap, rows * height), "white")
    for number, pair in enumerate(pairs):
        left = gap + number % columns * (pair_width + 4 * gap)
        top = gap + number // columns * height
        for place, content in enumerate(pair):
            with Image.open(io.BytesIO(content)) as small:
                at = left + place * (cell + gap) + (cell - small.width) // 2, top + (cell - small.height) // 2
                sheet.paste(small, at)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=75)
    return stream.getvalue()

"""Texts for people that are written as Jinja2 templates, beside the module that fills them."""

from functools import cache
from typing import TYPE_CHECKING

from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    import jinja2
else:
    jinja2 = LazyModule("jinja2")


def render_template(name: str, **values: object) -> str:
    """Fill a template.

    Args:
        name: its path in the package, such as `training/card.md.jinja`; what ends with `.html` is escaped.
        values: what it is filled with, all that it names.
    """
    return _environment().get_template(name).render(values)


@cache
def _environment() -> "jinja2.Environment":
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nachet_pipeline", "."),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=_number, classes=_classes, cell=_cell)
    return environment


def _number(value: int) -> str:
    """A number with a comma between its thousands."""
    return f"{value:,}"


def _classes(value: int) -> str:
    return f"{value:,} class" if value == 1 else f"{value:,} classes"


def _cell(text: str) -> str:
    """A text within a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")

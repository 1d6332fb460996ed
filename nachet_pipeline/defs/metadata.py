"""Metadata of events: how the UI shows receipts, reports and pictures."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from dagster import MarkdownMetadataValue, MetadataValue, TableColumn, TableMetadataValue, TableRecord, TableSchema

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.receipt import Receipt
from nachet_pipeline.contract.report import Group, explanation_of
from nachet_pipeline.contract.validation import Validation
from nachet_pipeline.pictures.contact_sheet import as_markdown, contact_sheet

_ROWS = 100
_SHOWN = 12
_LINE = 300
_COLUMNS = ("severity", "code", "count", "where", "what", "remedy")


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> TableMetadataValue:
    """Rows as a table.

    Args:
        rows: one at least, because Dagster shows no table without a row; all with the same columns.
        columns: their names; if there are none, names and types follow from the first row.
    """
    schema = TableSchema(columns=[TableColumn(name) for name in columns]) if columns else None
    return MetadataValue.table([TableRecord(row) for row in rows], schema=schema)


def tables(**named: Iterable[Mapping[str, Any]]) -> dict[str, TableMetadataValue]:
    """Tables by their names, without those that have no row."""
    return {name: table(rows) for name, given in named.items() if (rows := list(given))}


def findings_table(groups: Sequence[Group]) -> TableMetadataValue:
    """Findings as a table of a hundred rows at most. Findings that differ in their place only share a row."""
    rows = (
        {
            "severity": group.severity.value,
            "code": group.code,
            "count": group.count,
            "where": _where(group),
            "what": explanation_of(group) or CATALOGUE[group.code].message.en,
            "remedy": group.what_to_do.en,
        }
        for group in groups[:_ROWS]
    )
    return table(rows, _COLUMNS)


def _where(group: Group) -> str:
    """Its first place and how many others there are."""
    where = f"{group.places[0]} {group.field or ''}".strip()
    return f"{where}, and {group.count - 1} more" if group.count > 1 else where


def plain(text: str) -> str:
    """A text as it is, on one line and without markup, where Markdown is shown. Users choose names of folders."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]()<>#|~!&])", r"\\\1", line[:_LINE])


def manifest_page(partition: str) -> str:
    """Address, within the UI, of the manifest and report of one upload."""
    return partition_page("validated_manifest", partition)


def partition_page(asset: str, partition: str) -> str:
    """Address, within the UI, of a partition of an asset."""
    return f"/assets/{asset}?view=partitions&partition={quote(partition, safe='')}"


def manifest_link(partition: str, text: str) -> MarkdownMetadataValue:
    """A link to that page."""
    return MetadataValue.md(f"[{text}]({manifest_page(partition)})")


def uploads_list(reasons: Mapping[str, str]) -> MarkdownMetadataValue:
    """Uploads by their partitions, each with a link to its page and a reason; a hundred at most."""
    first = islice(reasons.items(), _ROWS)
    lines = [f"- [{plain(key)}]({manifest_page(key)}): {plain(reason)}" for key, reason in first]
    more = len(reasons) - len(lines)
    return MetadataValue.md("\n".join([*lines, *([f"- and {more} more"] if more else [])]))


def manifest_metadata(validation: Validation) -> dict[str, Any]:
    """What the UI shows of a manifest."""
    report = validation.report
    species = sorted({kind.name.en for session in validation.sessions for kind in session.shows})
    # The reasons of a refusal come first; everything else may be below the fold.
    metadata: dict[str, Any] = {
        "importable": MetadataValue.bool(report.importable),
        **({"findings": findings_table(report.groups)} if report.groups else {}),
        "pictures": validation.pictures,
        "bytes": validation.size,
        "sessions": len(validation.sessions),
        **validation.correction.model_dump(),
        "species": MetadataValue.text(", ".join(species) or "none recognised"),
        "waiting_for_a_name": sum(session.waiting for session in validation.sessions),
        "errors": report.counts[Severity.ERROR],
        "warnings": report.counts[Severity.WARNING],
        "duplicates": sum(report.codes.get(code, 0) for code in ("duplicate-picture", "near-duplicate-picture")),
        **_measured("quality", validation.quality),
        **_measured("sharpness", validation.sharpness),
        "content_digest": MetadataValue.text(validation.content_digest),
    }
    step = -(-len(validation.thumbnails) // _SHOWN) or 1
    shown = dict(islice(validation.thumbnails.items(), 0, None, step))
    if sheet := contact_sheet(list(shown.values())):
        metadata["contact_sheet"] = MetadataValue.md(as_markdown(sheet, _caption(shown)))
    return metadata


def _caption(shown: Collection[str]) -> str:
    return f"{len(shown)} of the upload's pictures, row by row: {', '.join(map(printable, shown))}"


def _measured(name: str, figures: tuple[float, float, float] | None) -> dict[str, float]:
    """Minimum, median and maximum of a measure."""
    return {
        f"{name}_{which}": round(value, 3)
        for which, value in zip(("min", "median", "max"), figures or (), strict=False)
    }


def upload_metadata(receipt: Receipt) -> dict[str, Any]:
    """What the UI shows of an upload after its import."""
    return {
        "state": MetadataValue.text(receipt.state.value),
        **({"failure": MetadataValue.text(receipt.failure)} if receipt.failure else {}),
        **({"findings": findings_table(receipt.report.groups)} if receipt.report and receipt.report.groups else {}),
        "owner": MetadataValue.text(receipt.owner),
        "folder": MetadataValue.text(receipt.folder),
        "upload": MetadataValue.text(str(receipt.upload)),
        "pictures": receipt.pictures,
        "bytes": receipt.size,
        **({"report_page": MetadataValue.text(receipt.report_page)} if receipt.report_page else {}),
        "manifest": manifest_link(receipt.partition, "manifest and checks"),
    }

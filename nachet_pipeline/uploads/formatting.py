"""How a receipt is shown to people."""

from collections.abc import Iterator

from nachet_pipeline.contract.receipt import Receipt, State
from nachet_pipeline.contract.report import as_text
from nachet_pipeline.contract.rules.seed_registered import pictures_waiting
from nachet_pipeline.contract.understood import pictures_of
from nachet_pipeline.support.i18n import Bilingual, Language


def receipt_lines(receipt: Receipt, language: Language = "en") -> Iterator[str]:
    """A receipt, and below it what was found."""
    yield f"{receipt.state.upper()} {receipt.folder} ({receipt.upload})"
    rows = [(label.in_language(language), value.in_language(language)) for label, value in _rows(receipt)]
    width = max(10, *(len(label) for label, _value in rows))
    for label, value in rows:
        yield f"  {label:<{width}} {value}"
    if receipt.report:
        yield ""
        yield from as_text(
            receipt.report,
            language,
            partly=bool(receipt.refused_sessions),
            imported=receipt.state in {State.IMPORTED, State.PARTLY_IMPORTED},
            understood=receipt.sessions,
            number_of_sessions=receipt.number_of_sessions or None,
        )


def _rows(receipt: Receipt) -> Iterator[tuple[Bilingual, Bilingual]]:
    same = Bilingual.same
    yield Bilingual("owner", "propriétaire"), same(receipt.owner)
    size = f"{receipt.size:,}"
    pictures = f"{receipt.pictures} ({size} bytes)", f"{receipt.pictures} ({size.replace(',', ' ')} octets)"
    yield Bilingual("pictures", "images"), Bilingual(*pictures)
    for item in receipt.picture_sets:
        place, kinds = f"{receipt.container}/{item.id}: {item.pictures}", pictures_of(item.kinds)
        yield Bilingual("stored", "stockées"), Bilingual(f"{place} {kinds.en}", f"{place} {kinds.fr}")
    if receipt.waiting:
        yield Bilingual("waiting", "en attente"), pictures_waiting(receipt.waiting)
    if told := receipt.correction:
        yield (
            Bilingual("changes", "changements"),
            Bilingual(
                f"{told.added} added, {told.removed} removed, {told.relabelled} relabelled, {told.unchanged} unchanged",
                f"{told.added} ajoutées, {told.removed} retirées, {told.relabelled} réétiquetées,"
                f" {told.unchanged} inchangées",
            ),
        )
    for session in receipt.removed_sessions:
        yield Bilingual("removed", "retirées"), same(session)
    for refused in receipt.refused_sessions:
        yield Bilingual("refused", "refusées"), same(refused.session)
    if receipt.explanation:
        yield Bilingual("note", "note"), receipt.explanation
    if receipt.failure:
        yield Bilingual("failure", "échec"), same(receipt.failure)

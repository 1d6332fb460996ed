"""Recording judgements: what each is about is looked up, those that are new are kept, and what follows is applied.

All in one transaction: either every judgement that was handed in counts, or none does.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from nachet_pipeline.contract.catalogue import Severity
from nachet_pipeline.database.audit import record
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.errors import RefusedError
from nachet_pipeline.models.findings import Findings, LineFinding
from nachet_pipeline.models.judgements.judgement import Judgement, Stated, Verdict, identified
from nachet_pipeline.models.judgements.outcomes import Applied, apply_judgements, wait_for_judging
from nachet_pipeline.models.judgements.policy import Policy
from nachet_pipeline.models.judgements.queries import (
    About,
    Predicted,
    begin_judging,
    judgements_of,
    keep_judgements,
    pictures_by_content,
    pictures_by_id,
    predicted,
    put_judgements,
    withdrawable,
)
from nachet_pipeline.registry.queries import add_unregistered, registered_seeds
from nachet_pipeline.registry.seeds import RANKS, Seed, SeedRegistry
from nachet_pipeline.support.batches import batched
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline.training.ranks import named_at

SUBJECT = "judgement"
"""What the audit trail calls it."""

_BATCH = 1_000
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LONGEST = 400_000
"""Of a note or facts, as JSON: a line of both is shorter than what is read."""
_LONGEST_PERSON = 254
_CLOCK_SKEW = timedelta(days=1)


class JudgementsRefusedError(RefusedError):
    """Judgements with errors; nothing of them was recorded.

    Attributes:
        findings: what is wrong.
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        super().__init__("nothing was recorded: " + "; ".join(findings.lines()))


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording judgements did.

    Attributes:
        new: judgements that were not known.
        known: those that were recorded before.
        unknown: those of pictures or predictions that are not stored; they are left out.
        applied: what changed by the new ones.
        findings: what there is to know, such as which pictures are unknown.
    """

    new: int
    known: int
    unknown: int
    applied: Applied
    findings: Findings


def record_judgements(
    connection: Connection,
    stated: Iterable[Stated],
    *,
    by: str,
    source: str,
    policy: Policy,
    findings: Findings | None = None,
) -> Recorded:
    """Record judgements, each once however often it is handed in, and let labels follow.

    Args:
        connection: in whose transaction it is done.
        stated: the judgements; read once, as they are needed.
        by: whom the audit trail names; who judges is stated in each.
        source: where they come from, such as a file's name or a tool.
        policy: how many must say the same for it to count.
        findings: what was found in them while they were read; what is found here is added.

    Raises:
        JudgementsRefusedError: something is wrong with one of them.
        ValueError: `by` is empty.
    """
    found = Findings() if findings is None else findings
    wait_for_judging(connection, by)
    resolver = _Resolver(connection, by, found)
    begin_judging(connection)
    read = 0
    for batch in chain(batched(stated, _BATCH), resolver.deferred()):
        judgements = list(resolver.as_recorded(list(resolver.resolve(batch))))
        put_judgements(connection, judgements, by=by, source=source)
        read += len(judgements)
    if found.errors:
        raise JudgementsRefusedError(found)
    kept = keep_judgements(connection)
    new = sum(kept.values())
    applied = apply_judgements(connection, sorted(kept), policy, by=by)
    if new:
        after = {"source": source, "new": new, "subjects": applied.subjects, "labels": applied.labels}
        record(connection, actor=by, action="recorded", subject=SUBJECT, after=after)
    return Recorded(new, read - new, resolver.unknown, applied, found)


def withdraw_judgement(connection: Connection, judgement: UUID, *, by: str, why: str, policy: Policy) -> Recorded:
    """Take a judgement back: what was said before it counts again.

    Raises:
        JudgementsRefusedError: there is no such judgement, or it is itself one that takes another back.
        ValueError: `by` or `why` is empty.
    """
    if not why.strip():
        raise ValueError("somebody takes a judgement back for a reason")
    stated = Stated(by, Verdict.WITHDRAWN, datetime.now(UTC), withdraws=judgement, note=why)
    return record_judgements(connection, [stated], by=by, source="withdrawn", policy=policy)


class _Resolver:
    """Looks up what judgements are about and which taxa they name."""

    def __init__(self, connection: Connection, by: str, findings: Findings) -> None:
        self.unknown = 0
        self._connection = connection
        self._by = by
        self._findings = findings
        self._taxa = TaxonNames(registered_seeds(connection))
        self._added: set[UUID] = set()
        self._looked_up: set[UUID] = set()
        self._later: list[Stated] | None = []

    def deferred(self) -> Iterator[list[Stated]]:
        """Those that take back what stood below them, once all others were resolved."""
        later, self._later = self._later or [], None
        yield from batched(later, _BATCH)

    def as_recorded(self, judgements: Sequence[Judgement]) -> Iterator[Judgement]:
        """The judgements; those that were recorded already with their identifiers.

        A taxon that was not stated was what the picture was labelled as then, and any may be merged into another since.
        """
        before: dict[tuple[Any, ...], list[Judgement]] = {}
        for one in judgements_of(self._connection, list({one.sha256 for one in judgements})):
            before.setdefault(one.but_taxon, []).append(one)
        for one in judgements:
            same = [
                known.id
                for known in before.get(one.but_taxon, ())
                if known.taxon == one.taxon or one.id in self._looked_up
            ]
            yield replace(one, id=same[0]) if same and one.id not in same else one

    def resolve(self, batch: Sequence[Stated]) -> Iterator[Judgement]:
        """The judgements of a batch; those of what is not stored, and those with errors, are left out and reported."""
        predictions = predicted(self._connection, [one.prediction for one in batch if one.prediction])
        by_id = pictures_by_id(self._connection, [one.picture for one in batch if one.picture])
        by_content = pictures_by_content(self._connection, [one.sha256 for one in batch if one.sha256])
        back = withdrawable(self._connection, [one.withdraws for one in batch if one.withdraws])
        for one in batch:
            if wrong := next(_contradictions(one), None):
                self._findings.add([wrong])
                continue
            about: About | None
            if one.withdraws:
                about = back.get(one.withdraws)
                if about is None and self._later is not None:
                    self._later.append(one)
                    continue
                if about is None:
                    # It may take back what was left out.
                    severity = Severity.WARNING if self.unknown else Severity.ERROR
                    self.unknown += bool(self.unknown)
                    self._say(one, "unknown-judgement", "withdraws", _JUDGEMENT, str(one.withdraws), severity)
                    continue
            elif one.prediction:
                about = self._of_prediction(one, predictions.get(one.prediction))
            else:
                given = by_id.get(one.picture) if one.picture else by_content.get(one.sha256 or b"")
                if given is None:
                    self._unknown(one, "picture", str(one.picture or (one.sha256 or b"").hex()))
                about = given and About(given.sha256, one.box, given.taxon if one.box is None else None)
            if about and (judgement := self._judgement(one, about)):
                if not one.withdraws:  # what is taken back may stand a few lines above
                    back[judgement.id] = About(judgement.sha256, judgement.box)
                yield judgement

    def _of_prediction(self, one: Stated, predicted: Predicted | None) -> About | None:
        if predicted is None:
            self._unknown(one, "prediction", str(one.prediction))
            return None
        if one.object is None and (one.verdict is Verdict.MISSED or not predicted.objects):
            return About(predicted.sha256)
        number = one.object if one.object is not None else int(len(predicted.objects) == 1)
        about = predicted.objects.get(number)
        if about is None:
            expected = f"1 … {len(predicted.objects)}" if predicted.objects else "0"
            found = Bilingual("none", "rien") if one.object is None else Bilingual.same(str(one.object))
            self._say(one, "unknown-object", "object", Bilingual.same(expected), found)
        return about

    def _judgement(self, one: Stated, about: About) -> Judgement | None:
        taxon = about.taxon if one.verdict in (Verdict.RIGHT, Verdict.WRONG) else None
        if one.taxon:
            seed = self._taxa.find(one.taxon)
            if seed is None:
                self._say(one, "unknown-taxon", "taxon", self._taxa.expected(one.taxon), repr(one.taxon[:80]))
                return None
            taxon = self._registered(seed)
        elif one.verdict in (Verdict.RIGHT, Verdict.WRONG) and taxon is None and not one.prediction:
            self._say(one, "nothing-to-confirm", "verdict", _ONE_TAXON, one.verdict.value)
            return None
        judgement = identified(one, about.sha256, about.box, taxon)
        if taxon and not one.taxon:
            self._looked_up.add(judgement.id)
        return judgement

    def _registered(self, seed: Seed) -> UUID:
        if not self._taxa.registered(seed) and seed.id not in self._added:
            self._added.add(seed.id)
            add_unregistered(self._connection, [seed], actor=self._by)
        return seed.id

    def _unknown(self, one: Stated, field_of: str, found: str) -> None:
        self.unknown += 1
        self._findings.add([LineFinding(f"unknown-{field_of}", one.line, field_of, _STORED, found, Severity.WARNING)])

    def _say(
        self,
        one: Stated,
        code: str,
        field_of: str,
        expected: Bilingual,
        found: str | Bilingual,
        severity: Severity = Severity.ERROR,
    ) -> None:
        self._findings.add([LineFinding(code, one.line, field_of, expected, found, severity)])


def _contradictions(one: Stated) -> Iterator[LineFinding]:
    """What a judgement lacks, or says beside what it is."""
    nothing = Bilingual("nothing", "rien")
    named = [name for name in ("prediction", "picture", "sha256", "withdraws") if getattr(one, name)]
    if len(named) != 1:
        yield LineFinding(
            "what-about", one.line, "", _ONE_SUBJECT, Bilingual.same(", ".join(named)) if named else nothing
        )
    if not 0 < len(one.person.strip()) <= _LONGEST_PERSON:
        yield LineFinding(
            "missing-key",
            one.line,
            "person",
            Bilingual("who judges", "la personne qui juge"),
            one.person[:80] or nothing,
        )
    if (one.verdict is Verdict.WITHDRAWN) != (one.withdraws is not None):
        yield LineFinding("what-about", one.line, "withdraws", _WITHDRAWN, one.verdict.value)
    if one.verdict is Verdict.TAXON and not one.taxon:
        yield LineFinding("missing-key", one.line, "taxon", Bilingual("a taxon", "un taxon"), nothing)
    if one.verdict in {Verdict.BOX, Verdict.MISSED} and one.corrected_box is None:
        where = Bilingual("where the object is", "où se trouve l'objet")
        yield LineFinding("missing-key", one.line, "corrected_box", where, nothing)
    if one.object is not None and one.prediction is None:
        yield LineFinding("what-about", one.line, "object", Bilingual("a prediction", "une prédiction"), nothing)
    if one.box is not None and one.prediction is not None:
        expected = Bilingual("no box, as the object has one", "aucun rectangle, l'objet en a un")
        yield LineFinding("what-about", one.line, "box", expected, str(one.box))
    # Nothing could ever supersede what is said in a year to come.
    if not _EARLIEST <= one.at <= datetime.now(UTC) + _CLOCK_SKEW:
        yield LineFinding("wrong-value", one.line, "at", _A_MOMENT, one.at.isoformat())
    if one.sure is not None and not 0 <= one.sure <= 1:
        yield LineFinding("wrong-value", one.line, "sure", _A_SHARE, str(one.sure))
    for name in ("person", "note", "facts"):
        if not _storable(getattr(one, name)):
            yield LineFinding("wrong-value", one.line, name, _STORABLE, ascii(getattr(one, name)))


def _storable(value: object) -> bool:
    """Whether a text, or keys and values, can be kept, and be listed and read again."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        return False
    return len(json.dumps(value)) <= _LONGEST and "\\u0000" not in text.replace("\\\\", "")


_A_MOMENT = Bilingual("a time since 2000 and not in the future", "une heure depuis 2000 et pas dans le futur")
_A_SHARE = Bilingual("a number from 0 to 1", "un nombre de 0 à 1")
_STORABLE = Bilingual(
    "text and numbers that can be kept: no null character, no NaN, not too long",
    "du texte et des nombres qui peuvent être conservés : ni caractère nul, ni NaN, pas trop longs",
)
_ONE_SUBJECT = Bilingual(
    "one of prediction, picture, sha256 and withdraws", "l'un de prediction, picture, sha256 et withdraws"
)
_WITHDRAWN = Bilingual("both withdrawn and what is taken back", "withdrawn et ce qui est retiré, les deux")
_STORED = Bilingual("one that is stored", "ce qui est conservé")
_JUDGEMENT = Bilingual("a judgement that is recorded", "un jugement enregistré")
_ONE_TAXON = Bilingual(
    "a taxon, as the picture itself has none, or several", "un taxon, car l'image n'en a aucun, ou plusieurs"
)


class TaxonNames:
    """Taxa by the names that people judge with: species, and genera and families of registered species."""

    def __init__(self, registry: SeedRegistry) -> None:
        self._registry = registry
        self._known: dict[str, Seed | None] = {}

    def find(self, name: str) -> Seed | None:
        """The taxon of a name or an identifier, None if there is none."""
        if name not in self._known:
            registry = self._registry
            found = registry.with_id(name) or registry.named(name)
            if found is None or registry.usage(name) == "vernacular":
                found = next(filter(None, (named_at(registry, name, rank) for rank in reversed(RANKS))), found)
            self._known[name] = found
        return self._known[name]

    def registered(self, seed: Seed) -> bool:
        """Whether it is an entry of the registry."""
        return seed.id in self._registry.by_id

    def expected(self, name: str) -> Bilingual:
        """What was expected in place of a name that finds nothing."""
        near = self._registry.nearest(name)
        return Bilingual(
            f"a registered taxon{f' (did you mean {near}?)' if near else ''}",
            f"un taxon enregistré{f' (peut-être {near} ?)' if near else ''}",
        )

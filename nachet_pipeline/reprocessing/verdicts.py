"""The verdict on a stored picture, and how two verdicts differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from nachet_pipeline.contract.catalogue import CATALOGUE, Check, Severity
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.pictures.inspected import Inspected
from nachet_pipeline.support.i18n import Bilingual

BLOBS_RULE = "stored_blobs_intact"
"""The rule that the file of a stored picture is the one that was stored."""

_WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.INFO)


class UnknownRuleError(ValueError):
    """There is no such rule or finding; the message is one line that names near ones."""


class VerdictState(StrEnum):
    """Whether a picture is accepted today; one whose file cannot be read is neither accepted nor refused."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class BlobFinding:
    """What can be wrong with a stored file.

    Attributes:
        code: by which it is counted and searched.
        message: what is wrong.
        remedy: what an operator can do.
    """

    code: str
    message: Bilingual
    remedy: Bilingual


BLOB_FINDINGS: Mapping[VerdictState, BlobFinding] = MappingProxyType(
    {
        VerdictState.MISSING: BlobFinding(
            "blob-missing",
            Bilingual(
                "The picture's file is no longer in storage.", "Le fichier de l'image n'est plus dans le stockage."
            ),
            Bilingual(
                "Restore the blob, or import its folder again.",
                "Restaurez le blob ou importez de nouveau son dossier.",
            ),
        ),
        VerdictState.CHANGED: BlobFinding(
            "blob-changed",
            Bilingual(
                "The picture's file is not the one that was stored: size or checksum differ.",
                "Le fichier de l'image n'est pas celui qui a été stocké : taille ou somme de contrôle diffèrent.",
            ),
            Bilingual("Restore the blob that was stored.", "Restaurez le blob d'origine."),
        ),
        VerdictState.UNREADABLE: BlobFinding(
            "blob-unreadable",
            Bilingual(
                "Storage answers, but does not give out the picture's file.",
                "Le stockage répond, mais ne donne pas accès au fichier de l'image.",
            ),
            Bilingual(
                "See whether the blob was moved to the archive tier, or is locked.",
                "Vérifiez si le blob a été déplacé au niveau d'archivage ou s'il est verrouillé.",
            ),
        ),
    }
)
_BLOB_CODES = {finding.code: finding for finding in BLOB_FINDINGS.values()}


class StoredFinding(BaseModel):
    """A finding about a stored picture.

    Attributes:
        code: of the catalogue of findings, or of `BLOB_FINDINGS`.
        severity: its severity when it was found.
        field: the tag concerned, such as `GPSInfo`.
        expected: what the rules require.
        found: what is there.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    severity: Severity
    field: str | None = None
    expected: Bilingual | None = None
    found: Bilingual | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a stored picture.

    Attributes:
        state: follows from the findings.
        findings: everything found.
    """

    state: VerdictState
    findings: tuple[StoredFinding, ...] = ()

    @property
    def weights(self) -> dict[str, Severity]:
        """The codes of its findings with their greatest severity, sorted by code."""
        found: dict[str, Severity] = {}
        for finding in sorted(self.findings, key=lambda one: _WORST_FIRST.index(one.severity)):
            found.setdefault(finding.code, finding.severity)
        return dict(sorted(found.items()))

    @classmethod
    def of_blob(cls, state: VerdictState) -> "Verdict":
        """The verdict on a picture whose file is not what was stored."""
        finding = BLOB_FINDINGS[state]
        return cls(state, (StoredFinding(code=finding.code, severity=Severity.ERROR),))

    @classmethod
    def of_picture(cls, seen: Inspected, rules: RuleSet) -> "Verdict":
        """The verdict on an inspected picture, with the severities of a rule set."""
        findings = tuple(
            StoredFinding(
                code=issue.code,
                severity=rules.severity_of(issue.code),
                field=issue.field,
                expected=issue.expected,
                found=issue.found,
            )
            for issue in seen.issues
        )
        refused = seen.properties is None or any(one.severity is Severity.ERROR for one in findings)
        return cls(VerdictState.REFUSED if refused else VerdictState.ACCEPTED, findings)


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """The severity of a code in the verdict before and now; None where it was not found."""

    code: str
    before: Severity | None
    now: Severity | None

    @property
    def rule(self) -> str:
        """The check that the code belongs to."""
        return rule_of(self.code)


def verdict_changes(before: Verdict | None, now: Verdict) -> Iterator[VerdictChange]:
    """How a verdict differs from the one before.

    A picture without verdict was accepted by its import, so only errors are new: its other findings are in its
    upload's report. Of a file that cannot be read nothing else is known, so no finding counts as gone.
    """
    was, is_now = before.weights if before else {}, now.weights
    known = before is not None and before.state not in BLOB_FINDINGS
    for code, weight in is_now.items():
        if was.get(code) is not weight and (known or weight is Severity.ERROR):
            yield VerdictChange(code, was.get(code), weight)
    if now.state not in BLOB_FINDINGS:
        yield from (VerdictChange(code, weight, None) for code, weight in was.items() if code not in is_now)


def rule_of(code: str) -> str:
    """The check that a code belongs to; the code itself if this version no longer knows it."""
    if code in _BLOB_CODES:
        return BLOBS_RULE
    return CATALOGUE[code].check.value if code in CATALOGUE else code


def message_of(code: str) -> Bilingual:
    """The message of a code."""
    if code in _BLOB_CODES:
        return _BLOB_CODES[code].message
    return CATALOGUE[code].message if code in CATALOGUE else Bilingual(code, code)


def codes_of(rule: str) -> frozenset[str]:
    """The codes of a check, or the one code of that name.

    Raises:
        UnknownRuleError: there is neither.
    """
    if rule in CATALOGUE or rule in _BLOB_CODES:
        return frozenset({rule})
    if rule == BLOBS_RULE:
        return frozenset(_BLOB_CODES)
    if rule in set(Check):
        return frozenset(code for code, kind in CATALOGUE.items() if kind.check == rule)
    near = get_close_matches(rule, [*CATALOGUE, *_BLOB_CODES, *Check, BLOBS_RULE], n=3)
    raise UnknownRuleError(f"there is no rule or finding {rule!r}" + (f"; {', '.join(near)}?" if near else ""))

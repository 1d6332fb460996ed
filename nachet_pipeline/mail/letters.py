"""What a mail says, in the language of its reader: a few parts, which two templates put into text and HTML.

No text of an uploader gets into it that is not one printable line, nor an address of somebody else.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from urllib.parse import quote
from uuid import UUID

from nachet_pipeline.contract.catalogue import CATALOGUE, Severity
from nachet_pipeline.contract.metadata import EMAIL_ADDRESS
from nachet_pipeline.contract.names import printable
from nachet_pipeline.contract.receipt import State
from nachet_pipeline.contract.report import SEVERITY_NAMES, Group, explanation_of
from nachet_pipeline.events.event import CheckTurned, KeyEnding
from nachet_pipeline.identifiers import report_blob
from nachet_pipeline.mail.errors import MailRefusedError
from nachet_pipeline.mail.queries import Kind, ToldUpload
from nachet_pipeline.settings import ENCODED_WORD, mailable, sender_of
from nachet_pipeline.support.i18n import Bilingual, Language
from nachet_pipeline.support.templates import render_template

_LINE = 300
_WIDTH = 72
_PLACE = " " * 4
"""What a place begins with in the text; what is left of it goes further in."""
_NAME = 80
_HEADER = 77
_PLACES = 3
_FINDINGS = 5
"""Codes that are shown of a folder; of one among several, `_FINDINGS_AMONG`."""
_FINDINGS_AMONG = 2


@dataclass(frozen=True, slots=True)
class Point:
    """A finding, as a mail shows it.

    Attributes:
        tone: `error`, `warning` or `info`.
        label: the same, in words.
        text: what is wrong.
        places: where, and what was found there.
        remedy: what to do.
    """

    tone: str
    label: str
    text: str
    places: Sequence[str] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A folder or a check, as a mail shows it.

    Attributes:
        name: its name.
        tone: `error`, `warning` or `good`.
        state: its state, in words.
        notes: what else is said of it.
        points: its findings.
        more: that there are more of them.
    """

    name: str
    tone: str
    state: str
    notes: Sequence[str] = ()
    points: Sequence[Point] = ()
    more: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail's content.

    Attributes:
        language: its language.
        subject: its subject, which is also its heading.
        intro: paragraphs before the items.
        items: folders or checks.
        more: that there are more of them.
        outro: paragraphs after them.
        footer: why it is sent, and how to get no more of them.
    """

    language: Language
    subject: str
    intro: Sequence[str]
    items: Sequence[Item] = ()
    more: str = ""
    outro: Sequence[str] = ()
    footer: Sequence[str] = ()

    def with_footer(self, footer: Sequence[str]) -> "Letter":
        """The same with a footer."""
        return replace(self, footer=footer)

    @property
    def text(self) -> str:
        """It as plain text, in lines that can be read as they are, and be quoted; a command stays one line."""
        lines = render_template("mail/letter.txt.jinja", letter=self).splitlines()
        return "".join(f"{part}\n" for one in lines for part in _wrapped(one))

    @property
    def html(self) -> str:
        """It as HTML that loads nothing."""
        return render_template("mail/letter.html", letter=self)


def _wrapped(text: str) -> list[str]:
    if len(text) <= _WIDTH or text.startswith("nachet "):
        return [text]
    begin = text[: len(text) - len(text.lstrip(" →*"))]
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=" " * min(len(begin) + 2 * (begin == _PLACE), 6),
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def line(text: str, *, owner: str = "", most: int = _LINE) -> str:
    """A text as one printable line of bounded length, without an address but the reader's own."""
    shown = EMAIL_ADDRESS.sub(lambda found: found[0] if found[0].casefold() == owner else "…@…", printable(text))
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


_STATES = {
    State.REFUSED: ("error", Bilingual("not accepted", "non accepté")),
    State.PARTLY_IMPORTED: ("warning", Bilingual("imported in part", "importé en partie")),
    State.IMPORTED: ("good", Bilingual("imported", "importé")),
    State.FAILED: ("warning", Bilingual("not imported yet", "pas encore importé")),
}


@dataclass(frozen=True, slots=True)
class _Words:
    """What a kind of mail says about folders: of one (by its state) and of several, and around them."""

    several: Bilingual
    intro: Bilingual
    outro: Bilingual


_WORDS: dict[Kind, _Words] = {
    "refused": _Words(
        Bilingual("{} folders need a correction", "{} dossiers à corriger"),
        Bilingual(
            "What is marked as an error keeps pictures from being imported.",
            "Ce qui est marqué comme erreur empêche l'importation d'images.",
        ),
        Bilingual(
            "Correct the errors, then send the folder again under the same name. Nothing that was imported is lost.",
            "Corrigez les erreurs, puis envoyez de nouveau le dossier sous le même nom. Rien de ce qui a été importé"
            " n'est perdu.",
        ),
    ),
    "imported": _Words(
        Bilingual("{} imported folders are worth a look", "{} dossiers importés méritent un coup d'œil"),
        Bilingual(
            "The pictures are stored. What is listed here does not prevent that, but may be a mistake.",
            "Les images sont enregistrées. Les points ci-dessous ne l'empêchent pas, mais sont peut-être des erreurs.",
        ),
        Bilingual(
            "If something is wrong, correct it and send the folder again. If all is as it should be, there is nothing"
            " to do.",
            "Si quelque chose est faux, corrigez-le et envoyez de nouveau le dossier. Si tout est juste, il n'y a rien"
            " à faire.",
        ),
    ),
    "failed": _Words(
        Bilingual("{} folders are not imported yet", "{} dossiers ne sont pas encore importés"),
        Bilingual(
            "The import was tried several times and was interrupted each time. Your folder is not the reason, and it"
            " stays as it is.",
            "L'importation a été essayée plusieurs fois, et interrompue chaque fois. Votre dossier n'en est pas la"
            " cause, et il reste tel quel.",
        ),
        Bilingual(
            "There is nothing to correct. Whoever operates the pipeline must put the cause right; if you hear nothing"
            " within a day, ask them.",
            "Il n'y a rien à corriger. L'équipe qui exploite le système doit régler le problème; si vous n'avez pas"
            " de nouvelles d'ici un jour, demandez-lui.",
        ),
    ),
}
_LOOK = Bilingual("Worth a look", "À vérifier")
_COLON = Bilingual("{}: {}", "{}\u00a0: {}")
_REPORT = Bilingual("report: {}", "rapport : {}")
_WHERE = Bilingual(
    "A report is a page beside its folder, in your upload container; it shows all findings, with pictures.",
    "Un rapport est une page à côté de son dossier, dans votre conteneur de téléversement; il montre tout ce qui a été"
    " trouvé, avec des images.",
)
_MORE = Bilingual("… and {} more", "… et {} de plus")


def letter_on_uploads(kind: Kind, uploads: Sequence[ToldUpload], language: Language, owner: str) -> Letter:
    """A letter on folders, of which there is at least one."""
    words, total = _WORDS[kind], uploads[0].total
    items = [_item(one, language, owner, _FINDINGS if total == 1 else _FINDINGS_AMONG) for one in uploads]
    subject = words.several.in_language(language).format(total)
    if total == 1:
        state = _LOOK.in_language(language) if kind == "imported" else items[0].state.capitalize()
        subject = _COLON.in_language(language).format(state, items[0].name)
    left = total - len(uploads)
    return Letter(
        language,
        subject,
        intro=[words.intro.in_language(language)],
        items=items,
        more=_MORE.in_language(language).format(left) if left else "",
        outro=[words.outro.in_language(language), *([_WHERE.in_language(language)] if kind != "failed" else [])],
    )


def _item(upload: ToldUpload, language: Language, owner: str, most: int) -> Item:
    tone, state = _STATES[upload.state]
    counted = ", ".join(
        f"{number} {SEVERITY_NAMES[severity][number > 1].in_language(language)}"
        for severity in Severity
        if (number := upload.counts.get(severity, 0))
    )
    # What failed has no findings that matter.
    groups = [] if upload.state is State.FAILED else [one for one in upload.groups if one["code"] in CATALOGUE]
    by_code: dict[str, list[Group]] = {}
    for group in map(Group.model_validate, groups):
        by_code.setdefault(group.code, []).append(group)
    left = len(upload.codes) - min(most, len(by_code)) if by_code else 0
    at = f"{upload.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    said = [f"{at}; {counted}" if counted and by_code else at]
    if by_code:
        said.append(_REPORT.in_language(language).format(line(report_blob(upload.folder), owner=owner)))
    return Item(
        line(upload.folder, owner=owner, most=_NAME),
        tone,
        state.in_language(language),
        notes=said,
        points=[
            _point(code, found, upload.codes.get(code, 0), language, owner)
            for code, found in list(by_code.items())[:most]
        ],
        more=_MORE.in_language(language).format(left) if left else "",
    )


def _point(code: str, groups: Sequence[Group], number: int, language: Language, owner: str) -> Point:
    severity = groups[0].severity
    shown = partial(line, owner=owner)
    left = number - sum(group.count for group in groups[:_PLACES])
    return Point(
        severity.value,
        SEVERITY_NAMES[severity][0].in_language(language),
        CATALOGUE[code].message.in_language(language),
        places=[
            *(shown(place) for place in _places(groups[:_PLACES], language)),
            *([_MORE.in_language(language).format(left)] if left > 0 else []),
        ],
        remedy=shown(groups[0].what_to_do.in_language(language)),
    )


def _places(groups: Sequence[Group], language: Language) -> Iterator[str]:
    for group in groups:
        where = " ".join(filter(None, (str(group.places[0]) if group.places[0].path else "", group.field)))
        found = explanation_of(group, language)
        text = _COLON.in_language(language).format(where, found) if where and found else where or found
        if text and group.count > 1:
            text = f"{text} ({_MORE.in_language(language).format(group.count - 1)})"
        if text:
            yield text


def letter_on_keys(keys: Sequence[KeyEnding], language: Language) -> Letter:
    """A letter on upload keys that are about to end; it never shows one."""
    keys = sorted(keys, key=lambda one: one.ends)
    replaced_by = keys[-1].replaced_by
    if replaced_by is None:
        then = Bilingual(
            "There is no newer one yet. Ask whoever operates the pipeline for a new key before that day; without one"
            " you cannot send folders.",
            "Il n'y en a pas encore de plus récente. Demandez-en une avant ce jour à l'équipe qui exploite le"
            " système; sans clé, vous ne pouvez pas envoyer de dossiers.",
        )
    else:
        then = Bilingual(
            f"Key {replaced_by} takes its place and works already. Ask whoever operates the pipeline for it, and"
            " put it into the programs that you send folders with.",
            f"La clé {replaced_by} la remplace et fonctionne déjà. Demandez-la à l'équipe qui exploite le système,"
            " et mettez-la dans les programmes avec lesquels vous envoyez des dossiers.",
        )
    never = Bilingual(
        "A key is never sent by e-mail. If a mail asks you for yours, do not answer it.",
        "Une clé n'est jamais envoyée par courriel. Si un courriel vous demande la vôtre, n'y répondez pas.",
    )
    first = f"{keys[0].ends.astimezone(UTC):%Y-%m-%d}"
    subject = Bilingual(f"Your upload key ends on {first}", f"Votre clé de téléversement prend fin le {first}")
    until = Bilingual(
        "Your upload key {} works until {:%Y-%m-%d %H:%M} UTC.",
        "Votre clé de téléversement {} fonctionne jusqu'au {:%Y-%m-%d %H:%M} UTC.",
    ).in_language(language)
    return Letter(
        language,
        subject.in_language(language),
        intro=[*(until.format(one.key, one.ends.astimezone(UTC)) for one in keys), then.in_language(language)],
        outro=[never.in_language(language)],
    )


def letter_on_checks(checks: Sequence[CheckTurned]) -> Letter:
    """A letter to the operators, in English as the UI and the commands: the checks that turned, failing ones first."""
    ordered = sorted(checks, key=lambda one: (one.passed, not one.urgent))
    failing = [one.check for one in ordered if not one.passed]
    passing = [one.check for one in ordered if one.passed]
    parts = [
        f"{names[0] if len(names) == 1 else f'{len(names)} checks'} {verb if len(names) == 1 else verbs}"
        for names, verb, verbs in ((failing, "fails", "fail"), (passing, "passes again", "pass again"))
        if names
    ]
    items = [
        Item(
            one.check,
            "good" if one.passed else "error" if one.urgent else "warning",
            "passes again" if one.passed else "fails" if one.urgent else "fails, and can wait until morning",
            notes=[printable(one.found)[:2000]],
        )
        for one in ordered
    ]
    outro = ["`nachet health`, or the asset `pipeline_health` in the UI, says more."] if failing else []
    return Letter("en", f"Pipeline health: {', '.join(parts)}", intro=[], items=items, outro=outro)


def trial_letter(language: Language) -> Letter:
    """A letter that says only that mails arrive."""
    subject = Bilingual("A test of nachet", "Un essai de nachet")
    intro = Bilingual("Mails of the pipeline arrive here.", "Les courriels du système arrivent ici.")
    return Letter(language, subject.in_language(language), [intro.in_language(language)])


def owner_footer(owner: str, operators: Sequence[str], language: Language) -> list[str]:
    """Why a user gets a mail, and whom to ask for no more of them."""
    whom = Bilingual.same(", ".join(operators)) if operators else _OPERATORS
    return [
        Bilingual(
            f"You get this mail because {owner} is registered to upload pictures. To get fewer mails, none, or mails in"
            f" French, ask {whom.en}. They type:",
            f"Vous recevez ce courriel parce que l'adresse {owner} est inscrite pour téléverser des images. Pour"
            f" recevoir moins de courriels, n'en plus recevoir ou les recevoir en anglais, adressez-vous à {whom.fr}."
            " La commande est :",
        ).in_language(language),
        f"nachet user notify {owner} --notify none",
    ]


_OPERATORS = Bilingual("whoever operates the pipeline", "l'équipe qui exploite le système")
OPERATORS_FOOTER = ("You get this mail because NACHET_NOTIFY_OPERATORS names your address.",)


def as_message(
    letter: Letter,
    *,
    identifier: UUID,
    sender: str,
    to: Sequence[str],
    at: datetime,
    operators: Sequence[str] = (),
) -> EmailMessage:
    """A letter as a mail, in text and HTML. Its Message-ID follows from its identifier, however often it is sent.

    Args:
        letter: what it says.
        identifier: of the mail.
        sender: its sender.
        to: its recipients.
        at: its date.
        operators: who answers; also who unsubscribes.

    Raises:
        MailRefusedError: one of the recipients' addresses might be understood as another.
    """
    if wrong := [one for one in to if not mailable(one)]:
        raise MailRefusedError(f"{printable(wrong[0])} is no address that mails are sent to", permanent=True)
    name, address = sender_of(sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = [Address(addr_spec=one) for one in to]
    message["Subject"] = letter.subject.replace(ENCODED_WORD, "= ?")  # or a folder's name would be decoded
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{identifier}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if operators:
        message["Reply-To"] = [Address(addr_spec=one) for one in operators]
        unsubscribe = f"<mailto:{quote(operators[0], safe='@')}?subject=unsubscribe>"
        if len(unsubscribe) < _HEADER:  # a longer one would be encoded, and not understood
            message["List-Unsubscribe"] = unsubscribe
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = letter.language
    return message

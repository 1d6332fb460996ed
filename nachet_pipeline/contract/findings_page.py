"""The documentation of the findings, docs/findings.md, generated from their catalogue by `make docs`."""

import sys
from collections.abc import Iterator

from nachet_pipeline.contract.catalogue import CATALOGUE, RULE_SET_VERSION, Check, FindingKind

_HEAD = f"""\
# What a validation can find

<!-- Generated from nachet_pipeline/contract/catalogue.py by `make docs`; do not edit. -->

Version {RULE_SET_VERSION} of the rules. Everything that can be said of an upload is listed here by its **code**. Codes
are stable: one is never given another meaning, so programs may rely on them. The version is raised whenever the verdict
on some folder can change.

Only an **error** keeps an upload from being imported. A **warning** is worth a look, an **info** needs nothing done.

## A finding

`nachet validate FOLDER --format jsonl` writes the record: one JSON object a line for every finding (`"record":
"finding"`), and a last one with the counts (`"record": "summary"`). `--format text` and `--format html` are views of
that record, in English or, with `--lang fr`, in French; a page lets its reader switch. A key without a value is left
out.

| key | meaning |
| --- | --- |
| `code` | what was found, from the list below |
| `severity` | `error`, `warning` or `info` |
| `rule` | the check that the finding belongs to; the UI shows a check of that name |
| `rule_set_version` | version of the rules that judged |
| `path` | the file, relative to the upload; empty for the upload as a whole |
| `field` | the key of a YAML file (`seedData.seedGenus`), or the tag of a picture |
| `line`, `column` | where in the file, counted from 1 |
| `sessions` | the sessions that inherit the value, where its file alone does not tell |
| `expected` | what the contract asks for, `{{"en": …, "fr": …}}` |
| `found` | what is there, in both languages |
| `suggestion` | the value that was probably meant, in both languages |
| `advice` | what to do about this very finding, in place of `remedy`, in both languages |
| `other` | another picture of the upload that it is about, such as the one that is equal |
| `message` | what is wrong, in both languages |
| `remedy` | what to do about it, in both languages |

The summary has `importable`, `counts` by severity, `codes` with the number of each, `severities` (the codes that weigh
something else in this deployment), `rule_set_version` and `sessions`: what was understood of each session, as in a
receipt. A record without a summary is not complete.

## Weighing findings differently

A deployment may give a finding another severity. The setting `NACHET_SEVERITIES_FILE` names a YAML file from code to
severity:

```yaml
unknown-key: error
hidden-file: info
```

What a *fixed* finding concerns cannot be imported at all, so it stays an error. A file with an unknown code or severity
is refused at start, with its line. What was remapped is part of every report.

## The findings
"""


def findings_page() -> str:
    """The text of docs/findings.md."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    """A section for each check, in it one for each code."""
    for check in Check:
        yield f"### Check `{check.value}`\n\n{check.description}\n"
        for code, kind in CATALOGUE.items():
            if kind.check is check:
                yield _entry(code, kind)


def _entry(code: str, kind: FindingKind) -> str:
    weight = "fixed" if kind.fixed else "a deployment may change it"
    return (
        f"#### `{code}`\n\n"
        f"{kind.severity.value.capitalize()}; {weight}.\n\n"
        f"| | what is wrong | what to do |\n| --- | --- | --- |\n"
        f"| en | {_cell(kind.message.en)} | {_cell(kind.remedy.en)} |\n"
        f"| fr | {_cell(kind.message.fr)} | {_cell(kind.remedy.fr)} |\n"
    )


def _cell(text: str) -> str:
    """A text as it stands in a table of Markdown: nothing of it is markup."""
    return "".join(f"\\{character}" if character in r"\|*_<>`[]" else character for character in text)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(findings_page())

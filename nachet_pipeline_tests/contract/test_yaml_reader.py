from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nachet_pipeline.contract.yaml_problems import Line, explain
from nachet_pipeline.contract.yaml_reader import Position, YamlDocument, YamlError, YamlLimits, read_yaml


def _error(content: bytes, limits: YamlLimits | None = None) -> YamlError:
    with pytest.raises(YamlError) as caught:
        read_yaml(content, limits or YamlLimits(), [])
    return caught.value


def _collected(content: bytes) -> tuple[YamlDocument, list[YamlError]]:
    problems: list[YamlError] = []
    return read_yaml(content, YamlLimits(), problems), problems


def test_every_value_stays_the_text_that_was_written() -> None:
    content = b"a: no\nb: 0123\nc: 12:30\nd: 2024-01-01\ne: 1_000\nf: 'null'\ng: 1e3\n"

    assert read_yaml(content).values == {
        "a": "no",
        "b": "0123",
        "c": "12:30",
        "d": "2024-01-01",
        "e": "1_000",
        "f": "null",
        "g": "1e3",
    }


@pytest.mark.parametrize("empty", [b"", b"~", b"null", b"NULL"])
def test_a_key_without_a_value_has_none(empty: bytes) -> None:
    assert read_yaml(b"zoom: " + empty).values == {"zoom": None}


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n", b"---\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_key_is_an_empty_mapping(content: bytes) -> None:
    assert read_yaml(content).values == {}


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfa:\n  b: 1\n", b"a:\r\n  b: 1\r\n", b"a:\r  b: 1\r", b"a:\n  b: 1", b"---\na:\n  b: 1\n...\n"],
)
def test_marks_and_line_ends_of_any_editor_read_alike(content: bytes) -> None:
    assert read_yaml(content).values == {"a": {"b": "1"}}


def test_every_key_and_item_knows_its_line_and_column() -> None:
    document = read_yaml("é: 1\nlist:\n  - x\n  - y: {z: 1}\n".encode())

    assert document.values == {"é": "1", "list": ["x", {"y": {"z": "1"}}]}
    assert document.positions == {
        ("é",): Position(1, 1),
        ("list",): Position(2, 1),
        ("list", 0): Position(3, 5),
        ("list", 1): Position(4, 5),
        ("list", 1, "y"): Position(4, 5),
        ("list", 1, "y", "z"): Position(4, 9),
    }


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"a: 1\nb: [1\n", 3, 1),
        (b"a: 1\n\tb: 2\n", 2, 1),
        (b"- a\n", 1, 1),
        (b"just text", 1, 1),
        (b"zoom:30", 1, 1),
        (b"''", 1, 1),
        (b"a: 1\nb: \xff", 2, 4),
        (b"a: 1\rb: \xff", 2, 4),
        (b'a: "\\ud800"', 1, 7),
        (b"\x80", 1, 1),
    ],
)
def test_what_is_not_the_yaml_of_keys_and_values_is_refused_where_it_goes_wrong(
    content: bytes, line: int, column: int
) -> None:
    error = _error(content)

    assert (error.problem, error.position) == ("syntax", Position(line, column))
    assert error.expected.en != error.expected.fr
    assert error.found.fr


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        (b"a: 1\nb: *x", 2, "an alias (*x)"),
        (b"<<: *x", 1, "an alias (*x)"),
        (b"a: 1\n---\nb: 2", 2, "a second one"),
        (b"{a: 1}: 2", 1, "a group of keys or a list as a key"),
        (b"? [a]\n: 2", 1, "a group of keys or a list as a key"),
        (b"a: 1\n" + b"b: " + b"[" * 20, 2, "deeper nesting"),
        (b"a: [" + b"x," * 20_000 + b"]", 1, "more"),
    ],
)
def test_what_hides_the_meaning_of_a_file_ends_its_reading(content: bytes, line: int, found: str) -> None:
    error = _error(content)

    assert (error.problem, error.found.en) == ("forbidden", found)
    assert error.position is not None
    assert error.position.line == line


@pytest.mark.parametrize(
    ("content", "place", "found", "read"),
    [
        (b"a: &x 1", Position(1, 4), "an anchor (&x)", {"a": "1", "z": "9"}),
        (b"a: !local 1", Position(1, 4), "the tag !local", {"a": "1", "z": "9"}),
        (
            b"a: !!python/object/apply:os.system [ls]",
            Position(1, 4),
            "the tag tag:yaml.org,2002:python/object/apply:os.system",
            {"a": ["ls"], "z": "9"},
        ),
        (b'a: "one\\0two"', Position(1, 4), "the character U+0000", {"a": "one\ufffdtwo", "z": "9"}),
        (b'"\\e[2J": 1', Position(1, 1), "the character U+001B", {"\ufffd[2J": "1", "z": "9"}),
        ("été: é\0".encode(), Position(1, 7), "the character U+0000", {"été": "é\ufffd", "z": "9"}),
        (b"b: 1\rc: \x0c", Position(2, 4), "the character U+000C", {"b": "1", "c": "\ufffd", "z": "9"}),
        ("a: \x81".encode(), Position(1, 4), "the character U+0081", {"a": "\ufffd", "z": "9"}),
        ("a: \uffff".encode(), Position(1, 4), "the character U+FFFF", {"a": "\ufffd", "z": "9"}),
    ],
)
def test_what_is_forbidden_but_plain_is_told_in_its_place_and_the_rest_is_read(
    content: bytes, place: Position, found: str, read: dict[str, Any]
) -> None:
    document, problems = _collected(content + b"\nz: 9\n")

    assert [(error.problem, error.position, error.found.en) for error in problems] == [("forbidden", place, found)]
    assert document.values == read


def test_everything_wrong_with_a_file_is_told_in_one_pass() -> None:
    document, problems = _collected(b"a: 1\na: 2\nb: &x !t 3\nc:\n  d: 4\n  d: 5\n")

    assert [(error.problem, error.position, error.path) for error in problems] == [
        ("duplicate", Position(2, 1), ("a",)),
        ("forbidden", Position(3, 4), ("b",)),
        ("forbidden", Position(3, 4), ("b",)),
        ("duplicate", Position(6, 3), ("c", "d")),
    ]
    assert document.values == {"a": "1", "b": "3", "c": {"d": "4"}}


def test_what_was_wrong_before_the_end_of_reading_is_kept() -> None:
    problems: list[YamlError] = []
    with pytest.raises(YamlError) as caught:
        read_yaml(b"a: 1\na: 2\nb: [", YamlLimits(), problems)

    assert [error.problem for error in problems] == ["duplicate"]
    assert caught.value.problem == "syntax"


@pytest.mark.parametrize("content", [b"a: 1\na: 2", b"a: &x 1", b"a: \0", b"a: !x 1"])
def test_a_program_that_does_not_take_what_is_wrong_is_refused_the_whole(content: bytes) -> None:
    with pytest.raises(YamlError, match=r"^expected .+, found "):
        read_yaml(content)


def test_of_a_file_full_of_faults_the_first_are_told() -> None:
    _, problems = _collected(b'a: "' + b"\x01" * 5_000 + b'"')

    assert 10 <= len(problems) <= 100


def test_the_first_value_of_a_key_is_kept_whole_when_it_is_given_again() -> None:
    document, problems = _collected(b"a:\n  b: 1\nc: 3\na: [4, {b: 5}]\nd: 6\n")

    assert document.values == {"a": {"b": "1"}, "c": "3", "d": "6"}
    assert document.positions[("a",)] == Position(1, 1)
    assert document.positions[("a", "b")] == Position(2, 3)
    assert problems[0].found.en == "a, as in line 1"


def test_the_same_key_in_two_sections_is_no_duplicate() -> None:
    assert read_yaml(b"a:\n  b: 1\nc:\n  b: 2\n").values == {"a": {"b": "1"}, "c": {"b": "2"}}


def test_the_limits_are_those_that_are_given() -> None:
    limits = YamlLimits(bytes=30, depth=2, events=12)

    assert read_yaml(b"a: [1, 2]\n", limits).values == {"a": ["1", "2"]}
    assert _error(b"a: [[1]]\n", limits).found.en == "deeper nesting"
    assert _error(b"{a: 1, b: 2, c: 3, d: 4}", limits).expected.en == "at most 12 values"
    assert _error(b"#" * 31, limits).found.en == "31 bytes"


def test_a_file_of_more_than_a_mebibyte_is_refused_before_it_is_read() -> None:
    error = _error(b"#" * (1024**2 + 1))

    assert (error.problem, error.position) == ("forbidden", None)
    assert read_yaml(b"#" * 1024**2).values == {}


def test_the_bombs_that_end_other_readers_are_refused() -> None:
    nested = b"a: " + b"[" * 50_000
    merges = b"a0: &a0 {x: 1}\n" + b"".join(
        b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 30)
    )
    laughs = b"a0: &a0 [ha]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d, " % (n - 1) * 9) for n in range(1, 9))
    base_60 = b"a: " + b"1:" * 100_000 + b"1"
    huge = b"a: " + b"x" * 1_000_000

    for bomb in (nested, merges, laughs):
        assert _error(bomb).problem == "forbidden"
    assert read_yaml(base_60).values["a"] == "1:" * 100_000 + "1"
    assert len(read_yaml(huge).values["a"]) == 1_000_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named_with_what_to_do(encoding: str) -> None:
    error = _error("userData:\n  zoom: 30\n".encode(encoding))

    assert error.problem == "syntax"
    assert error.found.en == f"text in {encoding.upper()[:6]}"
    assert error.advice is not None
    assert "UTF-8" in error.advice.fr


def test_an_accent_of_windows_is_named_as_the_letter_that_was_meant() -> None:
    error = _error("userData:\n  description: blé d'été".encode("cp1252"))

    assert error.position == Position(2, 18)
    assert error.found.en == "the byte 0xe9 (é in Windows-1252)"
    assert error.found.fr == "l'octet 0xe9 (é en Windows-1252)"


@pytest.mark.parametrize(
    ("content", "found", "place", "suggestion", "advice"),
    [
        (b"userData:\n\tzoom: 30\n", "a tab as indentation", (2, 1), None, "spaces in place of each tab"),
        (b"a:\n  zoom: 30\n\tnumberOfSeeds: 3\n", "a tab as indentation", (3, 1), None, "spaces in place of each tab"),
        (
            b"description: taken at 12: again",
            "a colon inside a value",
            (1, 25),
            'description: "taken at 12: again"',
            "quotes around a value",
        ),
        (b"a: 1\n  b: 2\n", "a line further to the right than those above it", (2, 3), None, "number of spaces"),
        (b"a:\n  zoom:30\n  b: 3\n", "no space after the colon of zoom", (2, 3), "zoom: 30", "a colon and a space"),
        (b"a:\n  userData\n  b: 3\n", "userData without a colon", (2, 3), "userData:", "a colon and a space"),
        (b"a:\n  b: 3\n  zoom 30\n", "a line without a colon", (3, 3), "zoom: 30", "a colon and a space"),
        (b"a:\n  zoom: 30\n b: 3\n", "a line that does not fit those above it", (3, 2), None, "number of spaces"),
        (b"a: 1\nzoom\n", "zoom without a colon", (2, 1), None, "a colon and a space"),
        (b"description: 'it", "a quote that is opened and not closed", (1, 14), None, "the same quote"),
        (b"description: @ 30 h", "a character that no value can start with", (1, 14), None, "quotes"),
        (b"a: [1, 2\nb: 3\n", "a list in brackets that does not end", (2, 2), None, "bracket"),
        (b'path: "C:\\seeds"', "a backslash before an ordinary character", (1, 10), None, "single quotes"),
        (
            b"description: 'l'automne'\nzoom: 3",
            "an apostrophe inside a value in single quotes, which ends the value there",
            (1, 17),
            'description: "l\'automne"',
            "double each apostrophe",
        ),
        (
            b'description: "the "big" ones"\nzoom: 3',
            "a double quote inside a value in double quotes, which ends the value there",
            (1, 20),
            "description: 'the \"big\" ones'",
            "single quotes",
        ),
        (b"a: 'x\nb: it's\nzoom: 30\n", "text after the end of a quoted value", (2, 7), None, "the same quote"),
        (b"- zoom: 30\n", "a list", (1, 1), None, "Remove the dash"),
        (b"zoom = 30\n", "the text 'zoom = 30'", (1, 1), None, "a colon and a space"),
    ],
)
def test_a_slip_that_people_make_is_explained_in_their_words(
    content: bytes, found: str, place: tuple[int, int], suggestion: str | None, advice: str
) -> None:
    error = _error(content)

    assert error.found.en == found
    assert error.found.fr != found
    assert error.position == Position(*place)
    assert (error.suggestion.en if error.suggestion else None) == suggestion
    if suggestion:
        assert read_yaml(suggestion.encode()).values, "who follows it has YAML"
    assert error.advice is not None
    assert advice in error.advice.en
    assert error.advice.fr != error.advice.en


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"PK\x03\x04\x14\0\x06\0" + b"\0" * 30 + b"word/document.xml" + bytes(range(256)) * 20, "a Word document"),
        (b"PK\x03\x04\x14\0\x06\0" + b"\0" * 30 + b"xl/workbook.xml" + bytes(range(256)), "an Excel workbook"),
        (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.text", "a LibreOffice document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an old Word or Excel document"),
        (b"{\\rtf1\\ansi clientData:\\par}", "an RTF document"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    ],
)
def test_a_document_of_an_office_program_is_one_problem_whatever_is_in_it(content: bytes, found: str) -> None:
    error = _error(content)

    assert (error.problem, error.position, error.found.en) == ("syntax", None, found)
    assert error.advice is not None
    assert "with a text editor" in error.advice.en


def test_what_the_parser_says_is_kept_where_nobody_explained_it() -> None:
    assert explain("found a new kind of trouble", Line(1, "a: 1")).found.en == "found a new kind of trouble"


@given(st.binary(max_size=300))
@example(b"\xff\xfea\0:\0")
@example(b"%YAML 9.9\n---\na: 1")
@example(b"a: !<!%FF> 1")
@example(b"? \n: \n? ")
@example(b"a: 1\na: {b: [c, {d: e}]}\n")
def test_no_bytes_make_the_reader_fail_otherwise_than_it_says(content: bytes) -> None:
    _either_reads_or_says_why(content)


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@?,\\ \n\t\r0~é\ufeff\u2028\0", max_size=60))
def test_no_text_of_yaml_signs_makes_the_reader_fail_otherwise_than_it_says(text: str) -> None:
    _either_reads_or_says_why(text.encode())


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in ((*path, key), *_places(one, (*path, key)))]


def _either_reads_or_says_why(content: bytes) -> None:
    problems: list[YamlError] = []
    try:
        document = read_yaml(content, YamlLimits(), problems)
    except YamlError as error:
        problems.append(error)
    else:
        assert set(_places(document.values)) <= set(document.positions)
    for problem in problems:
        assert problem.problem in {"syntax", "duplicate", "forbidden"}
        assert problem.position is None or (problem.position.line >= 1 and problem.position.column >= 1)
        assert problem.found.en
        assert problem.found.fr


_TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="\ufeff\u2028\u2029"), max_size=20
)
_KEYS = _TEXT.filter(bool)


def _nested(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(_KEYS, values, max_size=4) | st.lists(values, max_size=4)


@given(st.dictionaries(_KEYS, st.recursive(_TEXT, _nested, max_leaves=8), max_size=5))
def test_what_yaml_writes_is_read_back(values: dict[str, Any]) -> None:
    written = yaml.safe_dump(values, default_style='"', allow_unicode=True).encode()

    assert read_yaml(written).values == values


_WORDS = st.text("abcdefgé", min_size=1, max_size=6)


@given(st.lists(st.tuples(_WORDS, _WORDS), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_a_mapping_is_read_with_the_place_of_each_key_and_every_key_given_again(
    lines: list[tuple[str, str]], end: str, mark: bool
) -> None:
    text = "s:" + end + "".join(f"  {key}: {value}{end}" for key, value in lines)

    document, problems = _collected(text.encode("utf-8-sig" if mark else "utf-8"))

    first = {key: (value, number) for number, (key, value) in reversed(list(enumerate(lines, start=2)))}
    again = [number for number, (key, _) in enumerate(lines, start=2) if first[key][1] != number]
    assert document.values == {"s": {key: value for key, (value, _) in first.items()} or None}
    assert {path[1]: place for path, place in document.positions.items() if len(path) > 1} == {
        key: Position(number, 3) for key, (_, number) in first.items()
    }
    assert [(error.problem, error.position) for error in problems] == [("duplicate", Position(n, 3)) for n in again]


@given(st.recursive(_TEXT, _nested, max_leaves=8))
def test_a_list_or_text_alone_is_no_file_of_keys(value: Any) -> None:
    if isinstance(value, dict):
        return
    written = yaml.safe_dump(value, default_style='"', allow_unicode=True).encode()

    assert _error(written).problem == "syntax"

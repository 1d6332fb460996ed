from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nachet_pipeline.contract.yaml_reader import MAX_BYTES, Position, YamlError, read_yaml


def _error(content: bytes) -> YamlError:
    with pytest.raises(YamlError) as caught:
        read_yaml(content)
    return caught.value


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
        (b"''", 1, 1),
        (b"a: 1\nb: \xff", 2, 4),
        (b"a: 1\nb: \x01", 2, 4),
        ("été: 1\nb: é\x01".encode(), 2, 5),
        (b'a: "\\ud800"', 1, 7),
    ],
)
def test_what_is_not_the_yaml_of_keys_and_values_is_refused_where_it_goes_wrong(
    content: bytes, line: int, column: int
) -> None:
    error = _error(content)

    assert (error.problem, error.position) == ("syntax", Position(line, column))
    assert error.expected
    assert error.found


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        (b"a: &x 1", 1, "an anchor (x)"),
        (b"a: 1\nb: *x", 2, "an alias (x)"),
        (b"<<: *x", 1, "an alias (x)"),
        (b"a: !!python/object/apply:os.system [ls]", 1, "the tag tag:yaml.org,2002:python/object/apply:os.system"),
        (b"a: !local 1", 1, "the tag !local"),
        (b"a: 1\n---\nb: 2", 2, "a second document"),
        (b"{a: 1}: 2", 1, "a mapping or list as a key"),
        (b"? [a]\n: 2", 1, "a mapping or list as a key"),
        (b"a: 1\n" + b"b: " + b"[" * 20, 2, "deeper nesting"),
        (b"a: [" + b"x," * 20_000 + b"]", 1, "more"),
        (b'a: "one\\0two"', 1, "the character U+0000"),
        (b'"\\e[2J": 1', 1, "the character U+001B"),
    ],
)
def test_a_construct_that_the_contract_forbids_is_refused_by_its_name(content: bytes, line: int, found: str) -> None:
    error = _error(content)

    assert (error.problem, error.found) == ("forbidden", found)
    assert error.position is not None
    assert error.position.line == line


def test_a_file_of_more_than_a_mebibyte_is_refused_before_it_is_read() -> None:
    error = _error(b"#" * (MAX_BYTES + 1))

    assert (error.problem, error.position) == ("forbidden", None)
    assert read_yaml(b"#" * MAX_BYTES).values == {}


def test_the_bombs_that_end_other_readers_are_refused() -> None:
    nested = b"a: " + b"[" * 50_000
    merges = b"a0: &a0 {x: 1}\n" + b"".join(
        b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 30)
    )
    base_60 = b"a: " + b"1:" * 100_000 + b"1"

    assert _error(nested).problem == "forbidden"
    assert _error(merges).problem == "forbidden"
    assert read_yaml(base_60).values["a"] == "1:" * 100_000 + "1"


def test_a_key_given_twice_is_refused_at_its_second_place() -> None:
    error = _error(b"a:\n  b: 1\n  b: 2\n")

    assert (error.problem, error.position) == ("duplicate", Position(3, 3))
    assert read_yaml(b"a:\n  b: 1\nc:\n  b: 2\n").values == {"a": {"b": "1"}, "c": {"b": "2"}}


@given(st.binary(max_size=300))
@example(b"\xff\xfea\0:\0")
@example(b"%YAML 9.9\n---\na: 1")
@example(b"a: !<!%FF> 1")
@example(b"? \n: \n? ")
def test_no_bytes_make_the_reader_fail_otherwise_than_it_says(content: bytes) -> None:
    _either_reads_or_says_why(content)


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@?,\\ \n\t\r0~é\ufeff\u2028", max_size=60))
def test_no_text_of_yaml_signs_makes_the_reader_fail_otherwise_than_it_says(text: str) -> None:
    _either_reads_or_says_why(text.encode())


def _either_reads_or_says_why(content: bytes) -> None:
    try:
        document = read_yaml(content)
    except YamlError as error:
        assert error.problem in {"syntax", "duplicate", "forbidden"}  # noqa: PT017 (either way is a pass)
        assert error.position is None or (error.position.line >= 1 and error.position.column >= 1)  # noqa: PT017
    else:
        assert {(key,) for key in document.values} <= set(document.positions)


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

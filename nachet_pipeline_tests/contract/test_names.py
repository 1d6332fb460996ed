import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.contract.names import MAX_NAME_BYTES, fold, is_litter, printable, why_unsafe


@pytest.mark.parametrize(
    "path",
    [
        "1.tiff",
        "pictures/session 1/Graine à 30 h.tif",
        "a-b_c.d (2).png",
        "日本.jpg",
        "console.txt",
        "com10",
        "n" * 200,
    ],
)
def test_an_ordinary_name_in_any_language_is_safe(path: str) -> None:
    assert why_unsafe(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../1.tiff", "an empty part, . or .."),
        ("a/../b", "an empty part, . or .."),
        ("a/./b", "an empty part, . or .."),
        ("/etc/passwd", "an empty part, . or .."),
        ("a//b", "an empty part, . or .."),
        ("", "an empty part, . or .."),
        ("a\\b.tiff", "a backslash"),
        ("a\0.tiff", "the character U+0000"),
        ("a\n.tiff", "the character U+000A"),
        ("a\u202egnp.exe", "the character U+202E"),
        ("a\ue000", "the character U+E000"),
        ("a\udcff", "the character U+DCFF"),
        ("a\u0378", "the character U+0378"),
        ("CON", "CON, a name reserved by Windows"),
        ("pictures/aux.tiff", "aux.tiff, a name reserved by Windows"),
        ("Lpt1 .png", "Lpt1 .png, a name reserved by Windows"),
        ("é" * 101, f"a name of more than {MAX_NAME_BYTES} bytes"),
    ],
)
def test_an_unsafe_name_is_refused_with_the_reason(path: str, why: str) -> None:
    assert why_unsafe(path) == why


_WORD = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=20)


@given(st.lists(_WORD, min_size=1, max_size=4), st.sampled_from(["\\", "\0", "\n", "\x7f", "\u200b", "\ud800"]))
def test_one_unsafe_part_makes_a_path_unsafe_wherever_it_stands(words: list[str], character: str) -> None:
    safe = "/".join(f"_{word}" for word in words)

    assert why_unsafe(safe) is None
    for place in range(len(words) + 1):
        parts = safe.split("/")
        parts.insert(place, f"a{character}b")
        assert why_unsafe("/".join(parts)) is not None


@given(st.text())
def test_a_safe_path_is_one_printable_storable_text_that_stays_below_its_folder(path: str) -> None:
    if why_unsafe(path) is None:
        parts = path.split("/")
        assert path.encode()
        assert not {"", ".", ".."} & set(parts)
        assert all(unicodedata.category(character)[0] != "C" for character in path)
        assert all(len(part.encode()) <= MAX_NAME_BYTES for part in parts)


@given(st.text())
def test_printable_text_is_one_line_in_utf8_and_is_not_escaped_again(text: str) -> None:
    shown = printable(text)

    assert len(shown.encode().splitlines()) <= 1
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "path", [".DS_Store", "pictures/.ds_store", "._1.tiff", "a/._b/c", "Thumbs.db", "DESKTOP.INI", "__MACOSX/a/1.tiff"]
)
def test_what_an_operating_system_leaves_behind_is_litter(path: str) -> None:
    assert is_litter(path)


@pytest.mark.parametrize("path", ["1.tiff", ".hidden", "_1.tiff", "Thumbs.db.png", "DS_Store", "a._b"])
def test_what_a_person_may_have_named_is_not_litter(path: str) -> None:
    assert not is_litter(path)


@pytest.mark.parametrize(
    ("one", "other"), [("a.tiff", "A.TIFF"), ("é.png", "e\u0301.png"), ("straße", "STRASSE"), ("É", "e\u0301")]
)
def test_names_that_some_file_systems_take_for_one_fold_to_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_folding_twice_changes_nothing_more(path: str) -> None:
    assert fold(fold(path)) == fold(path)

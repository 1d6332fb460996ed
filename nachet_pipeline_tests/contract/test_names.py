import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.contract.names import (
    MAX_NAME_BYTES,
    fold,
    is_hidden,
    is_litter,
    printable,
    unusual_part,
    usual,
    why_unsafe,
)


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
        ("a\u202egnp.exe", "the character U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2028b", "the character U+2028 LINE SEPARATOR"),
        ("a\ue000", "the character U+E000"),
        ("a\udcff", "the character U+DCFF"),
        ("a\u0378", "the character U+0378"),
        ("CON", "CON, a name reserved by Windows"),
        ("pictures/aux.tiff", "aux.tiff, a name reserved by Windows"),
        ("Lpt1 .png", "Lpt1 .png, a name reserved by Windows"),
        ("com¹.tiff", "com¹.tiff, a name reserved by Windows"),
        ("CONIN$", "CONIN$, a name reserved by Windows"),
        ("é" * 101, f"a name of more than {MAX_NAME_BYTES} bytes"),
    ],
)
def test_an_unsafe_name_is_refused_with_the_reason(path: str, why: str) -> None:
    found = why_unsafe(path)

    assert found is not None
    assert found.en == why
    assert found.fr != found.en


@pytest.mark.parametrize(("most", "safe"), [(16, True), (15, False)])
def test_how_long_a_name_may_be_is_a_setting(most: int, safe: bool) -> None:
    assert (why_unsafe("folder/" + "é" * 8, most) is None) is safe


_PARTS = st.lists(
    st.text(max_size=8)
    | st.sampled_from(["con", "Nul.txt", "com1", "lpt0", "aux .png", "com²", ".", "..", "n" * 201, "é" * 100])
    | st.text("a.\\\0\u202e\ue000é日 ", max_size=6),
    min_size=1,
    max_size=4,
)
_DEVICES = "con|prn|aux|nul|conin\\$|conout\\$|(com|lpt)[1-9¹²³]"
_SAFE = re.compile(rf"(?!\.{{0,2}}(/|$))(?!({_DEVICES}) *(\.|/|$))[^\\/]+", re.IGNORECASE)


@given(_PARTS)
def test_a_name_is_safe_exactly_when_its_rules_say_so_in_other_words(parts: list[str]) -> None:
    path = "/".join(parts)

    in_other_words = all(
        _SAFE.fullmatch(part)
        and len(part.encode("utf-8", "surrogatepass")) <= 200
        and all(unicodedata.category(sign)[0] in "LMNPS" or unicodedata.category(sign) == "Zs" for sign in part)
        for part in path.split("/")
    )

    assert (why_unsafe(path) is None) is in_other_words


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
    "path",
    [
        ".DS_Store",
        "pictures/.ds_store",
        "._1.tiff",
        "a/._b/c",
        "Icon\r",
        ".Trashes/501/1.tiff",
        ".fseventsd/no_log",
        ".Spotlight-V100/x",
        ".TemporaryItems/x",
        "__MACOSX/a/1.tiff",
        "Thumbs.db",
        "ehthumbs.db",
        "DESKTOP.INI",
        "$RECYCLE.BIN/1.tiff",
        "System Volume Information/x",
        "1.tiff:Zone.Identifier",
        ".directory",
        ".Trash-1000/info",
        "@eaDir/1.tiff/thumb.jpg",
        "~$notes.docx",
        ".~lock.counts.ods#",
        ".#index.yaml",
        "#index.yaml#",
        "index.yaml~",
        ".index.yaml.swp",
    ],
)
def test_what_a_system_or_a_program_leaves_behind_is_litter(path: str) -> None:
    assert is_litter(path)


@pytest.mark.parametrize(
    "path", ["1.tiff", ".hidden", "_1.tiff", "Thumbs.db.png", "DS_Store", "a._b", "Icon", "~1.tiff", "#1.tiff", "a.swp"]
)
def test_what_a_person_may_have_named_is_not_litter(path: str) -> None:
    assert not is_litter(path)


@pytest.mark.parametrize(("path", "hidden"), [(".a", True), ("a/.b/c", True), ("a.b", False), ("a/b.", False)])
def test_a_name_that_starts_with_a_dot_hides_what_lies_below_it(path: str, hidden: bool) -> None:
    assert is_hidden(path) is hidden


@pytest.mark.parametrize("path", ["../a", "a/../.b", "./.DS_Store", "a//.b", ".."])
def test_a_path_that_leaves_its_folder_is_neither_litter_nor_hidden_but_unsafe(path: str) -> None:
    assert (is_litter(path), is_hidden(path)) == (False, False)
    assert why_unsafe(path) is not None


@pytest.mark.parametrize(
    ("path", "part", "why", "right"),
    [
        (" 1.tiff", " 1.tiff", "a space at the beginning or end of a name", "1.tiff"),
        ("s /1.tiff", "s ", "a space at the beginning or end of a name", "s/1.tiff"),
        ("a/b./c./d", "a/b.", "a dot at the end of a name", "a/b/c/d"),
        ("e\u0301te\u0301/1.tiff", "e\u0301te\u0301", "accents written as characters of their own", "été/1.tiff"),
        ("a/\u00a0b", "a/\u00a0b", "a space at the beginning or end of a name", "a/b"),
    ],
)
def test_a_name_that_systems_write_differently_is_told_with_the_usual_one(
    path: str, part: str, why: str, right: str
) -> None:
    found = unusual_part(path)

    assert found is not None
    assert (found[0], found[1].en) == (part, why)
    assert found[1].fr != why
    assert usual(path) == right
    assert unusual_part(usual(path)) is None


@given(st.text())
def test_the_usual_form_of_a_safe_name_is_usual_and_stays_as_it_is(path: str) -> None:
    if why_unsafe(path) is None and all(part.strip(" .") for part in path.split("/")):
        assert usual(usual(path)) == usual(path)
        assert unusual_part(usual(path)) is None
        assert (unusual_part(path) is None) == (usual(path) == path)


@pytest.mark.parametrize(
    ("one", "other"), [("a.tiff", "A.TIFF"), ("é.png", "e\u0301.png"), ("straße", "STRASSE"), ("É", "e\u0301")]
)
def test_names_that_some_file_systems_take_for_one_fold_to_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_folding_twice_changes_nothing_more(path: str) -> None:
    assert fold(fold(path)) == fold(path)

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import (
    MetadataFile,
    Model,
    PictureMetadata,
    ProjectIndex,
    SessionIndex,
    Value,
    normalise_email,
    read_metadata,
    too_large,
)
from nachet_pipeline.contract.yaml_reader import YamlLimits
from nachet_pipeline.support.i18n import Bilingual
from nachet_pipeline_tests.contract.folders import PROJECT_INDEX


def _session(text: str) -> MetadataFile:
    return read_metadata(text.encode(), "index.yaml", SessionIndex)


def _plain(file: MetadataFile) -> dict[str, object]:
    assert file.findings == []
    return {name: value.value for name, value in file.values.items()}


def _only(file: MetadataFile) -> Finding:
    assert len(file.findings) == 1, file.findings
    return file.findings[0]


def test_a_value_is_read_as_the_contract_understands_it_with_its_place() -> None:
    file = read_metadata(PROJECT_INDEX, "index.yaml", ProjectIndex)

    assert file.values == {
        "clientData.clientEmail": Value("ada@example.org", "index.yaml", 2, 3),
        "clientData.clientExpertise": Value("Botanist", "index.yaml", 3, 3),
        "userData.description": Value("Seeds on white paper", "index.yaml", 5, 3),
        "userData.numberOfSeeds": Value(6, "index.yaml", 6, 3),
        "userData.zoom": Value(30.0, "index.yaml", 7, 3),
    }
    assert file.findings == []
    assert file.readable


@pytest.mark.parametrize(
    "text",
    [
        "userData: {numberOfSeeds: 6, zoom: 30}",
        "UserData: {NumberOfSeeds: 6, Zoom: 30}",
        "user_data: {number_of_seeds: 6, zoom: 30}",
        "user-data: {number-of-seeds: 6, ZOOM: 30}",
        "User Data: {Number of seeds: 6, zoom: 30}",
        "\ufeffuserData:\r\n  numberOfSeeds: 6\r\n  zoom: 30\r\n",
        "userData: {numberOfSeeds: ' 6 ', zoom: '30'}",
        "userData: {numberOfSeeds: 6, zoom: 30x}",
        "userData: {numberOfSeeds: 6, zoom: 30 X}",
        "userData: {numberOfSeeds: 6, zoom: 30×}",  # noqa: RUF001 (people write it)
        "userData: {numberOfSeeds: 6, zoom: 30.0, description: }",
        "userData: {numberOfSeeds: 6, zoom: x30}",
        "userData:\n  numberOfSeeds: 6\n  zoom: 30,0",
    ],
)
def test_every_spelling_that_people_use_means_the_same(text: str) -> None:
    assert _plain(_session(text)) == {"userData.numberOfSeeds": 6, "userData.zoom": 30.0}


@pytest.mark.parametrize(
    ("written", "zoom"),
    [("3,5", 3.5), ("3,5x", 3.5), ("0,0625", 0.0625), ("12,25 ×", 12.25), ("1e2", 100.0)],  # noqa: RUF001
)
def test_a_zoom_may_have_a_decimal_comma(written: str, zoom: float) -> None:
    assert _plain(_session(f"userData:\n  zoom: {written}")) == {"userData.zoom": zoom}


def test_digits_may_be_parted_by_underscores() -> None:
    assert _plain(_session("imageData: {numberOfImages: 1_000}\nuserData: {zoom: 1_000}")) == {
        "imageData.numberOfImages": 1_000,
        "userData.zoom": 1_000.0,
    }


@pytest.mark.parametrize("written", ["1,000", "1,2,3", "3,", "1,000x"])
def test_a_comma_that_may_mean_thousands_is_asked_about(written: str) -> None:
    finding = _only(_session(f"userData:\n  zoom: {written}"))

    assert (finding.code, finding.found) == ("index-content", Bilingual.same(repr(written)))


@pytest.mark.parametrize("spelling", ["seedID", "seedId", "seed_id", "SeedID", "seed ID"])
def test_the_id_of_a_seed_is_text_whether_it_looks_like_a_number_or_not(spelling: str) -> None:
    assert _plain(_session(f"seedData: {{{spelling}: 14}}")) == {"seedData.seedID": "14"}


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("userData:\n  zoom: 0", "userData.zoom", 2),
        ("userData:\n  zoom: -3x", "userData.zoom", 2),
        ("userData:\n  zoom: 10001", "userData.zoom", 2),
        ("userData:\n  zoom: nan", "userData.zoom", 2),
        ("userData:\n  zoom: .inf", "userData.zoom", 2),
        ("userData:\n  zoom: 1e999", "userData.zoom", 2),
        ("userData:\n  zoom: x", "userData.zoom", 2),
        ("userData:\n  zoom: [30]", "userData.zoom", 2),
        ("userData:\n  numberOfSeeds: 0", "userData.numberOfSeeds", 2),
        ("userData:\n  numberOfSeeds: 2.5", "userData.numberOfSeeds", 2),
        ("userData:\n  numberOfSeeds: six", "userData.numberOfSeeds", 2),
        ("userData:\n  numberOfSeeds: 10001", "userData.numberOfSeeds", 2),
        ("userData:\n  numberOfSeeds: " + "9" * 5000, "userData.numberOfSeeds", 2),
        ("userData:\n  numberOfSeeds: {a: 1}", "userData.numberOfSeeds", 2),
        ("userData:\n  description: " + "x" * 5001, "userData.description", 2),
        ("imageData:\n  numberOfImages: 0", "imageData.numberOfImages", 2),
        ("imageData:\n  numberOfImages: 1000001", "imageData.numberOfImages", 2),
        ("seedData:\n  seedGenus: '  '", "seedData.seedGenus", 2),
        ("seedData:\n  seedSpecies: " + "x" * 201, "seedData.seedSpecies", 2),
        ("clientData:\n  clientEmail: nobody", "clientData.clientEmail", 2),
        ("clientData:\n  clientEmail: " + "a" * 250 + "@example.org", "clientData.clientEmail", 2),
        ("userData: 6", "userData", 1),
        ("userData:\n  - zoom: 3", "userData", 1),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_at_its_line(text: str, field: str, line: int) -> None:
    file = _session(text)
    finding = _only(file)

    assert (finding.code, finding.field, finding.line) == ("index-content", field, line)
    assert finding.expected
    assert finding.expected.en != finding.expected.fr
    assert finding.found
    assert len(finding.found.en) <= 100
    assert file.values == {}
    assert file.is_wrong(field)


def test_the_values_at_the_limits_are_accepted() -> None:
    file = _session("userData: {zoom: 10000, numberOfSeeds: 10000}\nimageData: {numberOfImages: 1000000}")

    assert _plain(file) == {
        "userData.zoom": 10_000.0,
        "userData.numberOfSeeds": 10_000,
        "imageData.numberOfImages": 1_000_000,
    }


def test_what_is_right_in_a_file_is_kept_beside_what_is_wrong() -> None:
    file = _session("userData: {zoom: 0, numberOfSeeds: 3}\nseedData: {seedGenus: Bromus}")

    assert {name: value.value for name, value in file.values.items()} == {
        "userData.numberOfSeeds": 3,
        "seedData.seedGenus": "Bromus",
    }
    assert _only(file).field == "userData.zoom"
    assert not file.is_wrong("userData.numberOfSeeds")
    assert file.is_wrong("userData")


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("userData: {numberOfSeed: 3}", "userData.numberOfSeeds"),
        ("userData: {seedGenus: Bromus}", "seedData.seedGenus"),
        ("usrData: {zoom: 3}", "userData"),
        ("zoom: 3", "userData.zoom"),
        ("numberOfImages: 3", "imageData.numberOfImages"),
        ("clientData: {zoom: 3}", "userData.zoom"),
        ("weather: fine", None),
    ],
)
def test_an_unknown_key_is_told_with_the_key_that_was_probably_meant(text: str, suggestion: str | None) -> None:
    finding = _only(_session(text))

    assert (finding.code, finding.suggestion) == ("unknown-key", Bilingual.same(suggestion) if suggestion else None)


@pytest.mark.parametrize(
    "text", ["userData: {zoom: 3, ZOOM: 4}", "userData: {zoom: 3}\nuser_data: {zoom: 4}", "a: 1\na: 2"]
)
def test_two_spellings_of_one_key_are_the_same_key_given_twice(text: str) -> None:
    assert "duplicate-key" in {finding.code for finding in _session(text).findings}


def test_what_was_wrong_in_a_file_that_could_be_read_hides_nothing_else() -> None:
    file = _session("user_data:\n  zoom: &z 30\n  numberOfSeeds: six\n  zoom: 31\nweather: fine\n")

    assert [(found.code, found.field, found.line) for found in file.findings] == [
        ("forbidden-yaml", "userData.zoom", 2),
        ("duplicate-key", "userData.zoom", 4),
        ("index-content", "userData.numberOfSeeds", 3),
        ("unknown-key", "weather", 5),
    ]
    assert {name: value.value for name, value in file.values.items()} == {"userData.zoom": 30.0}
    assert file.readable


def test_a_pictures_file_may_not_say_who_took_it_or_how_many_there_are() -> None:
    file = read_metadata(
        b"clientData: {clientEmail: a@b.org}\nimageData: {numberOfImages: 2}\n", "1.yaml", PictureMetadata
    )

    assert {finding.field for finding in file.findings} == {"clientData", "imageData"}
    assert {finding.code for finding in file.findings} == {"unknown-key"}
    assert file.findings[0].expected is not None
    assert file.findings[0].expected.en == "clientData in an index.yaml only"


@pytest.mark.parametrize("word", ["true", "True", "yes", "Oui", "vrai", "on", "1"])
@pytest.mark.parametrize("key", ["acceptValid", "accept_valid", "Accept valid"])
def test_a_project_says_in_either_language_that_its_valid_sessions_are_to_be_accepted(word: str, key: str) -> None:
    file = read_metadata(f"uploadData: {{{key}: {word}}}".encode(), "index.yaml", ProjectIndex)

    assert _plain(file) == {"uploadData.acceptValid": True}


@pytest.mark.parametrize("word", ["false", "no", "Non", "faux", "off", "0"])
def test_a_project_may_say_that_all_or_nothing_is_to_be_accepted(word: str) -> None:
    file = read_metadata(f"uploadData: {{acceptValid: {word}}}".encode(), "index.yaml", ProjectIndex)

    assert _plain(file) == {"uploadData.acceptValid": False}


def test_a_wish_that_is_neither_yes_nor_no_is_refused() -> None:
    finding = _only(read_metadata(b"uploadData: {acceptValid: perhaps}", "index.yaml", ProjectIndex))

    assert (finding.code, finding.field) == ("index-content", "uploadData.acceptValid")
    assert finding.expected is not None
    assert (finding.expected.en, finding.expected.fr) == ("yes or no", "oui ou non")


@pytest.mark.parametrize("model", [SessionIndex, PictureMetadata])
def test_a_session_or_picture_that_states_the_uploads_wish_is_told_where_it_belongs(model: Model) -> None:
    finding = _only(read_metadata(b"upload_data: {acceptValid: yes}", "pictures/s/index.yaml", model))

    assert finding.code == "unknown-key"
    assert finding.expected is not None
    assert finding.expected.en == "uploadData in a project's index.yaml only"
    assert finding.expected.fr == "uploadData dans l'index.yaml d'un projet seulement"


def test_ten_thousand_unknown_keys_are_told_as_fifty_and_their_number() -> None:
    file = read_metadata("".join(f"k{n}: 1\n" for n in range(9_000)).encode(), "index.yaml", SessionIndex)

    assert len(file.findings) == 51
    assert file.findings[-1].found is not None
    assert file.findings[-1].found.en == "8950 more unknown keys"


@pytest.mark.parametrize(
    "field", ["zoom", "numberOfSeeds", "clientEmail", "description", "seedSpecies", "seedID", "acceptValid"]
)
@pytest.mark.parametrize("middle", [" ", ".", "a.", "x", "9", "@"])
def test_no_value_of_a_megabyte_keeps_the_reader_busy(field: str, middle: str) -> None:
    # With an expression that goes back over what it read, this test would take hours.
    sections = ["userData", "clientData", "seedData", "uploadData"]
    written = "".join(f"{section}:\n  {field}: '1{middle * (200_000 // len(middle))}2'\n" for section in sections)

    file = read_metadata(written.encode(), "index.yaml", ProjectIndex)

    assert f"index-content {field}" in {f"{found.code} {str(found.field).split('.')[1]}" for found in file.findings}
    assert file.values == {}


@pytest.mark.parametrize(("text", "field"), [("'': 1", None), ("seedData: {'': 1}", "seedData"), ("? \n: 1", None)])
def test_a_value_without_a_key_is_told_in_words(text: str, field: str | None) -> None:
    finding = _only(_session(text))

    assert (finding.code, finding.field) == ("unknown-key", field)
    assert finding.found is not None
    assert (finding.found.en, finding.found.fr) == ("an empty key", "une clé vide")


def test_a_key_as_long_as_a_file_is_told_in_short() -> None:
    finding = _only(_session(f'? "{"z" * 500_000}"\n: 1\n'))

    assert len(finding.model_dump_json()) < 2_000


def test_a_file_that_cannot_be_read_gives_one_finding_and_no_value() -> None:
    cases: list[tuple[bytes, Model, str]] = [
        (b"a: [", SessionIndex, "index-syntax"),
        (b"a: [", PictureMetadata, "picture-metadata-syntax"),
        (b"a: *x", PictureMetadata, "forbidden-yaml"),
    ]
    for content, model, code in cases:
        file = read_metadata(content, "f.yaml", model)
        assert _only(file).code == code
        assert (file.readable, file.values) == (False, {})
        assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_of_another_encoding_is_told_what_to_do_about_it() -> None:
    finding = _only(read_metadata("userData: {}".encode("utf-16"), "index.yaml", SessionIndex))

    assert finding.advice is not None
    assert "UTF-8" in finding.advice.en


def test_a_file_that_is_too_large_is_told_so_without_being_read() -> None:
    file = too_large(2_000, "1.yaml", PictureMetadata, YamlLimits(bytes=1_000))

    assert (_only(file).code, file.readable, file.sha256) == ("forbidden-yaml", False, None)
    assert (
        _only(file).expected
        == _only(read_metadata(b"#" * 2_000, "1.yaml", PictureMetadata, YamlLimits(1_000))).expected
    )


_CONTENT = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
_KEYS = [
    "userData",
    "user_data",
    "seedData",
    "clientData",
    "imageData",
    "zoom",
    "numberOfSeeds",
    "seedID",
    "clientEmail",
]
_SCALARS = ["6", "30x", "[1, 2]", "{a: b}", "''", "~", "no", "a@b.org", "1e400", "é", "\u0661", '"\\0"', "x" * 300]
_LINES = st.lists(
    st.tuples(st.sampled_from(["", "  "]), st.sampled_from(_KEYS), st.sampled_from(["", *_SCALARS])), max_size=8
).map(lambda lines: "\n".join(f"{indent}{key}: {value}" for indent, key, value in lines).encode())


@given(_CONTENT | _LINES, st.sampled_from([ProjectIndex, SessionIndex, PictureMetadata]))
def test_nothing_an_uploader_can_write_makes_reading_fail(content: bytes, model: Model) -> None:
    file = read_metadata(content, "some.yaml", model)

    assert all(finding.path == "some.yaml" for finding in file.findings)
    assert all(value.source == "some.yaml" and value.line for value in file.values.values())
    assert file.readable or not file.values


@pytest.mark.parametrize("written", [" Ada@Example.ORG ", "ada@example.org", "ADA@EXAMPLE.ORG\n"])
def test_an_email_address_has_one_form_whatever_its_case(written: str) -> None:
    assert normalise_email(written) == "ada@example.org"


@pytest.mark.parametrize(
    "written",
    ["", "ada", "@example.org", "ada@", "a da@example.org", "a@b@c", "<a@b>", "a..b@c.org", "a@-b", "a\\@b.org"],
)
def test_what_is_no_email_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="expected an e-mail address"):
        normalise_email(written)


@given(st.text(max_size=80))
def test_normalising_an_email_address_again_changes_nothing(text: str) -> None:
    try:
        email = normalise_email(text)
    except ValueError:
        return
    assert normalise_email(email) == email


@pytest.mark.parametrize(
    ("zoom", "codes"),
    [
        ("1," + "9" * 900_000, []),
        ("9" * 900_000 + ",", ["index-content"]),
        (" " * 900_000 + "x", ["index-content"]),
        ("1,5" * 300_000, ["index-content"]),
    ],
    ids=["digits", "large", "spaces", "commas"],
)
def test_a_megabyte_of_zoom_is_read_like_any_other_value(zoom: str, codes: list[str]) -> None:
    # Time is not asserted: an expression that goes over it again and again would take hours.
    found = read_metadata(f'userData: {{zoom: "{zoom}"}}'.encode(), "index.yaml", SessionIndex)

    assert [finding.code for finding in found.findings] == codes

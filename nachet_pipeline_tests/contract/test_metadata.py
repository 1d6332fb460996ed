import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.metadata import (
    MetadataFile,
    PictureMetadata,
    ProjectIndex,
    SessionIndex,
    Value,
    inherit,
    normalise_email,
    read_metadata,
)
from nachet_pipeline_tests.contract.folders import PROJECT_INDEX, SESSION_INDEX


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
    ],
)
def test_every_spelling_that_people_use_means_the_same(text: str) -> None:
    assert _plain(_session(text)) == {"userData.numberOfSeeds": 6, "userData.zoom": 30.0}


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
    assert finding.found
    assert len(finding.found) <= 100
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
        ("weather: fine", None),
    ],
)
def test_an_unknown_key_is_told_with_the_key_that_was_probably_meant(text: str, suggestion: str | None) -> None:
    finding = _only(_session(text))

    assert (finding.code, finding.suggestion) == ("unknown-key", suggestion)


@pytest.mark.parametrize(
    "text", ["userData: {zoom: 3, ZOOM: 4}", "userData: {zoom: 3}\nuser_data: {zoom: 4}", "a: 1\na: 2"]
)
def test_two_spellings_of_one_key_are_the_same_key_given_twice(text: str) -> None:
    assert "duplicate-key" in {finding.code for finding in _session(text).findings}


def test_a_pictures_file_may_not_say_who_took_it_or_how_many_there_are() -> None:
    file = read_metadata(
        b"clientData: {clientEmail: a@b.org}\nimageData: {numberOfImages: 2}\n", "1.yaml", PictureMetadata
    )

    assert {finding.field for finding in file.findings} == {"clientData", "imageData"}
    assert {finding.code for finding in file.findings} == {"unknown-key"}


def test_a_file_that_cannot_be_read_gives_one_finding_and_no_value() -> None:
    for content, model, code in [
        (b"a: [", SessionIndex, "index-syntax"),
        (b"a: [", PictureMetadata, "picture-metadata-syntax"),
        (b"a: &x 1", PictureMetadata, "forbidden-yaml"),
    ]:
        file = read_metadata(content, "f.yaml", model)
        assert _only(file).code == code
        assert (file.readable, file.values) == (False, {})


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
def test_nothing_an_uploader_can_write_makes_reading_fail(
    content: bytes, model: type[ProjectIndex | SessionIndex | PictureMetadata]
) -> None:
    file = read_metadata(content, "some.yaml", model)

    assert all(finding.path == "some.yaml" for finding in file.findings)
    assert all(value.source == "some.yaml" and value.line for value in file.values.values())
    assert file.readable or not file.values


_FIELDS = ["userData.zoom", "userData.description", "seedData.seedGenus", "seedData.seedSpecies", "seedData.seedID"]


def _level(source: str) -> st.SearchStrategy[dict[str, Value]]:
    values = st.integers(1, 9).map(lambda number: Value(number, source, number, 1))
    return st.dictionaries(st.sampled_from(_FIELDS), values)


@given(_level("index.yaml"), _level("pictures/s/index.yaml"), _level("pictures/s/1.yaml"))
def test_the_nearest_file_wins_and_a_seed_is_named_by_one_file_alone(
    project: dict[str, Value], session: dict[str, Value], picture: dict[str, Value]
) -> None:
    levels = [project, session, picture]
    before = [dict(level) for level in levels]

    merged = inherit(*levels)

    for name in _FIELDS:
        nearest = next((level[name] for level in reversed(levels) if name in level), None)
        if not name.startswith("seedData."):
            assert merged.get(name) == nearest
    seeds = [{n: v for n, v in level.items() if n.startswith("seedData.")} for level in levels]
    nearest_seed: dict[str, Value] = next((seed for seed in reversed(seeds) if seed), {})
    assert {n: v for n, v in merged.items() if n.startswith("seedData.")} == nearest_seed
    assert levels == before


def test_a_sessions_species_is_not_completed_with_the_projects_genus() -> None:
    project = read_metadata(b"seedData: {seedGenus: Bromus, seedSpecies: secalinus}", "index.yaml", ProjectIndex)
    session = read_metadata(SESSION_INDEX, "pictures/s/index.yaml", SessionIndex)
    picture = read_metadata(b"seedData: {seedName: Solanum nigrum}", "pictures/s/1.yaml", PictureMetadata)

    merged = inherit(project.values, session.values, picture.values)

    assert {name: value.value for name, value in merged.items() if name.startswith("seedData.")} == {
        "seedData.seedName": "Solanum nigrum"
    }
    assert merged["imageData.numberOfImages"] == Value(2, "pictures/s/index.yaml", 2, 3)


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

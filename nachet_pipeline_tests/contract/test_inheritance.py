"""What a picture's values are, out of three files: the nearest wins, and every value knows where it came from."""

from hypothesis import example, given
from hypothesis import strategies as st

from nachet_pipeline.contract.metadata import (
    Model,
    PictureMetadata,
    ProjectIndex,
    SessionIndex,
    Value,
    inherit,
    read_metadata,
)

FILES = ("index.yaml", "pictures/s/index.yaml", "pictures/s/1.yaml")
SEED = "seedData."
FIELDS = ["userData.zoom", "userData.description", "seedData.seedGenus", "seedData.seedSpecies", "seedData.seedID"]

Level = dict[str, Value]


def _level(source: str) -> st.SearchStrategy[Level]:
    values = st.integers(1, 9).map(lambda number: Value(number, source, number, 1))
    return st.dictionaries(st.sampled_from(FIELDS), values)


LEVELS = st.tuples(*(_level(source) for source in FILES))


def _seed(level: Level) -> Level:
    return {name: value for name, value in level.items() if name.startswith(SEED)}


@given(LEVELS)
def test_the_nearest_file_wins_field_by_field(levels: tuple[Level, ...]) -> None:
    merged = inherit(*levels)

    for name in FIELDS:
        if not name.startswith(SEED):
            assert merged.get(name) == next((level[name] for level in reversed(levels) if name in level), None)


@given(LEVELS)
@example(({"seedData.seedID": Value(1, FILES[0])}, {}, {"seedData.seedGenus": Value(2, FILES[2])}))
def test_a_seed_is_named_by_one_file_alone(levels: tuple[Level, ...]) -> None:
    nearest = next((seed for seed in map(_seed, reversed(levels)) if seed), {})

    assert _seed(inherit(*levels)) == nearest


@given(LEVELS)
def test_every_value_comes_from_the_file_it_names(levels: tuple[Level, ...]) -> None:
    for name, value in inherit(*levels).items():
        assert levels[FILES.index(value.source)][name] is value


@given(LEVELS)
def test_it_does_not_matter_which_two_files_are_merged_first(levels: tuple[Level, ...]) -> None:
    project, session, picture = levels
    together = inherit(project, session, picture)

    assert inherit(inherit(project, session), picture) == together
    assert inherit(project, inherit(session, picture)) == together


@given(LEVELS)
def test_nothing_is_changed_by_being_inherited(levels: tuple[Level, ...]) -> None:
    before = [dict(level) for level in levels]
    merged = inherit(*levels)

    assert list(levels) == before
    assert inherit(merged) == inherit(merged, {}) == inherit({}, merged) == inherit(merged, merged) == merged


_ZOOMS = st.none() | st.integers(1, 10_000)


@given(_ZOOMS, _ZOOMS, _ZOOMS)
def test_a_value_written_in_files_is_inherited_with_its_line(
    project: int | None, session: int | None, picture: int | None
) -> None:
    zooms = (project, session, picture)
    models: tuple[Model, ...] = (ProjectIndex, SessionIndex, PictureMetadata)
    files = [
        read_metadata(f"userData:\n  zoom: {'' if zoom is None else zoom}\n".encode(), path, model)
        for zoom, path, model in zip(zooms, FILES, models, strict=True)
    ]

    zoom = inherit(*(file.values for file in files)).get("userData.zoom")

    nearest = next((number for number in (2, 1, 0) if zooms[number] is not None), None)
    assert zoom == (None if nearest is None else Value(float(zooms[nearest] or 0), FILES[nearest], 2, 3))


def test_a_sessions_species_is_not_completed_with_the_projects_genus() -> None:
    project = read_metadata(b"seedData: {seedGenus: Bromus, seedSpecies: secalinus}", FILES[0], ProjectIndex)
    session = read_metadata(b"seedData: {seedSpecies: napus}", FILES[1], SessionIndex)
    picture = read_metadata(b"seedData: {seedName: Solanum nigrum}", FILES[2], PictureMetadata)

    assert list(inherit(project.values, session.values)) == ["seedData.seedSpecies"]
    assert list(inherit(project.values, session.values, picture.values)) == ["seedData.seedName"]

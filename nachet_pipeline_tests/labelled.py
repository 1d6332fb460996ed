"""Folders that say of pictures which species they show, imported for tests of labels that agree or do not."""

import io
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import yaml
from PIL import Image

from nachet_pipeline.contract.receipt import State
from nachet_pipeline.local.sample import sample_picture
from nachet_pipeline.picture_sets.labels import Decided, LabelledFile, decide_label, stored_conflicts
from nachet_pipeline.uploads.importing import ImportOutcome
from nachet_pipeline_tests.workbench import Workbench

NAPUS, JUNCEA, ARVENSE = "Brassica napus", "Brassica juncea", "Cirsium arvense"


def photograph(number: int, picture_format: str = "PNG") -> bytes:
    """A picture of its own for each number; in another format it is another file of the same pixels."""
    content = sample_picture(number, width=64, height=48, picture_format="png")
    if picture_format == "PNG":
        return content
    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).save(stream, picture_format)
    return stream.getvalue()


def import_as(
    bench: Workbench, folder: str, session: str, species: Any, pictures: dict[str, bytes], *, replace: bool = False
) -> ImportOutcome:
    """Import a project of one session that shows a species; a folder that is there is corrected."""
    return import_sessions(bench, folder, {session: (species, pictures)}, replace=replace)


def import_sessions(
    bench: Workbench, folder: str, sessions: Mapping[str, tuple[Any, dict[str, bytes]]], *, replace: bool = False
) -> ImportOutcome:
    """Import a project of several sessions, each of a species or of what `seedData` says; a picture may say its own."""
    place = bench.place / folder
    place.mkdir(exist_ok=True)
    project = {
        "clientData": {"clientEmail": bench.user.email, "clientExpertise": "botanist"},
        "userData": {"description": "to be told apart", "numberOfSeeds": 2, "zoom": 30},
    }
    (place / "index.yaml").write_text(yaml.safe_dump(project))
    for session, (species, pictures) in sessions.items():
        below = place / "pictures" / session
        below.mkdir(parents=True, exist_ok=True)
        for old in below.iterdir():
            old.unlink()
        number = sum(not name.endswith(".yaml") for name in pictures)
        seeds = {"seedName": species} if isinstance(species, str) else species
        index = {"imageData": {"numberOfImages": number}, "seedData": seeds}
        (below / "index.yaml").write_text(yaml.safe_dump(index))
        for name, content in pictures.items():
            (below / name).write_bytes(content)
    outcome = bench.run(bench.stage(place, replace=replace))
    assert outcome.receipt.state is State.IMPORTED, outcome.receipt
    return outcome


def in_conflict(bench: Workbench) -> list[tuple[LabelledFile, ...]]:
    with bench.database.reading() as connection:
        return list(stored_conflicts(connection))


def picture_of(bench: Workbench, session: str, name: str = "1.png") -> UUID:
    """The whole picture of a name in a session, whosever it is."""
    (row,) = bench.query(
        "select p.id from pictures p join picture_set s on s.id = p.picture_set_id"
        " where s.name = %s and p.name = %s and p.parent is null",
        session,
        name,
    )
    return UUID(str(row["id"]))


def decided(bench: Workbench, picture: UUID, species: str) -> Decided:
    with bench.database.connection() as connection:
        return decide_label(connection, picture, species, by="ann@example.org", why="looked at it")

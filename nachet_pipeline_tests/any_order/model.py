"""What a database must say after any sequence of commands, in a page of plain Python.

A file is a pair: which photograph it is, and which of its two encodings, whose pixels are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

File = tuple[int, int]
Place = tuple[str, str, str]
"""User, folder, session."""
Contents = dict[str, dict[str, File]]
"""Of a staged folder, by session and name."""


UNKNOWN = "unknown"


@dataclass
class Picture:
    """A row: its name and label, whether it counts, whether it stayed although it was not staged any more."""

    name: str
    species: str
    live: bool = True
    sent_earlier: bool = False
    cropped: bool = False


@dataclass
class Session:
    """A picture set."""

    pictures: dict[File, Picture] = field(default_factory=dict)
    state: str = "there"  # deleted, archived, purged
    undoable: bool = False
    staged_until: int = 0

    @property
    def live(self) -> dict[File, Picture]:
        return {file: one for file, one in self.pictures.items() if one.live}


@dataclass
class World:
    """Everything that is stored, and what lies staged: for each file when it was written."""

    sessions: dict[Place, Session] = field(default_factory=dict)
    staged: dict[tuple[str, str], dict[tuple[str, str], tuple[File, int]]] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    decided: dict[int, str] = field(default_factory=dict)
    trained_on: set[tuple[Place, File]] = field(default_factory=set)
    clock: int = 0

    def stage(self, user: str, folder: str, contents: Contents) -> None:
        """Let the staged folder be the local one; what is the same already is not sent again."""
        self.clock += 1
        before = self.staged.get((user, folder), {})
        wanted = {(session, name): file for session, files in contents.items() for name, file in files.items()}
        self.staged[user, folder] = {
            path: before[path] if path in before and before[path][0] == file else (file, self.clock)
            for path, file in wanted.items()
        }

    def do_import(self, user: str, folder: str, species: dict[str, str], *, replace: bool) -> tuple[int, int, int, int]:
        """Import what is staged.

        Returns:
            Pictures added, removed, relabelled and unchanged.
        """
        told = [0, 0, 0, 0]
        staged = self.staged[user, folder]
        for name in sorted({session for session, _name in staged}):
            files: dict[File, str] = {}
            for (session, picture), (file, _at) in sorted(staged.items()):
                if session == name:
                    files.setdefault(file, picture)
            written: dict[File, list[int]] = {}
            for (session, _), (file, at) in staged.items():
                if session == name:
                    written.setdefault(file, []).append(at)
            changed = self._session((user, folder, name), files, written, species[name], replace)
            told = [before + now for before, now in zip(told, changed, strict=True)]
        return told[0], told[1], told[2], told[3]

    def _session(
        self, place: Place, files: dict[File, str], written: dict[File, list[int]], species: str, replace: bool
    ) -> tuple[int, int, int, int]:
        known = self.sessions.setdefault(place, Session())
        earlier = known.live if known.state in {"there", "archived"} else {}
        # Of a file that is in a session twice, one copy may be as it was.
        in_place = any(file in earlier and min(written[file]) <= known.staged_until for file in files)
        removed = 0
        for file, picture in known.pictures.items():
            if file in files or not picture.live:
                continue
            if file not in earlier:  # deleted, and not sent again
                picture.live = False
            elif replace or (in_place and not picture.sent_earlier):
                picture.live, removed = False, removed + 1
            elif not in_place:
                picture.sent_earlier = True
        relabelled = sum(file in earlier and earlier[file].species != species for file in files)
        unchanged = sum(file in earlier and earlier[file].species == species for file in files)
        for file, name in files.items():
            cropped = file in known.pictures and known.pictures[file].cropped
            known.pictures[file] = Picture(name, species, cropped=cropped)
        known.state, known.undoable = "there", False
        known.staged_until = max(map(max, written.values()))
        return len(files) - relabelled - unchanged, removed, relabelled, unchanged

    def crop(self, user: str, folder: str) -> None:
        for (owner, at, _), session in self.sessions.items():
            if (owner, at) == (user, folder) and session.state in {"there", "archived"}:
                for (photograph, _), picture in session.live.items():
                    picture.cropped |= photograph not in self.withdrawn

    def purge(self) -> None:
        """Nothing can be undone any more, and what was deleted is removed but for what trainings were made of."""
        for place, session in list(self.sessions.items()):
            session.undoable = False
            if session.state != "deleted":
                continue
            session.state = "purged"
            session.pictures = {f: one for f, one in session.pictures.items() if (place, f) in self.trained_on}
            for one in session.pictures.values():
                one.live = one.cropped = False
            if not session.pictures:
                del self.sessions[place]

    # What a training set takes

    def used(self) -> Iterator[tuple[Place, File, Picture]]:
        """The pictures that count anywhere."""
        for place, session in self.sessions.items():
            if session.state in {"there", "archived"}:
                for file, picture in session.live.items():
                    if file[0] not in self.withdrawn:
                        yield place, file, picture

    def conflicts(self) -> set[int]:
        """Photographs that count under two species and that nobody decided about."""
        species: dict[int, set[str]] = {}
        for _, (photograph, _), picture in self.used():
            if picture.species != UNKNOWN:
                species.setdefault(photograph, set()).add(picture.species)
        return {one for one, names in species.items() if len(names) > 1 and one not in self.decided}

    def members(self) -> dict[tuple[Place, File], str]:
        """The pictures of a version that takes everything, with their labels."""
        conflicts = self.conflicts()
        return {
            (place, file): self.decided.get(file[0], picture.species)
            for place, file, picture in self.used()
            if file[0] not in conflicts and (picture.species != UNKNOWN or file[0] in self.decided)
        }

    def waiting(self) -> list[tuple[Place, File]]:
        """The pictures whose seeds nobody has named."""
        return [
            (place, file)
            for place, file, picture in self.used()
            if picture.species == UNKNOWN and file[0] not in self.decided
        ]

    def named_at_once(self, place: Place, species: str) -> list[File]:
        """The pictures of a session that wait, and that are nowhere under another species."""
        others = {file[0] for _, file, picture in self.used() if picture.species not in {UNKNOWN, species}}
        return [file for at, file in self.waiting() if at == place and file[0] not in others]

"""Suggests what to move in a folder that has neither of the contract's shapes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import commonpath

from nachet_pipeline.contract.metadata import INDEX_NAME
from nachet_pipeline.contract.misnamed import misnamed
from nachet_pipeline.contract.structure import PICTURES_FOLDER, Shape, is_any_picture, is_ignored, is_index, shape_of
from nachet_pipeline.support.i18n import Bilingual

_FOLDERS_LOOKED_AT = 10_000
_NAMES_SHOWN = 5


@dataclass(slots=True)
class _Content:
    """What lies directly in a folder."""

    pictures: int = 0
    index: bool = False


@dataclass(slots=True)
class FolderLayout:
    """Where the files of an upload lie.

    Attributes:
        tops: names of what lies in the upload itself.
        folders: from the path of each folder with files to what lies in it; the first `_FOLDERS_LOOKED_AT` of them.
    """

    tops: set[str] = field(default_factory=set)
    folders: dict[str, _Content] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[str]) -> "FolderLayout":
        """The layout of an upload with these paths."""
        layout = cls()
        for path in paths:
            folder = path.rpartition("/")[0]
            if is_ignored(path) or (len(layout.folders) >= _FOLDERS_LOOKED_AT and folder not in layout.folders):
                continue
            if len(layout.tops) < _FOLDERS_LOOKED_AT:
                layout.tops.add(path.partition("/")[0])
            content = layout.folders.setdefault(folder, _Content())
            content.pictures += is_any_picture(path)
            content.index = content.index or is_index(path)
        return layout

    @property
    def found(self) -> Bilingual:
        """The first names that lie in the upload itself."""
        return Bilingual.same(_names(sorted(self.tops)))

    def advice(self) -> Bilingual | None:
        """What to move where, in a sentence, if the layout is a common one."""
        if several := self._projects():
            names = _names([f"{name}/" for name in several])
            return Bilingual(
                f"Send {names} each as a folder of its own.", f"Envoyez {names} chacun comme un dossier à part."
            )
        if self.tops and not any(content.pictures or content.index for content in self.folders.values()):
            archives = [name for name in sorted(self.tops) if (known := misnamed(name)) and known.archive]
            return _unpack(archives) if archives else None
        moves = self._moves()
        return Bilingual(*(f"{text[0].upper()}{text[1:]}." for text in (moves.en, moves.fr))) if moves else None

    def _projects(self) -> list[str]:
        """The folders that are projects by themselves, if several are and nothing else has pictures."""
        tops = sorted({path.partition("/")[0] for path, content in self.folders.items() if content.pictures})
        inside = [
            {_below(path, top): content for path, content in self.folders.items() if f"{path}/".startswith(f"{top}/")}
            for top in tops
        ]
        whole = len(tops) > 1 and all(
            shape_of(_examples(one)) is Shape.PROJECT and INDEX_NAME in set(_examples(one)) for one in inside
        )
        return tops if whole else []

    def _moves(self) -> Bilingual | None:
        """What to move where, as the beginning of a sentence."""
        around = self._around()
        inside = {_below(path, around): content for path, content in self.folders.items()}
        move = None if shape_of(_examples(inside)) else _move(inside)
        if not around:
            return move
        if shape_of(_examples(inside)) is None and move is None:
            return None
        peel = Bilingual(
            f"upload the content of {around}/ without the folder around it",
            f"téléversez le contenu de {around}/ sans le dossier autour",
        )
        return Bilingual(f"{peel.en}; in it, {move.en}", f"{peel.fr}; dans ce contenu, {move.fr}") if move else peel

    def _around(self) -> str:
        """The folder around everything that belongs to no shape; empty if there is none."""
        # Other files do not matter: people leave notes beside the folder they mean.
        held = [path for path, content in self.folders.items() if content.pictures or content.index]
        common = commonpath(held) if held else ""
        prefix: list[str] = []
        for part in common.split("/") if common else []:
            around = "/".join(prefix)
            if shape_of(_examples({_below(path, around): content for path, content in self.folders.items()})):
                break
            if part.casefold() == PICTURES_FOLDER:
                break
            prefix.append(part)
        return "/".join(prefix)


def _unpack(archives: Sequence[str]) -> Bilingual:
    names = _names(archives)
    return Bilingual(
        f"Unpack {names}, and send the folder that is in it.",
        f"Décompressez {names} et envoyez le dossier qui s'y trouve.",
    )


def _below(path: str, folder: str) -> str:
    return path[len(folder) :].lstrip("/") if folder else path


def _examples(folders: Mapping[str, _Content]) -> Iterator[str]:
    """One path of each kind for every folder: enough to find the shape."""
    for folder, content in folders.items():
        prefix = f"{folder}/" if folder else ""
        if content.pictures:
            yield f"{prefix}1.tiff"
        if content.index:
            yield f"{prefix}{INDEX_NAME}"


def _move(folders: Mapping[str, _Content]) -> Bilingual | None:
    """What to move where below the outermost folder."""
    paths = sorted(folder for folder, content in folders.items() if content.pictures)
    split = [path.split("/") for path in paths]
    if not paths:
        return None
    tops = sorted({parts[0] for parts in split})
    depths = {len(parts) for parts in split}
    if all(top.casefold() == PICTURES_FOLDER for top in tops):
        return _out_of_pictures(folders, paths) if depths == {1} else _up_into_session(paths) or _up_to_sessions(paths)
    if depths == {1}:
        return _to_sessions(folders, tops)
    if depths == {2} and len(tops) == 1:
        return Bilingual(f"rename {tops[0]}/ to {PICTURES_FOLDER}/", f"renommez {tops[0]}/ en {PICTURES_FOLDER}/")
    return None


def _out_of_pictures(folders: Mapping[str, _Content], paths: Sequence[str]) -> Bilingual:
    """The pictures lie in pictures/ itself, without the folder of a session."""
    number = sum(folders[path].pictures for path in paths)
    target = f"{PICTURES_FOLDER}/session1/"
    en, fr = f"move the pictures ({number}) of {paths[0]}/", f"déplacez les images ({number}) de {paths[0]}/"
    if any(folders[path].index for path in paths):
        return Bilingual(f"{en} with their {INDEX_NAME} into {target}", f"{fr} avec leur {INDEX_NAME} vers {target}")
    return Bilingual(
        f"{en} up beside {INDEX_NAME} for a single session, else into {target} with an {INDEX_NAME} of its own",
        f"{fr} à côté de l'{INDEX_NAME} pour une seule session, sinon vers {target} avec son propre {INDEX_NAME}",
    )


def _up_into_session(paths: Sequence[str]) -> Bilingual | None:
    """The only session lies in a folder of its own name, as unpacking an archive leaves it."""
    *above, name = paths[0].split("/")
    if len(paths) != 1 or len(above) < 2 or above[-1] != name:  # noqa: PLR2004 (pictures/<session>/<session>)
        return None
    outer = "/".join(above)
    return Bilingual(
        f"move the content of {paths[0]}/ to {outer}/", f"déplacez le contenu de {paths[0]}/ vers {outer}/"
    )


def _up_to_sessions(paths: Sequence[str]) -> Bilingual | None:
    """The sessions lie deeper in pictures/ than they should."""
    deep = [path for path in paths if "/" in path]
    parents = sorted({path.rpartition("/")[0] for path in deep})
    if len(deep) < len(paths):
        return None
    return Bilingual(
        f"move the folders in {_names([f'{parent}/' for parent in parents])} directly into {PICTURES_FOLDER}/",
        f"déplacez les dossiers de {_names([f'{parent}/' for parent in parents])} directement dans {PICTURES_FOLDER}/",
    )


def _to_sessions(folders: Mapping[str, _Content], tops: Sequence[str]) -> Bilingual:
    """The pictures lie in folders beside the index."""
    names = _names([f"{top}/" for top in tops])
    if len(tops) == 1 and not folders[tops[0]].index:
        return Bilingual(
            f"move the content of {names} up beside {INDEX_NAME}",
            f"déplacez le contenu de {names} à côté de l'{INDEX_NAME}",
        )
    return Bilingual(
        f"move {names} into a new folder {PICTURES_FOLDER}/",
        f"déplacez {names} dans un nouveau dossier {PICTURES_FOLDER}/",
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")

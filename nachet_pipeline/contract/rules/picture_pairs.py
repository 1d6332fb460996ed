"""Pictures and the YAML files that describe them stand side by side, one to one."""

from collections.abc import Iterator
from itertools import islice

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.inventory import FileKind
from nachet_pipeline.contract.misnamed import copied, copy_of, keep_one, misnamed, misspelling_of
from nachet_pipeline.contract.names import fold, too
from nachet_pipeline.contract.sessions import Context
from nachet_pipeline.contract.structure import picture_format
from nachet_pipeline.support.i18n import Bilingual

_NAMES_COMPARED = 1_000
_PICTURES = (FileKind.PICTURE, FileKind.OTHER_PICTURE)
_SUGGESTIONS = 50
_RENAME = Bilingual(
    "Take the picture's suffix out of the name of the YAML file.",
    "Ôtez le suffixe de l'image du nom du fichier YAML.",
)


def picture_pairs(context: Context) -> Iterator[Finding]:
    """YAML files without a picture, several for one picture, and pictures that would share a YAML file."""
    inventory = context.inventory
    one = Bilingual("one YAML file for a picture", "un seul fichier YAML par image")
    own = Bilingual("a name of its own before the suffix", "un nom propre avant le suffixe")
    yield from _Unpaired(context).findings()
    for _, paths in inventory.stems(FileKind.PICTURE_METADATA):
        for path in paths[1:]:
            yield Finding(code="unexpected-file", path=path, expected=one, found=too(paths[0]), advice=_ONE_YAML)
    for _, paths in inventory.stems(FileKind.PICTURE):
        for path in paths[1:]:
            if fold(path) != fold(paths[0]):  # two names for one file are told of by another rule
                yield Finding(code="ambiguous-picture", path=path, expected=own, found=too(paths[0]))


_ONE_YAML = Bilingual(
    "Keep the right one of the two, and remove the other.", "Gardez celui des deux qui est le bon et supprimez l'autre."
)


class _Unpaired:
    """YAML files without a picture: how each was probably meant."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session: str | None = None
        self._compared = 0
        self._stems: list[str] = []
        # All files with the same slip are one group of findings, so they share their words.
        self._example: tuple[str, str] | None = None

    def findings(self) -> Iterator[Finding]:
        inventory, reported = self._context.inventory, set(self._context.stand_ins.values())
        for stem, paths in inventory.stems(FileKind.PICTURE_METADATA, without=_PICTURES):
            self._enter(stem.rpartition("/")[0])
            for path in paths:
                if path not in reported:
                    yield self._finding(stem, path)

    def _enter(self, session: str) -> None:
        if session == self._session:
            return
        self._session = session
        pictures = islice(self._context.inventory.files(FileKind.PICTURE, session), _NAMES_COMPARED)
        self._stems = [entry.stem.rpartition("/")[2] for entry in pictures]

    def _finding(self, stem: str, path: str) -> Finding:
        inventory, name, stem_name = self._context.inventory, path.rpartition("/")[2], stem.rpartition("/")[2]
        known = misnamed(name)
        if known and known.index:  # a copy of the session's index
            return Finding(code="unexpected-file", path=path, found=known.found, advice=known.advice)
        original = copy_of(name)
        if original and inventory.is_picture_stem(self._beside(original.rpartition(".")[0])):
            return Finding(
                code="metadata-without-picture",
                path=path,
                found=copied(original),
                advice=self._keep_one(path, original),
            )
        if picture_format(stem) and inventory.file(stem):
            return self._with_suffix(stem, path)
        near = self._near(stem_name)
        return Finding(
            code="metadata-without-picture",
            path=path,
            expected=Bilingual(f"a picture named {stem_name}", f"une image nommée {stem_name}"),
            suggestion=Bilingual.same(f"{near}.yaml") if near else None,
        )

    def _near(self, stem: str) -> str | None:
        """The picture without a YAML file of its own whose name this misspells; comparing thousands is slow."""
        self._compared += 1
        if self._compared > _SUGGESTIONS:
            return None
        near = misspelling_of(stem, self._stems)
        return near if near and not self._described(near) else None

    def _described(self, stem: str) -> bool:
        """Whether a picture of this session has its YAML file."""
        return self._context.inventory.metadata_file(self._beside(stem)) is not None

    def _beside(self, name: str) -> str:
        """The path of a name in this session."""
        return f"{self._session}/{name}".lstrip("/")

    def _keep_one(self, path: str, original: str) -> Bilingual:
        if self._described(original.rpartition(".")[0]):
            return keep_one(original)
        return Bilingual(
            f"Rename it to {original} if it describes that picture; else remove it.",
            f"Renommez-le en {original} s'il décrit cette image; sinon, supprimez-le.",
        )

    def _with_suffix(self, picture: str, path: str) -> Finding:
        """`1.jpg.yaml` beside `1.jpg`: the picture's suffix is no part of the name of its YAML file."""
        name = picture.rpartition("/")[2]
        right = f"{name.rpartition('.')[0]}.yaml"
        shown, of = self._example = self._example or (right, name)
        taken = self._described(name.rpartition(".")[0])
        return Finding(
            code="metadata-without-picture",
            path=path,
            expected=Bilingual(
                f"a name without the picture's suffix: {shown} for {of}",
                f"un nom sans le suffixe de l'image : {shown} pour {of}",
            ),
            advice=keep_one(right) if taken else _RENAME,
        )

"""What can be said of an upload: one catalogue, and the finding that refers to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from nachet_pipeline.contract.names import printable

RULE_SET_VERSION = "1"
"""Raised whenever a rule's verdict on some folder can change."""


class Severity(StrEnum):
    """How much a finding weighs: only an error keeps an upload from being imported."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Check(StrEnum):
    """The contract's checks; each is an asset check of the same name, described by its value in `CHECKS`."""

    FOLDER_STRUCTURE = "folder_structure"
    INDEX_PRESENT = "index_present"
    INDEX_CONTENT = "index_content"
    FILE_COUNT = "file_count"
    PICTURE_PAIRS = "picture_pairs"
    PICTURE_METADATA = "picture_metadata_content"
    PICTURE_CONTENT = "picture_content"
    MALICIOUS_CONTENT = "malicious_content"
    SEED_REGISTERED = "seed_registered"
    UPLOADER_REGISTERED = "uploader_registered"


CHECKS: Mapping[Check, str] = MappingProxyType(
    {
        Check.FOLDER_STRUCTURE: "The folder is a project or a session with nothing that the contract does not know.",
        Check.INDEX_PRESENT: "Every folder of the contract has its index.yaml, and all keys are present.",
        Check.INDEX_CONTENT: "Every index.yaml is readable YAML; its values have the right type and range.",
        Check.FILE_COUNT: "Every session holds as many pictures as its numberOfImages declares.",
        Check.PICTURE_PAIRS: "Every picture's YAML file stands beside the picture it describes.",
        Check.PICTURE_METADATA: "Every picture's YAML file is readable; its values have the right type and range.",
        Check.PICTURE_CONTENT: "Every picture decodes completely, in the format that its name says, within the limits.",
        Check.MALICIOUS_CONTENT: "No data follows a JPEG or PNG; no forbidden YAML construct, no unsafe name.",
        Check.SEED_REGISTERED: "Every session shows a registered seed.",
        Check.UPLOADER_REGISTERED: "The uploader is registered and owns the container the folder lies in.",
    }
)


@dataclass(frozen=True, slots=True)
class Kind:
    """An entry of the catalogue.

    Attributes:
        check: the check that fails when a finding of this kind is an error.
        severity: how much it weighs.
        message: what is wrong, in English and French.
        remedy: what the uploader can do, in English and French.
    """

    check: Check
    severity: Severity
    message: Mapping[str, str]
    remedy: Mapping[str, str]


def _kind(check: Check, severity: Severity, en: str, fr: str, remedy_en: str, remedy_fr: str) -> Kind:
    return Kind(
        check,
        severity,
        MappingProxyType({"en": en, "fr": fr}),
        MappingProxyType({"en": remedy_en, "fr": remedy_fr}),
    )


_C, _S = Check, Severity

CATALOGUE: Mapping[str, Kind] = MappingProxyType(
    {
        "empty-upload": _kind(
            _C.FOLDER_STRUCTURE,
            _S.ERROR,
            "The folder holds no file.",
            "Le dossier ne contient aucun fichier.",
            "Upload the folder again with its pictures and its index.yaml.",
            "Téléversez de nouveau le dossier avec ses images et son index.yaml.",
        ),
        "wrong-structure": _kind(
            _C.FOLDER_STRUCTURE,
            _S.ERROR,
            "The folder is neither a project (index.yaml and pictures/<session>/) nor a session "
            "(index.yaml beside its pictures).",
            "Le dossier n'est ni un projet (index.yaml et pictures/<session>/) ni une session "
            "(index.yaml à côté de ses images).",
            "Arrange the files as one of the two shapes, without a further folder around them.",
            "Disposez les fichiers selon l'une des deux formes, sans autre dossier autour.",
        ),
        "empty-session": _kind(
            _C.FOLDER_STRUCTURE,
            _S.ERROR,
            "The session holds no picture.",
            "La session ne contient aucune image.",
            "Add its pictures, or remove the session's folder.",
            "Ajoutez ses images ou supprimez le dossier de la session.",
        ),
        "unexpected-file": _kind(
            _C.FOLDER_STRUCTURE,
            _S.ERROR,
            "The contract has no place for this file.",
            "Le contrat ne prévoit pas ce fichier.",
            "Remove it, or move it to where it belongs.",
            "Supprimez-le ou déplacez-le à sa place.",
        ),
        "empty-file": _kind(
            _C.FOLDER_STRUCTURE,
            _S.ERROR,
            "The file is empty.",
            "Le fichier est vide.",
            "Upload the file again.",
            "Téléversez de nouveau le fichier.",
        ),
        "name-collision": _kind(
            _C.FOLDER_STRUCTURE,
            _S.ERROR,
            "Two names differ only in upper and lower case or in the encoding of accents.",
            "Deux noms ne diffèrent que par la casse ou l'encodage des accents.",
            "Rename one of the two files.",
            "Renommez l'un des deux fichiers.",
        ),
        "ignored-file": _kind(
            _C.FOLDER_STRUCTURE,
            _S.INFO,
            "A file that the operating system left behind was ignored.",
            "Un fichier laissé par le système d'exploitation a été ignoré.",
            "Nothing needs to be done.",
            "Aucune action requise.",
        ),
        "missing-index": _kind(
            _C.INDEX_PRESENT,
            _S.ERROR,
            "A folder has no index.yaml.",
            "Un dossier n'a pas d'index.yaml.",
            "Add an index.yaml; the README of the pipeline shows a complete example.",
            "Ajoutez un index.yaml ; le README du pipeline en montre un exemple complet.",
        ),
        "missing-key": _kind(
            _C.INDEX_PRESENT,
            _S.ERROR,
            "A value that every session needs is given nowhere.",
            "Une valeur requise pour chaque session n'est donnée nulle part.",
            "Add the key to the session's index.yaml, or to the project's for all sessions.",
            "Ajoutez la clé à l'index.yaml de la session, ou à celui du projet pour toutes les sessions.",
        ),
        "index-syntax": _kind(
            _C.INDEX_CONTENT,
            _S.ERROR,
            "The index.yaml is not readable YAML.",
            "L'index.yaml n'est pas du YAML lisible.",
            "Correct the file at the line given.",
            "Corrigez le fichier à la ligne indiquée.",
        ),
        "index-content": _kind(
            _C.INDEX_CONTENT,
            _S.ERROR,
            "A value in an index.yaml has the wrong type or is out of range.",
            "Une valeur d'un index.yaml a un mauvais type ou est hors limites.",
            "Correct the value at the line given.",
            "Corrigez la valeur à la ligne indiquée.",
        ),
        "unknown-key": _kind(
            _C.INDEX_CONTENT,
            _S.WARNING,
            "The contract does not know this key; its value is not imported.",
            "Le contrat ne connaît pas cette clé ; sa valeur n'est pas importée.",
            "Correct the spelling, or remove the key.",
            "Corrigez l'orthographe ou supprimez la clé.",
        ),
        "duplicate-key": _kind(
            _C.INDEX_CONTENT,
            _S.ERROR,
            "The same key is given twice.",
            "La même clé est donnée deux fois.",
            "Keep the right one of the two values.",
            "Gardez la bonne valeur.",
        ),
        "missing-picture": _kind(
            _C.FILE_COUNT,
            _S.ERROR,
            "The session holds fewer pictures than its numberOfImages declares.",
            "La session contient moins d'images que ne le déclare numberOfImages.",
            "Add the missing pictures, or correct numberOfImages.",
            "Ajoutez les images manquantes ou corrigez numberOfImages.",
        ),
        "surplus-picture": _kind(
            _C.FILE_COUNT,
            _S.ERROR,
            "The session holds more pictures than its numberOfImages declares.",
            "La session contient plus d'images que ne le déclare numberOfImages.",
            "Remove the surplus pictures, or correct numberOfImages.",
            "Supprimez les images en trop ou corrigez numberOfImages.",
        ),
        "metadata-without-picture": _kind(
            _C.PICTURE_PAIRS,
            _S.ERROR,
            "A YAML file describes a picture that is not there.",
            "Un fichier YAML décrit une image absente.",
            "Add the picture, or remove or rename the YAML file.",
            "Ajoutez l'image, ou supprimez ou renommez le fichier YAML.",
        ),
        "ambiguous-picture": _kind(
            _C.PICTURE_PAIRS,
            _S.ERROR,
            "Two pictures of a session differ only in their suffix, so that one YAML file would describe both.",
            "Deux images d'une session ne diffèrent que par leur suffixe ; un fichier YAML décrirait les deux.",
            "Rename one of the two pictures.",
            "Renommez l'une des deux images.",
        ),
        "picture-metadata-syntax": _kind(
            _C.PICTURE_METADATA,
            _S.ERROR,
            "The picture's YAML file is not readable YAML.",
            "Le fichier YAML de l'image n'est pas du YAML lisible.",
            "Correct the file at the line given.",
            "Corrigez le fichier à la ligne indiquée.",
        ),
        "picture-metadata-content": _kind(
            _C.PICTURE_METADATA,
            _S.ERROR,
            "A value in a picture's YAML file has the wrong type or is out of range.",
            "Une valeur du fichier YAML d'une image a un mauvais type ou est hors limites.",
            "Correct the value at the line given.",
            "Corrigez la valeur à la ligne indiquée.",
        ),
        "picture-format": _kind(
            _C.PICTURE_CONTENT,
            _S.ERROR,
            "The file is not a picture of the format that its name says.",
            "Le fichier n'est pas une image du format qu'indique son nom.",
            "Export the picture again as TIFF, PNG or JPEG.",
            "Exportez de nouveau l'image en TIFF, PNG ou JPEG.",
        ),
        "picture-damaged": _kind(
            _C.PICTURE_CONTENT,
            _S.ERROR,
            "The picture cannot be decoded completely.",
            "L'image ne peut pas être décodée entièrement.",
            "Upload the picture again from its original, or export it again.",
            "Téléversez de nouveau l'image depuis l'original ou exportez-la de nouveau.",
        ),
        "picture-too-large": _kind(
            _C.PICTURE_CONTENT,
            _S.ERROR,
            "The picture is larger than the limits allow.",
            "L'image dépasse les limites permises.",
            "Crop the picture or export it at a lower resolution.",
            "Recadrez l'image ou exportez-la à une résolution plus basse.",
        ),
        "picture-too-slow": _kind(
            _C.PICTURE_CONTENT,
            _S.ERROR,
            "Decoding the picture took longer than allowed.",
            "Le décodage de l'image a pris plus de temps que permis.",
            "Export the picture again with ordinary settings.",
            "Exportez de nouveau l'image avec des réglages ordinaires.",
        ),
        "picture-crashes-decoder": _kind(
            _C.PICTURE_CONTENT,
            _S.ERROR,
            "Decoding the picture ended its decoder or exhausted its memory.",
            "Le décodage de l'image a arrêté le décodeur ou épuisé sa mémoire.",
            "Export the picture again with ordinary settings.",
            "Exportez de nouveau l'image avec des réglages ordinaires.",
        ),
        "several-pages": _kind(
            _C.PICTURE_CONTENT,
            _S.ERROR,
            "The file holds more than one picture.",
            "Le fichier contient plus d'une image.",
            "Export each picture to a file of its own.",
            "Exportez chaque image dans son propre fichier.",
        ),
        "trailing-data": _kind(
            _C.MALICIOUS_CONTENT,
            _S.ERROR,
            "Data follows the end of the picture.",
            "Des données suivent la fin de l'image.",
            "Export the picture again; phones append data that an export leaves out.",
            "Exportez de nouveau l'image ; un export retire les données ajoutées par un téléphone.",
        ),
        "unsafe-name": _kind(
            _C.MALICIOUS_CONTENT,
            _S.ERROR,
            "The name of the file is not safe on every system.",
            "Le nom du fichier n'est pas sûr sur tous les systèmes.",
            "Rename the file with letters, digits, spaces, dots, hyphens and underscores.",
            "Renommez le fichier avec des lettres, chiffres, espaces, points, tirets et soulignés.",
        ),
        "special-file": _kind(
            _C.MALICIOUS_CONTENT,
            _S.ERROR,
            "The entry is a link or a special file, not a file with content of its own.",
            "L'entrée est un lien ou un fichier spécial, pas un fichier avec son propre contenu.",
            "Replace it by a copy of the file meant.",
            "Remplacez-la par une copie du fichier voulu.",
        ),
        "forbidden-yaml": _kind(
            _C.MALICIOUS_CONTENT,
            _S.ERROR,
            "The YAML file uses a construct that the contract forbids.",
            "Le fichier YAML utilise une construction interdite par le contrat.",
            "Write plain keys and values, without anchors, aliases or tags, in one document.",
            "Écrivez des clés et valeurs simples, sans ancre, alias ni étiquette, en un seul document.",
        ),
        "unregistered-seed": _kind(
            _C.SEED_REGISTERED,
            _S.ERROR,
            "The species is not registered.",
            "L'espèce n'est pas enregistrée.",
            "Correct the name, or ask the AI lab to register the species.",
            "Corrigez le nom ou demandez au laboratoire d'IA d'enregistrer l'espèce.",
        ),
        "contradictory-seed": _kind(
            _C.SEED_REGISTERED,
            _S.ERROR,
            "The values given for the seed name different species.",
            "Les valeurs données pour la semence désignent des espèces différentes.",
            "Keep one way of naming the seed: its id, its genus and species, or its name.",
            "Gardez une seule façon de nommer la semence : son id, son genre et son espèce, ou son nom.",
        ),
        "unregistered-uploader": _kind(
            _C.UPLOADER_REGISTERED,
            _S.ERROR,
            "The uploader is not registered.",
            "La personne qui téléverse n'est pas enregistrée.",
            "Ask the AI lab for an upload container.",
            "Demandez au laboratoire d'IA un conteneur de téléversement.",
        ),
        "not-the-owner": _kind(
            _C.UPLOADER_REGISTERED,
            _S.ERROR,
            "The index names another uploader than the owner of the container.",
            "L'index nomme une autre personne que le propriétaire du conteneur.",
            "Upload to your own container, or correct clientEmail.",
            "Téléversez dans votre propre conteneur ou corrigez clientEmail.",
        ),
    }
)


class UndeclaredFindingError(LookupError):
    """A rule used a code that the catalogue does not have: a programming error."""


# An uploader's text must not steer the terminal, the log or the database that a finding ends in.
_Line = Annotated[str, AfterValidator(printable)]


class Finding(BaseModel):
    """One thing found in an upload; every text of it is one printable line.

    Raises:
        UndeclaredFindingError: the code is not in the catalogue.

    Attributes:
        code: a key of `CATALOGUE`, stable over versions.
        severity: how much it weighs; the catalogue's, unless it is given.
        path: the file concerned, relative to the upload; empty for the upload as a whole.
        field: the key concerned, as users write it (`seedData.seedGenus`).
        line: 1-based line in the file.
        column: 1-based column in the line.
        expected: what the contract asks for.
        found: what is there.
        suggestion: what was probably meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    severity: Severity = Field(default_factory=lambda given: CATALOGUE[given["code"]].severity)
    path: _Line = ""
    field: _Line | None = None
    line: int | None = None
    column: int | None = None
    expected: _Line | None = None
    found: _Line | None = None
    suggestion: _Line | None = None

    @field_validator("code")
    @classmethod
    def _declared(cls, code: str) -> str:
        if code not in CATALOGUE:
            raise UndeclaredFindingError(f"{code!r} is not in the catalogue of findings")
        return code

    @property
    def kind(self) -> Kind:
        """The catalogue's entry."""
        return CATALOGUE[self.code]

    @property
    def place(self) -> str:
        """Where it is, as `path:line:column`."""
        where = [self.path or "."]
        if self.line is not None:
            where.append(str(self.line))
            if self.column is not None:
                where.append(str(self.column))
        return ":".join(where)

"""The catalogue: everything that can be said of an upload, in both languages, and how much it weighs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from nachet_pipeline.phrases import Phrase

RULE_SET_VERSION = "2"
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
    PERSONAL_DATA = "personal_data"
    CHECKSUMS = "checksums"
    DUPLICATES = "duplicates"
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
        Check.MALICIOUS_CONTENT: (
            "No data beside or behind a picture, nothing executable in it; no forbidden YAML construct, no unsafe name."
        ),
        Check.PERSONAL_DATA: "No picture tells where it was taken, or whose the camera is.",
        Check.DUPLICATES: (
            "No picture is there already, in the upload or among all stored pictures, nor is it under two species."
        ),
        Check.CHECKSUMS: "Every file is what its sender's SHA256SUMS says, where there is one.",
        Check.SEED_REGISTERED: "Every session shows a registered seed.",
        Check.UPLOADER_REGISTERED: "The uploader is registered and owns the container the folder lies in.",
    }
)


@dataclass(frozen=True, slots=True)
class Kind:
    """An entry of the catalogue.

    Attributes:
        check: the check that fails when a finding of this kind is an error.
        severity: how much it weighs, unless a deployment says otherwise.
        message: what is wrong.
        remedy: what the uploader can do.
        fixed: whether its severity must stay: what such a finding concerns cannot be imported at all.
    """

    check: Check
    severity: Severity
    message: Phrase
    remedy: Phrase
    fixed: bool = False


CATALOGUE: Mapping[str, Kind] = MappingProxyType(
    {
        "empty-upload": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase("The folder holds no file.", "Le dossier ne contient aucun fichier."),
            Phrase(
                "Upload the folder again with its pictures and its index.yaml.",
                "Téléversez de nouveau le dossier avec ses images et son index.yaml.",
            ),
            fixed=True,
        ),
        "wrong-structure": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase(
                "The folder is neither a project (index.yaml and pictures/) nor a session (index.yaml and pictures).",
                "Le dossier n'est ni un projet (index.yaml et pictures/) ni une session (index.yaml et images).",
            ),
            Phrase(
                "Put the pictures beside the session's index.yaml, or the sessions as folders into pictures/.",
                "Placez les images à côté de l'index.yaml de leur session, ou les sessions dans le dossier pictures/.",
            ),
            fixed=True,
        ),
        "empty-session": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase("The session holds no picture.", "La session ne contient aucune image."),
            Phrase(
                "Add its pictures, or remove the session's folder.",
                "Ajoutez ses images ou supprimez le dossier de la session.",
            ),
            fixed=True,
        ),
        "unexpected-file": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase("The contract has no place for this file.", "Le contrat ne prévoit pas ce fichier."),
            Phrase("Remove it, or move it to where it belongs.", "Supprimez-le ou déplacez-le à sa place."),
        ),
        "empty-file": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase("The file is empty.", "Le fichier est vide."),
            Phrase("Upload the file again.", "Téléversez de nouveau le fichier."),
            fixed=True,
        ),
        "name-collision": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase(
                "Two names differ only in upper and lower case or in how their accents are encoded.",
                "Deux noms ne diffèrent que par les majuscules ou par l'encodage des accents.",
            ),
            Phrase("Rename one of the two files.", "Renommez l'un des deux fichiers."),
            fixed=True,
        ),
        "ignored-file": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.INFO,
            Phrase(
                "A file that the operating system left behind was ignored.",
                "Un fichier laissé par le système d'exploitation a été ignoré.",
            ),
            Phrase("Nothing needs to be done.", "Aucune action requise."),
        ),
        "hidden-file": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.WARNING,
            Phrase(
                "A hidden file, whose name starts with a dot, was ignored.",
                "Un fichier caché, dont le nom commence par un point, a été ignoré.",
            ),
            Phrase(
                "Rename it if it belongs to the upload; else nothing needs to be done.",
                "Renommez-le s'il fait partie du téléversement; sinon, aucune action requise.",
            ),
        ),
        "unusual-name": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.WARNING,
            Phrase(
                "Some systems show or write the file's name differently.",
                "Certains systèmes affichent ou écrivent autrement le nom du fichier.",
            ),
            Phrase(
                "Rename the file with letters, digits, dots, hyphens and underscores.",
                "Renommez le fichier avec des lettres, chiffres, points, tirets et soulignés.",
            ),
        ),
        "missing-index": Kind(
            Check.INDEX_PRESENT,
            Severity.ERROR,
            Phrase("A folder has no index.yaml.", "Un dossier n'a pas d'index.yaml."),
            Phrase(
                "Add an index.yaml; the README of the pipeline shows a complete example.",
                "Ajoutez un index.yaml; le README du pipeline en montre un exemple complet.",
            ),
        ),
        "missing-key": Kind(
            Check.INDEX_PRESENT,
            Severity.ERROR,
            Phrase(
                "A value that every session needs is given nowhere.",
                "Une valeur requise pour chaque session n'est donnée nulle part.",
            ),
            Phrase(
                "Add the key to the session's index.yaml, or to the project's for all sessions.",
                "Ajoutez la clé à l'index.yaml de la session, ou à celui du projet pour toutes les sessions.",
            ),
            fixed=True,
        ),
        "index-syntax": Kind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Phrase("The index.yaml is not readable YAML.", "L'index.yaml n'est pas du YAML lisible."),
            Phrase("Correct the file at the line given.", "Corrigez le fichier à la ligne indiquée."),
            fixed=True,
        ),
        "index-content": Kind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Phrase(
                "A value in an index.yaml has the wrong type or is out of range.",
                "Une valeur d'un index.yaml n'est pas du bon type ou est hors limites.",
            ),
            Phrase("Correct the value at the line given.", "Corrigez la valeur à la ligne indiquée."),
            fixed=True,
        ),
        "unknown-key": Kind(
            Check.INDEX_CONTENT,
            Severity.WARNING,
            Phrase(
                "The contract does not know this key; its value is not imported.",
                "Le contrat ne connaît pas cette clé; sa valeur n'est pas importée.",
            ),
            Phrase("Correct the spelling, or remove the key.", "Corrigez l'orthographe ou supprimez la clé."),
        ),
        "duplicate-key": Kind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Phrase("The same key is given twice.", "La même clé est donnée deux fois."),
            Phrase("Keep the right one of the two values.", "Gardez celle des deux valeurs qui est la bonne."),
            fixed=True,
        ),
        "missing-picture": Kind(
            Check.FILE_COUNT,
            Severity.ERROR,
            Phrase(
                "The session holds fewer pictures than its numberOfImages declares.",
                "La session contient moins d'images que ne le déclare numberOfImages.",
            ),
            Phrase(
                "Add the missing pictures, or correct numberOfImages.",
                "Ajoutez les images manquantes ou corrigez numberOfImages.",
            ),
        ),
        "surplus-picture": Kind(
            Check.FILE_COUNT,
            Severity.ERROR,
            Phrase(
                "The session holds more pictures than its numberOfImages declares.",
                "La session contient plus d'images que ne le déclare numberOfImages.",
            ),
            Phrase(
                "Remove the surplus pictures, or correct numberOfImages.",
                "Supprimez les images en trop ou corrigez numberOfImages.",
            ),
        ),
        "metadata-without-picture": Kind(
            Check.PICTURE_PAIRS,
            Severity.ERROR,
            Phrase("A YAML file describes a picture that is not there.", "Un fichier YAML décrit une image absente."),
            Phrase(
                "Add the picture, or remove or rename the YAML file.",
                "Ajoutez l'image, ou supprimez ou renommez le fichier YAML.",
            ),
        ),
        "ambiguous-picture": Kind(
            Check.PICTURE_PAIRS,
            Severity.ERROR,
            Phrase(
                "Two pictures of a session differ only in their suffix, so that one YAML file would describe both.",
                "Deux images d'une session ne diffèrent que par leur suffixe; un fichier YAML décrirait les deux.",
            ),
            Phrase("Rename one of the two pictures.", "Renommez l'une des deux images."),
            fixed=True,
        ),
        "picture-metadata-syntax": Kind(
            Check.PICTURE_METADATA,
            Severity.ERROR,
            Phrase(
                "The picture's YAML file is not readable YAML.", "Le fichier YAML de l'image n'est pas du YAML lisible."
            ),
            Phrase("Correct the file at the line given.", "Corrigez le fichier à la ligne indiquée."),
            fixed=True,
        ),
        "picture-metadata-content": Kind(
            Check.PICTURE_METADATA,
            Severity.ERROR,
            Phrase(
                "A value in a picture's YAML file has the wrong type or is out of range.",
                "Une valeur du fichier YAML d'une image n'est pas du bon type ou est hors limites.",
            ),
            Phrase("Correct the value at the line given.", "Corrigez la valeur à la ligne indiquée."),
            fixed=True,
        ),
        "seed-count-differs": Kind(
            Check.PICTURE_METADATA,
            Severity.WARNING,
            Phrase(
                "Another number of seeds was found in a stored picture than its uploader declares.",
                "Le nombre de semences trouvées dans une image stockée diffère du nombre déclaré.",
            ),
            Phrase(
                "Look at the boxes drawn on the picture; correct numberOfSeeds, unless the detector is wrong.",
                "Regardez les cadres tracés sur l'image; corrigez numberOfSeeds, sauf si le détecteur se trompe.",
            ),
        ),
        "undescribed-folder": Kind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Phrase(
                "Nothing says what the pictures of a folder show, or how they were taken.",
                "Rien n'indique ce que montrent les images d'un dossier ni comment elles ont été prises.",
            ),
            Phrase(
                "Add a line for the folder to the mapping file, or give the value for all folders as an option.",
                "Ajoutez une ligne pour le dossier au fichier de correspondance ou donnez la valeur en option pour "
                "tous les dossiers.",
            ),
            fixed=True,
        ),
        "mapping-content": Kind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Phrase(
                "A value taken from the folder's path has the wrong type or is out of range.",
                "Une valeur tirée du chemin du dossier n'est pas du bon type ou dépasse les bornes permises.",
            ),
            Phrase(
                "Correct the pattern in the mapping file, or add a line for the folder above it.",
                "Corrigez le motif dans le fichier de correspondance ou ajoutez une ligne pour le dossier au-dessus.",
            ),
            fixed=True,
        ),
        "not-a-picture": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.WARNING,
            Phrase(
                "A mass import takes pictures only; the file stays where it is and has no row.",
                "L'importation en masse ne prend que des images; le fichier reste en place, sans être enregistré.",
            ),
            Phrase(
                "Nothing needs to be done; if it is a picture, export it as TIFF, PNG or JPEG.",
                "Aucune action requise; s'il s'agit d'une image, exportez-la en TIFF, PNG ou JPEG.",
            ),
        ),
        "changed-meanwhile": Kind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Phrase(
                "A file was changed or deleted while its folder was read.",
                "Un fichier a été modifié ou supprimé pendant la lecture de son dossier.",
            ),
            Phrase(
                "Run the mass import again once nobody writes to the folder.",
                "Relancez l'importation en masse quand plus personne n'écrit dans le dossier.",
            ),
            fixed=True,
        ),
        "picture-replaced": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase(
                "Another picture was written over one that had been imported where it lies.",
                "Une autre image a été écrite par-dessus une image importée sur place.",
            ),
            Phrase(
                "Put the first picture back, and store the other one under a name of its own.",
                "Remettez la première image en place et enregistrez l'autre sous un autre nom.",
            ),
            fixed=True,
        ),
        "duplicate-picture": Kind(
            Check.DUPLICATES,
            Severity.WARNING,
            Phrase(
                "The picture is there already: the same file, or the same pixels in another file.",
                "L'image existe déjà : le même fichier, ou les mêmes pixels dans un autre fichier.",
            ),
            Phrase(
                "Leave it out, unless it is meant to be there twice. It is imported all the same; of equal files in one"
                " session, one is.",
                "Retirez-la, à moins qu'elle ne doive figurer deux fois. Elle est importée malgré tout; de fichiers"
                " identiques d'une même session, un seul l'est.",
            ),
        ),
        "copies-differ": Kind(
            Check.PICTURE_METADATA,
            Severity.ERROR,
            Phrase(
                "The same picture is in the session twice, and its two YAML files do not say the same.",
                "La même image figure deux fois dans la session, et ses fichiers YAML ne disent pas la même chose.",
            ),
            Phrase(
                "Remove one of the two pictures with its YAML file, or let both files say the same.",
                "Retirez l'une des deux images avec son fichier YAML, ou faites dire la même chose aux deux fichiers.",
            ),
            fixed=True,
        ),
        "pictures-taken-out": Kind(
            Check.FILE_COUNT,
            Severity.WARNING,
            Phrase(
                "Pictures of an earlier import are not in the session any more; importing it takes them out.",
                "Des images d'une importation antérieure ne sont plus dans la session; l'importer les en retire.",
            ),
            Phrase(
                "Nothing, if that was meant. If not, put them into the session again: they come back as they were.",
                "Rien, si c'était voulu. Sinon, remettez-les dans la session : elles reviennent telles quelles.",
            ),
        ),
        "pictures-sent-earlier": Kind(
            Check.FILE_COUNT,
            Severity.WARNING,
            Phrase(
                "Pictures of an earlier import are not staged any more; this upload was taken for an addition to them.",
                "Des images d'une importation antérieure ne sont plus déposées; ce dépôt s'y ajoute.",
            ),
            Phrase(
                "Nothing, if it is one: they stay. If they are to be removed, stage the session again with --replace,"
                " or write uploadData: {replace: yes} into the outermost index.yaml.",
                "Rien, si c'est le cas : elles restent. Pour les retirer, déposez de nouveau la session avec --replace,"
                " ou mettez replace à oui sous uploadData dans l'index.yaml principal.",
            ),
        ),
        "removed-session-staged": Kind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Phrase(
                "A session that is to be removed is in the folder.",
                "Une session à retirer se trouve dans le dossier.",
            ),
            Phrase(
                "Take its name out of removedSessions to keep it, or its folder out of the upload to remove it.",
                "Ôtez son nom de removedSessions pour la garder, ou son dossier du dépôt pour la retirer.",
            ),
        ),
        "unknown-session": Kind(
            Check.INDEX_CONTENT,
            Severity.WARNING,
            Phrase(
                "A session that is to be removed was never imported from this folder; nothing is removed.",
                "Une session à retirer n'a jamais été importée de ce dossier; rien n'est retiré.",
            ),
            Phrase(
                "Correct its name in removedSessions, or take it out.",
                "Corrigez son nom dans removedSessions, ou ôtez-le.",
            ),
        ),
        "withdrawn-picture": Kind(
            Check.DUPLICATES,
            Severity.WARNING,
            Phrase(
                "The picture was withdrawn from training before, and stays withdrawn.",
                "L'image a déjà été retirée de l'entraînement et le reste.",
            ),
            Phrase(
                "Leave it out, or ask the team whether it can be used again; it is imported, but no model learns from"
                " it.",
                "Retirez-la ou demandez à l'équipe si elle peut resservir; elle est importée, mais ne sert à entraîner"
                " aucun modèle.",
            ),
        ),
        "near-duplicate-picture": Kind(
            Check.DUPLICATES,
            Severity.INFO,
            Phrase(
                "The picture looks like one that is there already, perhaps resized or saved anew.",
                "L'image ressemble à une image qui existe déjà, peut-être redimensionnée ou réenregistrée.",
            ),
            Phrase(
                "Compare the two; nothing needs to be done if they are different photographs.",
                "Comparez les deux; aucune action requise s'il s'agit de photographies différentes.",
            ),
        ),
        "label-conflict": Kind(
            Check.DUPLICATES,
            Severity.WARNING,
            Phrase(
                "The same photograph is under another species as well.",
                "La même photographie figure aussi sous une autre espèce.",
            ),
            Phrase(
                "Correct the species where it is wrong, or ask the AI lab to decide; until then nothing is trained with"
                " the photograph. It is imported all the same.",
                "Corrigez l'espèce là où elle est fausse, ou demandez au laboratoire d'IA de trancher; d'ici là, rien"
                " n'est entraîné avec cette photographie. Elle est importée malgré tout.",
            ),
        ),
        "picture-format": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase(
                "The file is not a picture of the format that its name says.",
                "Le fichier n'est pas une image du format qu'indique son nom.",
            ),
            Phrase("Export the picture again as TIFF, PNG or JPEG.", "Réexportez l'image en TIFF, PNG ou JPEG."),
            fixed=True,
        ),
        "picture-damaged": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase("The picture cannot be decoded completely.", "L'image ne peut pas être décodée entièrement."),
            Phrase(
                "Upload the picture again from its original, or export it again.",
                "Téléversez de nouveau l'image depuis l'original ou réexportez-la.",
            ),
            fixed=True,
        ),
        "picture-too-large": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase("The picture is larger than the limits allow.", "L'image dépasse les limites permises."),
            Phrase(
                "Crop the picture or export it at a lower resolution.",
                "Recadrez l'image ou exportez-la à une résolution plus basse.",
            ),
            fixed=True,
        ),
        "picture-too-slow": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase(
                "Decoding the picture took longer than allowed.",
                "Le décodage de l'image a pris plus de temps que permis.",
            ),
            Phrase(
                "Export the picture again with ordinary settings.",
                "Réexportez l'image avec des réglages ordinaires.",
            ),
            fixed=True,
        ),
        "picture-crashes-decoder": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase(
                "Decoding the picture ended its decoder or exhausted its memory.",
                "Le décodage de l'image a fait planter le décodeur ou épuisé sa mémoire.",
            ),
            Phrase(
                "Export the picture again with ordinary settings.",
                "Réexportez l'image avec des réglages ordinaires.",
            ),
            fixed=True,
        ),
        "several-pages": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase("The file holds more than one picture.", "Le fichier contient plus d'une image."),
            Phrase(
                "Export each picture to a file of its own; a phone's picture loses its second once saved as JPEG.",
                "Exportez chaque image dans son propre fichier; une image de téléphone, réenregistrée en simple JPEG, "
                "perd sa seconde.",
            ),
            fixed=True,
        ),
        "picture-too-complex": Kind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Phrase(
                "The file has more parts than any ordinary picture has.",
                "Le fichier compte plus de parties que toute image ordinaire.",
            ),
            Phrase(
                "Export the picture again with ordinary settings.",
                "Réexportez l'image avec des réglages ordinaires.",
            ),
            fixed=True,
        ),
        "unused-bytes": Kind(
            Check.PICTURE_CONTENT,
            Severity.WARNING,
            Phrase(
                "Some bytes of the file belong to no part of the picture.",
                "Certains octets du fichier n'appartiennent à aucune partie de l'image.",
            ),
            Phrase(
                "Nothing needs to be done; exporting the picture again removes them.",
                "Aucune action requise; réexporter l'image les supprime.",
            ),
        ),
        "trailing-data": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase("Data follows the end of the picture.", "Des données suivent la fin de l'image."),
            Phrase(
                "Export the picture again; phones append data that an export leaves out.",
                "Réexportez l'image; les données ajoutées par un téléphone disparaissent alors.",
            ),
        ),
        "hidden-data": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase(
                "Data is hidden between the parts of the picture.",
                "Des données sont cachées entre les parties de l'image.",
            ),
            Phrase(
                "Export the picture again; an export keeps the picture only.",
                "Réexportez l'image; seule l'image est alors conservée.",
            ),
        ),
        "suspicious-metadata": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase(
                "A metadata value of the picture holds a script, a program or an archive.",
                "Une métadonnée de l'image contient un script, un programme ou une archive.",
            ),
            Phrase("Export the picture again without its metadata.", "Réexportez l'image sans ses métadonnées."),
        ),
        "oversized-metadata": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase(
                "A metadata value of the picture is far larger than ordinary ones.",
                "Une métadonnée de l'image est bien plus volumineuse que la normale.",
            ),
            Phrase("Export the picture again without its metadata.", "Réexportez l'image sans ses métadonnées."),
        ),
        "unsafe-name": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase(
                "The name of the file is not safe on every system.",
                "Le nom du fichier n'est pas sûr sur tous les systèmes.",
            ),
            Phrase(
                "Rename the file with letters, digits, spaces, dots, hyphens and underscores.",
                "Renommez le fichier avec des lettres, chiffres, espaces, points, tirets et soulignés.",
            ),
            fixed=True,
        ),
        "special-file": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase(
                "The entry is a link or a special file, not a file with content of its own.",
                "L'entrée est un lien ou un fichier spécial, pas un fichier avec son propre contenu.",
            ),
            Phrase("Replace it with a copy of the file that is meant.", "Remplacez-la par une copie du fichier visé."),
            fixed=True,
        ),
        "forbidden-yaml": Kind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Phrase(
                "The YAML file uses a construct that the contract forbids.",
                "Le fichier YAML utilise une construction interdite par le contrat.",
            ),
            Phrase(
                "Write plain keys and values, without anchors, aliases or tags, in one document.",
                "Écrivez des clés et valeurs simples, sans ancre, alias ni étiquette, en un seul document.",
            ),
            fixed=True,
        ),
        "location-in-picture": Kind(
            Check.PERSONAL_DATA,
            Severity.WARNING,
            Phrase("The picture tells where it was taken.", "L'image indique où elle a été prise."),
            Phrase(
                "If the place must stay private, switch off the camera's location and export the picture anew.",
                "Si le lieu doit rester privé, désactivez la localisation de l'appareil et réexportez l'image.",
            ),
        ),
        "name-in-picture": Kind(
            Check.PERSONAL_DATA,
            Severity.WARNING,
            Phrase(
                "The picture carries the name of a person or of a camera's owner.",
                "L'image porte le nom d'une personne ou du propriétaire de l'appareil.",
            ),
            Phrase(
                "If the name must stay private, remove it from the camera's settings and export the picture anew.",
                "Si le nom doit rester privé, retirez-le des réglages de l'appareil et réexportez l'image.",
            ),
        ),
        "checksum-mismatch": Kind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Phrase(
                "The file does not match its checksum: it changed on its way, or after the checksums were made.",
                "Le fichier ne correspond pas à sa somme de contrôle : il a changé en route ou après son calcul.",
            ),
            Phrase(
                "Upload the file again from its original, or make SHA256SUMS anew.",
                "Téléversez de nouveau le fichier depuis l'original ou recréez SHA256SUMS.",
            ),
            fixed=True,
        ),
        "checksum-without-file": Kind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Phrase("SHA256SUMS lists a file that is not there.", "SHA256SUMS énumère un fichier absent."),
            Phrase("Add the file, or make SHA256SUMS anew.", "Ajoutez le fichier ou recréez SHA256SUMS."),
        ),
        "checksum-syntax": Kind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Phrase(
                "A line of SHA256SUMS is not a checksum and a name.",
                "Une ligne de SHA256SUMS n'est pas une somme de contrôle suivie d'un nom.",
            ),
            Phrase(
                "Make the file anew: sha256sum * > SHA256SUMS, or leave it out.",
                "Recréez le fichier : sha256sum * > SHA256SUMS, ou retirez-le.",
            ),
        ),
        "file-without-checksum": Kind(
            Check.CHECKSUMS,
            Severity.INFO,
            Phrase(
                "SHA256SUMS does not list this file, so damage on its way might go unnoticed.",
                "SHA256SUMS n'énumère pas ce fichier; un dommage en route pourrait passer inaperçu.",
            ),
            Phrase(
                "Nothing needs to be done; to protect the file too, make SHA256SUMS anew.",
                "Aucune action requise; pour protéger aussi ce fichier, recréez SHA256SUMS.",
            ),
        ),
        "unregistered-seed": Kind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Phrase("The species is not registered.", "L'espèce n'est pas enregistrée."),
            Phrase(
                "Correct the name, or ask the AI lab to register the species.",
                "Corrigez le nom ou demandez au laboratoire d'IA d'enregistrer l'espèce.",
            ),
            fixed=True,
        ),
        "contradictory-seed": Kind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Phrase(
                "The values given for the seed name different species.",
                "Les valeurs données pour la semence désignent des espèces différentes.",
            ),
            Phrase(
                "Keep one way of naming the seed: its id, its genus and species, or its name.",
                "Gardez une seule façon de nommer la semence : son id, son genre et son espèce, ou son nom.",
            ),
            fixed=True,
        ),
        "other-family": Kind(
            Check.SEED_REGISTERED,
            Severity.WARNING,
            Phrase(
                "The seed's family is registered under another name.",
                "La famille de la semence est enregistrée sous un autre nom.",
            ),
            Phrase(
                "Correct seedFamily or the species; the registered family is used.",
                "Corrigez seedFamily ou l'espèce; la famille enregistrée est utilisée.",
            ),
        ),
        "unregistered-uploader": Kind(
            Check.UPLOADER_REGISTERED,
            Severity.ERROR,
            Phrase("The uploader is not registered.", "La personne qui téléverse n'est pas enregistrée."),
            Phrase(
                "Ask the AI lab for an upload container.", "Demandez au laboratoire d'IA un conteneur de téléversement."
            ),
            fixed=True,
        ),
        "disabled-uploader": Kind(
            Check.UPLOADER_REGISTERED,
            Severity.ERROR,
            Phrase(
                "The owner of the container is disabled: what they stage is not imported.",
                "Le propriétaire du conteneur est désactivé : ce qu'il y met n'est pas importé.",
            ),
            Phrase(
                "Ask the AI lab to enable you again; the folder is then imported as it is.",
                "Demandez au laboratoire d'IA de vous réactiver; le dossier est alors importé tel quel.",
            ),
            fixed=True,
        ),
        "not-the-owner": Kind(
            Check.UPLOADER_REGISTERED,
            Severity.ERROR,
            Phrase(
                "The index names another uploader than the owner of the container.",
                "L'index nomme une autre personne que le propriétaire du conteneur.",
            ),
            Phrase(
                "Upload to your own container, or correct clientEmail.",
                "Téléversez dans votre propre conteneur ou corrigez clientEmail.",
            ),
            fixed=True,
        ),
    }
)

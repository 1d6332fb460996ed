"""The catalogue of findings: everything that validation can report, in both languages, with its severity."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from nachet_pipeline.support.i18n import Bilingual

RULE_SET_VERSION = "4"
"""Raised whenever a rule's verdict on some folder can change."""


class Severity(StrEnum):
    """How serious a finding is; only an error keeps an upload from being imported."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Check(StrEnum):
    """The contract's checks; each is an asset check of the same name.

    Attributes:
        description: what holds when the check passes.
    """

    description: str

    def __new__(cls, name: str, description: str) -> Self:
        """Make a check of its name and description."""
        check = str.__new__(cls, name)
        check._value_ = name
        check.description = description
        return check

    FOLDER_STRUCTURE = (
        "folder_structure",
        "The folder is a project or a session with nothing that the contract does not know.",
    )
    INDEX_PRESENT = "index_present", "Every folder of the contract has its index.yaml, and all keys are present."
    INDEX_CONTENT = "index_content", "Every index.yaml is readable YAML; its values have the right type and range."
    FILE_COUNT = "file_count", "Every session holds as many pictures as its numberOfImages declares."
    PICTURE_PAIRS = "picture_pairs", "Every picture's YAML file stands beside the picture it describes."
    PICTURE_METADATA = (
        "picture_metadata_content",
        "Every picture's YAML file is readable; its values have the right type and range.",
    )
    PICTURE_CONTENT = (
        "picture_content",
        "Every picture decodes completely, in the format that its name says, within the limits.",
    )
    MALICIOUS_CONTENT = (
        "malicious_content",
        "No data beside or behind a picture, nothing executable in it; no forbidden YAML construct, no unsafe name.",
    )
    PERSONAL_DATA = "personal_data", "No picture tells where it was taken, or whose the camera is."
    DUPLICATES = (
        "duplicates",
        "No picture is there already, in the upload or among all stored pictures, nor is it under two species.",
    )
    CHECKSUMS = (
        "checksums",
        "Every file is what its sender's SHA256SUMS, or the list in _COMPLETE, says, where there is one.",
    )
    SEED_REGISTERED = "seed_registered", "Every session shows registered seeds, or says that they are unknown."
    UPLOADER_REGISTERED = "uploader_registered", "The uploader is registered and owns the container the folder lies in."


@dataclass(frozen=True, slots=True)
class FindingKind:
    """An entry of the catalogue.

    Attributes:
        check: the check that fails when a finding of this kind is an error.
        severity: its severity, unless a deployment changes it.
        message: what is wrong.
        remedy: what the uploader can do.
        fixed: whether no deployment can change the severity, because nothing with such a finding can be imported.
    """

    check: Check
    severity: Severity
    message: Bilingual
    remedy: Bilingual
    fixed: bool = False


CATALOGUE: Mapping[str, FindingKind] = MappingProxyType(
    {
        "empty-upload": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual("The folder holds no file.", "Le dossier ne contient aucun fichier."),
            Bilingual(
                "Upload the folder again with its pictures and its index.yaml.",
                "Téléversez de nouveau le dossier avec ses images et son index.yaml.",
            ),
            fixed=True,
        ),
        "wrong-structure": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "The folder is neither a project (index.yaml and pictures/) nor a session (index.yaml and pictures).",
                "Le dossier n'est ni un projet (index.yaml et pictures/) ni une session (index.yaml et images).",
            ),
            Bilingual(
                "Put the pictures beside the session's index.yaml, or the sessions as folders into pictures/.",
                "Placez les images à côté de l'index.yaml de leur session, ou les sessions dans le dossier pictures/.",
            ),
            fixed=True,
        ),
        "empty-session": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual("The session holds no picture.", "La session ne contient aucune image."),
            Bilingual(
                "Add its pictures, or remove the session's folder.",
                "Ajoutez ses images ou supprimez le dossier de la session.",
            ),
            fixed=True,
        ),
        "unexpected-file": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual("The contract has no place for this file.", "Le contrat ne prévoit pas ce fichier."),
            Bilingual(
                "Move it to where it belongs, or take it out of the folder.",
                "Déplacez-le à sa place ou retirez-le du dossier.",
            ),
        ),
        "empty-file": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual("The file is empty.", "Le fichier est vide."),
            Bilingual("Upload the file again.", "Téléversez de nouveau le fichier."),
            fixed=True,
        ),
        "not-downloaded": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "The file's content is not there, as a cloud service leaves a file that it has not downloaded.",
                "Le contenu du fichier n'y est pas, comme lorsqu'un service infonuagique ne l'a pas téléchargé.",
            ),
            Bilingual(
                "Make the file available offline (OneDrive: Always keep on this device; iCloud: Download Now), open it"
                " to see that it is whole, and send it again.",
                "Rendez le fichier disponible hors connexion (OneDrive : Toujours conserver sur cet appareil; iCloud :"
                " Télécharger maintenant), ouvrez-le pour voir s'il est entier, puis envoyez-le de nouveau.",
            ),
            fixed=True,
        ),
        "name-collision": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "Two names differ only in upper and lower case or in how their accents are encoded.",
                "Deux noms ne diffèrent que par les majuscules ou par l'encodage des accents.",
            ),
            Bilingual(
                "Rename one of the two; if it is a picture, rename its YAML file likewise.",
                "Renommez l'un des deux; si c'est une image, renommez aussi son fichier YAML.",
            ),
            fixed=True,
        ),
        "not-listed": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.INFO,
            Bilingual(
                "Files are staged that the list in _COMPLETE does not name; they were ignored.",
                "Des fichiers déposés ne figurent pas dans la liste de _COMPLETE; ils ont été ignorés.",
            ),
            Bilingual(
                "Nothing needs to be done if they do not belong to the folder. If they do, run nachet stage again with"
                " them, or put an empty _COMPLETE in place of the list.",
                "Aucune action requise s'ils ne font pas partie du dossier. Sinon, relancez nachet stage avec eux, ou"
                " remplacez la liste par un _COMPLETE vide.",
            ),
        ),
        "listed-file-missing": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "The list in _COMPLETE names a file that is not staged.",
                "La liste de _COMPLETE nomme un fichier qui n'a pas été déposé.",
            ),
            Bilingual(
                "Run the same nachet stage again, which sends what is missing; or send the file like the others.",
                "Relancez le même nachet stage, qui envoie ce qui manque; ou envoyez le fichier comme les autres.",
            ),
            fixed=True,
        ),
        "file-list-content": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "The list of files in _COMPLETE cannot be used, so that nobody knows which files belong to the folder.",
                "La liste de fichiers de _COMPLETE est inutilisable; on ignore donc quels fichiers font partie du"
                " dossier.",
            ),
            Bilingual(
                "Run nachet stage again, which writes the list. Or put an empty _COMPLETE in its place; then every"
                " file in the folder belongs to it.",
                "Relancez nachet stage, qui écrit la liste. Ou remplacez _COMPLETE par un fichier vide; alors tous"
                " les fichiers du dossier en font partie.",
            ),
            fixed=True,
        ),
        "staging-interrupted": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "The folder is being changed, or nachet stage was interrupted: only a part of the change is there.",
                "Le dossier est en cours de modification, ou nachet stage a été interrompu : une partie seulement du"
                " changement est là.",
            ),
            Bilingual(
                "If nachet stage is still running, wait for its end. Otherwise run the same command again; it sends"
                " what is missing.",
                "Si nachet stage tourne encore, attendez sa fin. Sinon, relancez la même commande; elle envoie ce"
                " qui manque.",
            ),
            fixed=True,
        ),
        "ignored-file": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.INFO,
            Bilingual(
                "A file that the operating system left behind was ignored.",
                "Un fichier laissé par le système d'exploitation a été ignoré.",
            ),
            Bilingual("Nothing needs to be done.", "Aucune action requise."),
        ),
        "hidden-file": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.WARNING,
            Bilingual(
                "A hidden file, whose name starts with a dot, was ignored.",
                "Un fichier caché, dont le nom commence par un point, a été ignoré.",
            ),
            Bilingual(
                "Rename it if it belongs to the upload; else nothing needs to be done.",
                "Renommez-le s'il fait partie du téléversement; sinon, aucune action requise.",
            ),
        ),
        "unusual-name": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.WARNING,
            Bilingual(
                "Some systems show or write the file's name differently.",
                "Certains systèmes affichent ou écrivent autrement le nom du fichier.",
            ),
            Bilingual(
                "Rename the file with letters, digits, dots, hyphens and underscores, a picture and its YAML file"
                " alike.",
                "Renommez le fichier avec des lettres, chiffres, points, tirets et soulignés, une image comme son "
                "fichier YAML.",
            ),
        ),
        "missing-index": FindingKind(
            Check.INDEX_PRESENT,
            Severity.ERROR,
            Bilingual("A folder has no index.yaml.", "Un dossier n'a pas d'index.yaml."),
            Bilingual(
                "Write an index.yaml with a text editor, or let the command nachet init write it. The folder _template"
                " in your upload container holds an example and the whole contract, which nachet contract prints too.",
                "Écrivez un index.yaml avec un éditeur de texte, ou laissez la commande nachet init l'écrire. Le"
                " dossier _template de votre conteneur de téléversement contient un exemple et tout le contrat, que"
                " nachet contract --lang fr affiche aussi.",
            ),
        ),
        "missing-key": FindingKind(
            Check.INDEX_PRESENT,
            Severity.ERROR,
            Bilingual(
                "A value that every session needs is given nowhere.",
                "Une valeur requise pour chaque session n'est donnée nulle part.",
            ),
            Bilingual(
                "Add the key to the session's index.yaml, or to the project's for all sessions.",
                "Ajoutez la clé à l'index.yaml de la session, ou à celui du projet pour toutes les sessions.",
            ),
            fixed=True,
        ),
        "index-syntax": FindingKind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Bilingual("The index.yaml is not readable YAML.", "L'index.yaml n'est pas du YAML lisible."),
            Bilingual("Correct the file at the line given.", "Corrigez le fichier à la ligne indiquée."),
            fixed=True,
        ),
        "index-content": FindingKind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Bilingual(
                "A value in an index.yaml has the wrong type or is out of range.",
                "Une valeur d'un index.yaml n'est pas du bon type ou est hors limites.",
            ),
            Bilingual("Correct the value at the line given.", "Corrigez la valeur à la ligne indiquée."),
            fixed=True,
        ),
        "unknown-key": FindingKind(
            Check.INDEX_CONTENT,
            Severity.WARNING,
            Bilingual(
                "The contract does not know this key; its value is not imported.",
                "Le contrat ne connaît pas cette clé; sa valeur n'est pas importée.",
            ),
            Bilingual(
                "Correct the spelling, or remove the key; what is worth keeping can go into userData.description.",
                "Corrigez l'orthographe ou supprimez la clé; ce qui mérite d'être gardé peut aller dans"
                " userData.description.",
            ),
        ),
        "duplicate-key": FindingKind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Bilingual("The same key is given twice.", "La même clé est donnée deux fois."),
            Bilingual(
                "Keep the right one of the two values, and remove the other line.",
                "Gardez celle des deux valeurs qui est la bonne et supprimez l'autre ligne.",
            ),
            fixed=True,
        ),
        "missing-picture": FindingKind(
            Check.FILE_COUNT,
            Severity.ERROR,
            Bilingual(
                "The session holds fewer pictures than its numberOfImages declares.",
                "La session contient moins d'images que ne le déclare numberOfImages.",
            ),
            Bilingual(
                "Add the missing pictures; if none is missing, correct numberOfImages.",
                "Ajoutez les images manquantes; s'il n'en manque aucune, corrigez numberOfImages.",
            ),
        ),
        "surplus-picture": FindingKind(
            Check.FILE_COUNT,
            Severity.ERROR,
            Bilingual(
                "The session holds more pictures than its numberOfImages declares.",
                "La session contient plus d'images que ne le déclare numberOfImages.",
            ),
            Bilingual(
                "If all pictures belong to the session, correct numberOfImages; else take out those that do not.",
                "Si toutes les images font partie de la session, corrigez numberOfImages; sinon, retirez celles qui"
                " n'en font pas partie.",
            ),
        ),
        "metadata-without-picture": FindingKind(
            Check.PICTURE_PAIRS,
            Severity.ERROR,
            Bilingual(
                "A YAML file describes a picture that is not there.", "Un fichier YAML décrit une image absente."
            ),
            Bilingual(
                "Add the picture if it is missing; else give the YAML file the name of the picture that it describes,"
                " or take it out.",
                "Ajoutez l'image si elle manque; sinon, donnez au fichier YAML le nom de l'image qu'il décrit, ou"
                " retirez-le.",
            ),
        ),
        "ambiguous-picture": FindingKind(
            Check.PICTURE_PAIRS,
            Severity.ERROR,
            Bilingual(
                "Two pictures of a session differ only in their suffix, so that one YAML file would describe both.",
                "Deux images d'une session ne diffèrent que par leur suffixe; un fichier YAML décrirait les deux.",
            ),
            Bilingual(
                "Rename one of the two pictures, and give the YAML file the name of the one that it describes.",
                "Renommez l'une des deux images et donnez au fichier YAML le nom de celle qu'il décrit.",
            ),
            fixed=True,
        ),
        "picture-metadata-syntax": FindingKind(
            Check.PICTURE_METADATA,
            Severity.ERROR,
            Bilingual(
                "The picture's YAML file is not readable YAML.", "Le fichier YAML de l'image n'est pas du YAML lisible."
            ),
            Bilingual("Correct the file at the line given.", "Corrigez le fichier à la ligne indiquée."),
            fixed=True,
        ),
        "picture-metadata-content": FindingKind(
            Check.PICTURE_METADATA,
            Severity.ERROR,
            Bilingual(
                "A value in a picture's YAML file has the wrong type or is out of range.",
                "Une valeur du fichier YAML d'une image n'est pas du bon type ou est hors limites.",
            ),
            Bilingual("Correct the value at the line given.", "Corrigez la valeur à la ligne indiquée."),
            fixed=True,
        ),
        "seed-count-differs": FindingKind(
            Check.PICTURE_METADATA,
            Severity.WARNING,
            Bilingual(
                "Another number of seeds was found in a stored picture than its uploader declares.",
                "Le nombre de semences trouvées dans une image stockée diffère du nombre déclaré.",
            ),
            Bilingual(
                "Look at the boxes on the report page. If the number is wrong, correct numberOfSeeds and send the"
                " folder again; if a box is wrong, tell the AI lab.",
                "Regardez les cadres sur la page du rapport. Si le nombre est faux, corrigez numberOfSeeds et envoyez"
                " de nouveau le dossier; si un cadre est faux, prévenez le laboratoire d'IA.",
            ),
        ),
        "undescribed-folder": FindingKind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Bilingual(
                "Nothing says what the pictures of a folder show, or how they were taken.",
                "Rien n'indique ce que montrent les images d'un dossier ni comment elles ont été prises.",
            ),
            Bilingual(
                "Add a line for the folder to the mapping file, or give the value for all folders as an option.",
                "Ajoutez une ligne pour le dossier au fichier de correspondance ou donnez la valeur en option pour "
                "tous les dossiers.",
            ),
            fixed=True,
        ),
        "mapping-content": FindingKind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Bilingual(
                "A value taken from the folder's path has the wrong type or is out of range.",
                "Une valeur tirée du chemin du dossier n'est pas du bon type ou dépasse les bornes permises.",
            ),
            Bilingual(
                "Correct the pattern in the mapping file, or add a line for the folder above it.",
                "Corrigez le motif dans le fichier de correspondance ou ajoutez une ligne pour le dossier au-dessus.",
            ),
            fixed=True,
        ),
        "not-a-picture": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.WARNING,
            Bilingual(
                "A mass import takes pictures only; the file stays where it is and has no row.",
                "L'importation en masse ne prend que des images; le fichier reste en place, sans être enregistré.",
            ),
            Bilingual(
                "Nothing needs to be done; if it is a picture, export it as TIFF, PNG or JPEG.",
                "Aucune action requise; s'il s'agit d'une image, exportez-la en TIFF, PNG ou JPEG.",
            ),
        ),
        "changed-meanwhile": FindingKind(
            Check.FOLDER_STRUCTURE,
            Severity.ERROR,
            Bilingual(
                "A file was changed or deleted while its folder was read.",
                "Un fichier a été modifié ou supprimé pendant la lecture de son dossier.",
            ),
            Bilingual(
                "Run the mass import again once nobody writes to the folder.",
                "Relancez l'importation en masse quand plus personne n'écrit dans le dossier.",
            ),
            fixed=True,
        ),
        "picture-replaced": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "Another picture was written over one that had been imported where it lies.",
                "Une autre image a été écrite par-dessus une image importée sur place.",
            ),
            Bilingual(
                "Put the first picture back, and store the other one under a name of its own.",
                "Remettez la première image en place et enregistrez l'autre sous un autre nom.",
            ),
            fixed=True,
        ),
        "duplicate-picture": FindingKind(
            Check.DUPLICATES,
            Severity.WARNING,
            Bilingual(
                "The picture is there already: the same file, or the same pixels in another file.",
                "L'image existe déjà : le même fichier, ou les mêmes pixels dans un autre fichier.",
            ),
            Bilingual(
                "Leave it out, unless it is meant to be there twice. It is imported all the same; of equal files in one"
                " session, one is.",
                "Retirez-la, à moins qu'elle ne doive figurer deux fois. Elle est importée malgré tout; de fichiers"
                " identiques d'une même session, un seul l'est.",
            ),
        ),
        "copies-differ": FindingKind(
            Check.PICTURE_METADATA,
            Severity.ERROR,
            Bilingual(
                "The same picture is in the session twice, and its two YAML files do not say the same.",
                "La même image figure deux fois dans la session, et ses fichiers YAML ne disent pas la même chose.",
            ),
            Bilingual(
                "Keep the picture whose YAML file is right, and remove the other one with its YAML file.",
                "Gardez l'image dont le fichier YAML est le bon et retirez l'autre avec son fichier YAML.",
            ),
            fixed=True,
        ),
        "pictures-taken-out": FindingKind(
            Check.FILE_COUNT,
            Severity.WARNING,
            Bilingual(
                "Pictures of an earlier import are not in the session any more; importing it takes them out.",
                "Des images d'une importation antérieure ne sont plus dans la session; l'importer les en retire.",
            ),
            Bilingual(
                "Nothing, if that was meant. If not, put them into the session again: they come back as they were.",
                "Rien, si c'était voulu. Sinon, remettez-les dans la session : elles reviennent telles quelles.",
            ),
        ),
        "pictures-sent-earlier": FindingKind(
            Check.FILE_COUNT,
            Severity.WARNING,
            Bilingual(
                "Pictures of an earlier import are not staged any more; this upload was taken for an addition to them.",
                "Des images d'une importation antérieure ne sont plus déposées; ce dépôt s'y ajoute.",
            ),
            Bilingual(
                "Nothing, if it is one: they stay. If they are to be removed, stage the session again with --replace,"
                " or write uploadData: {replace: yes} into the outermost index.yaml.",
                "Rien, si c'est le cas : elles restent. Pour les retirer, déposez de nouveau la session avec --replace,"
                " ou mettez replace à oui sous uploadData dans l'index.yaml principal.",
            ),
        ),
        "removed-session-staged": FindingKind(
            Check.INDEX_CONTENT,
            Severity.ERROR,
            Bilingual(
                "A session that is to be removed is in the folder.",
                "Une session à retirer se trouve dans le dossier.",
            ),
            Bilingual(
                "Take its name out of removedSessions to keep it, or its folder out of the upload to remove it.",
                "Ôtez son nom de removedSessions pour la garder, ou son dossier du dépôt pour la retirer.",
            ),
        ),
        "unknown-session": FindingKind(
            Check.INDEX_CONTENT,
            Severity.WARNING,
            Bilingual(
                "A session that is to be removed was never imported from this folder; nothing is removed.",
                "Une session à retirer n'a jamais été importée de ce dossier; rien n'est retiré.",
            ),
            Bilingual(
                "Correct its name in removedSessions, or take it out.",
                "Corrigez son nom dans removedSessions, ou ôtez-le.",
            ),
        ),
        "withdrawn-picture": FindingKind(
            Check.DUPLICATES,
            Severity.WARNING,
            Bilingual(
                "The picture was withdrawn from training before, and stays withdrawn.",
                "L'image a déjà été retirée de l'entraînement et le reste.",
            ),
            Bilingual(
                "Leave it out, or ask the team whether it can be used again; it is imported, but no model learns from"
                " it.",
                "Retirez-la ou demandez à l'équipe si elle peut resservir; elle est importée, mais ne sert à entraîner"
                " aucun modèle.",
            ),
        ),
        "near-duplicate-picture": FindingKind(
            Check.DUPLICATES,
            Severity.INFO,
            Bilingual(
                "The picture looks like one that is there already, perhaps resized or saved anew.",
                "L'image ressemble à une image qui existe déjà, peut-être redimensionnée ou réenregistrée.",
            ),
            Bilingual(
                "Compare the two; nothing needs to be done if they are different photographs.",
                "Comparez les deux; aucune action requise s'il s'agit de photographies différentes.",
            ),
        ),
        "label-conflict": FindingKind(
            Check.DUPLICATES,
            Severity.WARNING,
            Bilingual(
                "The same photograph is under another species as well.",
                "La même photographie figure aussi sous une autre espèce.",
            ),
            Bilingual(
                "Correct the species where it is wrong, or ask the AI lab to decide; until then nothing is trained with"
                " the photograph. It is imported all the same.",
                "Corrigez l'espèce là où elle est fausse, ou demandez au laboratoire d'IA de trancher; d'ici là, rien"
                " n'est entraîné avec cette photographie. Elle est importée malgré tout.",
            ),
        ),
        "picture-format": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file is not a picture of the format that its name says.",
                "Le fichier n'est pas une image du format qu'indique son nom.",
            ),
            Bilingual("Export the picture again as TIFF, PNG or JPEG.", "Réexportez l'image en TIFF, PNG ou JPEG."),
            fixed=True,
        ),
        "other-format": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The picture is in a format that the pipeline does not import.",
                "L'image est dans un format que le pipeline n'importe pas.",
            ),
            Bilingual(
                "Export it as TIFF, PNG or JPEG from the program that wrote it.",
                "Exportez-la en TIFF, PNG ou JPEG depuis le logiciel qui l'a enregistrée.",
            ),
            fixed=True,
        ),
        "picture-damaged": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual("The picture cannot be decoded completely.", "L'image ne peut pas être décodée entièrement."),
            Bilingual(
                "Upload the picture again from its original, or export it again.",
                "Téléversez de nouveau l'image depuis l'original ou réexportez-la.",
            ),
            fixed=True,
        ),
        "picture-too-large": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual("The picture is larger than the limits allow.", "L'image dépasse les limites permises."),
            Bilingual(
                "Cut off its empty margins, or export it at a lower resolution.",
                "Coupez ses marges vides ou exportez-la à une résolution plus basse.",
            ),
            fixed=True,
        ),
        "picture-too-slow": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "Decoding the picture took longer than allowed.",
                "Le décodage de l'image a pris plus de temps que permis.",
            ),
            Bilingual(
                "Export the picture again with ordinary settings.",
                "Réexportez l'image avec des réglages ordinaires.",
            ),
            fixed=True,
        ),
        "picture-crashes-decoder": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "Decoding the picture ended its decoder or exhausted its memory.",
                "Le décodage de l'image a fait planter le décodeur ou épuisé sa mémoire.",
            ),
            Bilingual(
                "Export the picture again with ordinary settings.",
                "Réexportez l'image avec des réglages ordinaires.",
            ),
            fixed=True,
        ),
        "several-pages": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual("The file holds more than one picture.", "Le fichier contient plus d'une image."),
            Bilingual(
                "Save each picture to a file of its own.",
                "Enregistrez chaque image dans son propre fichier.",
            ),
            fixed=True,
        ),
        "z-stack": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file is a stack of planes of focus, not one picture.",
                "Le fichier est une pile de plans de mise au point et non une seule image.",
            ),
            Bilingual(
                "Save the plane that is in focus, or the extended-focus picture of the microscope's"
                " program, as a TIFF of its own. In ImageJ, show that plane and choose Image →"
                " Duplicate without “Duplicate stack”.",
                "Enregistrez le plan net, ou l'image à profondeur de champ étendue du logiciel du"
                " microscope, dans son propre TIFF. Dans ImageJ, affichez ce plan et choisissez Image"
                " → Duplicate sans « Duplicate stack ».",
            ),
            fixed=True,
        ),
        "several-channels": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file keeps the channels of the picture apart, as several pictures.",
                "Le fichier garde séparément les canaux de l'image, comme plusieurs images.",
            ),
            Bilingual(
                "Save the picture as one RGB TIFF, or the one channel that shows the seeds. In ImageJ,"
                " Image → Type → RGB Color makes one picture of the channels.",
                "Enregistrez l'image en un seul TIFF RVB, ou le seul canal qui montre les semences."
                " Dans ImageJ, Image → Type → RGB Color réunit les canaux en une image.",
            ),
            fixed=True,
        ),
        "time-series": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file is a time series, not one picture.",
                "Le fichier est une série temporelle et non une seule image.",
            ),
            Bilingual(
                "Save each moment that is meant to be imported as a TIFF of its own. In ImageJ, Image"
                " → Stacks → Stack to Images takes the series apart.",
                "Enregistrez chaque instant à importer dans son propre TIFF. Dans ImageJ, Image →"
                " Stacks → Stack to Images sépare la série.",
            ),
            fixed=True,
        ),
        "slide-pyramid": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file is a scanned slide, which holds the same picture at several scales.",
                "Le fichier est une lame numérisée, qui contient la même image à plusieurs échelles.",
            ),
            Bilingual(
                "Export the region that shows the seeds as a TIFF of one scale. In QuPath, select it"
                " and choose File → Export images → Original pixels.",
                "Exportez la région qui montre les semences en un TIFF d'une seule échelle. Dans"
                " QuPath, sélectionnez-la et choisissez File → Export images → Original pixels.",
            ),
            fixed=True,
        ),
        "scanned-pages": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file holds several pages, as a scanner writes them.",
                "Le fichier contient plusieurs pages, comme un numériseur les enregistre.",
            ),
            Bilingual(
                "Scan again with one file for each page (often called single-page TIFF), or save each"
                " page to a file of its own.",
                "Numérisez de nouveau avec un fichier par page (souvent appelé TIFF à page unique), ou"
                " enregistrez chaque page dans son propre fichier.",
            ),
            fixed=True,
        ),
        "picture-too-complex": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The file has more parts than any ordinary picture has.",
                "Le fichier compte plus de parties que toute image ordinaire.",
            ),
            Bilingual(
                "Export the picture again with ordinary settings.",
                "Réexportez l'image avec des réglages ordinaires.",
            ),
            fixed=True,
        ),
        "unused-bytes": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.WARNING,
            Bilingual(
                "Some bytes of the file belong to no part of the picture.",
                "Certains octets du fichier n'appartiennent à aucune partie de l'image.",
            ),
            Bilingual(
                "Nothing needs to be done; exporting the picture again removes them.",
                "Aucune action requise; réexporter l'image les supprime.",
            ),
        ),
        "damaged-metadata": FindingKind(
            Check.PICTURE_CONTENT,
            Severity.WARNING,
            Bilingual(
                "A metadata value of the picture is damaged; its pixels are whole.",
                "Une métadonnée de l'image est endommagée; ses pixels sont intacts.",
            ),
            Bilingual(
                "Nothing needs to be done; exporting the picture again mends it.",
                "Aucune action requise; réexporter l'image la répare.",
            ),
        ),
        "trailing-data": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual("Data follows the end of the picture.", "Des données suivent la fin de l'image."),
            Bilingual(
                "Export the picture again from its original; an export keeps the picture only.",
                "Réexportez l'image depuis l'original; seule l'image est alors conservée.",
            ),
        ),
        "hidden-data": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual(
                "Data is hidden between the parts of the picture.",
                "Des données sont cachées entre les parties de l'image.",
            ),
            Bilingual(
                "Export the picture again; an export keeps the picture only.",
                "Réexportez l'image; seule l'image est alors conservée.",
            ),
        ),
        "suspicious-metadata": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual(
                "A metadata value of the picture holds a script, a program or an archive.",
                "Une métadonnée de l'image contient un script, un programme ou une archive.",
            ),
            Bilingual("Export the picture again without its metadata.", "Réexportez l'image sans ses métadonnées."),
        ),
        "oversized-metadata": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual(
                "A metadata value of the picture is far larger than ordinary ones.",
                "Une métadonnée de l'image est bien plus volumineuse que la normale.",
            ),
            Bilingual("Export the picture again without its metadata.", "Réexportez l'image sans ses métadonnées."),
        ),
        "unsafe-name": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The name of the file is not safe on every system.",
                "Le nom du fichier n'est pas sûr sur tous les systèmes.",
            ),
            Bilingual(
                "Rename the file with letters, digits, spaces, dots, hyphens and underscores, a picture and its YAML"
                " file alike.",
                "Renommez le fichier avec des lettres, chiffres, espaces, points, tirets et soulignés, une image comme"
                " son fichier YAML.",
            ),
            fixed=True,
        ),
        "special-file": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The entry is a link or a special file, not a file with content of its own.",
                "L'entrée est un lien ou un fichier spécial, pas un fichier avec son propre contenu.",
            ),
            Bilingual(
                "Replace it with a copy of the file that is meant.", "Remplacez-la par une copie du fichier visé."
            ),
            fixed=True,
        ),
        "forbidden-yaml": FindingKind(
            Check.MALICIOUS_CONTENT,
            Severity.ERROR,
            Bilingual(
                "The YAML file uses a construct that the contract forbids.",
                "Le fichier YAML utilise une construction interdite par le contrat.",
            ),
            Bilingual(
                "Write plain keys and values, without anchors, aliases or tags, in one document.",
                "Écrivez des clés et valeurs simples, sans ancre, alias ni étiquette, en un seul document.",
            ),
            fixed=True,
        ),
        "location-in-picture": FindingKind(
            Check.PERSONAL_DATA,
            Severity.WARNING,
            Bilingual("The picture tells where it was taken.", "L'image indique où elle a été prise."),
            Bilingual(
                "If the place must stay private, switch off the camera's location and export the picture anew.",
                "Si le lieu doit rester privé, désactivez la localisation de l'appareil et réexportez l'image.",
            ),
        ),
        "name-in-picture": FindingKind(
            Check.PERSONAL_DATA,
            Severity.WARNING,
            Bilingual(
                "The picture carries the name of a person or of a camera's owner.",
                "L'image porte le nom d'une personne ou du propriétaire de l'appareil.",
            ),
            Bilingual(
                "If the name must stay private, remove it from the camera's settings and export the picture anew.",
                "Si le nom doit rester privé, retirez-le des réglages de l'appareil et réexportez l'image.",
            ),
        ),
        "listed-file-differs": FindingKind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Bilingual(
                "The file is not what the list in _COMPLETE says: it was cut off or changed while it was copied.",
                "Le fichier n'est pas celui que décrit la liste de _COMPLETE : il a été coupé ou modifié pendant la"
                " copie.",
            ),
            Bilingual(
                "Send it again: run the same nachet stage again, with --replace if it asks for that.",
                "Envoyez-le de nouveau : relancez le même nachet stage, avec --replace si la commande le demande.",
            ),
            fixed=True,
        ),
        "film-in-picture": FindingKind(
            Check.PERSONAL_DATA,
            Severity.WARNING,
            Bilingual(
                "A short film, perhaps with sound, is kept with the picture.",
                "Un court film, peut-être sonore, est conservé avec l'image.",
            ),
            Bilingual(
                "Check that it may be stored. The phone's camera makes none once Motion Photo (Top"
                " Shot, Live) is switched off; an export as JPEG leaves the film out.",
                "Vérifiez qu'il peut être conservé. Le téléphone n'en fait plus une fois la photo"
                " animée (Motion Photo, Top Shot, Live) désactivée; une exportation en JPEG laisse le"
                " film de côté.",
            ),
        ),
        "checksum-mismatch": FindingKind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Bilingual(
                "The file does not match its checksum: it changed on its way, or after the checksums were made.",
                "Le fichier ne correspond pas à sa somme de contrôle : il a changé en route ou après son calcul.",
            ),
            Bilingual(
                "Upload the file again from its original. Make SHA256SUMS anew only if you changed the file on"
                " purpose.",
                "Téléversez de nouveau le fichier depuis l'original. Ne recréez SHA256SUMS que si vous avez modifié le"
                " fichier à dessein.",
            ),
            fixed=True,
        ),
        "checksum-without-file": FindingKind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Bilingual("SHA256SUMS lists a file that is not there.", "SHA256SUMS énumère un fichier absent."),
            Bilingual(
                "Add the file. Make SHA256SUMS anew only if you took the file out on purpose.",
                "Ajoutez le fichier. Ne recréez SHA256SUMS que si vous l'avez retiré à dessein.",
            ),
        ),
        "checksum-syntax": FindingKind(
            Check.CHECKSUMS,
            Severity.ERROR,
            Bilingual(
                "A line of SHA256SUMS is not a checksum and a name.",
                "Une ligne de SHA256SUMS n'est pas une somme de contrôle suivie d'un nom.",
            ),
            Bilingual(
                "Make the file anew: sha256sum * > SHA256SUMS, or leave it out.",
                "Recréez le fichier : sha256sum * > SHA256SUMS, ou retirez-le.",
            ),
        ),
        "file-without-checksum": FindingKind(
            Check.CHECKSUMS,
            Severity.INFO,
            Bilingual(
                "SHA256SUMS does not list this file, so damage on its way might go unnoticed.",
                "SHA256SUMS n'énumère pas ce fichier; un dommage en route pourrait passer inaperçu.",
            ),
            Bilingual(
                "Nothing needs to be done; to protect the file too, make SHA256SUMS anew.",
                "Aucune action requise; pour protéger aussi ce fichier, recréez SHA256SUMS.",
            ),
        ),
        "unregistered-seed": FindingKind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Bilingual("The species is not registered.", "L'espèce n'est pas enregistrée."),
            Bilingual(
                "Correct the name if it is misspelt. If it is right, ask the AI lab to register the species; a staged"
                " folder is then tried again by itself.",
                "Corrigez le nom s'il est mal écrit. S'il est juste, demandez au laboratoire d'IA d'enregistrer"
                " l'espèce; un dossier déposé est alors réessayé de lui-même.",
            ),
            fixed=True,
        ),
        "contradictory-seed": FindingKind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Bilingual(
                "The values given for the seed name different species.",
                "Les valeurs données pour la semence désignent des espèces différentes.",
            ),
            Bilingual(
                "Find out which species the pictures show, and name it in one way only: by id, by genus and species, or"
                " by name.",
                "Vérifiez quelle espèce montrent les images et nommez-la d'une seule façon : par id, par genre et"
                " espèce, ou par nom.",
            ),
            fixed=True,
        ),
        "species-twice": FindingKind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Bilingual("A list of species names one of them twice.", "Une liste d'espèces en nomme une deux fois."),
            Bilingual(
                "Correct the species, or write it once with the number of all its seeds. Seeds that nobody can name are"
                " one entry too; its guess may name several.",
                "Corrigez l'espèce ou écrivez-la une seule fois avec le nombre de toutes ses semences. Les semences que"
                " personne ne peut nommer forment aussi une seule entrée; sa supposition peut en nommer plusieurs.",
            ),
            fixed=True,
        ),
        "seed-numbers-differ": FindingKind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Bilingual(
                "numberOfSeeds is not the sum of the numbers in the list of species.",
                "numberOfSeeds n'est pas la somme des nombres de la liste d'espèces.",
            ),
            Bilingual(
                "Count the seeds of each species, and correct the list or numberOfSeeds; numberOfSeeds may be left out"
                " beside a list.",
                "Comptez les semences de chaque espèce et corrigez la liste ou numberOfSeeds; numberOfSeeds peut être"
                " omis à côté d'une liste.",
            ),
            fixed=True,
        ),
        "guess-beside-species": FindingKind(
            Check.SEED_REGISTERED,
            Severity.ERROR,
            Bilingual(
                "A guess stands beside a species, although only unknown seeds have one.",
                "Une supposition accompagne une espèce, alors que seules des semences inconnues en ont une.",
            ),
            Bilingual(
                "Remove the guess if the species is certain; else write unknown in place of the species.",
                "Supprimez la supposition si l'espèce est certaine; sinon, écrivez inconnue à la place de l'espèce.",
            ),
        ),
        "unnamed-seeds": FindingKind(
            Check.SEED_REGISTERED,
            Severity.INFO,
            Bilingual(
                "Pictures show seeds of an unknown species: they are imported, and no model learns from them until"
                " somebody names the species.",
                "Des images montrent des semences d'une espèce inconnue : elles sont importées, et aucun modèle"
                " n'apprend d'elles tant que personne n'a nommé l'espèce.",
            ),
            Bilingual(
                "Nothing needs to be done. Who knows the species can write it into the index and send the folder again,"
                " or tell the AI lab.",
                "Aucune action requise. Qui connaît l'espèce peut l'écrire dans l'index et envoyer de nouveau le"
                " dossier, ou la dire au laboratoire d'IA.",
            ),
        ),
        "other-family": FindingKind(
            Check.SEED_REGISTERED,
            Severity.WARNING,
            Bilingual(
                "The seed's family is registered under another name.",
                "La famille de la semence est enregistrée sous un autre nom.",
            ),
            Bilingual(
                "Check that the species is the one that the pictures show. If it is, nothing needs to be done: the"
                " registered family is used.",
                "Vérifiez que l'espèce est bien celle que montrent les images. Si oui, aucune action requise : la"
                " famille enregistrée est utilisée.",
            ),
        ),
        "unregistered-uploader": FindingKind(
            Check.UPLOADER_REGISTERED,
            Severity.ERROR,
            Bilingual("The uploader is not registered.", "La personne qui téléverse n'est pas enregistrée."),
            Bilingual(
                "Ask the AI lab for an upload container.", "Demandez au laboratoire d'IA un conteneur de téléversement."
            ),
            fixed=True,
        ),
        "disabled-uploader": FindingKind(
            Check.UPLOADER_REGISTERED,
            Severity.ERROR,
            Bilingual(
                "The owner of the container is disabled: what they stage is not imported.",
                "Le propriétaire du conteneur est désactivé : ce qu'il y met n'est pas importé.",
            ),
            Bilingual(
                "Ask the AI lab to enable you again; the folder is then imported as it is.",
                "Demandez au laboratoire d'IA de vous réactiver; le dossier est alors importé tel quel.",
            ),
            fixed=True,
        ),
        "not-the-owner": FindingKind(
            Check.UPLOADER_REGISTERED,
            Severity.ERROR,
            Bilingual(
                "The index names another uploader than the owner of the container.",
                "L'index nomme une autre personne que le propriétaire du conteneur.",
            ),
            Bilingual(
                "Upload to your own container, or correct clientEmail.",
                "Téléversez dans votre propre conteneur ou corrigez clientEmail.",
            ),
            fixed=True,
        ),
    }
)

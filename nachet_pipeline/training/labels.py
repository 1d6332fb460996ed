"""From species to class indices and class folders, which no later version of a recipe's training sets changes.

An index once given to a species stays with it; a species that is new gets the next one after all that were ever given,
and an index whose species has no pictures any more is not given to another.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from uuid import UUID

from nachet_pipeline.training.manifest import ManifestClass
from nachet_pipeline.training.recipe import RecipeError

_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Taxon:
    """A species as the registry has it today.

    Attributes:
        id: its identifier, which stays when it is renamed.
        name: its scientific name.
    """

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """An index that an earlier version gave.

    Attributes:
        index: the class index.
        taxon: whom it was given to.
        survivor: the species that it is today: another one if it was merged into that.
    """

    index: int
    taxon: UUID
    survivor: UUID


def class_indices(
    taxa: Sequence[Taxon], *, fixed: Mapping[UUID, int], earlier: Sequence[GivenLabel], recipe: str
) -> dict[UUID, int]:
    """The class index of each species.

    Args:
        taxa: those that are classes, in the order in which new ones are numbered.
        fixed: indices that the recipe's label map gives.
        earlier: indices that earlier versions gave.
        recipe: the recipe's name, for messages.

    Raises:
        RecipeError: the label map gives a species or an index otherwise than an earlier version did.
    """
    given = _surviving(earlier, {taxon.id for taxon in taxa})
    owners = {label.index: label.survivor for label in earlier}
    for identifier, index in fixed.items():
        if given.get(identifier, index) != index or owners.get(index, identifier) != identifier:
            raise RecipeError(
                f"recipe {recipe}: label_map: the index {index} stands against what earlier versions of"
                f" training-{recipe} gave; keep it, or give the recipe another name"
            )
    known = {**given, **fixed}
    following = max([-1, *known.values(), *(label.index for label in earlier)]) + 1
    found: dict[UUID, int] = {}
    for taxon in taxa:
        if taxon.id not in known:
            known[taxon.id] = following
            following += 1
        found[taxon.id] = known[taxon.id]
    return found


def _surviving(earlier: Sequence[GivenLabel], classes: AbstractSet[UUID]) -> dict[UUID, int]:
    """The index of each species today: its own, else the least of those merged into it."""
    # A genus that is not registered is a class again when the one it was merged into has left the registry.
    alone = {one.taxon for one in earlier if one.taxon in classes and one.survivor not in classes}
    found = {one.taxon: one.index for one in reversed(earlier) if one.taxon in alone}
    for label in sorted(earlier, key=lambda one: (one.taxon != one.survivor, one.index)):
        found.setdefault(label.survivor, label.index)
    return found


def class_folder(index: int, name: str, *, most: int) -> str:
    """The name of a class's folder, such as `000 Brassica napus`: sorted by name, folders are sorted by index.

    Args:
        index: the class's index.
        name: the scientific name.
        most: the greatest index of the set, which sets the number of digits.
    """
    plain = "".join(
        "_" if character in '/\\:*?"<>|' or not character.isprintable() else character for character in name
    )
    return f"{index:0{max(_DIGITS, len(str(most)))}} {plain.strip(' .') or 'unnamed'}"


def classes_of(taxa: Sequence[Taxon], indices: Mapping[UUID, int]) -> tuple[ManifestClass, ...]:
    """The classes in the order of their indices."""
    most = max(indices.values(), default=0)
    return tuple(
        ManifestClass(class_folder(index, taxon.name, most=most), index, taxon.name, str(taxon.id))
        for index, taxon in sorted((indices[taxon.id], taxon) for taxon in taxa)
    )

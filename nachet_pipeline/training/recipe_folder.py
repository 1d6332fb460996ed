"""The folder of recipes as schedules and sensors see it: one recipe that cannot be read hides none of the others."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nachet_pipeline.training.recipe import Recipe, RecipeError, read_recipe, recipe_files


@dataclass(frozen=True)
class RecipeFolder:
    """What a folder of recipes holds.

    Attributes:
        recipes: those that can be read, by name.
        unreadable: what is wrong with the others, by name.
    """

    recipes: dict[str, Recipe]
    unreadable: dict[str, str]

    def new(self, known: Collection[str]) -> list[str]:
        """The recipes that are not known yet."""
        return sorted(set(self.recipes) - set(known))

    def gone(self, known: Collection[str]) -> list[str]:
        """What is known and has no file any more; a recipe that cannot be read right now is still there."""
        return sorted(set(known) - set(self.recipes) - set(self.unreadable))

    @property
    def complaint(self) -> str:
        """What is wrong with the recipes that cannot be read, a line each; empty if all can."""
        return "\n".join(self.unreadable.values())


def read_folder(folder: Path) -> RecipeFolder:
    """Read every recipe of a folder.

    Raises:
        RecipeError: the folder cannot be read, or two of its files have one name.
    """
    found = RecipeFolder({}, {})
    for name, file in recipe_files(folder).items():
        try:
            found.recipes[name] = read_recipe(file)
        except RecipeError as error:
            found.unreadable[name] = str(error)
    return found

"""`nachet species`: the registered species, as their files state them; only `diff` asks the database."""

# ruff: noqa: PLC0415 (nothing heavy is imported until a command needs it, so that help answers at once)

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nachet_pipeline.cli.terminal import REFUSED, JsonOption, note, open_services, write, write_json
from nachet_pipeline.settings import Settings

if TYPE_CHECKING:
    from nachet_pipeline.registry.importing import ImportPlan
    from nachet_pipeline.registry.queries import PlannedChanges
    from nachet_pipeline.registry.seeds import Seed, SeedRegistry
    from nachet_pipeline.registry.species_file import Species

app = typer.Typer(no_args_is_help=True, help="The registered species, and the files that they are in.")

SpeciesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--species",
        help="A file of species, or a folder of them, instead of those that NACHET_SPECIES_FILE names; repeatable.",
    ),
]


class RankName(StrEnum):
    """A rank, as an option names it."""

    FAMILY = "family"
    GENUS = "genus"
    SPECIES = "species"
    SUBSPECIES = "subspecies"
    VARIETY = "variety"
    FORM = "form"


RankOption = Annotated[list[RankName] | None, typer.Option("--rank", help="Only taxa of this rank; repeatable.")]
FamilyOption = Annotated[list[str] | None, typer.Option("--family", help="Only taxa of this family; repeatable.")]
GenusOption = Annotated[list[str] | None, typer.Option("--genus", help="Only taxa of this genus; repeatable.")]
ListedOption = Annotated[list[str] | None, typer.Option("--listed-in", help="Only taxa on this list; repeatable.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]

_SHOWN = 20


def read_named(files: Sequence[Path] | None) -> "Species":
    """The registry that an option names, else the setting."""
    from nachet_pipeline.registry.species_file import read_species

    return read_species(_named(files))


def registry_of(files: Sequence[Path] | None) -> "SeedRegistry":
    """The same, for looking up."""
    from nachet_pipeline.registry.seeds import SeedRegistry

    return SeedRegistry.of(read_named(files).seeds)


def _named(files: Sequence[Path] | None) -> tuple[Path, ...]:
    from nachet_pipeline.settings import SpeciesSettings

    if files:
        return SpeciesSettings(species_file=tuple(files)).species_file
    return Settings.from_environment().species.species_file


@app.command("list")
def list_species(
    rank: RankOption = None,
    family: FamilyOption = None,
    genus: GenusOption = None,
    listed_in: ListedOption = None,
    species: SpeciesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the registered species; with --json one line each, with all that is registered of it."""
    number = 0
    for seed in _chosen(read_named(species).seeds, rank, family, genus, listed_in):
        number += 1
        if as_json:
            write_json(_record(seed))
        else:
            write(_line(seed))
    if not as_json:
        note(f"{number} taxa")


@app.command()
def search(
    text: Annotated[list[str], typer.Argument(help="Beginnings of words of a name, or a code of EPPO or GBIF.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Species at most.")] = 20,
    species: SpeciesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Search the registered species by any of their names, which may be misspelt."""
    found = registry_of(species).search(" ".join(text), limit=limit)
    for one in found:
        if as_json:
            write_json({"found": one.name, "usage": one.usage, **_record(one.seed)})
        else:
            write(_line(one.seed, "" if one.usage == "accepted" else one.name))
    if not found:
        note("nothing is registered under such a name")
        raise typer.Exit(REFUSED)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Any name of it, or its identifier.")],
    species: SpeciesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show all that is registered of a species, and where."""
    read = read_named(species)
    seed = _found(read, name)
    entry = next(entry for entry in read.entries if entry.seed.id == seed.id)
    if as_json:
        write_json({**_record(seed), "file": entry.file, "line": entry.line})
        return
    write(seed.full_name)
    for term, value in _shown(seed):
        write(f"  {term}: {value}")
    write(f"  id: {seed.id}", f"  in: {entry.file}:{entry.line}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Scientific name, without authorship; `Avena sp.` is the genus.")],
    family: Annotated[str | None, typer.Option(help="Its family; that of its genus if not given.")] = None,
    authorship: Annotated[str | None, typer.Option(help="Who published the name.")] = None,
    rank: Annotated[RankName | None, typer.Option(help="Its rank; that of the name if not given.")] = None,
    english: Annotated[list[str] | None, typer.Option(help="A vernacular name in English; repeatable.")] = None,
    french: Annotated[list[str] | None, typer.Option(help="A vernacular name in French; repeatable.")] = None,
    synonym: Annotated[list[str] | None, typer.Option(help="Another scientific name; repeatable.")] = None,
    gbif_id: Annotated[int | None, typer.Option(help="Key in the GBIF backbone taxonomy.")] = None,
    eppo_code: Annotated[str | None, typer.Option(help="Code in the EPPO Global Database.")] = None,
    listed_in: Annotated[list[str] | None, typer.Option(help="A list that it is on; repeatable.")] = None,
    species: SpeciesOption = None,
    *,
    dry_run: DryRunOption = False,
) -> None:
    """Add a species to the last file that NACHET_SPECIES_FILE names, after checking the whole registry with it.

    Nothing else in the file changes. The database follows the file by itself.
    """
    from nachet_pipeline.registry.darwin_core import checked, completed
    from nachet_pipeline.registry.editing import file_to_edit, species_before, write_seeds
    from nachet_pipeline.registry.problems import Entry, RegistryError
    from nachet_pipeline.registry.seeds import SeedRegistry, plain

    named = _named(species)
    file = file_to_edit(named)
    stated = {
        "scientificName": name,
        "scientificNameAuthorship": authorship,
        "taxonRank": rank,
        "vernacularNames": {"en": english or [], "fr": french or []},
        "synonyms": synonym,
        "gbifID": gbif_id,
        "eppoCode": eppo_code,
        "listedIn": listed_in,
    }
    terms = completed({term: value for term, value in stated.items() if value})
    registry = SeedRegistry.of(species_before(named, file).seeds)
    of_genus = {plain(one.genus): one.family for one in registry.by_id.values() if one.genus}
    family = family or of_genus.get(plain(terms.get("genus") or ""))
    if (near := registry.nearest(name)) and registry.named(name) is None:
        note(f"this is another species than {near}, which is registered and spelt nearly so")
    found = checked(terms if family is None else {**terms, "family": family}, "", 0)
    if not isinstance(found, Entry):
        raise RegistryError(found)
    write_seeds(named, file, [found.seed], dry_run=dry_run)
    write(_line(found.seed))
    note(f"{'would be written' if dry_run else 'written'} into {file}")


@app.command("import")
def import_checklist(
    checklist: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The checklist.")],
    rank: RankOption = None,
    family: FamilyOption = None,
    genus: GenusOption = None,
    species: SpeciesOption = None,
    *,
    gbif_keys: Annotated[
        bool, typer.Option("--gbif-keys", help="Its taxonID is the key of the GBIF backbone taxonomy.")
    ] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Also give registered species the codes and names that they do not have.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the taxa of a checklist into the last file that NACHET_SPECIES_FILE names.

    A checklist is a Darwin Core archive, a table with Darwin Core's columns, the species list of a download from GBIF,
    or EPPO's pflname.txt. What a registered species says stays. What contradicts the registry is left out, and told.
    """
    from nachet_pipeline.registry.checklists import Wanted, read_checklist
    from nachet_pipeline.registry.editing import file_to_edit, species_before, write_seeds
    from nachet_pipeline.registry.importing import plan_import
    from nachet_pipeline.registry.seeds import RANKS, plain

    named = _named(species)
    file = file_to_edit(named)
    wanted = Wanted(
        frozenset(map(plain, family or ())), frozenset(map(plain, genus or ())), frozenset(rank or RANKS), gbif_keys
    )
    plan = plan_import(species_before(named, file), read_checklist(checklist, wanted), complete=complete)
    if plan.added or plan.completed:
        write_seeds(named, file, plan.added, plan.completed, dry_run=dry_run)
    if as_json:
        write_json(_plan_record(plan))
        return
    write(*_plan_lines(plan))
    note("nothing was written" if dry_run or not (plan.added or plan.completed) else f"written into {file}")


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="A new file; the standard output if not given.")] = None,
    rank: RankOption = None,
    family: FamilyOption = None,
    genus: GenusOption = None,
    listed_in: ListedOption = None,
    species: SpeciesOption = None,
) -> None:
    """Write the registered species as a table of Darwin Core terms: for uploaders, programs, or a file of your own."""
    from nachet_pipeline.registry.darwin_core import table_of

    lines = table_of(_chosen(read_named(species).seeds, rank, family, genus, listed_in))
    if file is None:
        sys.stdout.writelines(lines)
        return
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.writelines(lines)
    except FileExistsError:
        raise typer.BadParameter(f"{file} is there already", param_hint="FILE") from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}", param_hint="FILE") from None
    note(f"written into {file}")


@app.command()
def diff(
    file: Annotated[
        list[Path] | None, typer.Argument(help="Files of species; those that NACHET_SPECIES_FILE names, if not given.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what loading files of species would change in the database: added, renamed, merged, retired; nothing changes.

    Exit code 1: it would lose what pictures show, so it cannot be loaded.
    """
    from nachet_pipeline.registry.upgrade import planned_species

    read = read_named(file)
    with open_services(follow=False) as opened, opened.database.reading() as connection:
        planned = planned_species(connection, read)
    if as_json:
        write_json(_planned_record(planned))
    else:
        write(*_planned_lines(planned))
    if planned.conflicts:
        raise typer.Exit(REFUSED)


def _planned_record(planned: "PlannedChanges") -> dict[str, Any]:
    from dataclasses import asdict

    return {"changes": [asdict(one) for one in planned.changes], "conflicts": planned.conflicts}


def _planned_lines(planned: "PlannedChanges") -> Iterator[str]:
    for one in planned.changes:
        if one.action == "merged":
            yield f"merged: {one.before} into {one.name}, with {one.pictures} pictures"
        elif one.action == "renamed":
            yield f"renamed: {one.before} to {one.name}"
        else:
            yield f"{one.action}: {one.name}"
    for conflict in planned.conflicts:
        yield f"cannot be loaded: {conflict}"
    if not planned.changes and not planned.conflicts:
        yield "nothing would change"


def _plan_record(plan: "ImportPlan") -> dict[str, Any]:
    return {
        "added": [_record(seed) for seed in plan.added],
        "completed": [_record(seed) for _, seed in plan.completed],
        "known": plan.known,
        "skipped": [{"name": name, "why": why} for name, why in plan.skipped],
        "dropped": [{"name": name, "why": why} for name, why in plan.dropped],
    }


def _printable(name: str) -> str:
    """A name of a checklist, which a stranger wrote, without signs that a terminal obeys."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:200])


def _plan_lines(plan: "ImportPlan") -> Iterator[str]:
    yield f"{len(plan.added)} added, {len(plan.completed)} completed, {plan.known} known already"
    for title, lines in (
        ("added", [_line(seed) for seed in plan.added]),
        ("completed", [_line(seed) for _, seed in plan.completed]),
        ("left out", [f"{_printable(name)}: {why}" for name, why in plan.skipped]),
        ("names dropped", [f"{_printable(name)}: {why}" for name, why in plan.dropped]),
    ):
        if lines:
            yield f"{title} ({len(lines)}):"
            yield from (f"  {line}" for line in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"  and {len(lines) - _SHOWN} more; --json has all"


def _found(read: "Species", name: str) -> "Seed":
    from nachet_pipeline.errors import RefusedError
    from nachet_pipeline.registry.seeds import SeedRegistry

    registry = SeedRegistry.of(read.seeds)
    found = registry.with_id(name) or registry.named(name)
    if found is None:
        near = registry.nearest(name) or registry.meant(name)
        raise RefusedError(f"{name[:80]!r} is not registered{f'; did you mean {near}?' if near else ''}")
    return found


def _chosen(
    seeds: Iterable["Seed"],
    ranks: Sequence[str] | None,
    families: Sequence[str] | None,
    genera: Sequence[str] | None,
    lists: Sequence[str] | None,
) -> Iterator["Seed"]:
    from nachet_pipeline.registry.seeds import plain

    family, genus, on = ({plain(name) for name in names or ()} for names in (families, genera, lists))
    for seed in seeds:
        if (
            (not ranks or seed.taxon_rank in ranks)
            and (not family or plain(seed.family) in family)
            and (not genus or plain(seed.genus or "") in genus)
            and (not on or on.intersection(map(plain, seed.listed_in)))
        ):
            yield seed


def _record(seed: "Seed") -> dict[str, Any]:
    return {"id": seed.id, **seed.model_dump(mode="json")}


def _line(seed: "Seed", found: str = "") -> str:
    names = " / ".join((*seed.vernacular_names.en[:1], *seed.vernacular_names.fr[:1]))
    rank = "" if seed.taxon_rank == "species" else seed.taxon_rank
    parts = (seed.full_name, rank, seed.family, names, f"← {found}" if found else "")
    return "  ".join(filter(None, parts))


def _shown(seed: "Seed") -> Iterator[tuple[str, str]]:
    for term, value in seed.model_dump(mode="json", exclude_defaults=True).items():
        if isinstance(value, dict):
            for language, names in value.items():
                if names:
                    yield f"{term} ({language})", ", ".join(names)
        elif term not in {"scientificName", "scientificNameAuthorship"}:
            yield term, ", ".join(value) if isinstance(value, list) else str(value)

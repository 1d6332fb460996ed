"""Taking the taxa of a checklist into a registry: what is added or completed, and what is left out, with reasons."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nachet_pipeline.registry.checklists import ListedTaxon
from nachet_pipeline.registry.darwin_core import checked
from nachet_pipeline.registry.problems import Entry, claims
from nachet_pipeline.registry.seeds import Seed, SeedRegistry, is_name, plain
from nachet_pipeline.registry.species_file import TABLES, Species


@dataclass(slots=True)
class ImportPlan:
    """What importing a checklist does.

    Attributes:
        added: taxa that are new.
        completed: entries, and what they are with what the checklist knows of them.
        known: taxa that the registry has, whether or not they are completed.
        skipped: names of taxa that are left out, with the reason.
        dropped: names of taxa that are added without them, with the reason.
    """

    added: list[Seed] = field(default_factory=list)
    completed: list[tuple[Entry, Seed]] = field(default_factory=list)
    known: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)


def plan_import(species: Species, taxa: Sequence[ListedTaxon], *, complete: bool = False) -> ImportPlan:
    """Plan how a checklist is taken into a registry, which stays free of contradictions.

    An entry that is there keeps all that it says. A synonym or vernacular name that means another taxon is dropped; a
    taxon whose own name or code another one has is left out.

    Args:
        species: the registry.
        taxa: those of the checklist.
        complete: whether entries get the authorship, codes and names that they do not have.
    """
    return _Import(species, complete=complete).run(taxa)


class _Import:
    """An import that is being planned."""

    def __init__(self, species: Species, *, complete: bool) -> None:
        self.plan = ImportPlan()
        self.complete = complete
        self.registry = SeedRegistry.of(species.seeds)
        self.entries = {entry.seed.id: entry for entry in species.entries}
        self.families = {plain(seed.genus): seed.family for seed in species.seeds if seed.genus}
        self.taken: dict[tuple[str, str], Seed] = {}
        self.vernacular: dict[str, Seed] = {}
        self.codes: dict[int | str | None, Seed] = {}
        self.shared: set[str] = set()
        for seed in species.seeds:
            self._claim(seed)
            self.codes |= {code: seed for code in (seed.gbif_id, seed.eppo_code) if code}

    def run(self, taxa: Sequence[ListedTaxon]) -> ImportPlan:
        listed = [taxon.seed_terms() for taxon in taxa]
        claimed = Counter(plain(name) for terms in listed for name in terms.get("synonyms", ()))
        self.shared = {name for name, taxa_of in claimed.items() if taxa_of > 1}
        new: list[tuple[dict[str, Any], Seed]] = []
        registered: list[tuple[dict[str, Any], Seed]] = []
        for terms in listed:
            known = self._known(terms)
            if known:
                registered.append((terms, known))
                continue
            bare = self._bare(terms)
            if bare:
                self._claim(bare)
                new.append((terms, bare))
        # Their names come after all own names: what is a species here may be called a synonym by another one.
        self.plan.known = len(registered)
        for terms, known in registered if self.complete else ():
            self._complete(known, terms)
        for terms, bare in new:
            self.plan.added.append(self._with_names(bare, terms))
        return self.plan

    def _known(self, terms: Mapping[str, Any]) -> Seed | None:
        by_code = self.codes.get(terms.get("gbifID")) or self.codes.get(terms.get("eppoCode"))
        if by_code:
            return by_code
        known = self.registry.names.get(plain(terms["scientificName"]))
        return known.seed if known and known.usage == "accepted" else None

    def _bare(self, terms: dict[str, Any]) -> Seed | None:
        """A new taxon without its other names; what is in its way is noted."""
        name = terms["scientificName"]
        terms.setdefault("family", self.families.get(plain(terms.get("genus", ""))))
        if not terms["family"]:
            self.plan.skipped.append((name, "no family is stated, and no other taxon of its genus is registered"))
            return None
        own = {term: value for term, value in terms.items() if term not in {"synonyms", "vernacularNames"} and value}
        found = checked(own, "", 0)
        if not isinstance(found, Entry):
            self.plan.skipped.append((name, "; ".join(map(str, found))))
            return None
        seed = found.seed
        for kind, compared, _field, shown in claims(seed):
            if other := self.taken.get((kind, compared)):
                self.plan.skipped.append((name, f"{shown} is taken by {other.scientific_name}"))
                return None
        if other := self.vernacular.get(plain(name)):
            self.plan.skipped.append((name, f"it is a vernacular name of {other.scientific_name}"))
            return None
        if seed.genus:
            self.families.setdefault(plain(seed.genus), seed.family)
        return seed

    def _complete(self, seed: Seed, terms: Mapping[str, Any]) -> None:
        changes = {}
        for term in ("scientificNameAuthorship", "gbifID", "eppoCode"):
            value = terms.get(term)
            owner = self.codes.get(value)
            # Of a name that the entry does not have, its author is another one.
            if term == "scientificNameAuthorship" and plain(terms["scientificName"]) != plain(seed.scientific_name):
                continue
            if value and getattr(seed, _FIELDS[term]) is None and owner in {None, seed}:
                changes[_FIELDS[term]] = value
        entry = self.entries[seed.id]
        found = checked({**seed.model_dump(by_alias=False), **changes}, "", 0)
        better = self._with_names(found.seed if isinstance(found, Entry) else seed, terms)
        if better == seed:
            return
        if Path(entry.file).suffix.lower() in TABLES:
            self._claim(better)
            self.plan.completed.append((entry, better))
        else:
            self.plan.skipped.append((seed.scientific_name, f"{entry.file} is no table, so it is completed by hand"))

    def _with_names(self, seed: Seed, terms: Mapping[str, Any]) -> Seed:
        """A taxon with the names of a checklist that mean no other."""
        synonyms = [*seed.synonyms, *self._free(seed, terms.get("synonyms", ()), seed.synonyms)]
        names = {}
        for language, stated in seed.vernacular_names.model_dump().items():
            more = self._free(seed, terms.get("vernacularNames", {}).get(language, ()), stated, vernacular=True)
            names[language] = (*stated, *more)
        better = seed.model_copy(
            update={
                "synonyms": tuple(synonyms),
                "vernacular_names": seed.vernacular_names.model_copy(update=names),
            }
        )
        self._claim(better)
        return better

    def _free(
        self, seed: Seed, names: Sequence[str], stated: Sequence[str], *, vernacular: bool = False
    ) -> Iterator[str]:
        """The names that can be given to a seed, each once."""
        seen = {plain(one) for one in (seed.scientific_name, *seed.misspellings, *stated)}
        for name in names:
            compared = plain(name)
            other = self.taken.get(("name", compared)) or (None if vernacular else self.vernacular.get(compared))
            if compared in seen or other is seed:
                continue
            seen.add(compared)
            if not is_name(name):
                self.plan.dropped.append((name, f"no name of {seed.scientific_name}: it has signs that no name has"))
            elif not vernacular and compared in self.shared:
                said = f"no name of {seed.scientific_name}: several taxa of the checklist have it"
                self.plan.dropped.append((name, said))
            elif other and other.id != seed.id:
                self.plan.dropped.append((name, f"no name of {seed.scientific_name}: {other.scientific_name} has it"))
            else:
                if not vernacular:
                    self.taken["name", compared] = seed
                yield name.strip()

    def _claim(self, seed: Seed) -> None:
        for kind, compared, _field, _shown in claims(seed):
            self.taken.setdefault((kind, compared), seed)
        for name in (*seed.vernacular_names.en, *seed.vernacular_names.fr):
            self.vernacular.setdefault(plain(name), seed)


_FIELDS = {"scientificNameAuthorship": "scientific_name_authorship", "gbifID": "gbif_id", "eppoCode": "eppo_code"}

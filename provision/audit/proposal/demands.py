"""What a release demands and the index cannot give: source archives, Pythons without wheels, idle constraints. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from provision.audit.proposal.material import Material
from provision.audit.proposal.values import Tables


@dataclass(frozen=True)
class Demands:
    """What follows from the requirements of a release.

    Attributes:
        pythons: CPython series on which they can be met.
        source_only: entries of ``source_only``.
        faults: entries of ``faults``.
        idle: constraints that the release states itself.
        notes: what a person has to decide.
    """

    pythons: tuple[str, ...]
    source_only: tuple[str, ...]
    faults: tuple[str, ...]
    idle: frozenset[str]
    notes: tuple[str, ...]


def demands_of(material: Material, tables: Tables, extra: Iterable[str]) -> Demands:
    """Return what follows from the requirements of a release and from those that nothing on the index meets."""
    pythons = material.release.pythons()
    metadata = material.facts.metadata
    extra = tuple(extra)
    sources: list[str] = []
    before = str(material.tables["releases"][material.near.requirement].get("source_only", "")).split()
    faults: list[str] = []
    notes: list[str] = []
    for text in metadata.requires_dist if metadata else ():
        if set(material.unmet.get(text, ())) >= set(pythons):
            source = _source(text, tables)
            sources += [source] if source else []
            notes += [] if source else [f"no wheel meets {text} on any Python: add a source_only entry with its sha256"]
    for python, texts in material.without.items():
        faults.append(_without_wheels(material, tables, python, [Requirement(text).name for text in texts]))
    unmet = [text for text in extra if material.unmet.get(text)]
    if unmet:
        faults.append(_unresolvable(material, tables, unmet))
    return Demands(
        material.pythons,
        tuple(sorted(sources, key=lambda name: (before.index(name) if name in before else len(before), name))),
        tuple(faults),
        frozenset(_idle(tables, metadata.requires_dist if metadata else ())),
        tuple(notes),
    )


def _source(text: str, tables: Tables) -> str:
    demand = Requirement(text)
    for name, entry in tables.known.get("source_only", {}).items():
        if canonicalize_name(entry["name"]) == canonicalize_name(demand.name) and demand.specifier.contains(
            entry["version"]
        ):
            return str(name)
    return ""


def _without_wheels(material: Material, tables: Tables, python: str, names: list[str]) -> str:
    code, listed = f"python-{python}-without-wheels", ", ".join(names)
    for name, entry in tables.known.get("faults", {}).items():
        if entry["code"] == code and all(item in entry["what"] for item in names):
            return str(name)
    evidence = {
        "kind": "vendor",
        "source": f"file lists of {listed} on the package index",
        "date": material.today,
        "how": f"no wheel for Python {python} meets what {material.requirement} demands",
    }
    entry = {
        "code": code,
        "what": f"it has a wheel for Python {python}, but demands {listed}, which has none for it",
        "handled": f"Python {python} is not offered for it",
        "evidence": tables.add("evidence", evidence, f"{names[0]}-python-{python}"),
    }
    return tables.add("faults", entry, f"{names[0]}-python-{python}")


def _unresolvable(material: Material, tables: Tables, unmet: list[str]) -> str:
    version = material.release.version
    minor = ".".join(version.split(".")[:2])
    for name in (f"extra-{version}", f"extra-{minor}"):
        if name in tables.known.get("faults", {}):
            return name
    listed = ", ".join(unmet)
    evidence = {
        "kind": "artifact",
        "source": f"{material.requirement.replace('==', '-')} wheels",
        "date": material.today,
        "how": f"the extra and-cuda wants {listed}; the index has no wheel that meets it",
    }
    entry = {
        "code": "and-cuda-unresolvable",
        "what": f"its extra and-cuda demands {listed}, which does not resolve",
        "handled": "the extra is not used: the NVIDIA wheels are pinned one by one",
        "evidence": tables.add("evidence", evidence, f"extra-{version}"),
    }
    return tables.add("faults", entry, f"extra-{version}")


def _legible(requires: Iterable[str]) -> Iterable[Requirement]:
    for text in requires:
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(text)


def _idle(tables: Tables, requires: Iterable[str]) -> Iterable[str]:
    """Yield the constraints that the wheel makes needless: it forbids itself what they forbid."""
    said = list(_legible(requires))
    for name, entry in tables.known.get("constraints", {}).items():
        bound = Requirement(entry["requirement"])
        first = [spec.version for spec in bound.specifier if spec.operator == "<"]
        own = [demand for demand in said if canonicalize_name(demand.name) == canonicalize_name(bound.name)]
        if any(not demand.specifier.contains(version) for demand in own for version in first):
            yield str(name)

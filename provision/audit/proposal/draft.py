"""A row for a release that the matrix does not know, out of what was read of its wheel. Pure.

What no artifact can say is taken over from the nearest release, and the evidence of the row says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from provision.audit.claims.cpu import highest
from provision.audit.contents.search import search
from provision.audit.proposal.claims import Origins, claims_name
from provision.audit.proposal.demands import Demands, demands_of
from provision.audit.proposal.material import Material
from provision.audit.proposal.sets import NewSet, Serving, Wanted, new_set, serving
from provision.audit.proposal.values import (
    AND_CUDA,
    Tables,
    code_name,
    configured,
    gate_name,
    gate_of,
    optional_name,
    optional_of,
    search_name,
    versions_of,
)
from provision.errors import InvalidFileError
from provision.model.artifact import Artifact
from provision.model.matrix import LibrarySet
from provision.model.versions import CudaVersion, CudnnVersion
from provision.model.wheel import FrameworkFacts, MetadataFacts, NameFacts

_COUNTED = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_SEARCH_FAULT = "search-path"


@dataclass(frozen=True)
class Draft:
    """A row: its values, the entries that it needs besides, and what a person should know."""

    key: str
    values: Mapping[str, Any]
    added: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def draft(material: Material) -> Draft:
    """Return the row of a release.

    Raises:
        InvalidFileError: code ``no-cuda-build`` or ``gate-unread``: nothing of it can be a row.
    """
    return _Draft(material).row()


class _Draft:
    """One row in the making: what is added to the tables, where values come from, what a person should know."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._metadata, self._framework = _legible(material)
        self._version, self._near = material.release.version, material.near
        self._minor = ".".join(map(str, Version(self._version).release[:2]))
        self._tables = Tables(material.tables)
        self._named: Mapping[str, str] = material.tables["releases"][self._near.requirement]
        self._origins = Origins(self._near, self._minor == self._near.release.minor_series, material.today)
        self._extra = self._metadata.extras.get(AND_CUDA, ())
        self._notes: list[str] = []

    def row(self) -> Draft:
        """Return it."""
        material, tables, framework = self._material, self._tables, self._framework
        shelf = {name for item in material.resolved if item.names for name in item.names.libraries}
        if not shelf:
            shelf = {name for item in material.matrix.sets.values() for pin in item.pins for name in pin.libraries}
        gate = gate_of(framework, shelf)
        self._alternatives(gate)
        optional, left_out = optional_of(framework, self._installed())
        self._notes += left_out
        cuda, cudnn = self._versions(gate)
        wanted = Wanted(Version(self._version), cuda, cudnn, gate, optional, self._extra)
        found = serving(wanted, material.matrix.sets.values(), material.tables.get("aliases", {}))
        sets = self._sets(found, {*gate, *(name for names in optional.values() for name in names)})
        demands = demands_of(material, tables, self._extra)
        self._notes += demands.notes
        artifact = material.facts.artifact
        days = [item.uploaded for item in material.release.linux() if item.uploaded]
        if not days:
            self._notes.append(f"the index does not say when it was uploaded: {material.today} is today")
        values: dict[str, Any] = {
            "released": min(days, default=material.today),
            "pythons": " ".join(demands.pythons),
            "platform": ".".join(artifact.platforms),
            "glibc": artifact.glibc,
            "cpu": " ".join(self._cpu()),
            "cuda": cuda.text,
            "cudnn": cudnn.text,
            "gate": gate_name(tables, gate, str(cudnn.major)),
            "optional": optional_name(tables, optional) if optional else "",
            "code": self._code(),
            "search": search_name(tables, framework, self._version),
            "aliases": found.alias,
            "xla_finds_wheels": "yes" if self._xla() else "no",
            "constraints": " ".join(self._constraints(demands)),
            "source_only": " ".join(demands.source_only),
            "faults": " ".join(sorted((*demands.faults, *self._search_faults(found.wheels), *self._reported()))),
            "sets": " ".join(sets),
            "conda": " ".join(item.ident for item in found.conda),
            "wheel": artifact.filename,
            "sha256": artifact.sha256,
        }
        values = {key: value for key, value in values.items() if value}
        values["claims"] = claims_name(tables, self._origins, values, self._named, self._version)
        self._notes += _oddities(material, artifact)
        return Draft(material.requirement, values, tables.added, tuple(dict.fromkeys(self._notes)))

    def _installed(self) -> Mapping[str, NameFacts]:
        wheels = self._material.resolved
        return {f"{item.artifact.distribution}=={item.artifact.version}": item.names for item in wheels if item.names}

    def _alternatives(self, gate: tuple[str, ...]) -> None:
        several = [names for names in self._framework.gate_choices if len(names) > 1]
        if several:
            rest = " ".join(name for names in several for name in names if name not in gate)
            self._notes.append(f"where the first is not there it opens another generation ({rest}): the row names one")

    def _versions(self, gate: tuple[str, ...]) -> tuple[CudaVersion, CudnnVersion]:
        near, notes = self._near, self._notes
        cuda, cuda_by, cudnn, cudnn_by = versions_of(self._metadata, gate)
        if cuda is None:
            notes.append(f"nothing in it names its CUDA version: {near.cuda} is that of {near.requirement}")
        elif cuda_by == "wheel-metadata":
            notes.append(f"its build_info names no CUDA version: {cuda} is the oldest that its extra admits")
        if cudnn is None:
            notes.append(
                f"nothing in it names the minor version of its cuDNN: {near.cudnn} is that of {near.requirement}"
            )
        self._origins.say("build", cuda_by)
        self._origins.say("cudnn", cudnn_by)
        return cuda or near.cuda, cudnn or near.cudnn

    def _sets(self, found: Serving, asked: Collection[str]) -> tuple[str, ...]:
        """Return the names of the sets that serve it; where there is none, those of new ones."""
        if self._extra:
            self._origins.say("sets", "wheel-metadata")
        self._notes += [
            f"set {item.ident} would serve it too, and no further GPU: whether it is better, only a machine says"
            for item in found.idle
        ]
        if found.wheels:
            return tuple(item.ident for item in found.wheels)
        material = self._material
        made = [
            new_set(wheels, material.tables["wheels"], material.matrix.sets.values(), asked)
            for wheels in (material.resolved, material.oldest)
        ]
        names: list[str] = []
        for new, end in zip(made, ("resolved to", "admits at least"), strict=True):
            if new is not None and (not names or new.adds_gpus(made[0])):
                names.append(self._add_set(new, end))
        return tuple(names)

    def _add_set(self, new: NewSet, end: str) -> str:
        material, tables = self._material, self._tables
        like = f"the code inside was not read and is that of {new.like.ident}" if new.like else "the code was not read"
        for name, shelf in new.wheels.items():
            tables.added.setdefault("wheels", {})[name] = {**shelf, "evidence": "nvidia-wheels"}
        evidence = {
            "kind": "derived",
            "source": f"{AND_CUDA} of {material.requirement}, and the file lists of the wheels that it {end}",
            "date": material.today,
            "how": f"proposed by audit; {like}",
        }
        cited = tables.add("evidence", evidence, f"set-{new.name}")
        note = f"what the extra {AND_CUDA} of {self._version} {end} on {material.today}"
        name = tables.add("sets", {**new.entry, "evidence": cited, "note": note}, new.name)
        self._notes.append(f"no set of the matrix serves it: {name} is new, {like} (`audit wheel --deep` reads it)")
        return name

    def _unfound(self, sets: Sequence[LibrarySet]) -> Mapping[str, str]:
        """Return SONAME to path of what the release does not find, of what its extra brings or of the set it has."""
        found = self._material.facts.search
        if found is not None and found.unfound:
            return found.unfound
        if not self._extra or not sets:
            return {}
        pins = {pin.requirement: NameFacts(0, 0, pin.libraries) for pin in sets[0].pins}
        return search(self._framework, pins).unfound

    def _search_faults(self, sets: Sequence[LibrarySet]) -> Iterable[str]:
        """Yield the fault of a framework library that does not look where pip puts what it opens."""
        missing = self._unfound(sets)
        if not missing:
            return
        name, one = f"search-path-{self._version}", len(missing) == 1
        if name in self._material.tables.get("faults", {}):
            yield name
            return
        folders = ", ".join(sorted({path.rpartition("/")[0] for path in missing.values()}))
        evidence = {
            "kind": "artifact",
            "source": f"{self._material.requirement.replace('==', '-')} wheels",
            "date": self._material.today,
            "how": f"the search path of libtensorflow_framework lacks {folders}; with the extra installed no GPU is "
            "registered",
        }
        lacks = (
            f"{next(iter(missing))}: no GPU is registered"
            if one
            else f"the CUDA libraries: {_COUNTED.get(len(missing), len(missing))} of them are not found and no GPU is "
            "registered"
        )
        entry = {
            "code": _SEARCH_FAULT,
            "what": f"its framework library does not look where pip puts {lacks}",
            "handled": f"{'a link to the library is' if one else 'links to the libraries are'} put on its search path",
            **({"avoid": "yes"} if self._mended() else {}),
            "evidence": self._tables.add("evidence", evidence, name),
        }
        yield self._tables.add("faults", entry, name)

    def _mended(self) -> bool:
        """Whether a later patch of the minor finds its libraries."""
        rows = [row for row in self._material.matrix.rows if row.release.minor_series == self._minor]
        later = [row for row in rows if row.release.release > Version(self._version)]
        return any(all(fault.code != _SEARCH_FAULT for fault in row.faults) for row in later)

    def _reported(self) -> Iterable[str]:
        """Yield the reported faults of the nearest release of the same minor; those of another one are only noted."""
        for name in self._named.get("faults", "").split():
            code = self._material.tables["faults"][name]["code"]
            if code in {_SEARCH_FAULT, "and-cuda-unresolvable"} or code.endswith("-without-wheels"):
                continue
            if self._origins.same_minor:
                yield name
            else:
                who = self._near.requirement
                self._notes.append(f"{who} has the fault {name}, which no wheel shows: does this release have it?")

    def _code(self) -> str:
        if self._material.facts.code is not None:
            self._origins.say("arch", "wheel-fatbins")
            return code_name(self._tables, self._material.facts.code, self._minor)
        said = configured(self._metadata)
        known = self._tables.known["code"][self._named["code"]]
        if said is None or said == (known["sass"], known.get("ptx", "")):
            same = "build_info names the same targets; " if said else ""
            self._notes.append(
                f"the code inside was not read and is that of {self._near.requirement}: {same}--deep reads it"
            )
            return self._named["code"]
        self._origins.say("arch", "wheel-build-info")
        self._notes.append("the code inside is what build_info names; which kernels are PTX alone, --deep reads")
        entry = {"sass": said[0], **({"ptx": said[1]} if said[1] else {})}
        return self._tables.name("code", entry, f"tensorflow-{self._minor}")

    def _cpu(self) -> tuple[str, ...]:
        guard, near = self._material.facts.guard, self._near
        if guard is None:
            return near.cpu_features
        if guard.features is None:
            self._notes.append(f"what it needs of the CPU is that of {near.requirement}: {guard.why}")
            return near.cpu_features
        self._origins.say("cpu", "wheel-guard")
        return highest(guard.features)

    def _xla(self) -> bool:
        if self._material.xla is None:
            return self._near.xla_finds_wheels
        self._origins.say("xla", "wheel-strings")
        return self._material.xla

    def _constraints(self, demands: Demands) -> tuple[str, ...]:
        if self._material.constraints is not None:
            self._origins.say("constraints", "import-today")
            self._origins.say("import", "import-today")
            return self._material.constraints
        return tuple(name for name in self._named.get("constraints", "").split() if name not in demands.idle)


def _legible(material: Material) -> tuple[MetadataFacts, FrameworkFacts]:
    facts, name = material.facts, material.requirement
    if facts.metadata is None or facts.framework is None or facts.metadata.cuda_build is False:
        raise InvalidFileError(
            f"{name} is no CUDA build of TensorFlow",
            code="no-cuda-build",
            why=("a row of the matrix is about a build with CUDA",),
            hint=f"`tfgpu-provision audit wheel {name}` shows what it is",
        )
    if facts.framework.gate is None:
        why = tuple(f"{item.what}: {item.why}" for item in facts.unread)
        raise InvalidFileError(f"what {name} opens could not be read", code="gate-unread", why=why)
    return facts.metadata, facts.framework


def _oddities(material: Material, artifact: Artifact) -> Iterable[str]:
    platforms = sorted({".".join(item.platforms) for item in material.release.linux()})
    if len(platforms) > 1:
        yield f"its wheels have several platforms: {', '.join(platforms)}"
    if artifact.yanked:
        yield "the index says that it was withdrawn"
    framework = material.facts.framework
    needed = framework.dynamic.glibc if framework else ""
    if needed and artifact.glibc and Version(needed) > Version(artifact.glibc):
        yield f"it really needs glibc {needed}, more than its tag says"
    absent = material.facts.search.absent if material.facts.search else ()
    if absent:
        yield f"no wheel of its extra has {' '.join(absent)}"

"""Checked values → the typed matrix; what only shows when tables are laid side by side is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provision.matrix.conda import conda_pins
from provision.matrix.reader import Entry
from provision.matrix.shape import RELEASE_KEY
from provision.matrix.tree import Problems
from provision.model.facts import Evidence
from provision.model.matrix import (
    Constraint,
    CudaFamily,
    DriverBranch,
    Fault,
    GpuGeneration,
    LibrarySet,
    Matrix,
    PtxModules,
    Row,
    SearchPath,
    SourceOnly,
    Unserved,
    WheelPin,
)
from provision.model.measurement import Measurement
from provision.model.versions import TfVersion

CLAIMS = (
    "python",
    "build",
    "cudnn",
    "cpu",
    "gate",
    "optional",
    "arch",
    "search",
    "xla",
    "constraints",
    "sets",
    "conda",
)
"""Claim groups of a row; each needs its evidence."""
_WHERE_CLAIMED = ("optional", "constraints", "sets", "conda")
"""Those that need it only where the row has the key."""
FIRST_COMPATIBLE_MAJOR = 11
"""From CUDA 11 on libraries of a later minor serve a build; before, SONAMEs and drivers go with the toolkit."""

_RELEASE = re.compile(RELEASE_KEY, re.ASCII)


class Builder:
    """Builds one matrix from the values of its file."""

    def __init__(self, root: Entry, problems: Problems) -> None:
        self._root = root
        self._problems = problems
        self._evidence = {
            name: Evidence(name, entry["kind"], entry["source"], entry["date"], entry.get("how", ""))
            for name, entry in root["evidence"].items()
        }

    def matrix(self, path: str, digest: str) -> Matrix | None:
        """Return the whole matrix, or None where anything in the file is wrong."""
        sets = {name: self._set(name, entry) for name, entry in self._root["sets"].items()}
        rows = [self._row(key, entry, sets) for key, entry in self._root["releases"].items()]
        measured = self._measurements()
        found = [replace(row, measurements=measured.get(row.requirement, ())) for row in rows if row is not None]
        self._check_measurements(found)
        self._no_release_twice(found)
        unserved = tuple(self._unserved(name, entry) for name, entry in self._root["unserved"].items())
        if self._problems:
            return None
        isa = self._root["ptx_isa"]
        return Matrix(
            path=path,
            digest=digest,
            rows=tuple(sorted(found, key=lambda row: (row.release.release, row.distribution))),
            sets=sets,
            families={
                major: CudaFamily(major, entry["linux"], entry["windows"], self._cited(entry))
                for major, entry in self._root["cuda_families"].items()
            },
            toolkits={
                cuda: CudaFamily(cuda.major, entry["linux"], entry["windows"], self._cited(entry), toolkit=cuda)
                for cuda, entry in self._root.get("cuda_toolkits", {}).items()
            },
            branches=tuple(
                DriverBranch(branch, entry["cuda"], entry.get("windows"), self._cited(entry))
                for branch, entry in sorted(self._root["driver_branches"].items())
            ),
            ptx_isa=dict(isa["cuda"]),
            ptx_isa_evidence=self._cited(isa),
            generations={
                capability: GpuGeneration(
                    capability,
                    entry["architecture"],
                    entry.get("first_cuda"),
                    entry.get("last_cuda"),
                    entry.get("first_branch"),
                    entry.get("last_branch"),
                    self._cited(entry),
                )
                for capability, entry in self._root["gpus"].items()
            },
            unserved=unserved,
        )

    def _cited(self, entry: Mapping[str, Any]) -> Evidence:
        return self._evidence[entry["evidence"]]

    def _set(self, name: str, entry: Entry) -> LibrarySet:
        where = f"sets.{name}"
        first, last = entry["gpus"][0], entry["gpus"][-1] if len(entry["gpus"]) > 1 else None
        if last is not None and last < first:
            self._problems.add(entry.lines["gpus"], f"{where}.gpus: {last} is older than {first}")
        pins = [self._pin(where, pin, version, entry) for pin, version in entry.get("pins", {}).items()]
        self._one_kind(where, entry)
        return LibrarySet(
            ident=name,
            cuda=entry["cuda"],
            cudnn=entry["cudnn"],
            pins=tuple(pin for pin in pins if pin is not None),
            sass=entry.get("sass", ()),
            ptx=entry.get("ptx", ()),
            first_cc=first,
            last_cc=last,
            ptxas=entry.get("ptxas"),
            libdevice=entry.get("libdevice"),
            evidence=self._cited(entry),
            note=entry.get("note", ""),
            conda=conda_pins(where, entry, self._root.get("conda_packages") or Entry(0), self._problems),
            channel=entry.get("channel", ""),
            glibc=entry.get("glibc"),
        )

    def _one_kind(self, where: str, entry: Entry) -> None:
        """Note a set that is neither of wheels alone nor of conda packages alone."""
        if entry.keys() >= {"pins"} and not entry.keys() & {"conda", "channel", "glibc"}:
            missing = {"sass", "ptx"} - entry.keys()
        else:
            missing = {"conda", "channel"} - entry.keys()
            if "pins" in entry:
                message = f"{where}: pins are of wheels, conda, channel and glibc of conda packages: one or the other"
                self._problems.add(entry.lines["pins"], message)
        for key in sorted(missing):
            self._problems.add(entry.line, f"{where}: {key} is missing")

    def _pin(self, where: str, name: str, version: str, entry: Entry) -> WheelPin | None:
        wheels = self._root["wheels"]
        major = version.split(".", maxsplit=1)[0]
        wheel = wheels.get(f"{name} {major}") or wheels.get(name)
        if wheel is None and not {name, f"{name} {major}"} & wheels.lines.keys():
            line = entry["pins"].lines[name]
            self._problems.add(line, f"{where}.pins: wheels has no entry for {name} (or {name} {major})")
        if wheel is None:
            return None
        return WheelPin(name, version, {soname: f"{wheel['folder']}/{soname}" for soname in wheel["libraries"]})

    def _row(self, key: str, entry: Entry, sets: Mapping[str, LibrarySet]) -> Row | None:
        where, line = f"releases.{key}", self._root["releases"].lines[key]
        named = _RELEASE.fullmatch(key)
        try:
            release = TfVersion(named["release"] if named else "")
        except ValueError:
            self._problems.add(line, f"{where}: not a version: {key}")
            return None
        code = self._root["code"][entry["code"]]
        search = self._root["search_paths"][entry["search"]]
        row = Row(
            release=release,
            distribution=named["distribution"] if named else "",
            released=entry["released"],
            pythons=entry["pythons"],
            platform=entry["platform"],
            glibc=entry["glibc"],
            cpu_features=entry["cpu"],
            cuda=entry["cuda"],
            cudnn=entry["cudnn"],
            gate=self._root["gates"][entry["gate"]],
            optional=dict(self._root["optional"][entry["optional"]]) if "optional" in entry else {},
            sass=code["sass"],
            ptx=code.get("ptx", ()),
            ptx_modules=tuple(_modules(item) for item in code.get("modules", ())),
            search=SearchPath(search["kind"], search["origin"], search.get("nvidia", ())),
            aliases=dict(self._root["aliases"][entry["aliases"]]) if "aliases" in entry else {},
            xla_finds_wheels=entry["xla_finds_wheels"],
            constraints=tuple(self._constraint(name) for name in entry.get("constraints", ())),
            source_only=tuple(self._source_only(name) for name in entry.get("source_only", ())),
            faults=tuple(self._fault(name) for name in entry.get("faults", ())),
            sets=tuple(sets[name] for name in entry.get("sets", ())),
            conda_sets=tuple(sets[name] for name in entry.get("conda", ())),
            evidence=self._claims(where, entry),
            line=line,
            wheel=entry["wheel"],
            wheel_sha256=entry["sha256"],
        )
        self._check_row(where, row, entry)
        return row

    def _claims(self, where: str, entry: Entry) -> dict[str, Evidence]:
        """Return claim group → evidence; ``{wheel}`` in a source stands for the wheel of the row that was opened."""
        named = self._root["claims"][entry["claims"]]
        for group in CLAIMS:
            if group not in named and (group not in _WHERE_CLAIMED or group in entry):
                self._problems.add(entry.lines["claims"], f"{where}: no evidence for its claim {group}")
        found = {group: self._evidence[name] for group, name in named.items()}
        return {
            group: replace(evidence, source=evidence.source.replace("{wheel}", entry["wheel"]))
            if "{wheel}" in evidence.source
            else evidence
            for group, evidence in found.items()
        }

    def _check_row(self, where: str, row: Row, entry: Entry) -> None:
        if row.pythons != tuple(sorted(row.pythons)):
            self._problems.add(entry.lines["pythons"], f"{where}.pythons: oldest first")
        expected = f"{row.distribution.replace('-', '_')}-{row.release}-"
        if not entry["wheel"].startswith(expected) or row.platform.split(".")[0] not in entry["wheel"]:
            self._problems.add(entry.lines["wheel"], f"{where}.wheel: not a wheel of this release and platform")
        if not row.sets and not row.conda_sets:
            self._problems.add(row.line, f"{where}: neither sets nor conda: nothing serves it")
        for key, found in (("sets", row.sets), ("conda", row.conda_sets)):
            for library_set in found:
                self._check_set(where, row, library_set, entry.lines[key], key)

    def _check_set(self, where: str, row: Row, library_set: LibrarySet, line: int, key: str) -> None:
        """Note what keeps a set from serving a row."""
        named = f"set {library_set.ident}"
        if (key == "conda") != bool(library_set.conda):
            kind = "wheels" if key == "conda" else "conda packages"
            self._problems.add(line, f"{where}.{key}: {named} is one of {kind}")
        for soname in row.gate:
            if library_set.provider(soname) is None and library_set.provider(row.aliases.get(soname, "")) is None:
                kind = "package" if library_set.conda else "wheel"
                self._problems.add(line, f"{where}: {named} has no {kind} with {soname}, nor with an alias of it")
        if library_set.cudnn.major != row.cudnn.major or library_set.cudnn < row.cudnn:
            message = f"{where}: cuDNN {library_set.cudnn} of {named} cannot serve a build with"
            self._problems.add(line, f"{message} cuDNN {row.cudnn} (same major, minor not lower)")
        if library_set.cuda.major != row.cuda.major or library_set.cuda < row.cuda:
            message = f"{where}: CUDA {library_set.cuda} of {named} cannot serve a build with"
            self._problems.add(line, f"{message} CUDA {row.cuda} (same major, not older)")
        elif row.cuda.major < FIRST_COMPATIBLE_MAJOR and library_set.cuda != row.cuda:
            message = f"{where}: CUDA {library_set.cuda} of {named} cannot serve a build with"
            self._problems.add(line, f"{message} CUDA {row.cuda} (before CUDA 11 the toolkit must be the same)")

    def _measurements(self) -> dict[str, tuple[Measurement, ...]]:
        """Return requirement of a release → what was measured of it, oldest first."""
        found: dict[str, list[Measurement]] = {}
        for ident, entry in (self._root.get("receipts") or {}).items():
            known = {key: value for key, value in entry.items() if key not in {"release", "set"}}
            found.setdefault(entry["release"], []).append(Measurement(ident, entry["set"], **known))
        return {
            release: tuple(sorted(items, key=lambda item: (item.date, item.ident))) for release, items in found.items()
        }

    def _check_measurements(self, rows: list[Row]) -> None:
        """Note a receipt of a set that serves its release no more: what was measured then is nothing anybody gets."""
        for row in rows:
            served = {library_set.ident for library_set in (*row.sets, *row.conda_sets)}
            for item in row.measurements:
                if item.library_set not in served:
                    line = self._root["receipts"].lines[item.ident]
                    self._problems.add(
                        line, f"receipts.{item.ident}: {item.library_set} is no set of {row.requirement}"
                    )

    def _no_release_twice(self, rows: list[Row]) -> None:
        seen: dict[tuple[str, TfVersion], Row] = {}
        for row in rows:
            first = seen.setdefault((row.distribution, row.release), row)
            if first is not row:
                message = f"releases: {row.requirement} is the release of line {first.line} again"
                self._problems.add(row.line, message)

    def _constraint(self, name: str) -> Constraint:
        entry = self._root["constraints"][name]
        return Constraint(entry["requirement"], entry["why"], self._cited(entry))

    def _source_only(self, name: str) -> SourceOnly:
        entry = self._root["source_only"][name]
        return SourceOnly(entry["name"], entry["version"], entry["sha256"], entry["why"], self._cited(entry))

    def _fault(self, name: str) -> Fault:
        entry = self._root["faults"][name]
        avoid = entry.get("avoid", False)
        handled, sets = entry.get("handled", ""), entry.get("sets", ())
        return Fault(entry["code"], entry["what"], handled, avoid, self._cited(entry), sets)

    def _unserved(self, name: str, entry: Entry) -> Unserved:
        return Unserved(
            ident=name,
            title=entry["title"],
            releases=entry.get("releases", ""),
            distribution=entry.get("distribution", ""),
            system=entry.get("system", ""),
            machine=entry.get("machine", ""),
            min_cc=entry.get("min_cc"),
            why=entry["why"],
            instead=entry["instead"],
            evidence=self._cited(entry),
            line=self._root["unserved"].lines[name],
        )


def _modules(entry: Entry) -> PtxModules:
    return PtxModules(entry["target"], entry["isa"], entry.get("count"), entry.get("native"))

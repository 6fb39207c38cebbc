"""Snapshots of environments whose loader was asked, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from provision.doctor.checks.libraries import CHECKS
from provision.matrix import load
from provision.model.doctor import Finding
from provision.model.environment import EnvRef
from provision.model.environment_facts import Answered, EnvironmentFacts, GateFacts, Package, SearchedFolder
from provision.model.facts import Fact
from provision.model.host import Gpu, HostFacts
from provision.model.matrix import LibrarySet, Matrix
from provision.model.snapshot import Snapshot
from provision.model.versions import ComputeCapability, TfVersion

PREFIX = "/home/you/env"
SITE = f"{PREFIX}/lib/python3.11/site-packages"
FOLDERS = {
    "libcudart": "cuda_runtime",
    "libcublas": "cublas",
    "libcublasLt": "cublas",
    "libcufft": "cufft",
    "libcurand": "curand",
    "libcusolver": "cusolver",
    "libcusparse": "cusparse",
    "libcudnn": "cudnn",
}


@dataclass
class Case:
    """An environment of a release with the wheels of its set, sound unless a test says otherwise."""

    release: str
    matrix: Matrix = field(default_factory=load)
    variables: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    host: HostFacts | None = None

    def __post_init__(self) -> None:
        row = self.matrix.row(TfVersion(self.release))
        assert row is not None
        self.row = row
        self.set: LibrarySet = row.sets[0]
        self.user: dict[str, Answered] = {name: self.found(name) for name in row.gate}
        self.bare: dict[str, Answered] | None = None
        self.provided = {soname: f"{SITE}/{path}" for pin in self.set.pins for soname, path in pin.libraries.items()}

    def found(self, soname: str, file: str = "", version: str = "") -> Answered:
        real = self.row.aliases.get(soname, soname)
        pin = self.set.provider(real)
        path = file or f"{SITE}/nvidia/{FOLDERS[soname.split('.so', maxsplit=1)[0]]}/lib/{real}"
        own = str(self.set.cuda) if soname.startswith("libcudart") else pin.version if pin else ""
        inside = path.startswith(PREFIX)
        return Answered(soname, path, version=version or own, inside=inside, reached=path)

    def lose(self, *sonames: str, error: str = "", by_variable: bool = False) -> None:
        if by_variable and self.bare is None:
            self.bare = dict(self.user)
        for soname in sonames or self.row.gate:
            said = error or f"{soname}: cannot open shared object file: No such file or directory"
            self.user[soname] = Answered(soname, None, said, reached=f"/usr/lib/{soname}")

    def answer(self, soname: str, **values: Any) -> None:
        """Let another file answer under the user's variables."""
        if self.bare is None:
            self.bare = dict(self.user)
        self.user[soname] = replace(self.user[soname], inside=False, **values)

    def uninstall(self, *sonames: str) -> None:
        for soname in sonames or tuple(self.provided):
            self.provided.pop(soname, None)

    def library_path(self, path: str, *libraries: str, exists: bool = True) -> None:
        self.variables["LD_LIBRARY_PATH"] = path
        self.more["library_path"] = (SearchedFolder(path, exists, libraries),)

    def snapshot(self, packages: Mapping[str, str] | None = None) -> Snapshot:
        wheels = {pin.name: pin.version for pin in self.set.pins} if packages is None else packages
        names = {"pip": "24.0", "tensorflow": self.release, **wheels}
        gate = GateFacts(tuple(self.user.values()))
        facts = EnvironmentFacts(
            env=EnvRef(
                PurePosixPath(PREFIX), PurePosixPath(f"{PREFIX}/bin/python"), PurePosixPath(SITE), "venv", False
            ),
            path=PREFIX,
            packages=tuple(Package(name, version, SITE) for name, version in names.items()),
            distribution=Package("tensorflow", self.release, SITE),
            row=self.row,
            cuda_build=True,
            gate=gate,
            gate_bare=GateFacts(tuple(self.bare.values())) if self.bare else gate,
            provided=self.provided,
        )
        return Snapshot(self.matrix, environment=replace(facts, **self.more), variables=self.variables, host=self.host)

    def findings(self, packages: Mapping[str, str] | None = None) -> dict[str, Finding]:
        return run(self.snapshot(packages))


def run(snapshot: Snapshot) -> dict[str, Finding]:
    """Run every check of libraries; no two findings of one code here."""
    found: dict[str, Finding] = {}
    for check in CHECKS:
        for item in check.run(snapshot):
            assert item.code in check.codes
            assert item.evidence
            assert item.code not in found
            found[item.code] = item
    return found


def machine(*gpus: tuple[str, str]) -> HostFacts:
    unknown: Any = Fact(None)
    from provision.model.host import DriverState

    cards = tuple(Gpu(name, ComputeCapability(capability)) for name, capability in gpus)
    return HostFacts(
        False, unknown, unknown, unknown, unknown, unknown, unknown, DriverState.WORKING, "", unknown, unknown,
        unknown, Fact(cards, "nvml"), unknown, unknown,
    )  # fmt: skip

"""What matrix.yaml says, as typed values. Tables over branches: a new TensorFlow release is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.model.facts import Certainty, Evidence
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PtxIsa,
    PythonVersion,
    TfVersion,
)

if TYPE_CHECKING:  # a plan must not wait for it
    from provision.model.measurement import Measurement


@dataclass(frozen=True)
class CudaFamily:
    """Driver floors of a CUDA major version (minor-version compatibility).

    ``linux_min`` and ``windows_min`` (also for WSL, which reports the Windows number) are the oldest drivers on
    which binaries of that major run at all; PTX is not covered by them. Before CUDA 11 there is no minor-version
    compatibility: the floor is that of one ``toolkit``, which is None from 11 on.
    """

    major: int
    linux_min: DriverVersion
    windows_min: DriverVersion
    evidence: Evidence
    toolkit: CudaVersion | None = None

    @property
    def name(self) -> str:
        """``12``, or ``10.1`` where the floor is that of one toolkit."""
        return self.toolkit.text if self.toolkit else str(self.major)


@dataclass(frozen=True)
class DriverBranch:
    """A driver branch and the highest CUDA version its drivers support.

    ``windows_numbers`` is the inclusive range of Windows driver majors of the same branch, where known.
    """

    branch: int
    max_cuda: CudaVersion
    windows_numbers: tuple[int, int] | None
    evidence: Evidence


@dataclass(frozen=True)
class GpuGeneration:
    """The life of a compute capability: toolkits and driver branches that serve it."""

    compute_capability: ComputeCapability
    architecture: str
    first_cuda: CudaVersion | None
    last_cuda: CudaVersion | None
    first_driver_branch: int | None
    last_driver_branch: int | None
    evidence: Evidence


@dataclass(frozen=True)
class WheelPin:
    """One NVIDIA wheel of a set, and the shared libraries it brings.

    Attributes:
        name: distribution name, for example ``nvidia-cudnn-cu11``.
        version: the exact version that is installed.
        libraries: SONAME to path below site-packages, ``nvidia/cudnn/lib/libcudnn.so.8``.
    """

    name: str
    version: str
    libraries: Mapping[str, str]

    @property
    def requirement(self) -> str:
        """``name==version``."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class CondaPin:
    """One conda package of a set.

    Attributes:
        name: conda's name, for example ``cudatoolkit``.
        version: exact, or a prefix with ``.*``.
        build: a pattern of build strings, empty for any.
        libraries: SONAME to path below the prefix, ``lib/libcudart.so.11.0``.
    """

    name: str
    version: str
    build: str
    libraries: Mapping[str, str]

    @property
    def requirement(self) -> str:
        """The MatchSpec: ``name version`` or ``name version build``."""
        return " ".join(filter(None, (self.name, self.version, self.build)))


@dataclass(frozen=True)
class LibrarySet:
    """NVIDIA wheels, or conda packages, that belong together and serve a range of GPUs.

    Attributes:
        ident: its key in matrix.yaml, for example ``cu118-cudnn86``.
        cuda: toolkit version of the wheels.
        cudnn: cuDNN version of the wheels.
        pins: every wheel, those for ptxas, libdevice, CUPTI, NCCL included; empty where conda brings the libraries.
        sass: compute capabilities for which the libraries carry machine code (what all of cuBLAS and cuDNN carry).
        ptx: compute capabilities of the PTX they carry; later GPUs are reached by JIT.
        first_cc: oldest compute capability that the set serves.
        last_cc: newest one that it serves, None where PTX lets later ones through.
        ptxas: path of ptxas below site-packages, or below the prefix where conda brings it.
        libdevice: path of libdevice.10.bc likewise.
        conda: conda packages; empty for a set of wheels.
        channel: the conda channel, for example ``conda-forge``; empty for a set of wheels.
        glibc: the oldest glibc that the packages of the set admit, None where they ask for no more than the release.
    """

    ident: str
    cuda: CudaVersion
    cudnn: CudnnVersion
    pins: tuple[WheelPin, ...]
    sass: tuple[ComputeCapability, ...]
    ptx: tuple[ComputeCapability, ...]
    first_cc: ComputeCapability
    last_cc: ComputeCapability | None
    ptxas: str | None
    libdevice: str | None
    evidence: Evidence
    note: str = ""
    conda: tuple[CondaPin, ...] = ()
    channel: str = ""
    glibc: GlibcVersion | None = None

    @property
    def brings_tensorflow(self) -> bool:
        """Whether TensorFlow itself is one of the conda packages, so that no wheel of it is installed."""
        return any(pin.name == "tensorflow" for pin in self.conda)

    def provider(self, soname: str) -> WheelPin | CondaPin | None:
        """Return the wheel or the conda package that brings ``soname``."""
        pins: tuple[WheelPin | CondaPin, ...] = (*self.pins, *self.conda)
        return next((pin for pin in pins if soname in pin.libraries), None)


@dataclass(frozen=True)
class SearchPath:
    """Where the framework library of a release looks for what it opens.

    Attributes:
        kind: ``RPATH`` (beats LD_LIBRARY_PATH) or ``RUNPATH`` (loses to it).
        origin: whether ``$ORIGIN`` itself, the tensorflow folder, is on it.
        nvidia: folders below ``site-packages/nvidia`` on it, for example ``cublas/lib``.
    """

    kind: str
    origin: bool
    nvidia: tuple[str, ...]


@dataclass(frozen=True)
class Constraint:
    """A further requirement without which the release does not import today, and why."""

    requirement: str
    why: str
    evidence: Evidence


@dataclass(frozen=True)
class SourceOnly:
    """A dependency that the release demands exactly and that was never published as a wheel.

    It is the one exception to "wheels only": name, version and the sha256 of its source archive stand in the matrix,
    so that what is built is what was looked at. The plan names it.
    """

    name: str
    version: str
    sha256: str
    why: str
    evidence: Evidence


@dataclass(frozen=True)
class Fault:
    """A known fault of a release and what this tool does about it.

    Attributes:
        code: stable, lower case with hyphens.
        what: what goes wrong.
        handled: what we do about it; empty where nothing can be done and the user is told.
        avoid: whether a spec that is not exact should prefer another patch of the same minor.
        sets: library sets with which alone it shows; empty where it always does.
    """

    code: str
    what: str
    handled: str
    avoid: bool
    evidence: Evidence
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class PtxModules:
    """Kernels that exist as PTX only for a target: ``count`` of them, ``target`` such as ``9.0`` or ``9.0a``.

    A trailing ``a`` is architecture-specific: it runs on exactly that compute capability. ``isa`` is the PTX version
    that the driver must understand. ``native`` names the compute capabilities whose machine code stands beside this
    PTX in the same modules: a GPU that such machine code serves never needs this PTX. Empty: these modules are PTX
    alone; None: not read.
    """

    target: str
    isa: PtxIsa
    count: int | None = None
    native: tuple[ComputeCapability, ...] | None = None

    @property
    def compute_capability(self) -> ComputeCapability:
        """The target without its suffix."""
        return ComputeCapability(self.target.rstrip("af"))

    @property
    def specific(self) -> bool:
        """Whether the target has the ``a`` suffix."""
        return self.target.endswith("a")


@dataclass(frozen=True)
class Row:
    """One TensorFlow release with a Linux x86_64 CUDA wheel.

    Attributes:
        release: the TensorFlow version.
        distribution: what is installed, ``tensorflow`` or ``tensorflow-gpu``.
        released: ISO date of the upload.
        pythons: CPython series with a wheel, oldest first.
        platform: platform tag of the wheel.
        glibc: oldest glibc that the tag admits.
        cpu_features: what the wheel's code needs of the CPU, for example ``avx``.
        cuda: CUDA version it was built with.
        cudnn: cuDNN version it was built with; at run time the major must be equal, the minor not lower.
        gate: SONAMEs whose absence stops GPU registration.
        optional: purpose (``cupti``, ``nccl``) to SONAMEs tried in order; absence costs only that purpose.
        sass: compute capabilities whose machine code is inside.
        ptx: compute capabilities whose PTX is inside.
        ptx_modules: PTX with its ISA version, where read.
        search: what its framework library searches.
        aliases: SONAME that it asks for to the SONAME that a set has.
        xla_finds_wheels: whether XLA knows the folder of the nvcc wheel; it may look elsewhere first (docs/wiring.md).
        constraints: further requirements and why.
        source_only: dependencies without any wheel.
        faults: known faults.
        sets: sets of NVIDIA wheels that serve it, preferred first; empty where only conda can.
        conda_sets: sets of conda packages that serve it, preferred first.
        evidence: claim group (``python``, ``build``, ``gate``, ``arch``, ``search``, ``sets`` …) to its evidence.
        line: where it stands in matrix.yaml.
        wheel: file name of the wheel that was opened.
        wheel_sha256: of that wheel.
        measurements: receipts of real GPUs, oldest first.
    """

    release: TfVersion
    distribution: str
    released: str
    pythons: tuple[PythonVersion, ...]
    platform: str
    glibc: GlibcVersion
    cpu_features: tuple[str, ...]
    cuda: CudaVersion
    cudnn: CudnnVersion
    gate: tuple[str, ...]
    optional: Mapping[str, tuple[str, ...]]
    sass: tuple[ComputeCapability, ...]
    ptx: tuple[ComputeCapability, ...]
    ptx_modules: tuple[PtxModules, ...]
    search: SearchPath
    aliases: Mapping[str, str]
    xla_finds_wheels: bool
    constraints: tuple[Constraint, ...]
    source_only: tuple[SourceOnly, ...]
    faults: tuple[Fault, ...]
    sets: tuple[LibrarySet, ...]
    evidence: Mapping[str, Evidence]
    line: int = 0
    conda_sets: tuple[LibrarySet, ...] = ()
    wheel: str = ""
    wheel_sha256: str = ""
    measurements: tuple[Measurement, ...] = ()

    @property
    def requirement(self) -> str:
        """What is asked of the package index, ``tensorflow==2.15.1``."""
        return f"{self.distribution}=={self.release}"

    def certainty(self, claim: str) -> Certainty:
        """How the claim group is known; a group without an entry of its own counts as derived."""
        evidence = self.evidence.get(claim)
        return evidence.certainty if evidence else Certainty.DERIVED


@dataclass(frozen=True)
class Unserved:
    """Something that users ask for and that no wheel serves here: why, and what would serve it.

    Attributes:
        ident: ``tensorflow 1.15`` … ``windows-native``, ``aarch64``, ``macos``, ``blackwell``.
        title: the same in words.
        releases: PEP 440 specifier over TensorFlow releases that it covers (``""`` for all).
        distribution: limits it to one distribution name (``tensorflow-gpu``), empty for all.
        system: limits it to one operating system (``windows``, ``macos``), empty for all.
        machine: limits it to one architecture (``aarch64``), empty for all.
        min_cc: limits it to GPUs from this compute capability on, None for all.
        why: why it cannot be served.
        instead: what would serve it.
    """

    ident: str
    title: str
    releases: str
    distribution: str
    system: str
    machine: str
    min_cc: ComputeCapability | None
    why: str
    instead: str
    evidence: Evidence
    line: int = 0


@dataclass(frozen=True)
class Matrix:
    """The whole file.

    Attributes:
        path: where it was read.
        digest: sha256 of its bytes, hexadecimal.
        rows: releases, oldest first.
        sets: sets of wheels and sets of conda packages by their names.
        toolkits: driver floors of toolkits from before minor-version compatibility.
    """

    path: str
    digest: str
    rows: tuple[Row, ...]
    sets: Mapping[str, LibrarySet]
    families: Mapping[int, CudaFamily]
    branches: tuple[DriverBranch, ...]
    ptx_isa: Mapping[CudaVersion, PtxIsa]
    ptx_isa_evidence: Evidence
    generations: Mapping[ComputeCapability, GpuGeneration]
    unserved: tuple[Unserved, ...]
    toolkits: Mapping[CudaVersion, CudaFamily] = field(default_factory=dict)

    def family(self, cuda: CudaVersion) -> CudaFamily | None:
        """Return the driver floor for a CUDA version: that of its major, before CUDA 11 that of the toolkit itself."""
        return self.families.get(cuda.major) or self.toolkits.get(CudaVersion(f"{cuda.major}.{cuda.minor}"))

    def row(self, release: TfVersion, distribution: str = "tensorflow") -> Row | None:
        """Return the row of exactly this release."""
        return next((row for row in self.rows if row.release == release and row.distribution == distribution), None)

    def branch_of(self, driver: DriverVersion, *, windows: bool) -> DriverBranch | None:
        """Return the branch of a driver: the newest one whose number is not above the driver's."""
        if windows:
            for branch in reversed(self.branches):
                if branch.windows_numbers and branch.windows_numbers[0] <= driver.major:
                    return branch
            return None
        return next((branch for branch in reversed(self.branches) if branch.branch <= driver.branch), None)

    def ptx_isa_of(self, driver_cuda: CudaVersion) -> PtxIsa | None:
        """Return the newest PTX ISA that a driver supporting ``driver_cuda`` can compile."""
        known = [version for version in self.ptx_isa if version <= driver_cuda]
        return self.ptx_isa[max(known)] if known else None

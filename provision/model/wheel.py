"""What audit reads out of a wheel.

Versions and targets are plain text here (``3.10``, ``2.27``, ``9.0a``): a fact is kept as it was found, and the rules
that compare make versions of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from provision.model.artifact import Artifact, Cost


@dataclass(frozen=True)
class NameFacts:
    """What the directory of a wheel says, without a member of it being read.

    Attributes:
        files: members.
        unpacked: bytes of all members, as the directory claims.
        libraries: file name of each shared library to its path; NVIDIA's wheels name the files by their SONAMEs.
        ptxas: path of ptxas, empty where there is none.
        libdevice: path of libdevice.10.bc likewise.
    """

    files: int
    unpacked: int
    libraries: Mapping[str, str]
    ptxas: str = ""
    libdevice: str = ""


@dataclass(frozen=True)
class MetadataFacts:
    """What METADATA, WHEEL and build_info.py say.

    Attributes:
        name: Name of METADATA.
        version: Version of METADATA.
        tags: Tag lines of WHEEL, sorted.
        requires_python: as written.
        requires_dist: requirements without an extra, as written.
        extras: extra to its requirements without the ``extra ==`` marker; other markers stay.
        build_info: key to value in words (``cuda_version``: ``12.5.1``, ``is_cuda_build``: ``True``); lists are joined
            by blanks; None where the wheel has no such file.
    """

    name: str
    version: str
    tags: tuple[str, ...]
    requires_python: str
    requires_dist: tuple[str, ...]
    extras: Mapping[str, tuple[str, ...]]
    build_info: Mapping[str, str] | None = None

    @property
    def cuda_build(self) -> bool | None:
        """Whether it was built with CUDA; None where it does not say."""
        said = (self.build_info or {}).get("is_cuda_build", "")
        return {"True": True, "False": False}.get(said)


@dataclass(frozen=True)
class DynamicFacts:
    """What the dynamic linker reads of a library.

    Attributes:
        soname: DT_SONAME, empty where it has none.
        needed: DT_NEEDED, in order.
        kind: ``RUNPATH``, ``RPATH`` or empty.
        search: its entries as written, ``$ORIGIN`` unresolved, each once.
        versions: symbol versions that it needs, library to names (``libc.so.6``: ``GLIBC_2.27`` …), sorted.
    """

    soname: str
    needed: tuple[str, ...]
    kind: str
    search: tuple[str, ...]
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def needs(self, prefix: str) -> str:
        """Newest version needed of ``GLIBC``, ``GLIBCXX`` or ``CXXABI``, ``2.27``; empty where none is needed."""
        numbers = [
            name.removeprefix(f"{prefix}_")
            for names in self.versions.values()
            for name in names
            if name.startswith(f"{prefix}_") and name.removeprefix(f"{prefix}_").replace(".", "").isdigit()
        ]
        return max(numbers, key=Version) if numbers else ""

    @property
    def glibc(self) -> str:
        """The glibc really needed, ``2.27``."""
        return self.needs("GLIBC")


def choices(sonames: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Group SONAMEs by library, ``libcublas.so.12`` with ``libcublas.so.13``, in the order of their first names."""
    found: dict[str, list[str]] = {}
    for name in sonames:
        found.setdefault(name.split(".so")[0], []).append(name)
    return tuple(map(tuple, found.values()))


@dataclass(frozen=True)
class FrameworkFacts:
    """The library from which TensorFlow opens everything of CUDA, ``libtensorflow_framework.so.N``.

    Attributes:
        path: in the wheel.
        dynamic: its dynamic section.
        functions: the loader functions it exports, by plain name (``Cudnn``, ``MaybeTryDlopenGPULibraries``).
        gate: SONAMEs that must open before a GPU is registered, in the order asked for; None where nobody could ask.
        optional: purpose (``cupti``, ``nccl``, ``nvshmem`` …) to the SONAMEs tried in order.
        nccl_inside: version of the NCCL linked into it, ``2.19.3``; empty where there is none or it is opened.
        confined: what held the child that was asked: ``network``, ``files``, ``memory``, ``time``.
        in_part: whether code of kernels was left out when it was read; its CRC then could not be held.
    """

    path: str
    dynamic: DynamicFacts
    functions: tuple[str, ...]
    gate: tuple[str, ...] | None = None
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nccl_inside: str = ""
    confined: tuple[str, ...] = ()
    in_part: bool = False

    @property
    def gate_choices(self) -> tuple[tuple[str, ...], ...]:
        """The gate as what must open: each is one name, or several of one library of which the first that opens counts.

        Builds from 2.22 on ask for ``libcublas.so.12`` and, where that does not open, for ``libcublas.so.13``.
        """
        return choices(self.gate or ())


@dataclass(frozen=True)
class GuardFacts:
    """What TensorFlow checks of the CPU when it is loaded; where the CPU lacks one of these, the process ends.

    Attributes:
        features: instruction sets in the order checked, as /proc/cpuinfo writes them (``sse4_1``, ``avx``; but ``sse3``
            for its ``pni``); None where it cannot be told.
        why: why it cannot be told, empty where it can.
    """

    features: tuple[str, ...] | None
    why: str = ""


@dataclass(frozen=True)
class SearchFacts:
    """What the search path finds when certain wheels are installed beside TensorFlow.

    Attributes:
        wheels: ``nvidia-cublas-cu12==12.5.3.2`` …: what was assumed to be installed.
        found: SONAME to the path below site-packages that answers; of several of one library the first that is found.
        unfound: SONAME to the path of a wheel that has it, in a folder where nobody looks.
        absent: SONAMEs that no wheel has.
    """

    wheels: tuple[str, ...]
    found: Mapping[str, str]
    unfound: Mapping[str, str]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class CodeCount:
    """Code for one target in a library: in ``count`` kernels' modules; ``isa`` is the PTX version, empty for SASS.

    ``target`` is ``9.0``, or ``9.0a`` and ``10.0f`` for code that is specific to an architecture or a family.
    ``native`` names the targets of machine code that stands beside this PTX in the same modules.
    """

    target: str
    count: int
    isa: str = ""
    native: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeFacts:
    """GPU code inside one library.

    Attributes:
        path: in the wheel.
        modules: fatbins.
        sass: machine code per target.
        ptx: PTX per target and version.
        linked: modules of PTX alone that separate compilation left beside the machine code linked of them; their PTX is
            not in ``ptx``, for that machine code is what runs.
        damaged: fatbins with a field out of range; what they hold is not counted.
    """

    path: str
    modules: int
    sass: tuple[CodeCount, ...]
    ptx: tuple[CodeCount, ...]
    linked: int = 0
    damaged: int = 0


@dataclass(frozen=True)
class SymbolFacts:
    """CUDA names that TensorFlow looks up, and those that the libraries of a set lack.

    Attributes:
        looked_up: how many names.
        missing: NVIDIA library (``cusolver``) to names that it does not give.
        wheels: ``nvidia-cublas-cu12==12.5.3.2`` …: whose libraries were held against them.
        unpinned: NVIDIA library that none of these wheels has to how many names are of it.
    """

    looked_up: int
    missing: Mapping[str, tuple[str, ...]]
    wheels: tuple[str, ...] = ()
    unpinned: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Unread:
    """Something that was not read (``gate``, ``names``, a requirement), and why."""

    what: str
    why: str


@dataclass(frozen=True)
class WheelFacts:
    """Everything read of one wheel; a part is None where it was not asked for or could not be read (`unread`)."""

    artifact: Artifact
    names: NameFacts | None = None
    metadata: MetadataFacts | None = None
    framework: FrameworkFacts | None = None
    search: SearchFacts | None = None
    code: tuple[CodeFacts, ...] | None = None
    symbols: SymbolFacts | None = None
    guard: GuardFacts | None = None
    unread: tuple[Unread, ...] = ()
    cost: Cost = field(default_factory=Cost)

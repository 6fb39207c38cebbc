"""The form of matrix.yaml, written down once: the reader, the canonical writer and the JSON Schema all follow it.

Every scalar is text in the file's own words: YAML would turn ``2.10`` into 2.1, so no value is ever taken as a number
by YAML itself. Lists of short words (compute capabilities, SONAMEs) are one line, separated by blanks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from provision.model.facts import Certainty
from provision.model.level import Level
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PtxIsa,
    PythonVersion,
)

FORMAT = "1"
"""Value of ``schema`` in the files that this program reads."""

DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
IDENT = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
DISTRIBUTION = r"[a-z0-9]+(-[a-z0-9]+)*"
SONAME = r"lib[A-Za-z0-9_+-]+\.so(\.[0-9]+)*"
PATH = r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*"
"""A relative path below site-packages that cannot lead out of it."""
DOTTED = r"[0-9]+(\.[0-9]+)*"
SPECIFIER = r"(<|<=|>|>=|==|!=|~=)[0-9]+(\.[0-9]+)*(\.\*)?"
SPECIFIERS = rf"{SPECIFIER}(,{SPECIFIER})*"
REQUIREMENT = rf"[a-z0-9]+(-[a-z0-9]+)*{SPECIFIERS}"
"""A distribution with versions, and nothing else: no address, no option, no marker can come in through a matrix."""
CAPABILITY = r"[0-9]{1,2}\.[0-9]"
CONDA_VERSION = r"[0-9]+(\.[0-9]+)*(\.\*)?"
CONDA_BUILD = r"[A-Za-z0-9_.]*\*?[A-Za-z0-9_.]*\*?"
"""A version, exact or a prefix, and a pattern of build strings: no channel, no address, no brackets."""


@dataclass(frozen=True)
class Scalar:
    """One value: what it is called in messages, its pattern, and what turns its text into a value of the model."""

    what: str
    pattern: str = r"\S.*"
    make: Callable[[str], Any] = str

    def fits(self, text: str) -> bool:
        """Whether the text has the pattern."""
        return self._compiled.fullmatch(text) is not None

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)


@dataclass(frozen=True)
class Words:
    """Scalars of one kind on one line, separated by single blanks; no word stands twice."""

    of: Scalar
    most: int | None = None


@dataclass(frozen=True)
class Reference:
    """The key of an entry in another table; ``many`` where several, separated by blanks, are meant."""

    table: str
    many: bool = False


@dataclass(frozen=True)
class Record:
    """A mapping with fixed keys, in canonical order; those not ``required`` may be left out."""

    fields: Mapping[str, Shape]
    required: frozenset[str]
    about: str = ""


@dataclass(frozen=True)
class Table:
    """A mapping with keys of one kind, in the order of those keys; ``inline`` entries are written on one line."""

    key: Scalar
    value: Shape
    about: str = ""
    inline: bool = False


@dataclass(frozen=True)
class Items:
    """A list of records, each on one line."""

    of: Record
    about: str = field(default="")


Shape = Scalar | Words | Reference | Record | Table | Items


def _record(about: str, *, absent: tuple[str, ...] = (), **fields: Shape) -> Record:
    return Record(fields, frozenset(fields) - frozenset(absent), about)


def _boolean(text: str) -> bool:
    return text == "yes"


def _conda_pin(text: str) -> tuple[str, str]:
    version, _, build = text.partition(" ")
    return version, build


def _branches(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


_text = Scalar("text")
_ident = Scalar("a name", IDENT)
_date = Scalar("an ISO date", DATE)
_integer = Scalar("a whole number", r"[0-9]{1,9}", int)
_yes = Scalar("yes or no", "yes|no", _boolean)
_cuda = Scalar("a CUDA version", DOTTED, CudaVersion)
_cudnn = Scalar("a cuDNN version", DOTTED, CudnnVersion)
_driver = Scalar("a driver version", DOTTED, DriverVersion)
_isa = Scalar("a PTX ISA version", DOTTED, PtxIsa)
_capability = Scalar("a compute capability", CAPABILITY, ComputeCapability)
_soname = Scalar("a SONAME", SONAME)
_path = Scalar("a path below site-packages", PATH)
_glibc = Scalar("a glibc version", DOTTED, GlibcVersion)
_sha256 = Scalar("a sha256", "[0-9a-f]{64}")
_distribution = Scalar("a distribution name", DISTRIBUTION)
_requirement = Scalar("a requirement (name and versions)", REQUIREMENT)
_evidence = Reference("evidence")

EVIDENCE = _record(
    "Where claims come from.",
    absent=("how",),
    kind=Scalar("a kind of evidence", "|".join(kind.value for kind in Certainty), Certainty),
    source=_text,
    date=_date,
    how=_text,
)
FAMILY = _record(
    "Oldest drivers on which binaries of a CUDA major version run.",
    linux=_driver,
    windows=_driver,
    evidence=_evidence,
)
BRANCH = _record(
    "Highest CUDA version that drivers of a branch support.",
    absent=("windows",),
    cuda=_cuda,
    windows=Scalar("a range of Windows driver branches", r"[0-9]{3}(-[0-9]{3})?", _branches),
    evidence=_evidence,
)
GENERATION = _record(
    "Toolkits and driver branches that serve a compute capability.",
    absent=("first_cuda", "last_cuda", "first_branch", "last_branch"),
    architecture=_text,
    first_cuda=_cuda,
    last_cuda=_cuda,
    first_branch=_integer,
    last_branch=_integer,
    evidence=_evidence,
)
WHEEL = _record(
    "What the wheels of a distribution (of one major version, where the name ends in one) bring.",
    folder=_path,
    libraries=Words(_soname),
    evidence=_evidence,
)
CONDA_PACKAGE = _record(
    "What a conda package (of the versions that its name ends in, where it does) brings, below the prefix.",
    absent=("folder", "libraries"),
    folder=_path,
    libraries=Words(_soname),
    evidence=_evidence,
)
SET = _record(
    "NVIDIA wheels (`pins`), or packages of a conda channel (`conda`), that belong together, with the oldest and the "
    "newest compute capability that they serve.",
    absent=("sass", "ptx", "channel", "glibc", "conda", "pins", "ptxas", "libdevice", "note"),
    cuda=_cuda,
    cudnn=_cudnn,
    gpus=Words(_capability, most=2),
    sass=Words(_capability),
    ptx=Words(_capability),
    channel=Scalar("the name of a conda channel", DISTRIBUTION),
    glibc=_glibc,
    conda=Table(
        Scalar("the name of a conda package", DISTRIBUTION),
        Scalar(
            "a version or a prefix of one, and a pattern of builds",
            rf"{CONDA_VERSION}( (?=[^ ]){CONDA_BUILD})?",
            _conda_pin,
        ),
        "Versions, with a pattern of builds where it matters.",
    ),
    pins=Table(_distribution, Scalar("an exact version", r"[0-9]+(\.[0-9]+)*(\.post[0-9]+)?"), "Exact versions."),
    ptxas=_path,
    libdevice=_path,
    evidence=_evidence,
    note=_text,
)
MODULES = _record(
    "Kernels with PTX for one target, and the machine code beside it; without `native` it was not read.",
    absent=("count", "native"),
    target=Scalar("a PTX target", CAPABILITY + "[af]?"),
    isa=_isa,
    count=_integer,
    native=Words(_capability),
)
CODE = _record(
    "GPU code inside a release.",
    absent=("ptx", "modules"),
    sass=Words(_capability),
    ptx=Words(_capability),
    modules=Items(MODULES, "PTX by target and ISA."),
)
SEARCH = _record(
    "What the framework library searches: DT_RPATH or DT_RUNPATH, `$ORIGIN`, folders below site-packages/nvidia.",
    absent=("nvidia",),
    kind=Scalar("a kind of search path", "RPATH|RUNPATH"),
    origin=_yes,
    nvidia=Words(_path),
)
CONSTRAINT = _record(
    "A requirement without which releases do not import today.", requirement=_requirement, why=_text, evidence=_evidence
)
SOURCE_ONLY = _record(
    "A dependency that was never published as a wheel.",
    name=_distribution,
    version=Scalar("an exact version", DOTTED),
    sha256=_sha256,
    why=_text,
    evidence=_evidence,
)
FAULT = _record(
    "A known fault; `avoid` makes another patch of the same minor preferred; `sets` are those with which it shows.",
    absent=("handled", "avoid", "sets"),
    code=_ident,
    what=_text,
    handled=_text,
    avoid=_yes,
    sets=Reference("sets", many=True),
    evidence=_evidence,
)
RELEASE = _record(
    "One release.",
    absent=("optional", "aliases", "constraints", "source_only", "faults", "sets", "conda"),
    released=_date,
    pythons=Words(Scalar("a Python series", r"3\.[0-9]{1,2}", PythonVersion)),
    platform=Scalar("a platform tag", r"[a-z0-9_.]+"),
    glibc=_glibc,
    cpu=Words(Scalar("a CPU feature", "[a-z0-9_]+")),
    cuda=_cuda,
    cudnn=_cudnn,
    gate=Reference("gates"),
    optional=Reference("optional"),
    code=Reference("code"),
    search=Reference("search_paths"),
    aliases=Reference("aliases"),
    xla_finds_wheels=_yes,
    constraints=Reference("constraints", many=True),
    source_only=Reference("source_only", many=True),
    faults=Reference("faults", many=True),
    sets=Reference("sets", many=True),
    conda=Reference("sets", many=True),
    wheel=Scalar(
        "a wheel file name", r"[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\.whl"
    ),
    sha256=_sha256,
    claims=Reference("claims"),
)
GPU_NAME = r"[A-Za-z0-9][A-Za-z0-9 ()._/+-]{0,79}"
PROVING = (Level.COMPUTE, Level.TRAIN, Level.PERF)
"""Levels of verify that prove a GPU."""
RECEIPT = _record(
    "A receipt of verify from a real GPU, written by `matrix certify`.",
    release=Reference("releases"),
    set=Reference("sets"),
    gpu=Scalar("the name of a GPU", GPU_NAME),
    compute_capability=_capability,
    driver=_driver,
    level=Scalar("a level that proves a GPU", "|".join(level.value for level in PROVING), Level),
    date=_date,
    python=Scalar("a Python version", r"3\.[0-9]{1,2}(\.[0-9]{1,2})?", PythonVersion),
    tool=Scalar("a version", r"[0-9A-Za-z.+-]{1,40}"),
    row=_sha256,
    sha256=_sha256,
)
UNSERVED = _record(
    "What users ask for and no wheel serves here, and what would.",
    absent=("releases", "distribution", "system", "machine", "min_cc"),
    title=_text,
    releases=Scalar("a version specifier", SPECIFIERS),
    distribution=_distribution,
    system=Scalar("an operating system", "linux|windows|macos"),
    machine=Scalar("an architecture", "[a-z0-9_]+"),
    min_cc=_capability,
    why=_text,
    instead=_text,
    evidence=_evidence,
)

RELEASE_KEY = r"(?P<distribution>tensorflow(-[a-z0-9]+)*|tf-nightly)==(?P<release>[0-9][0-9A-Za-z.]*)"

MATRIX = _record(
    "Every compatibility claim of tfgpu-provision, each with its evidence.",
    absent=("cuda_toolkits", "conda_packages", "receipts"),
    schema=Scalar("a format version", FORMAT),
    evidence=Table(_ident, EVIDENCE, "Where claims come from."),
    cuda_families=Table(_integer, FAMILY, "Driver floors of CUDA major versions.", inline=True),
    cuda_toolkits=Table(
        _cuda, FAMILY, "Driver floors of toolkits from before minor-version compatibility.", inline=True
    ),
    driver_branches=Table(_integer, BRANCH, "Driver branch to CUDA version.", inline=True),
    ptx_isa=_record(
        "Newest PTX ISA that a driver of a CUDA version compiles.",
        evidence=_evidence,
        cuda=Table(_cuda, _isa, "CUDA version to PTX ISA."),
    ),
    gpus=Table(_capability, GENERATION, "The life of compute capabilities.", inline=True),
    wheels=Table(
        Scalar("a distribution, and major version where it matters", DISTRIBUTION + "( [0-9]+)?"),
        WHEEL,
        "What NVIDIA's wheels bring.",
    ),
    conda_packages=Table(
        Scalar("a conda package, and versions where it matters", DISTRIBUTION + rf"( {DOTTED})?"),
        CONDA_PACKAGE,
        "What conda packages bring.",
    ),
    sets=Table(_ident, SET, "Sets of NVIDIA wheels, or of conda packages."),
    gates=Table(_ident, Words(_soname), "SONAMEs whose absence stops GPU registration."),
    optional=Table(
        _ident, Table(_ident, Words(_soname), "Purpose to SONAMEs, tried in order."), "SONAMEs that cost one purpose."
    ),
    code=Table(_ident, CODE, "GPU code inside releases."),
    search_paths=Table(_ident, SEARCH, "Search paths of framework libraries."),
    aliases=Table(
        _ident,
        Table(_soname, _soname, "SONAME asked for to SONAME at hand."),
        "Names that a set answers to.",
        inline=True,
    ),
    constraints=Table(_ident, CONSTRAINT, "Requirements beyond those of the release itself."),
    source_only=Table(_ident, SOURCE_ONLY, "Exceptions to wheels only."),
    faults=Table(_ident, FAULT, "Known faults."),
    claims=Table(_ident, Table(_ident, _evidence, "Claim group to evidence."), "Which evidence stands behind a row."),
    releases=Table(Scalar("a release", RELEASE_KEY), RELEASE, "One row per release, oldest first."),
    receipts=Table(
        Scalar("the beginning of the receipt's sha256", "[0-9a-f]{12}(-[0-9]{1,2})?"),
        RECEIPT,
        "What was measured on real GPUs.",
        inline=True,
    ),
    unserved=Table(_ident, UNSERVED, "What cannot be served here."),
)
"""The whole file."""

"""What was asked for, and the answer: a plan, or a refusal with every reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from provision.model.facts import Certainty
from provision.model.host import Gpu, HostFacts
from provision.model.matrix import LibrarySet, Row
from provision.model.versions import PythonVersion


@dataclass(frozen=True)
class Request:
    """What the user wants.

    Attributes:
        tf: the spec as typed: ``2.4.1``, ``2.15``, ``>=2.12,<2.16`` or empty for the newest that runs here.
        python: the Python asked for, series or exact, None for the best one.
        requirements: user packages as PEP 508 strings, resolved together with ours.
        distribution: ``tensorflow`` or ``tensorflow-gpu``.
        backend: ``venv`` (NVIDIA wheels) or ``conda`` (CUDA libraries from a conda channel).
        conda: user packages of conda channels, as MatchSpecs; only with the conda backend.
    """

    tf: str = ""
    python: PythonVersion | None = None
    requirements: tuple[str, ...] = ()
    distribution: str = "tensorflow"
    backend: str = "venv"
    conda: tuple[str, ...] = ()


class GpuService(str, Enum):
    """How a release reaches a GPU."""

    NATIVE = "native"
    """Machine code for it is inside."""
    JIT = "ptx-jit"
    """The driver compiles PTX on first use: slow first run, cached after."""
    NONE = "none"
    """It is left out; `why` says what stands in the way."""
    UNKNOWN = "unknown"
    """Its compute capability is not known."""


@dataclass(frozen=True)
class GpuServed:
    """One GPU of the host and how the plan reaches it."""

    gpu: Gpu
    service: GpuService
    why: str


@dataclass(frozen=True)
class Caveat:
    """Something the user should know that does not stop the plan; it survives into JSON and the receipt.

    Attributes:
        code: stable, lower case with hyphens.
        what: one sentence.
        certainty: how the deciding claim is known.
        source: where the rule comes from.
        notable: False for a remark that does not turn the outcome from ``ok`` into ``caveat``.
    """

    code: str
    what: str
    certainty: Certainty
    source: str
    notable: bool = True


@dataclass(frozen=True)
class Obstacle:
    """One reason why something cannot work.

    Attributes:
        code: stable, lower case with hyphens, for example ``driver-too-old``.
        what: what is in the way, naming found and needed.
        needs: what would remove this obstacle, for example ``driver 525.60.13 or newer``.
        certainty: how the deciding claim is known.
        source: where the rule comes from.
    """

    code: str
    what: str
    needs: str
    certainty: Certainty
    source: str


@dataclass(frozen=True)
class Alternative:
    """Something near that would work.

    Attributes:
        kind: ``backend`` (the other one for the same release), ``release`` (another TensorFlow on this machine),
            ``driver``, ``python``, ``gpu``, ``system``.
        what: one sentence.
        command: what to type, empty where nothing typed here helps.
    """

    kind: str
    what: str
    command: str = ""


@dataclass(frozen=True)
class Pin:
    """A package the plan fixes, and why."""

    requirement: str
    why: str


@dataclass(frozen=True)
class Plan:
    """What create would do.

    Attributes:
        row: the TensorFlow release.
        library_set: the NVIDIA wheels.
        python: the series to use.
        pins: exact requirements of ours from the package index: TensorFlow, NVIDIA wheels, constraints, with reasons.
        gpus: how each GPU of the host is reached; empty where none is known.
        widest: True where no GPU or driver is known and the plan serves the widest range instead.
        caveats: what the user should know.
        passed_over: newer releases that were not chosen, with the reason codes, newest first.
        conda_pins: MatchSpecs of ours, python included, each with its reason; empty for a venv.
    """

    request: Request
    host: HostFacts
    row: Row
    library_set: LibrarySet
    python: PythonVersion
    pins: tuple[Pin, ...]
    gpus: tuple[GpuServed, ...]
    widest: bool
    caveats: tuple[Caveat, ...]
    passed_over: tuple[tuple[str, tuple[str, ...]], ...] = ()
    matrix_digest: str = ""
    conda_pins: tuple[Pin, ...] = ()

    @property
    def outcome(self) -> str:
        """``ok`` or ``caveat``."""
        return "caveat" if any(caveat.notable for caveat in self.caveats) else "ok"


@dataclass(frozen=True)
class Refusal:
    """Why nothing fits: all obstacles at once, and the nearest things that would work.

    ``row`` is the release the obstacles speak of, None where no release matches the request at all.
    """

    request: Request
    host: HostFacts
    row: Row | None
    reasons: tuple[Obstacle, ...]
    alternatives: tuple[Alternative, ...]
    matrix_digest: str = ""

    @property
    def outcome(self) -> str:
        """Always ``refused``."""
        return "refused"

"""A lock: every package of an environment, fixed by its hash, and the machines for which it was made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PythonVersion,
    TfVersion,
)


class LockFormat(str, Enum):
    """What a lock file looks like; each can be installed by other tools."""

    REQUIREMENTS = "requirements"
    """A requirements file with hashes and without addresses, for pip and uv."""
    PYLOCK = "pylock"
    """``pylock.NAME.toml`` (PEP 751)."""
    CONDA_LOCK = "conda-lock"
    """``conda-lock.yml`` version 1."""
    EXPLICIT = "explicit"
    """An ``@EXPLICIT`` file of conda: addresses with hashes; what comes from the package index is not in it."""


@dataclass(frozen=True)
class Locked:
    """One distribution of the package index.

    Attributes:
        name: normalised name (PEP 503).
        version: exact version.
        hashes: sha256 of every artifact that may be installed for it, hexadecimal; what is installed matches one.
        url: where it is taken from, only where the user allowed addresses; empty otherwise.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    url: str = ""

    @property
    def requirement(self) -> str:
        """``name==version``."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class CondaLocked:
    """One package of a conda channel.

    Attributes:
        name: conda's name.
        version: exact version.
        build: build string.
        subdir: ``linux-64`` or ``noarch``.
        channel: the channel's name or address, without credentials.
        url: the artifact's address, without credentials.
        md5: hexadecimal; empty where the channel gives none.
        sha256: hexadecimal.
        size: bytes, None where the channel gives none.
        depends: its run dependencies, as MatchSpecs.
        constrains: its optional constraints, as MatchSpecs.
    """

    name: str
    version: str
    build: str
    subdir: str
    channel: str
    url: str
    md5: str
    sha256: str
    size: int | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """``name=version=build``."""
        return f"{self.name}={self.version}={self.build}"


@dataclass(frozen=True)
class GpuFloor:
    """A compute capability that a lock serves, and the oldest driver on which it does.

    ``derived`` where the rule that decides is derived and was not tried on hardware.
    """

    compute_capability: ComputeCapability
    driver: DriverVersion
    derived: bool


@dataclass(frozen=True)
class LockRequest:
    """What was asked for, so that a lock can be held against the project and made again.

    Attributes:
        tf: the spec as typed.
        python: as typed, empty for the best one.
        requirements: user packages of the index, PEP 508.
        conda: user packages of the channels, MatchSpecs.
        channels: channels that were asked for in place of the usual ones.
        as_of: ISO date; nothing uploaded later is taken. Empty for today.
        allow_source: whether packages without a wheel may be built.
    """

    tf: str = ""
    python: str = ""
    requirements: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    as_of: str = ""
    allow_source: bool = False


@dataclass(frozen=True)
class Contract:
    """The GPU contract: on which machines a lock works. It is checked before a byte is downloaded.

    Attributes:
        request: what was asked for.
        target: name of the machine that was meant, empty where the lock was made for just one.
        machine_text: that machine as described (``driver=535,gpu=8.6``), empty for the one the lock was made on.
        made_for: compute capabilities of that machine's GPUs; empty where none was known.
        without_gpu: whether that machine was known to have no GPU.
        backend: ``venv`` or ``conda``.
        distribution: ``tensorflow`` or ``tensorflow-gpu``.
        release: of TensorFlow.
        python: series.
        library_set: ident of the set of CUDA libraries in matrix.yaml.
        cuda: toolkit version of the libraries.
        cudnn: their cuDNN.
        driver_floor: the oldest driver on which CUDA of that family runs at all.
        gpus: every compute capability that is served, oldest first, with its own driver floor.
        system: ``linux``.
        machine: ``x86_64``.
        glibc: the oldest one.
        cpu_features: what the code needs of the CPU, lower case.
        row_digest: sha256 of the matrix row with its library set, hexadecimal.
        matrix_digest: sha256 of the matrix file.
        derived: what of this is derived and not tried on hardware: codes of caveats, sorted.
    """

    request: LockRequest
    target: str
    machine_text: str
    made_for: tuple[ComputeCapability, ...]
    without_gpu: bool
    backend: str
    distribution: str
    release: TfVersion
    python: PythonVersion
    library_set: str
    cuda: CudaVersion
    cudnn: CudnnVersion
    driver_floor: DriverVersion
    gpus: tuple[GpuFloor, ...]
    system: str
    machine: str
    glibc: GlibcVersion
    cpu_features: tuple[str, ...]
    row_digest: str
    matrix_digest: str
    derived: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """A whole lock.

    Attributes:
        contract: for which machines.
        packages: of the package index, sorted by name.
        conda: of conda channels, sorted by name; empty for a venv.
        source_only: normalised names of the packages that have no wheel and are built.
        build_tools: what those are built with.
    """

    contract: Contract
    packages: tuple[Locked, ...]
    conda: tuple[CondaLocked, ...] = ()
    source_only: tuple[str, ...] = ()
    build_tools: tuple[Locked, ...] = ()


@dataclass(frozen=True)
class Change:
    """One difference between two locks, or between a lock and an environment.

    Attributes:
        kind: ``added``, ``removed``, ``version``, ``files`` (same version, other hashes), ``contract``.
        name: of the package, or of the field of the contract.
        before: as text, empty where it was not there.
        after: likewise.
    """

    kind: str
    name: str
    before: str = ""
    after: str = ""


def normalised(name: str) -> str:
    """Return a distribution name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

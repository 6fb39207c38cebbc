"""A machine: this one as it was read, or another one as it was described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from provision.model.facts import Attempt, Fact
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PythonVersion,
)


class DriverState(str, Enum):
    """Different answers to "can a program use the GPU here?"; never folded into one."""

    WORKING = "working"
    NO_GPU = "no-gpu"
    """No NVIDIA device on the PCI bus and no driver."""
    NOT_INSTALLED = "not-installed"
    """A GPU is there, no driver is."""
    NOT_LOADED = "not-loaded"
    """The driver's user space is there, the kernel module is not."""
    LIBRARY_MISMATCH = "library-mismatch"
    """Kernel module and user-space libraries are of different versions: reboot or reload."""
    NO_PERMISSION = "no-permission"
    HIDDEN = "hidden"
    """CUDA_VISIBLE_DEVICES hides every GPU."""
    NOT_PASSED = "not-passed-into-container"
    HUNG = "hung"
    """A driver call did not come back in time."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class GpuProcess:
    """Something else that runs on a GPU; ``memory_mib`` None where the driver does not say."""

    pid: int | None
    name: str
    memory_mib: int | None


@dataclass(frozen=True)
class Gpu:
    """One GPU; memory in MiB.

    ``mig`` is True/False where MIG mode is known, None where the GPU has none or nobody said.
    """

    name: str
    compute_capability: ComputeCapability | None
    index: int | None = None
    memory_mib: int | None = None
    memory_used_mib: int | None = None
    uuid: str | None = None
    pci_bus_id: str | None = None
    mig: bool | None = None
    mig_devices: tuple[str, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    source: str = "unknown"


@dataclass(frozen=True)
class Container:
    """The container this process runs in; ``gpu_passed`` None where that cannot be told."""

    kind: str
    gpu_passed: bool | None


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit lying around; it is not what pip-installed TensorFlow uses."""

    path: str
    cuda: CudaVersion | None
    source: str


@dataclass(frozen=True)
class CudnnCopy:
    """A cuDNN library outside any environment."""

    path: str
    version: CudnnVersion | None


@dataclass(frozen=True)
class Interpreter:
    """A Python found on the machine.

    Attributes:
        path: the executable.
        version: its version.
        source: ``path``, ``pyenv``, ``conda``, ``uv`` or ``given``.
        implementation: ``cpython`` is the only one TensorFlow has wheels for.
        machine: ``x86_64`` …
    """

    path: str
    version: PythonVersion
    source: str
    implementation: str = "cpython"
    machine: str = ""


@dataclass(frozen=True)
class Disagreement:
    """Two sources that say different things about one fact; reported, never averaged."""

    what: str
    readings: tuple[tuple[str, str], ...]
    meaning: str = ""


@dataclass(frozen=True)
class HostFacts:
    """Everything the tool knows about a machine, each fact with its source.

    Attributes:
        described: True for ``--for``: nothing of it was read from this machine.
        system: ``linux``, ``windows`` or ``macos``.
        machine: ``x86_64``, ``aarch64`` …
        wsl: whether Linux runs under WSL (the driver number is then the Windows one).
        glibc: of the running system, None on musl and elsewhere.
        cpu_features: lower case flags as in /proc/cpuinfo (``avx``, ``avx2``, ``fma`` …).
        driver: user-space driver version.
        kernel_module: version of the loaded kernel module.
        driver_cuda: highest CUDA version that the driver supports.
        gpus: every GPU; an unknown fact is not the same as an empty tuple.
        variables: environment variables that change GPU use, as set.
        free_disk_mib: free space in MiB where environments are created.
    """

    described: bool
    system: Fact[str]
    machine: Fact[str]
    distribution: Fact[str]
    wsl: Fact[bool]
    glibc: Fact[GlibcVersion]
    cpu_features: Fact[frozenset[str]]
    driver_state: DriverState
    driver_state_why: str
    driver: Fact[DriverVersion]
    kernel_module: Fact[DriverVersion]
    driver_cuda: Fact[CudaVersion]
    gpus: Fact[tuple[Gpu, ...]]
    device_nodes: Fact[tuple[str, ...]]
    container: Fact[Container]
    toolkits: tuple[Toolkit, ...] = ()
    cudnn_copies: tuple[CudnnCopy, ...] = ()
    nvcc: Fact[CudaVersion] = field(default_factory=lambda: Fact(None))
    pythons: tuple[Interpreter, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    free_disk_mib: Fact[int] = field(default_factory=lambda: Fact(None))
    disagreements: tuple[Disagreement, ...] = ()
    attempts: tuple[Attempt, ...] = ()

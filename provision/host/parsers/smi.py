"""What every form of nvidia-smi output comes down to, and the messages it ends with when it fails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from provision.model.host import Gpu
from provision.model.versions import CudaVersion, DriverVersion


class SmiState(str, Enum):
    """How nvidia-smi ended."""

    OK = "ok"
    NO_DEVICES = "no_devices"
    """The driver answers and shows this process no GPU."""
    LIBRARY_MISMATCH = "library_mismatch"
    DRIVER_NOT_LOADED = "driver_not_loaded"
    NO_PERMISSION = "no_permission"
    NO_LIBRARY = "no_library"
    """nvidia-smi is there, libnvidia-ml is not."""
    NO_PROGRAM = "no_program"
    GPU_LOST = "gpu_lost"
    """A GPU fell off the bus or needs a reset."""
    UNKNOWN_FIELD = "unknown_field"
    """This nvidia-smi is older than a field that was asked for."""
    UNKNOWN_ERROR = "unknown_error"
    UNREADABLE = "unreadable"
    """None of the formats known here."""


@dataclass(frozen=True)
class MigDevice:
    """One MIG device of a table or an XML document; memory in MiB."""

    gpu: int
    gpu_instance: int | None
    compute_instance: int | None
    memory_mib: int | None

    def __str__(self) -> str:
        instances = f"GI {self.gpu_instance} CI {self.compute_instance}"
        return f"{instances}, {self.memory_mib} MiB" if self.memory_mib is not None else instances


@dataclass(frozen=True)
class SmiReport:
    """One run of nvidia-smi.

    Attributes:
        state: how it ended.
        driver: the driver; under WSL the Windows one.
        driver_cuda: highest CUDA version that the driver supports.
        cuda_text: how the table or document put it, ``N/A`` and ``ERR!`` (no libcuda, or a stub) included.
        smi: version of nvidia-smi itself; under WSL another number than the driver's.
        gpus: every GPU listed.
        mig_devices: every MIG device listed.
        attached: how many GPUs the document says are attached, which may be more than it lists.
        message: the line that carries the failure.
    """

    state: SmiState
    driver: DriverVersion | None = None
    driver_cuda: CudaVersion | None = None
    cuda_text: str = ""
    smi: str = ""
    gpus: tuple[Gpu, ...] = ()
    mig_devices: tuple[MigDevice, ...] = ()
    attached: int | None = None
    message: str = ""


_MESSAGES = (
    (r"driver/library version mismatch", SmiState.LIBRARY_MISMATCH),
    (r"API mismatch", SmiState.LIBRARY_MISMATCH),
    (r"couldn'?t find (?:the )?libnvidia-ml", SmiState.NO_LIBRARY),
    (r"NVML: (?:NVML )?Shared Library Not Found", SmiState.NO_LIBRARY),
    (r"has failed because it couldn.?t communicate with the NVIDIA driver", SmiState.DRIVER_NOT_LOADED),
    (r"NVML: Driver Not Loaded", SmiState.DRIVER_NOT_LOADED),
    (r"NVML: Insufficient (?:Permissions|User Permissions)", SmiState.NO_PERMISSION),
    (r"GPU access blocked by the operating system", SmiState.NO_PERMISSION),
    (r"nvidia-smi:? ?(?:: )?Permission denied", SmiState.NO_PERMISSION),
    (r"GPU is lost|GPU requires reset|fallen off the bus", SmiState.GPU_LOST),
    (r"Unable to determine the device handle", SmiState.GPU_LOST),
    (r"No devices were found", SmiState.NO_DEVICES),
    (r"No NVIDIA GPU found", SmiState.NO_DEVICES),
    (r"is not a valid field to query", SmiState.UNKNOWN_FIELD),
    (r"nvidia-smi['\"]?:? (?:command )?not found", SmiState.NO_PROGRAM),
    (r"(?:command not found|Unknown command):? ['\"]?nvidia-smi", SmiState.NO_PROGRAM),
    (r"nvidia-smi['’\"]?\s?:? (?:commande introuvable|n.est pas reconnu|Kommando nicht gefunden)", SmiState.NO_PROGRAM),
    (r"nvidia-smi['\"]?:? (?:No such file or directory|is not recognized)", SmiState.NO_PROGRAM),
    (r"Command ['\"]?nvidia-smi['\"]? not found", SmiState.NO_PROGRAM),
    (r"executable file not found.*nvidia-smi|nvidia-smi.*executable file not found", SmiState.NO_PROGRAM),
    (r"Failed to initialize NVML", SmiState.UNKNOWN_ERROR),
    (r"NVIDIA-SMI has failed", SmiState.UNKNOWN_ERROR),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), state) for pattern, state in _MESSAGES)


def failure_in(text: str) -> tuple[SmiState, str] | None:
    """Return the failure that some line of nvidia-smi's output states, with that line; the most telling comes first."""
    lines = text.splitlines()
    for pattern, state in _COMPILED:
        for line in lines:
            if pattern.search(line[:2000]):
                return state, line.strip()[:300]
    return None


def without_gpus(text: str) -> SmiReport:
    """Return the report of an output that lists nothing."""
    state, message = failure_in(text) or (SmiState.UNREADABLE, "")
    return SmiReport(state, message=message)

"""What each source said about the driver, side by side and not yet judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.host.parsers import SmiReport
from provision.model.facts import Attempt, Fact
from provision.model.host import Gpu, GpuProcess
from provision.model.versions import ComputeCapability, CudaVersion, DriverVersion

# Return codes of NVML (nvml.h) that decide something.
NVML_NO_PERMISSION = 4
NVML_DRIVER_NOT_LOADED = 9
NVML_LIBRARY_NOT_FOUND = 12
NVML_OPERATING_SYSTEM = 17
NVML_MISMATCH = 18
# Results of the CUDA driver API (cuda.h) that decide something.
CUDA_STUB_LIBRARY = 34
CUDA_NO_DEVICE = 100
CUDA_INVALID_DEVICE = 101
CUDA_OPERATING_SYSTEM = 304
CUDA_DRIVER_MISMATCH = 803

CUDA_MEANINGS: Mapping[int, str] = {
    3: "the driver was not initialized",
    34: "libcuda.so.1 is the toolkit's stub, not a driver: take the folder `stubs` off LD_LIBRARY_PATH",
    46: "the GPU is held by another process (exclusive or prohibited compute mode)",
    100: "no CUDA device is visible",
    101: "CUDA_VISIBLE_DEVICES names a device that does not exist",
    102: "the virtual GPU has no licence",
    304: "an operating system call failed: /dev/nvidia* missing or not permitted, often nvidia-uvm",
    800: "not permitted",
    802: "the system is not ready: on NVSwitch machines the fabric manager must run",
    803: "libcuda and the kernel module are of different versions: a half-finished upgrade, or a stale cuda-compat",
    804: "a cuda-compat libcuda was found first, and this GPU does not support forward compatibility",
    805: "CUDA_MPS_PIPE_DIRECTORY is set and no MPS daemon answers",
    999: "unknown error: often after suspend, a broken nvidia-uvm, or MIG mode without an instance",
}
"""cuInit results as cuda.h describes them; the causes are the usual ones, read on 2026-11-21."""


@dataclass(frozen=True)
class PciGpu:
    """An NVIDIA display device.

    Attributes:
        address: on the bus, ``0000:01:00.0``.
        device_id: four hexadecimal digits, empty where only the driver's own files tell of the device.
        driver: the kernel driver that holds it (nvidia, nouveau, vfio-pci).
        model: product name as the kernel module tells it.
        uuid: as the kernel module tells it.
    """

    address: str
    device_id: str
    driver: str | None = None
    model: str | None = None
    uuid: str | None = None


@dataclass(frozen=True)
class DeviceNodes:
    """The device files of the driver; None where /dev could not be listed."""

    present: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()


@dataclass(frozen=True)
class NvmlReading:
    """What NVML answered in its child process.

    Attributes:
        outcome: one of the words of `Attempt.outcome`.
        code: NVML's return code of the initialisation, None where it was not reached.
        text: the message.
        library: the file that answered.
        driver: the version that the library reports.
        cuda: the highest CUDA version that the driver supports.
        gpus: every GPU, whatever CUDA_VISIBLE_DEVICES says.
        pci_ids: PCI device id per GPU, in the same order.
        troubles: GPUs that are there and cannot be asked, each with NVML's message ("GPU is lost").
    """

    outcome: str
    code: int | None = None
    text: str = ""
    library: str | None = None
    driver: DriverVersion | None = None
    cuda: CudaVersion | None = None
    gpus: tuple[Gpu, ...] = ()
    pci_ids: tuple[str | None, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it initialised."""
        return self.outcome == "ok"


@dataclass(frozen=True)
class CudaReading:
    """What libcuda answered in its child process; ``init`` is the CUresult of cuInit."""

    outcome: str
    init: int | None = None
    text: str = ""
    library: str | None = None
    version: CudaVersion | None = None
    gpus: tuple[Gpu, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether CUDA works and shows a device: what TensorFlow will meet."""
        return self.outcome == "ok" and bool(self.gpus)

    @property
    def missing(self) -> bool:
        """Whether there is no libcuda at all."""
        return self.outcome == "absent"


@dataclass(frozen=True)
class Readings:
    """Everything that was asked about the driver.

    Attributes:
        wsl: whether this is WSL, None where that is unknown.
        container: the kind of container around this process.
        pci: NVIDIA display devices on the bus; None where the bus could not be read.
        module: the loaded kernel module.
        nodes: the device files.
        nvml: NVML's answer.
        cuda: libcuda's answer in the environment as it is.
        cuda_all: the same without CUDA_VISIBLE_DEVICES; the same value where that is not set.
        visible: CUDA_VISIBLE_DEVICES as set.
        smi: nvidia-smi's answer, asked only where NVML gave none.
        libcudas: every libcuda.so.1 that the loader could find, in its order, links resolved.
        secure_boot: whether the firmware only lets signed modules in.
        attempts: every attempt, in order.
    """

    wsl: bool | None = False
    container: str | None = None
    pci: tuple[PciGpu, ...] | None = None
    module: Fact[DriverVersion] = field(default_factory=lambda: Fact(None))
    nodes: DeviceNodes = DeviceNodes()
    nvml: NvmlReading = NvmlReading("absent")
    cuda: CudaReading = CudaReading("absent")
    cuda_all: CudaReading = CudaReading("absent")
    visible: str | None = None
    smi: SmiReport | None = None
    libcudas: tuple[str, ...] = ()
    secure_boot: bool | None = None
    attempts: tuple[Attempt, ...] = ()


def read_nvml(data: Mapping[str, Any]) -> NvmlReading:
    """Read the answer of the ``nvml`` probe."""
    if data.get("import_error"):
        return NvmlReading("failed", text=f"nvidia-ml-py cannot be imported: {data['import_error']}")
    init = data.get("init") or {}
    code, text, library = init.get("code"), str(init.get("text", "")), data.get("library")
    if code:
        outcome = {NVML_NO_PERMISSION: "denied", NVML_LIBRARY_NOT_FOUND: "absent"}.get(code, "failed")
        return NvmlReading(outcome, code, text, library)
    if code is None:
        return NvmlReading("failed", text=text or "no answer", library=library)
    entries = [entry for entry in data.get("gpus", ()) if isinstance(entry, dict)]
    return NvmlReading(
        outcome="ok",
        code=0,
        library=library,
        driver=DriverVersion.parse(str(data.get("driver") or "")),
        cuda=CudaVersion.from_driver_api(data.get("cuda") or 0),
        gpus=tuple(_gpu(entry, "nvml") for entry in entries),
        pci_ids=tuple(entry.get("pci_device_id") for entry in entries),
        troubles=tuple(
            f"GPU {entry.get('index')}: {entry['errors']['handle'].get('text')}"
            for entry in entries
            if (entry.get("errors") or {}).get("handle")
        ),
    )


def read_cuda(data: Mapping[str, Any]) -> CudaReading:
    """Read the answer of the ``libcuda`` probe."""
    if data.get("load_error"):
        first = str(data["load_error"][0])
        absent = "No such file" in first
        return CudaReading("absent" if absent else "failed", text=first)
    init = data.get("init")
    entries = [entry for entry in data.get("devices", ()) if isinstance(entry, dict) and entry.get("code") == 0]
    code = init or data.get("count_code")
    return CudaReading(
        outcome="ok" if init == 0 else "failed",
        init=init,
        text=CUDA_MEANINGS.get(code, f"CUresult {code}") if code else "",
        library=data.get("library"),
        version=CudaVersion.from_driver_api(data.get("version") or 0),
        gpus=tuple(_gpu(entry, "libcuda") for entry in entries),
    )


def _gpu(entry: Mapping[str, Any], source: str) -> Gpu:
    capability = entry.get("compute_capability")
    return Gpu(
        name=entry.get("name") or "unknown",
        compute_capability=ComputeCapability.parse(f"{capability[0]}.{capability[1]}") if capability else None,
        index=entry.get("index"),
        memory_mib=entry.get("memory_mib"),
        memory_used_mib=entry.get("memory_used_mib"),
        uuid=entry.get("uuid"),
        pci_bus_id=entry.get("pci_bus_id"),
        mig=entry.get("mig"),
        mig_devices=tuple(str(device.get("uuid") or device.get("name")) for device in entry.get("mig_devices", ())),
        processes=tuple(
            GpuProcess(item["pid"], item["name"], item["memory_mib"]) for item in entry.get("processes", ())
        ),
        source=source,
    )

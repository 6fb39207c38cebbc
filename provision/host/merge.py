"""From what the sources said to facts: one value each, its source, and every disagreement. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import PurePath

from provision.host.products import capability_of_name, capability_of_pci
from provision.host.readings import PciGpu, Readings
from provision.model.facts import Fact
from provision.model.host import Disagreement, Gpu
from provision.model.versions import CudaVersion, DriverVersion


def driver_version(said: Readings) -> Fact[DriverVersion]:
    """Return the user-space driver: NVML, nvidia-smi, the library's file name, at last the kernel module's number."""
    attempts = tuple(attempt for attempt in said.attempts if attempt.source.startswith(("nvml", "nvidia-smi")))
    if said.nvml.driver:
        return Fact(said.nvml.driver, "nvml", attempts)
    if said.smi is not None and said.smi.driver:
        return Fact(said.smi.driver, "nvidia-smi", attempts)
    for path in (said.nvml.library, said.cuda_all.library):
        version = _version_of_file(path)
        if version:
            return Fact(version, f"file name {PurePath(path or '').name}", attempts)
    if said.module.value:
        return Fact(said.module.value, f"{said.module.source} (kernel module; no library answered)", attempts)
    return Fact(None, attempts=attempts)


def _version_of_file(path: str | None) -> DriverVersion | None:
    found = re.search(r"\.so\.(\d{3}\.\d+(?:\.\d+)?)$", path or "")
    return DriverVersion(found.group(1)) if found else None


def driver_cuda(said: Readings) -> Fact[CudaVersion]:
    """Return the highest CUDA version that the driver supports: NVML, then libcuda, then nvidia-smi.

    NVML comes first because it speaks for the driver; a libcuda of a cuda-compat package speaks for itself.
    """
    attempts = tuple(a for a in said.attempts if a.source.startswith(("nvml", "libcuda", "nvidia-smi")))
    if said.nvml.cuda:
        return Fact(said.nvml.cuda, "nvml", attempts)
    if said.cuda_all.version:
        return Fact(said.cuda_all.version, "libcuda cuDriverGetVersion", attempts)
    if said.smi is not None and said.smi.driver_cuda:
        return Fact(said.smi.driver_cuda, "nvidia-smi", attempts)
    return Fact(None, attempts=attempts)


def gpus(said: Readings) -> Fact[tuple[Gpu, ...]]:
    """Return every GPU of the machine, hidden ones too: NVML, libcuda without CUDA_VISIBLE_DEVICES, nvidia-smi, PCI.

    An empty tuple says that there is none; unknown is another answer.
    """
    attempts = said.attempts
    if said.nvml.gpus:
        ids = said.nvml.pci_ids or (None,) * len(said.nvml.gpus)
        pairs = zip(said.nvml.gpus, ids, strict=True)
        return Fact(tuple(_complete(gpu, said, device_id) for gpu, device_id in pairs), "nvml", attempts)
    if said.cuda_all.gpus:
        return Fact(said.cuda_all.gpus, "libcuda", attempts)
    if said.smi is not None and said.smi.gpus:
        return Fact(tuple(_complete(gpu, said, None) for gpu in said.smi.gpus), said.smi.gpus[0].source, attempts)
    if said.pci:
        found = tuple(_of_pci(gpu, index) for index, gpu in enumerate(said.pci))
        return Fact(found, "PCI bus", attempts)
    if said.pci == () and not said.wsl:
        return Fact((), "PCI bus", attempts)
    return Fact(None, attempts=attempts)


def _complete(gpu: Gpu, said: Readings, device_id: str | None) -> Gpu:
    """Fill in a compute capability that the source did not have: libcuda's for the same GPU, else the product's."""
    if gpu.compute_capability:
        return gpu
    for other in said.cuda_all.gpus:
        if other.compute_capability and _same(gpu, other):
            return dataclasses.replace(
                gpu,
                compute_capability=other.compute_capability,
                source=f"{gpu.source}, compute capability from libcuda",
            )
    product = (capability_of_pci(device_id) if device_id else None) or capability_of_name(gpu.name)
    if product is None:
        return gpu
    source = f"{gpu.source}, compute capability from the product table"
    return dataclasses.replace(gpu, compute_capability=product[1], source=source)


def _same(one: Gpu, other: Gpu) -> bool:
    if one.uuid and other.uuid:
        return one.uuid.lower() == other.uuid.lower()
    return _short_bus(one.pci_bus_id) is not None and _short_bus(one.pci_bus_id) == _short_bus(other.pci_bus_id)


def _short_bus(text: str | None) -> str | None:
    """Return ``01:00.0`` with its domain as four digits: NVML writes eight, sysfs and libcuda four."""
    domain, colon, rest = (text or "").lower().partition(":")
    return f"{domain[-4:].rjust(4, '0')}:{rest}" if colon else None


def _of_pci(gpu: PciGpu, index: int) -> Gpu:
    product = capability_of_pci(gpu.device_id) or (capability_of_name(gpu.model) if gpu.model else None)
    name, capability = product or (f"NVIDIA device {gpu.device_id}", None)
    source = "kernel module" if gpu.model else "PCI id"
    return Gpu(
        name=gpu.model or name,
        compute_capability=capability,
        index=index,
        uuid=gpu.uuid,
        pci_bus_id=gpu.address,
        source=f"{source}, product table" if product else source,
    )


def disagreements(said: Readings) -> tuple[Disagreement, ...]:
    """Return where sources differ, with what that means; nothing is averaged and nothing is chosen."""
    return (*_versions_apart(said), *_cuda_apart(said), *_several_libcudas(said), *_counts_apart(said))


def _versions_apart(said: Readings) -> Iterator[Disagreement]:
    module = said.module.value
    library = said.nvml.driver or _version_of_file(said.nvml.library) or _version_of_file(said.cuda_all.library)
    if module and library and module != library:
        yield Disagreement(
            "driver version",
            ((said.module.source, module.text), ("driver libraries", library.text)),
            "the libraries were changed while the old kernel module stayed loaded, or come from elsewhere: reboot",
        )
    smi = said.smi
    if smi is not None and smi.smi and smi.driver and not said.wsl and smi.smi != smi.driver.text:
        yield Disagreement(
            "driver version",
            (("nvidia-smi itself", smi.smi), ("driver", smi.driver.text)),
            "nvidia-smi comes from another driver package than the one that runs",
        )


def _cuda_apart(said: Readings) -> Iterator[Disagreement]:
    driver, library = said.nvml.cuda, said.cuda_all.version
    if driver and library and driver != library:
        path = said.cuda_all.library or "libcuda.so.1"
        newer = library > driver
        yield Disagreement(
            "CUDA version that the driver supports",
            (("nvml", driver.text), (path, library.text)),
            "libcuda is newer than the driver: a cuda-compat package is found first (forward compatibility)"
            if newer
            else "libcuda is older than the driver: another copy of it is found first",
        )


def _several_libcudas(said: Readings) -> Iterator[Disagreement]:
    used = said.cuda_all.library
    stub = [path for path in (used, *said.libcudas) if path and "/stubs/" in path]
    if stub:
        yield Disagreement(
            "libcuda.so.1",
            tuple((path, "stub" if "/stubs/" in path else "driver") for path in dict.fromkeys((*stub, *said.libcudas))),
            "a toolkit's stub answers to the driver's name: take its folder off LD_LIBRARY_PATH",
        )
    elif len(said.libcudas) > 1:
        yield Disagreement(
            "libcuda.so.1",
            tuple((path, "used" if path == used else "found too") for path in said.libcudas),
            "several driver libraries answer to one name; which one a program gets depends on its LD_LIBRARY_PATH",
        )


def _counts_apart(said: Readings) -> Iterator[Disagreement]:
    nvml, cuda = len(said.nvml.gpus), len(said.cuda_all.gpus)
    mig = any(gpu.mig for gpu in said.nvml.gpus)
    if said.nvml.ok and said.cuda_all.outcome == "ok" and nvml != cuda and not mig:
        yield Disagreement(
            "number of GPUs",
            (("nvml", str(nvml)), ("libcuda", str(cuda))),
            "CUDA cannot use every GPU that the driver lists",
        )
    if said.pci and said.nvml.ok and len(said.pci) > nvml:
        yield Disagreement(
            "number of GPUs",
            (("PCI bus", str(len(said.pci))), ("nvml", str(nvml))),
            "the driver does not serve every NVIDIA GPU: not given to this container or job, held by another driver, "
            "or no longer supported by this driver branch",
        )

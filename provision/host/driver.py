"""Ask everything that knows about the driver; judge nothing.

1. The PCI bus: a GPU is seen there even without a driver.
2. ``/sys/module/nvidia/version``, then ``/proc/driver/nvidia/version``: the loaded kernel module (in a container, the
   host's; under WSL there is none).
3. The device files and whether we may open them.
4. NVML, in a child process: needs no CUDA context, ignores CUDA_VISIBLE_DEVICES.
5. libcuda, in a child process of its own: cuDriverGetVersion, then cuInit and the devices, once with the user's
   CUDA_VISIBLE_DEVICES and once without it.
6. nvidia-smi as XML, as CSV and as a table, where NVML gave nothing.

The children run at the same time, each with a time limit: a broken driver hangs. Without persistence mode the first
touch takes one to three seconds per GPU, so the limit is generous.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from provision.host import paths
from provision.host.machine import container_kind, read_text
from provision.host.nvidia_smi import ask_nvidia_smi
from provision.host.parsers import parse_gpu_information, parse_ldconfig, parse_proc_version
from provision.host.readings import (
    CudaReading,
    DeviceNodes,
    NvmlReading,
    PciGpu,
    Readings,
    read_cuda,
    read_nvml,
)
from provision.model.facts import Attempt, Fact
from provision.model.versions import DriverVersion
from provision.probes import ProbeAnswer, run_probe
from provision.system import System
from provision.system.parallel import Pending

_NVIDIA = "0x10de"
_DISPLAY = "0x03"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_OPENED_BY_CUDA = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dxg")


def gather(system: System, *, wsl: bool | None, machine: str, limit: float) -> Readings:
    """Return what every source said.

    Args:
        system: the door.
        wsl: whether this is WSL.
        machine: the architecture, to tell libraries for it from others.
        limit: seconds for each child that loads a driver library.
    """
    attempts: list[Attempt] = []
    environ = dict(system.environ)
    free = {name: value for name, value in environ.items() if name != _VISIBLE}
    nvml_child = Pending(lambda: _nvml(system, limit))
    all_child = Pending(lambda: _libcuda(system, free, limit))
    own_child = Pending(lambda: _libcuda(system, environ, limit)) if _VISIBLE in environ else all_child
    cache_child = Pending(lambda: libcudas(system, machine))
    pci = _pci(system, attempts)
    module = kernel_module(system, attempts)
    nodes = _nodes(system, attempts)
    nvml, cuda_all, cuda = nvml_child.result(), all_child.result(), own_child.result()
    answering = cache_child.result()
    attempts.append(Attempt("nvml", nvml.outcome, nvml.text))
    attempts.extend(Attempt("nvml", "failed", trouble) for trouble in nvml.troubles)
    attempts.append(Attempt("libcuda", cuda.outcome, cuda.text))
    if _VISIBLE in environ:
        attempts.append(Attempt(f"libcuda without {_VISIBLE}", cuda_all.outcome, cuda_all.text))
    smi = None
    if "timeout" not in (nvml.outcome, cuda_all.outcome) and not (nvml.ok and nvml.gpus):
        smi = ask_nvidia_smi(system, attempts, limit)
    return Readings(
        wsl=wsl,
        container=container_kind(system)[0],
        pci=pci,
        module=module,
        nodes=nodes,
        nvml=nvml,
        cuda=cuda,
        cuda_all=cuda_all,
        visible=environ.get(_VISIBLE),
        smi=smi,
        libcudas=answering,
        secure_boot=secure_boot(system),
        attempts=tuple(attempts),
    )


def _pci(system: System, attempts: list[Attempt]) -> tuple[PciGpu, ...] | None:
    """Return NVIDIA's display devices (class 0x03…), None where neither the bus nor the module's files can be read."""
    folder = "/sys/bus/pci/devices"
    told = _module_gpus(system)
    if not system.exists(folder):
        attempts.append(Attempt(folder, "absent"))
        return tuple(told.values()) or None
    found = []
    for path in system.glob(folder, "*"):
        quiet: list[Attempt] = []
        vendor, kind, device = (
            (read_text(system, f"{path}/{name}", quiet) or "").strip().lower() for name in ("vendor", "class", "device")
        )
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            driver = paths.link_target(system.path(f"{path}/driver"))
            address = Path(path).name
            module = told.get(address.lower(), PciGpu(address, ""))
            found.append(PciGpu(address, device.removeprefix("0x").upper(), driver, module.model, module.uuid))
    attempts.append(Attempt(folder, "ok", f"{len(found)} NVIDIA display devices"))
    return tuple(found)


def _module_gpus(system: System) -> dict[str, PciGpu]:
    """Return the GPUs of ``/proc/driver/nvidia/gpus`` by address: the module knows names older than any id table."""
    found = {}
    for path in system.glob("/proc/driver/nvidia/gpus", "*/information"):
        told = parse_gpu_information(read_text(system, path, []) or "")
        address = told.get("Bus Location", Path(path).parent.name).lower()
        found[address] = PciGpu(address, "", "nvidia", told.get("Model"), told.get("GPU UUID"))
    return found


def kernel_module(system: System, attempts: list[Attempt]) -> Fact[DriverVersion]:
    """Return the version of the loaded kernel module; unknown is also the answer where none is loaded."""
    own: list[Attempt] = []
    version = None
    source = "/sys/module/nvidia/version"
    text = read_text(system, source, own)
    if text is not None:
        version = DriverVersion.parse(text)
    else:
        source = "/proc/driver/nvidia/version"
        text = read_text(system, source, own)
        version = parse_proc_version(text).version if text is not None else None
    if text is not None:
        own.append(Attempt(source, "ok" if version else "unreadable", "" if version else text.strip()[:200]))
    attempts.extend(own)
    return Fact(version, source, tuple(own)) if version else Fact(None, attempts=tuple(own))


def _nodes(system: System, attempts: list[Attempt]) -> DeviceNodes:
    if not system.exists("/dev"):
        attempts.append(Attempt("/dev", "absent"))
        return DeviceNodes()
    present = (*system.glob("/dev", "nvidia*"), *system.glob("/dev/nvidia-caps", "*"), *system.glob("/dev", "dxg"))
    needed = [path for path in present if path in _OPENED_BY_CUDA or path.removeprefix("/dev/nvidia").isdecimal()]
    denied = tuple(path for path in needed if not os.access(system.path(path), os.R_OK | os.W_OK))
    attempts.append(Attempt("/dev/nvidia*", "denied" if denied else "ok" if present else "absent", ", ".join(denied)))
    return DeviceNodes(present, denied)


def _nvml(system: System, limit: float) -> NvmlReading:
    # Our own interpreter, with everything it finds by itself: nvidia-ml-py may be in its user site.
    answer = run_probe(system, sys.executable, "nvml", timeout=limit, flags=())
    if answer.data is None:
        return NvmlReading(_outcome(answer), text=_detail(answer, limit))
    return read_nvml(answer.data)


def _libcuda(system: System, environ: Mapping[str, str], limit: float) -> CudaReading:
    answer = run_probe(system, sys.executable, "libcuda", timeout=limit, environ=environ, flags=("-E", "-s", "-S"))
    if answer.data is None:
        return CudaReading(_outcome(answer), text=_detail(answer, limit))
    return read_cuda(answer.data)


def _outcome(answer: ProbeAnswer) -> str:
    return "timeout" if answer.failure == "timeout" else "failed"


def _detail(answer: ProbeAnswer, limit: float) -> str:
    if answer.failure == "timeout":
        return f"no answer within {limit:g} s"
    last = answer.completed.stderr.strip().splitlines()[-1:]
    return ": ".join((answer.failure, *last))[:300]


def ldconfig(system: System) -> str:
    """Return what the loader's cache knows, empty where it cannot be asked."""
    program = system.which("ldconfig") or str(system.path("/sbin/ldconfig"))
    completed = system.run([program, "-p"], timeout=10, env={**system.environ, "LC_ALL": "C"})
    return completed.stdout if completed.ok else ""


def libcudas(system: System, machine: str) -> tuple[str, ...]:
    """Return the files that the name libcuda.so.1 can mean, LD_LIBRARY_PATH first as the loader does it."""
    name = "libcuda.so.1"
    folders = [folder for folder in system.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    cache = parse_ldconfig(ldconfig(system))
    files = [Path(folder) / name for folder in folders]
    files += [Path(entry.path) for entry in cache if entry.soname == name and entry.serves(machine)]
    found = (paths.resolve(file) for file in files)
    return tuple(dict.fromkeys(str(file) for file in found if file))


def secure_boot(system: System) -> bool | None:
    """Return whether Secure Boot is on: the last byte of the firmware's variable."""
    text = read_text(system, _SECURE_BOOT, [])
    return text[-1] == "\x01" if text else None

"""From what the sources said to one answer: can a program use the GPU here, and if not, why not?

A pure table of rules, tried in order; the first that applies is the answer. "No GPU", "driver not loaded", "library
mismatch", "no permission", "hidden", "not passed into this container" and "hung" are different answers, and where no
rule applies the answer is that nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable

from provision.host.parsers import SmiState
from provision.host.readings import (
    CUDA_DRIVER_MISMATCH,
    CUDA_INVALID_DEVICE,
    CUDA_MEANINGS,
    CUDA_NO_DEVICE,
    CUDA_OPERATING_SYSTEM,
    CUDA_STUB_LIBRARY,
    NVML_DRIVER_NOT_LOADED,
    NVML_MISMATCH,
    NVML_NO_PERMISSION,
    NVML_OPERATING_SYSTEM,
    Readings,
)
from provision.model.host import DriverState

Answer = tuple[DriverState, str]
Rule = Callable[[Readings], Answer | None]


def decide_state(readings: Readings) -> Answer:
    """Return the state and one sentence that says why."""
    for rule in RULES:
        answer = rule(readings)
        if answer is not None:
            return answer
    return DriverState.UNKNOWN, "the sources allow no conclusion"


def _hung(said: Readings) -> Answer | None:
    hung = [
        name
        for name, outcome in (
            ("NVML", said.nvml.outcome),
            ("libcuda", said.cuda.outcome),
            ("libcuda", said.cuda_all.outcome),
        )
        if outcome == "timeout"
    ]
    if not hung:
        return None
    text = " and ".join(dict.fromkeys(hung))
    detail = next(r.text for r in (said.nvml, said.cuda, said.cuda_all) if r.outcome == "timeout")
    return DriverState.HUNG, f"{text} did not come back ({detail}); the kernel log (dmesg) may say why, a reboot helps"


def _working(said: Readings) -> Answer | None:
    if not said.cuda.usable:
        return None
    shown, there = len(said.cuda.gpus), max(len(said.nvml.gpus), len(said.cuda_all.gpus))
    if said.visible is not None and shown < there:
        return DriverState.WORKING, f"CUDA_VISIBLE_DEVICES={said.visible!r} shows {shown} of {there} GPUs"
    return DriverState.WORKING, f"cuInit succeeds and shows {shown} GPU{'s' if shown != 1 else ''}"


def _stub(said: Readings) -> Answer | None:
    if said.cuda_all.init != CUDA_STUB_LIBRARY:
        return None
    where = f" ({said.cuda_all.library})" if said.cuda_all.library else ""
    return DriverState.UNKNOWN, f"{CUDA_MEANINGS[CUDA_STUB_LIBRARY]}{where}"


def _mismatch(said: Readings) -> Answer | None:
    smi = said.smi is not None and said.smi.state is SmiState.LIBRARY_MISMATCH
    if said.nvml.code == NVML_MISMATCH or smi:
        module = said.module.value
        version = f" {module}" if module else ""
        why = f"the loaded kernel module{version} and the driver's libraries are of different versions"
        return DriverState.LIBRARY_MISMATCH, f"{why}: reboot, or unload and load the module"
    if CUDA_DRIVER_MISMATCH in (said.cuda.init, said.cuda_all.init):
        return DriverState.LIBRARY_MISMATCH, CUDA_MEANINGS[CUDA_DRIVER_MISMATCH]
    return None


def _hidden(said: Readings) -> Answer | None:
    if said.visible is None or not said.cuda_all.usable:
        return None
    count = len(said.cuda_all.gpus)
    wrong = ", which names a device that does not exist," if said.cuda.init == CUDA_INVALID_DEVICE else ""
    gpus = "the GPU" if count == 1 else f"all {count} GPUs"
    return DriverState.HIDDEN, f"CUDA_VISIBLE_DEVICES={said.visible!r}{wrong} hides {gpus}; unset it"


def _no_permission(said: Readings) -> Answer | None:
    denied = said.nodes.denied
    if denied:
        group = "the group that owns it (often video or render)"
        return DriverState.NO_PERMISSION, f"{', '.join(denied)} may not be opened by this user: join {group}"
    if said.nvml.code == NVML_NO_PERMISSION:
        return DriverState.NO_PERMISSION, "NVML answers that this user has no permission"
    if said.nvml.code == NVML_OPERATING_SYSTEM:
        return DriverState.NO_PERMISSION, "the operating system blocks the GPU for this process (cgroup, or Windows)"
    if said.smi is not None and said.smi.state is SmiState.NO_PERMISSION:
        return DriverState.NO_PERMISSION, said.smi.message
    if said.nvml.outcome == "denied" or said.cuda_all.outcome == "denied":
        return DriverState.NO_PERMISSION, said.nvml.text or said.cuda_all.text
    return None


def _not_passed(said: Readings) -> Answer | None:
    """In a container the kernel is the host's: a module or a PCI device there without its files or libraries here."""
    if said.container is None or not (said.module.known or said.pci):
        return None
    how = {
        "apptainer": "start it with --nv",
        "docker": "start it with --gpus all",
        "podman": "start it with --device nvidia.com/gpu=all",
        "kubernetes": "request nvidia.com/gpu in the pod's resources",
    }.get(said.container, "pass the GPU into it")
    seen = f"kernel module {said.module.value}" if said.module.known else "a GPU on the PCI bus"
    if said.nodes.present == ():
        if not said.module.known:
            seen += " (whether its host has a driver cannot be seen from here)"
        return DriverState.NOT_PASSED, f"{seen}, and no /dev/nvidia* in this {said.container} container: {how}"
    if said.cuda_all.missing and said.nodes.present:
        return (
            DriverState.NOT_PASSED,
            f"device files are here, libcuda.so.1 is not: {how}, with NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        )
    return None


def _not_loaded(said: Readings) -> Answer | None:
    smi = said.smi is not None and said.smi.state is SmiState.DRIVER_NOT_LOADED
    libraries = not said.cuda_all.missing or said.nvml.outcome not in ("absent", "timeout")
    told = said.nvml.code == NVML_DRIVER_NOT_LOADED or smi
    silent = said.cuda_all.init in (CUDA_NO_DEVICE, CUDA_OPERATING_SYSTEM) and said.nvml.outcome == "absent"
    if said.wsl or said.module.known or said.pci == () or not (told or (libraries and silent)):
        return None
    why = "the driver's libraries are installed, its kernel module is not loaded"
    drivers = {gpu.driver for gpu in said.pci or ()}
    if "nouveau" in drivers:
        why += "; nouveau holds the GPU"
    elif "vfio-pci" in drivers:
        why += "; vfio-pci holds the GPU for a virtual machine"
    elif said.secure_boot:
        why += "; Secure Boot is on, which refuses unsigned modules"
    return DriverState.NOT_LOADED, f"{why}: `sudo modprobe nvidia` says what is missing"


def _no_gpu(said: Readings) -> Answer | None:
    if said.pci != () or said.wsl or said.nvml.gpus or said.module.known:
        return None
    where = "no NVIDIA GPU on the PCI bus"
    libraries = not said.cuda_all.missing or said.nvml.library is not None
    return DriverState.NO_GPU, f"{where}, although driver libraries are installed" if libraries else where


def _wsl(said: Readings) -> Answer | None:
    if not said.wsl or not said.cuda_all.missing:
        return None
    if said.nodes.present is not None and "/dev/dxg" not in said.nodes.present:
        inside = f"not passed into this {said.container} container" if said.container else "WSL 1, or an old WSL 2"
        return DriverState.NOT_PASSED, f"no /dev/dxg: {inside}; `wsl --update` in Windows brings GPU support"
    why = "Windows has no NVIDIA driver with WSL support, or no NVIDIA GPU"
    return DriverState.UNKNOWN, f"no libcuda.so.1 in /usr/lib/wsl/lib: {why}"


def _not_installed(said: Readings) -> Answer | None:
    if not said.cuda_all.missing:
        return None
    if said.nvml.ok and said.nvml.gpus:
        return (
            DriverState.NOT_INSTALLED,
            "NVML works, libcuda.so.1 is missing: the driver's compute libraries are not installed",
        )
    if said.module.known:
        return (
            DriverState.NOT_INSTALLED,
            f"kernel module {said.module.value} is loaded, the driver's libraries are missing",
        )
    if said.pci:
        held = sorted({gpu.driver for gpu in said.pci if gpu.driver and gpu.driver != "nvidia"})
        return (
            DriverState.NOT_INSTALLED,
            f"an NVIDIA GPU is on the PCI bus and no driver is installed{f'; {held[0]} holds it' if held else ''}",
        )
    return None


def _sees_nothing(said: Readings) -> Answer | None:
    """The driver answers and shows no device: a job without a GPU, a GPU that failed to start or left this branch."""
    none = (said.nvml.ok and not said.nvml.gpus) or (said.smi is not None and said.smi.state is SmiState.NO_DEVICES)
    if not none:
        return None
    causes = "this job was given none, the GPU failed to start (see dmesg), or this driver branch no longer serves it"
    return DriverState.UNKNOWN, f"the driver is loaded and shows no GPU: {causes}"


def _lost(said: Readings) -> Answer | None:
    if not said.nvml.troubles and not (said.smi is not None and said.smi.state is SmiState.GPU_LOST):
        return None
    what = ", ".join(said.nvml.troubles) or (said.smi.message if said.smi else "")
    return DriverState.UNKNOWN, f"{what}: it fell off the bus or needs a reset; see dmesg for Xid, then reboot"


def _mig_without_device(said: Readings) -> Answer | None:
    empty = [gpu for gpu in said.nvml.gpus if gpu.mig and not gpu.mig_devices]
    if not empty or len(empty) < len(said.nvml.gpus):
        return None
    return (
        DriverState.UNKNOWN,
        "MIG mode is on and no MIG device exists, so CUDA sees none: `sudo nvidia-smi mig -lgip`",
    )


def _broken(said: Readings) -> Answer | None:
    for reading, name in ((said.cuda, "cuInit"), (said.cuda_all, "cuInit")):
        if reading.init:
            return DriverState.UNKNOWN, f"{name} fails with {reading.init}: {reading.text}"
    if said.cuda_all.outcome == "failed":
        return DriverState.UNKNOWN, f"libcuda cannot be asked: {said.cuda_all.text}"
    if said.nvml.outcome == "failed":
        return DriverState.UNKNOWN, f"NVML cannot be asked: {said.nvml.text}"
    return None


def _nothing_there(said: Readings) -> Answer | None:
    if said.pci is None and said.cuda_all.missing:
        return DriverState.UNKNOWN, "no driver library is installed, and the PCI bus cannot be read to look for a GPU"
    return None


RULES: tuple[Rule, ...] = (
    _hung,
    _working,
    _stub,
    _mismatch,
    _hidden,
    _no_permission,
    _not_passed,
    _not_loaded,
    _no_gpu,
    _wsl,
    _not_installed,
    _sees_nothing,
    _lost,
    _mig_without_device,
    _broken,
    _nothing_there,
)
"""Tried in order."""

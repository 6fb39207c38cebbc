"""Findings about libcuda, the driver's age, and a driver that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.log import fixes
from provision.doctor.log.judge.containers import started_without
from provision.doctor.log.seen import LIKELY, MAYBE, SURE, Seen
from provision.model.doctor import Finding, Fix
from provision.model.log import Signal
from provision.model.versions import CudaVersion, DriverVersion

# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/: toolkits before those of the matrix and their first driver
_FLOORS = {
    "8.0": DriverVersion("375.26"),
    "9.0": DriverVersion("384.81"),
    "9.1": DriverVersion("390.46"),
    "9.2": DriverVersion("396.26"),
}
_OLD_FOR_ALL = DriverVersion("390")
_UNPARSED = re.compile(r"expected %d|got \"")
_STUB = re.compile(r"\(34\)|STUB|(?<!\w)34\Z")


def impostor(seen: Seen) -> Iterator[Finding]:
    """Yield that a libcuda was loaded which is not the driver's."""
    if seen.works:
        return
    signals = seen.all("stub-library")
    signals += [item for item in seen.all("libcuda-version") if _UNPARSED.search(item.fields.get("error", ""))]
    signals += [item for item in seen.all("cuinit") if _STUB.search(item.fields["error"])]
    sure = bool(signals)
    # what the stubs of toolkits before CUDA 11 answered to every call, and TensorFlow itself where it has no libcuda
    if not seen.has("libcuda-missing") and not started_without(seen):
        signals += [item for item in seen.all("cuinit") if "(-1)" in item.fields["error"]]
    if seen.has("symbol-not-found"):
        signals += [item for item in seen.all("cuinit") if re.search(r"NOT_FOUND|\b500\b", item.fields["error"])]
    # forward compatibility is only tried by a libcuda that is newer than the kernel's module: where both are of one
    # version, as nvidia-smi's table and TensorFlow's diagnostics say, it is a compat package's
    if seen.has("smi-table", "version-match") and not seen.has("version-mismatch"):
        signals += seen.all("forward-compat")
    if signals:
        what = "a libcuda.so.1 is loaded that is not the running driver's (a stub, a compat package or an image's)"
        yield seen.finding("libcuda_stub_or_shadowed", SURE if sure else LIKELY, what, signals, *_real_libcuda(seen))


def _real_libcuda(seen: Seen) -> tuple[Fix, ...]:
    look = Fix(
        "see which libcuda.so.1 is found, and take stubs and compat folders out of LD_LIBRARY_PATH",
        ("ldconfig -p | grep libcuda.so", "echo $LD_LIBRARY_PATH"),
    )
    if seen.wsl:
        first = ("export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH",)
        return (Fix("put WSL's own folder first", first), look)
    return (fixes.WITH_GPU, look) if seen.container else (look,)


def daemons(seen: Seen) -> Iterator[Finding]:
    """Yield that the service of NVSwitch machines does not run."""
    if (waiting := seen.all("not-ready")) and not seen.works:
        what = "the driver waits for the fabric manager, without which GPUs behind an NVSwitch do not start"
        start = Fix("start it", ("sudo systemctl enable --now nvidia-fabricmanager",), root=True)
        yield seen.finding("fabric_manager_missing", LIKELY, what, waiting, start)


def too_old(seen: Seen) -> Iterator[Finding]:
    """Yield that the driver is older than something needs."""
    signals = seen.all("insufficient-driver")
    if not signals:
        return
    version = next((item.fields["version"] for item in signals if "version" in item.fields), None)
    needs = next((item.fields["needs"] for item in signals if "needs" in item.fields), None)
    # "Possibly insufficient" is said for every cuDNN handle that cannot be made; it only counts for an old driver
    guess = all("possibly" in item.text.lower() for item in signals)
    if guess and (version is None or _floor_met(seen, version)):
        return
    named = f"the driver {version}" if version else "the driver"
    if any("ptx" in item.fields for item in signals):
        what = f"{named} is older than the PTX code that this GPU has to be given"
    else:
        what = f"{named} is older than {f'what is asked for ({needs})' if needs else 'the CUDA runtime needs'}"
    older = Fix("use a TensorFlow that was built with an older CUDA", ("tfgpu-provision plan",))
    sure = LIKELY if guess else SURE
    yield seen.finding("driver_too_old", sure, what, signals, fixes.driver(seen), older, found=version, needs=needs)


def _floor_met(seen: Seen, version: str) -> bool:
    found = DriverVersion.parse(version)
    if found is None or seen.toolkit is None:
        return found is None or found >= _OLD_FOR_ALL
    family = seen.matrix.family(CudaVersion(str(seen.toolkit)))
    floor = family.linux_min if family else _FLOORS.get(str(seen.toolkit), _OLD_FOR_ALL)
    return found >= floor


def absent(seen: Seen) -> Iterator[Finding]:
    """Yield what the absence of the driver means, where other lines decide it."""
    if seen.works:
        return
    no_libcuda = [item.signal for item in seen.missing_of("driver")]
    no_libcuda += [item for item in seen.all("cuinit") if "303" in item.fields["error"]]
    no_module = seen.all("no-kernel-driver")
    no_device = seen.all("no-device")
    if no_module:
        yield from _no_module(seen, no_module, no_libcuda, no_device)
    elif seen.windows and no_libcuda and not seen.enumerated:
        what = "no NVIDIA driver is installed on this machine (nvcuda.dll is its): TensorFlow uses the CPU"
        yield seen.finding("cpu_only_machine", LIKELY, what, no_libcuda, fixes.LOOK_FOR_GPU)
    elif no_libcuda and seen.module_loaded and not seen.container and not seen.missing_of("driver-part"):
        what = "the kernel module is loaded, and libcuda.so.1 of the same driver is not found"
        yield seen.finding("driver_missing", LIKELY, what, no_libcuda, fixes.driver(seen), fixes.WITH_GPU)
    yield from _wsl(seen, no_libcuda)


def _wsl(seen: Seen, no_libcuda: list[Signal]) -> Iterator[Finding]:
    """WSL's libcuda comes from Windows: not usable, not on the loader's path, or Windows has no GPU."""
    blocked = seen.all("wsl-libcuda", "nvml-blocked")
    missed = no_libcuda if seen.wsl and not seen.container else []
    if blocked or missed:
        what = "WSL's own libcuda.so.1 (/usr/lib/wsl/lib) is not found or not usable"
        first = Fix("put WSL's own folder first", ("export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH",))
        sure = LIKELY if blocked or seen.has("smi-table") else MAYBE
        yield seen.finding("wsl_libcuda_missing", sure, what, blocked + missed, fixes.WSL_UPDATE, first)


def _no_module(
    seen: Seen, no_module: list[Signal], no_libcuda: list[Signal], no_device: list[Signal]
) -> Iterator[Finding]:
    toolkit = any(item.family == "cuda" for item in seen.opened) and not seen.has("pip-cuda")
    expected = toolkit or seen.has("smi-table", "smi-no-driver", "xid", "nvml-mismatch", "uvm-loaded", "modprobe")
    if seen.wsl:
        return  # WSL never has the file that TensorFlow looks for
    if no_libcuda and expected and not seen.container:
        what = "CUDA is installed, and there is neither a kernel module nor libcuda.so.1 of the driver"
        node = Fix("run where a driver is: on a GPU node of the cluster")
        yield seen.finding("driver_missing", LIKELY, what, no_libcuda + no_module, fixes.driver(seen), node)
    elif (no_libcuda or seen.container) and not expected:
        # with a libcuda and outside of a container somebody installed a driver, and it does not run: see below
        what = "no NVIDIA driver runs on this machine: TensorFlow finds no GPU and uses the CPU"
        signals = no_libcuda + no_device + no_module
        yield seen.finding("cpu_only_machine", LIKELY, what, signals, fixes.LOOK_FOR_GPU, fixes.WITH_GPU)
    else:
        what = "no kernel module of the driver runs: not loaded, or there is no NVIDIA GPU in this machine"
        yield seen.finding("driver_missing", MAYBE, what, no_module, fixes.driver(seen))


def elsewhere(seen: Seen) -> Iterator[Finding]:
    """Yield that this platform has no NVIDIA GPU for TensorFlow."""
    if native := seen.all("windows-native"):
        what = "TensorFlow after 2.10 uses no GPU on native Windows"
        yield seen.finding("windows_native_unsupported", SURE, what, native, *fixes.NATIVE_WINDOWS)
    other = seen.all("metal", "other-gpu")
    lacking = seen.has(
        "cuinit",
        "none-listed",
        "no-version",
        "no-distribution",
        "no-cuda-libraries",
        "cannot-dlopen",
        "libcuda-missing",
    )
    if other and lacking and not seen.works and not seen.has("gpu-model", "smi-table", "gpu-name"):
        what = "the graphics processor is not NVIDIA's, and TensorFlow's CUDA builds use no other"
        use = Fix("use the build for that processor (tensorflow-metal on a Mac, TensorFlow ROCm on AMD), or the CPU")
        yield seen.finding("no_nvidia_gpu", LIKELY, what, other, use)

"""Findings about containers, and about GPUs that are hidden from a process."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.log import fixes
from provision.doctor.log.seen import LIKELY, MAYBE, SURE, Seen
from provision.model.doctor import Finding, Fix
from provision.model.log import Signal

_GPU_GIVEN = re.compile(r"--gpus|--runtime|nvidia-docker|--device|nvidia\.com/gpu|--nv\b")
_RUN = re.compile(r"\brun\b")
_HIDES = re.compile(r"-1.*|NoDevFiles|none|", re.IGNORECASE)


def engines(seen: Seen) -> Iterator[Finding]:
    """Yield what a container engine says."""
    for item in seen.all("container-cli"):
        error = item.fields["error"].lower()
        if re.search(r"unsatisfied condition|driver/library version", error):
            continue  # families of their own say these
        host = Fix("try the driver on the host, outside of containers", ("nvidia-smi",))
        if re.search(r"driver not loaded|cuda_error_no_device|no cuda-capable", error):
            what = "the container toolkit finds no working NVIDIA driver on the host"
            fix = fixes.WSL_UPDATE if seen.wsl else fixes.driver(seen)
            yield seen.finding("driver_missing", LIKELY, what, [item], host, fix)
        elif re.search(r"initialization error|detection error|driver rpc|driver error", error):
            what = "the container toolkit gets no answer of the host's driver, or looks for it in another place"
            yield seen.finding("container_runtime_missing", MAYBE, what, [item], host, fixes.TOOLKIT)
        else:
            what = "the container toolkit fails before the container starts"
            yield seen.finding("container_runtime_missing", LIKELY, what, [item], fixes.TOOLKIT, fixes.WITH_GPU)
    if refused := seen.all("docker-no-driver", "singularity-nv", "kubernetes"):
        what = "the container engine has no way to hand a GPU to a container"
        yield seen.finding("container_runtime_missing", SURE, what, refused, fixes.TOOLKIT, fixes.WITH_GPU)


def started_without(seen: Seen) -> list[Signal]:
    """Return the commands of the log that start a container, where none of them gives it a GPU."""
    commands = seen.all("docker-run")
    if any(_GPU_GIVEN.search(item.fields["command"]) for item in commands):
        return []
    return [item for item in commands if _RUN.search(item.fields["command"])]


def started_with(item: Signal) -> bool:
    """Return whether the line of ``item`` starts a container with a GPU."""
    return bool(_RUN.search(item.text) and _GPU_GIVEN.search(item.text))


def without_gpu(seen: Seen) -> Iterator[Finding]:
    """Yield that a container was started without the GPU."""
    if seen.works:
        return
    if banner := seen.all("banner-no-driver"):
        what = "the container sees no NVIDIA driver: it was started without the GPU"
        yield seen.finding("container_runtime_missing", SURE, what, banner, fixes.WITH_GPU, fixes.TOOLKIT)
    libcuda = [item.signal for item in seen.missing_of("driver")]
    lacking = libcuda + seen.all(
        "libcuda-missing", "cuinit", "no-device-node", "none-listed", "no-kernel-driver", "nvml-library"
    )
    node = seen.all("no-device-node")
    if lacking and (runs := started_without(seen)):
        what = "the container was started without a GPU"
        signals = [*runs[:1], *lacking[:3]]
        yield seen.finding("container_runtime_missing", LIKELY, what, signals, fixes.WITH_GPU, fixes.TOOLKIT)
    elif seen.module_loaded and seen.container and (libcuda or node) and not seen.missing_of("driver-part"):
        what = "the host's kernel module is loaded, and the container lacks the driver's libraries or devices"
        yield seen.finding("container_runtime_missing", LIKELY, what, libcuda + node, fixes.WITH_GPU, fixes.TOOLKIT)
    elif node and libcuda:
        # TensorFlow only looks for the node where /proc/driver/nvidia/version is there: the host has a driver
        what = "the host has an NVIDIA driver, and neither its libraries nor a device were handed to this process"
        yield seen.finding("container_runtime_missing", MAYBE, what, libcuda + node, fixes.WITH_GPU, fixes.TOOLKIT)


def hidden(seen: Seen) -> Iterator[Finding]:
    """Yield that a variable or a list hides the GPUs."""
    if listed := seen.all("bad-device-list"):
        value, count = listed[0].fields.get("value", "?"), listed[0].fields.get("count", "fewer")
        what = f"a device list asks for GPU {value}, and {count} are visible"
        fix = Fix("name only GPUs that exist, the same ones in every session of the process")
        yield seen.finding("visible_devices_hidden", SURE, what, listed, fix, value=value, found=count)
    if seen.works:
        return
    undo = Fix(
        "unset the variable, or name GPUs that exist",
        ("set CUDA_VISIBLE_DEVICES=" if seen.windows else "unset CUDA_VISIBLE_DEVICES",),
    )
    told = [item for item in seen.all("variable") if item.fields["variable"] == "CUDA_VISIBLE_DEVICES"]
    none = seen.all("no-device", "none-listed", "no-gpu-to-place-on", "invalid-device")
    if said := seen.all("hidden") + ([item for item in told if _hides(item)] if none else []):
        what = "CUDA_VISIBLE_DEVICES hides every GPU"
        yield seen.finding("visible_devices_hidden", SURE, what, said + none[:1], undo)
    elif told and seen.has("no-device", "invalid-device") and not seen.has("no-kernel-driver", "no-device-node"):
        value = told[-1].fields["value"]
        if value and value != "0":
            what = f"CUDA_VISIBLE_DEVICES={value} names no GPU that is there"
            yield seen.finding("visible_devices_hidden", LIKELY, what, [told[-1], *none[:1]], undo, value=value)


def _hides(item: Signal) -> bool:
    value = item.fields["value"]
    return bool(_HIDES.fullmatch(value)) and bool(value or item.fields["quote"])

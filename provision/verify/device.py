"""The device list: which GPUs TensorFlow shows, against which the driver shows."""

from __future__ import annotations

import re
from typing import Any

from provision.model.host import DriverState, HostFacts
from provision.model.verdict import Level, Stage, StageStatus
from provision.verify.answer import Said
from provision.verify.causes import Cause, cause_of_ending
from provision.verify.gate import failed
from provision.verify.gpu_log import cause_in_log, compiles_ptx

_NO_DEVICE = 100
_LEFT_OUT_ON_PURPOSE = ("gpu-too-old", "gpu-too-small")
"""A small or old card for the display beside the one for computing is TensorFlow's rule, no fault of the others."""
_IGNORED = re.compile(r"Ignoring visible gpu device \(device: (\d+)")
_NO_GPU_HERE = {
    DriverState.NO_GPU: ("no-gpu", "this machine has no NVIDIA GPU"),
    DriverState.NOT_INSTALLED: ("driver-not-installed", "a GPU is here, its driver is not installed"),
    DriverState.NOT_LOADED: ("driver-not-loaded", "the driver is installed, its kernel module is not loaded"),
    DriverState.LIBRARY_MISMATCH: (
        "driver-library-mismatch",
        "the loaded kernel module and the driver's libraries are of different versions",
    ),
    DriverState.NO_PERMISSION: ("no-permission", "this user has no rights on the GPU's device files"),
    DriverState.NOT_PASSED: ("not-passed-into-container", "no GPU was passed into this container"),
    DriverState.HUNG: ("driver-hung", "the driver does not answer"),
    DriverState.UNKNOWN: ("no-gpu-seen", "no usable GPU was seen on this machine"),
}


def judge_device(said: Said, host: HostFacts | None, unhidden: Said | None = None) -> Stage:
    """Judge the list of devices.

    Args:
        said: the device probe's answer.
        host: what the machine's driver says, None where it was not read.
        unhidden: the same probe without CUDA_VISIBLE_DEVICES, run where that hides something.
    """
    cause = cause_of_ending(said) or _error(said)
    if cause:
        return failed(Level.DEVICE, cause, said, _data(said))
    listed = said.get("listed") or []
    seen = said.get("driver", "devices") or []
    if listed:
        return _some(said, listed, seen, host)
    return _none(said, seen, host, unhidden)


def _some(said: Said, listed: list[Any], seen: list[Any], host: HostFacts | None) -> Stage:
    names = ", ".join(f"{item.get('model') or item['name']}{_capability(item)}" for item in listed)
    details = []
    if compiles_ptx(said.log):
        details.append("TensorFlow has no machine code for a GPU here: the driver compiles PTX on first use")
    if host and host.gpus.known and not seen and len(host.gpus.value or ()) != len(listed):
        details.append(f"the driver lists {len(host.gpus.value or ())} in all")
    if len(seen) > len(listed):
        cause = cause_in_log(said.log) or Cause("gpu-left-out", "TensorFlow leaves out a GPU that the driver lists")
        what = f"TensorFlow lists {len(listed)} of {len(seen)} GPUs: {cause.what}"
        named = set(_IGNORED.findall(said.log))
        if cause.code not in _LEFT_OUT_ON_PURPOSE or len(named) < len(seen) - len(listed):
            return failed(Level.DEVICE, Cause(cause.code, what, cause.hint, cause.evidence), said, _data(said))
        details += [what, *cause.evidence, f"hint: {cause.hint}"]
    return Stage(
        Level.DEVICE,
        StageStatus.PASSED,
        f"TensorFlow lists {len(listed)} {'GPU' if len(listed) == 1 else 'GPUs'}: {names}",
        details=tuple(details),
        data=_data(said),
        seconds=said.seconds,
    )


def _none(said: Said, seen: list[Any], host: HostFacts | None, unhidden: Said | None) -> Stage:
    visible = said.get("visible")
    others = unhidden.get("driver", "devices") if unhidden else None
    hidden = bool(others) or (host is not None and host.driver_state is DriverState.HIDDEN)
    if visible is not None and hidden and not seen:
        what = f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU of this machine from TensorFlow"
        return failed(
            Level.DEVICE,
            Cause("hidden-by-cuda-visible-devices", what, "unset CUDA_VISIBLE_DEVICES"),
            said,
            _data(said),
        )
    if seen:
        named = cause_in_log(said.log)
        cause = named or Cause("gpu-not-registered", "TensorFlow lists no GPU although the driver lists one")
        what = f"TensorFlow lists no GPU, libcuda lists {len(seen)}: {cause.what}"
        return failed(Level.DEVICE, Cause(cause.code, what, cause.hint, cause.evidence), said, _data(said))
    if host is not None and host.driver_state is DriverState.WORKING and host.gpus.value:
        code = said.get("driver", "init")
        cause = Cause(
            "cuinit-failed",
            f"the driver lists {len(host.gpus.value)} GPU, but libcuda does not start up in this environment",
            "",
            (str(said.get("driver", "error") or f"cuInit returned {code}"),),
        )
        return failed(Level.DEVICE, cause, said, _data(said))
    return _cannot_tell(said, host)


def _cannot_tell(said: Said, host: HostFacts | None) -> Stage:
    state = host.driver_state if host else DriverState.UNKNOWN
    cause, what = _NO_GPU_HERE.get(state, _NO_GPU_HERE[DriverState.UNKNOWN])
    evidence = [host.driver_state_why] if host and host.driver_state_why else []
    error, code = said.get("driver", "error"), said.get("driver", "init")
    if error:
        evidence.append(f"libcuda.so.1: {error}")
    elif code:
        evidence.append(f"cuInit returned {code}{' (no device)' if code == _NO_DEVICE else ''}")
    return Stage(Level.DEVICE, StageStatus.CANNOT_TELL, what, cause, tuple(evidence), _data(said), seconds=said.seconds)


def _error(said: Said) -> Cause | None:
    error = said.get("error")
    if error:
        return cause_in_log(str(error)) or cause_in_log(said.log) or Cause("device-list-failed", str(error)[:200])
    return None


def _data(said: Said) -> dict[str, Any]:
    data = {key: said.get(key) for key in ("listed", "driver", "visible", "mapped")}
    return {**data, "compiles_ptx": compiles_ptx(said.log)}


def _capability(item: dict[str, Any]) -> str:
    return f" (compute capability {item['compute_capability']})" if item.get("compute_capability") else ""

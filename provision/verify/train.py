"""What training needs: cuDNN forward and backward, XLA with libdevice, half precision, a loss that falls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from provision.model.verdict import Level, Stage, StageStatus
from provision.verify.answer import Premises, Said
from provision.verify.causes import Cause, cause_of_ending
from provision.verify.compute import mapped_document
from provision.verify.gate import failed
from provision.verify.gpu_log import broken, cause_in_log

CONVOLUTION_TOLERANCE = {"float32": 1.0e-4, "tf32": 4.0e-3, "default": 4.0e-3}
"""Largest relative root-mean-square error of a convolution. Direct float32 gives some 1e-7; cuDNN's Winograd and FFT
algorithms lose up to two digits more; TF32 gives 2e-4 to 4e-4 (see `numerics`), ten times that is wrong."""
COMPILED_TOLERANCE = 2.0e-5
"""Largest ``|f - reference| / (1 + |reference|)`` of the compiled function: each libdevice function is within a few
units in the last place (CUDA's single-precision tables: at most 4 for those used), the arguments' rounding included."""
_FALLS_TO = 0.8
"""A loss that falls at all in eight epochs of this model falls to a quarter; 0.8 leaves room for half precision."""
_GROWN = 0.9
"""Share of a GPU's memory above which memory growth cannot have been at work."""


def judge_train(premises: Premises, said: Said, allreduce: Said | None = None, kind: str = "GPU") -> Stage:
    """Judge the train probe's answer, and the all-reduce where there are several GPUs."""
    devices = said.get("devices") or []
    data = {
        "devices": devices,
        "growth": said.get("growth"),
        "all_reduce": dict(allreduce.data or {}) if allreduce else None,
        "mapped": mapped_document(premises, said.get("mapped")),
    }
    causes = [cause for cause in (broken(said, "train-failed"),) if cause]
    for device in devices:
        causes += device_causes(device, said.log, kind)
    if not causes and not devices:
        causes.append(Cause("gpu-not-registered", "TensorFlow lists no GPU to train on"))
    causes += _growth_cause(said.get("growth"), kind)
    if allreduce:
        causes += _allreduce_cause(allreduce)
    if causes:
        # Every part that failed is named; the first one gives the stage its code.
        others = tuple(f"also [{cause.code}]: {cause.what}" for cause in causes[1:])
        return failed(Level.TRAIN, causes[0], said, data, extra=others)
    several = f", all-reduce over {len(devices)} GPUs" if allreduce else ""
    return Stage(
        Level.TRAIN,
        StageStatus.PASSED,
        f"cuDNN convolution, XLA, mixed precision and Keras work, memory grows{several}",
        details=(*(_line(device) for device in devices), *_memory_lines(said.get("growth"))),
        data=data,
        seconds=said.seconds,
    )


def device_causes(device: Mapping[str, Any], log: str, kind: str) -> list[Cause]:
    """Return everything that is wrong on one device."""
    name = device["device"]
    causes = []
    for part, judge in (("convolution", _convolution), ("compiled", _compiled), ("keras", _keras), ("mixed", _keras)):
        measured = device.get(part)
        if measured is None:
            continue
        if measured.get("error"):
            named = cause_in_log(str(measured["error"])) or cause_in_log(log)
            what = named.what if named else str(measured["error"]).splitlines()[0][:200]
            code, hint = (named.code, named.hint) if named else (f"{part}-failed", "")
            causes.append(Cause(code, f"{part} on {name}: {what}", hint, named.evidence if named else ()))
            continue
        complaint = judge(measured) or _placed(measured, name, kind)
        if complaint:
            code = "ran-elsewhere" if " ran on " in complaint else _CODES[part]
            causes.append(Cause(code, f"{part} on {name}: {complaint}"))
    return causes


_CODES = {
    "convolution": "wrong-result",
    "compiled": "wrong-result",
    "keras": "loss-does-not-fall",
    "mixed": "mixed-precision-failed",
}


def _placed(measured: Mapping[str, Any], name: str, kind: str) -> str | None:
    places = measured.get("placed")
    for where in places if isinstance(places, list) else [places]:
        if not str(where).upper().endswith(f"DEVICE:{name}".upper()) or not name.startswith(kind):
            return f"it ran on {where or 'nothing that says so'}"
    return None


def _convolution(measured: Mapping[str, Any]) -> str | None:
    for mode, parts in measured["modes"].items():
        for part, error in parts.items():
            if error is None or error > CONVOLUTION_TOLERANCE[mode]:
                shown = "not finite" if error is None else f"{error:.1e}"
                return f"{part.replace('_', ' ')} in {mode} is off by {shown}; at most {CONVOLUTION_TOLERANCE[mode]}"
    return None


def _compiled(measured: Mapping[str, Any]) -> str | None:
    error = measured["largest"]
    if error is None or error > COMPILED_TOLERANCE:
        shown = "not finite" if error is None else f"{error:.1e}"
        return f"a function compiled by XLA is off by {shown}; at most {COMPILED_TOLERANCE}"
    return None


def _keras(measured: Mapping[str, Any]) -> str | None:
    losses = measured["losses"]
    if any(loss is None or not math.isfinite(loss) for loss in losses):
        return "the loss is not finite"
    if not losses[-1] < _FALLS_TO * losses[0]:
        return f"the loss goes from {losses[0]:.3g} to {losses[-1]:.3g}: it does not fall"
    return None


def _growth_cause(growth: Mapping[str, Any] | None, kind: str) -> list[Cause]:
    if growth is None or kind != "GPU":
        return []
    if growth.get("enabled") is False:
        return [Cause("no-memory-growth", "memory growth was asked for and is not on")]
    return []


def _allreduce_cause(said: Said) -> list[Cause]:
    ending = cause_of_ending(said)
    if ending and ending.code == "hung":
        hint = "NCCL_P2P_DISABLE=1 shows whether the way between the GPUs is at fault; NCCL_DEBUG=INFO says more"
        return [Cause("all-reduce-hung", "the sum over all GPUs did not come back within the time limit", hint)]
    if ending or said.get("error"):
        what = str(said.get("error") or (ending.what if ending else ""))[:200]
        hint = "NCCL_DEBUG=INFO says more; in a container NCCL needs room in /dev/shm (docker run --shm-size=1g)"
        return [Cause("all-reduce-failed", f"the sum over all GPUs fails: {what}", hint)]
    expected = said.get("expected")
    sums = said.get("sums") or []
    if not sums or any(value != expected for pair in sums for value in pair):
        return [Cause("wrong-result", f"the sum over all GPUs is wrong: {sums}, not {expected}")]
    return []


def _memory_lines(growth: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Say how much of the first GPU is in use after all that, by whomever; nothing where nobody said."""
    if not growth or not growth.get("total"):
        return ()
    used, total = (growth["total"] - growth["free"]) >> 20, growth["total"] >> 20
    full = ": nearly all; another process, or memory growth does not work" if used > _GROWN * total else ""
    return (f"GPU:0: {used} of {total} MiB in use afterwards{full}",)


def _line(device: Mapping[str, Any]) -> str:
    modes = device["convolution"]["modes"]
    worst = max(error for parts in modes.values() for error in parts.values())
    losses, mixed = device["keras"]["losses"], device["mixed"]["losses"]
    return (
        f"{device['device']}: convolution error {worst:.1e}; XLA compiled in {device['compiled']['seconds']:.1f} s, "
        f"error {device['compiled']['largest']:.1e}; loss {losses[0]:.2f} to {losses[-1]:.2f}, "
        f"in {device['mixed']['compute_dtype']} {mixed[0]:.2f} to {mixed[-1]:.2f}"
    )

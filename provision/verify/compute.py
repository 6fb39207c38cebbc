"""The proof: a product that a GPU computed, where it ran, how exact it is, and whose libraries did it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from provision.model.verdict import Level, Stage, StageStatus
from provision.verify.answer import Premises, Said
from provision.verify.causes import Cause
from provision.verify.gate import failed
from provision.verify.gpu_log import broken, cause_in_log, compiles_ptx
from provision.verify.numerics import arithmetic, float32_tolerance, product_is_right, tf32_tolerance

_DRIVER = re.compile(r"^/usr/lib/wsl/|/lib(cuda|cudadebugger|nvcuvid|nvidia-[a-z0-9-]+|nvoptix)\.so[.\d]*$")
SMALLEST = 1000
"""Products below this size prove nothing: n × n with n ≥ 1000."""
SLOW_START = 30.0
"""Seconds for the first kernels above which PTX was compiled; loading machine code takes one or two."""


def judge_compute(premises: Premises, said: Said, kind: str = "GPU") -> Stage:
    """Judge the compute probe's answer; ``kind`` is CPU only where the probe itself is tested."""
    cause = broken(said, "compute-failed")
    devices = said.get("devices") or []
    data = {"devices": devices, "mapped": mapped_document(premises, said.get("mapped")), **_tolerances(devices)}
    if cause is None and not devices:
        cause = Cause("gpu-not-registered", "TensorFlow lists no GPU to compute on")
    for device in devices:
        cause = cause or device_cause(device, said.log, kind)
    cause = cause or _mapped_cause(premises, said, kind)
    if cause:
        return failed(Level.COMPUTE, cause, said, data)
    details = (*(_line(device) for device in devices), *_mapped_lines(data["mapped"]))
    if compiles_ptx(said.log) or any(device["seconds"]["first_kernels"] > SLOW_START for device in devices):
        details += ("PTX was compiled on first use; the driver keeps the result in its cache for the next start",)
    size = devices[0]["size"]
    places = ", ".join(device["device"] for device in devices)
    return Stage(
        Level.COMPUTE,
        StageStatus.PASSED,
        f"{size} × {size} products on {places} right, exact where they must be",
        details=details,
        data=data,
        seconds=said.seconds,
    )


def device_cause(device: Mapping[str, Any], log: str, kind: str) -> Cause | None:
    """Return what is wrong with the computation on one device."""
    name = device["device"]
    if device.get("error"):
        named = cause_in_log(str(device["error"])) or cause_in_log(log)
        what = f"{name}: {named.what if named else str(device['error'])[:200]}"
        return Cause(named.code if named else "compute-failed", what, named.hint if named else "", _short(device))
    if device["size"] < SMALLEST:
        return Cause("too-small", f"{name}: a product of {device['size']} proves nothing; {SMALLEST} is the least")
    for where in (device.get("placed"), device.get("backing")):
        if not str(where).upper().endswith(f"DEVICE:{name}".upper()) or not name.startswith(kind):
            return Cause("ran-elsewhere", f"the product meant for {name} ran on {where}")
    if not device.get("own_kernels"):
        return Cause("wrong-result", f"{name}: TensorFlow's own kernels give wrong results on whole numbers")
    if not device.get("exact_product"):
        return Cause("wrong-result", f"{name}: a product of whole numbers is not exact")
    for mode, measured in device["modes"].items():
        # The float32 mode switches TF32 off: an error of its size there means that something forces it.
        if not product_is_right(device["size"], measured["largest"], measured["rms"], tf32_allowed=mode != "float32"):
            return Cause(
                "wrong-result",
                f"{name}: the product in mode {mode} is wrong: largest error {_error(measured['largest'])}, "
                f"relative root mean square {_error(measured['rms'])}",
            )
    return None


def mapped_document(premises: Premises, mapped: list[str] | None) -> dict[str, list[str]] | None:
    """Return the library files mapped into the process, those of the environment apart from those of elsewhere."""
    if mapped is None:
        return None
    inside = [premises.shown(path) for path in mapped if premises.inside(path)]
    return {"inside": inside, "outside": [path for path in mapped if not premises.inside(path)]}


def _mapped_lines(mapped: Mapping[str, list[str]] | None) -> tuple[str, ...]:
    """Say where the libraries came from; the driver's own are always outside."""
    if mapped is None:
        return ()
    foreign = [path for path in mapped["outside"] if not _DRIVER.search(path)]
    line = f"{len(mapped['inside'])} library files of the environment were mapped"
    return (f"{line}, and from elsewhere: {', '.join(foreign)}",) if foreign else (f"{line}, none from elsewhere",)


def _mapped_cause(premises: Premises, said: Said, kind: str) -> Cause | None:
    mapped = said.get("mapped")
    if mapped is None or kind != "GPU":
        return None
    names = {path.rsplit("/", 1)[-1].split(".so")[0] for path in mapped}
    if "libcuda" not in names and not any(name.startswith("libnvidia-ptxjit") for name in names):
        return Cause("no-driver-mapped", "a GPU was said to compute, but libcuda is not in the process")
    if not premises.managed:
        return None
    own = {name.split(".so")[0] for name in premises.files}
    foreign = [path for path in mapped if not premises.inside(path) and path.rsplit("/", 1)[-1].split(".so")[0] in own]
    if foreign:
        return Cause(
            "library-hijacked",
            "other files than the environment's own are mapped",
            "unset LD_LIBRARY_PATH",
            tuple(foreign),
        )
    return None


def _line(device: Mapping[str, Any]) -> str:
    modes = "; ".join(
        f"{mode}: {arithmetic(measured['rms']).value}, error {measured['rms']:.1e}"
        for mode, measured in device["modes"].items()
    )
    seconds = device["seconds"]
    return (
        f"{device['device']}: {modes}; start {seconds['start']:.1f} s, first kernels {seconds['first_kernels']:.1f} s"
    )


def _tolerances(devices: list[Any]) -> dict[str, Any]:
    if not devices:
        return {}
    size = int(devices[0]["size"])
    return {"tolerance": {"float32": float32_tolerance(size), "tf32": tf32_tolerance(size)}}


def _error(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"


def _short(device: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(device["error"]).splitlines()[0][:300],)

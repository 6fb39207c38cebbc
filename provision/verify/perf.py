"""How fast it is, against what the card can do; being slow is reported, not failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision.model.host import Gpu
from provision.model.verdict import Level, Stage, StageStatus
from provision.verify.answer import Said
from provision.verify.causes import Cause
from provision.verify.gate import failed
from provision.verify.gpu_log import broken

_MODES = ("float32", "tf32", "float16", "bfloat16")
_LOW_SHARE = 0.3
_BUSY_SHARE = 0.1
_SLOW_KERNEL = 20.0


@dataclass(frozen=True)
class CardPeaks:
    """What the maker says of a card: TFLOP/s per mode (dense) and memory bandwidth in GB/s; None where unknown."""

    name: str
    tflops: Mapping[str, float | None]
    bandwidth: float | None
    certainty: str
    source: str


def judge_perf(said: Said, peaks: Sequence[CardPeaks | None] = (), gpus: Sequence[Gpu] = ()) -> Stage:
    """Judge the perf probe's answer.

    Args:
        said: its answer.
        peaks: what each card can do, in TensorFlow's order; None where not known.
        gpus: the GPUs as the driver lists them, to name other load on them.
    """
    devices = said.get("devices") or []
    cause = broken(said, "perf-failed") or (
        None if devices else Cause("gpu-not-registered", "TensorFlow lists no GPU to measure")
    )
    documents = [
        {**device, "peaks": peak_document(device, peaks[place] if place < len(peaks) else None)}
        for place, device in enumerate(devices)
    ]
    load = [line for gpu in gpus for line in load_on(gpu)]
    data = {"devices": documents, "load": load}
    if cause is None and not any("tflops" in entry for device in devices for entry in device["products"].values()):
        cause = Cause("perf-failed", "no product could be measured")
    if cause:
        return failed(Level.PERF, cause, said, data)
    lines = [line for document in documents for line in _lines(document)]
    lines += load
    best = devices[0]["products"]
    shown = ", ".join(f"{mode} {best[mode]['tflops']:.3g}" for mode in _MODES if "tflops" in best.get(mode, {}))
    return Stage(
        Level.PERF,
        StageStatus.PASSED,
        f"{devices[0]['device']}: {shown} TFLOP/s",
        details=tuple(lines),
        data=data,
        seconds=said.seconds,
    )


def peak_document(device: Mapping[str, Any], peaks: CardPeaks | None) -> dict[str, Any] | None:
    """Return the card's peaks and the share of each that was reached, None where the card is not known."""
    if peaks is None:
        return None
    shares = {}
    for mode in _MODES:
        peak, reached = peaks.tflops.get(mode), device["products"].get(mode, {}).get("tflops")
        if peak and reached:
            shares[mode] = round(reached / peak, 3)
    memory = (device.get("bandwidth") or {}).get("memory")
    if peaks.bandwidth and memory:
        shares["memory"] = round(memory / peaks.bandwidth, 3)
    return {
        "card": peaks.name,
        "tflops": dict(peaks.tflops),
        "bandwidth": peaks.bandwidth,
        "certainty": peaks.certainty,
        "source": peaks.source,
        "share": shares,
    }


def load_on(gpu: Gpu) -> list[str]:
    """Return what else runs on a GPU or fills its memory, one line each."""
    place = f"GPU {gpu.index}" if gpu.index is not None else gpu.name
    lines = [
        f"{place}: {process.name} (pid {process.pid}) also runs on it"
        + (f", {process.memory_mib} MiB" if process.memory_mib is not None else "")
        for process in gpu.processes
    ]
    if not lines and gpu.memory_mib and gpu.memory_used_mib and gpu.memory_used_mib > _BUSY_SHARE * gpu.memory_mib:
        lines.append(f"{place}: {gpu.memory_used_mib} of {gpu.memory_mib} MiB were in use before the measurement")
    return lines


def _lines(device: Mapping[str, Any]) -> list[str]:
    name, products, peaks = device["device"], device["products"], device["peaks"]
    share = (peaks or {}).get("share", {})
    rates = []
    for mode in _MODES:
        entry = products.get(mode)
        if entry and "tflops" in entry:
            of_peak = f" ({share[mode]:.0%} of peak)" if mode in share else ""
            rates.append(f"{mode} {entry['tflops']:.3g}{of_peak}")
        elif entry:
            rates.append(f"{mode} not measured")
    lines = [f"{name}: {', '.join(rates)} TFLOP/s"]
    way = device.get("bandwidth") or {}
    if "memory" in way:
        of_peak = f" ({share['memory']:.0%} of peak)" if "memory" in share else ""
        lines.append(
            f"{name}: {way['to_device']:.3g} GB/s to it, {way['to_host']:.3g} GB/s back, "
            f"own memory {way['memory']:.4g} GB/s{of_peak}"
        )
    first = device["first_kernel_seconds"]
    lines.append(f"{name}: first kernel after {first:.2f} s{', PTX was compiled' if first > _SLOW_KERNEL else ''}")
    slow = [mode for mode in _MODES if mode in share and share[mode] < _LOW_SHARE]
    if slow:
        lines.append(f"{name}: {', '.join(slow)} below {_LOW_SHARE:.0%} of the card's peak: other load, power or heat?")
    if peaks:
        lines.append(f"{name}: peaks of {peaks['card']} from {peaks['source']} [{peaks['certainty']}]")
    return lines

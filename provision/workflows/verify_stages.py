"""The stages of `verify`: each asks its probe inside the environment and lets its judge decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from provision.matrix import peaks_of
from provision.model.matrix import Row
from provision.model.verdict import Level, Stage
from provision.model.versions import ComputeCapability
from provision.probes.hygiene import bare_environ, bends_the_loader
from provision.snapshot.deep import LIMITS, Run, device_stage, import_stage
from provision.snapshot.premises import framework_file
from provision.system.parallel import Pending
from provision.verify.answer import Said
from provision.verify.causes import Cause
from provision.verify.compute import judge_compute
from provision.verify.gate import failed, judge_gate, precondition
from provision.verify.perf import CardPeaks, judge_perf
from provision.verify.train import judge_train

GPUS_PER_LIMIT = 4
"""The limits are for so many GPUs: every one is measured in turn, and all of them start first."""

PTX_FACTOR = 4.0
"""Longer limits where the driver compiles TensorFlow's kernels: "30 minutes or longer" says TensorFlow of it. Every
stage may pay again, since the driver's cache of 256 MiB (before branch 530) is smaller than what comes out."""

ALL_REDUCE = 180.0
"""Seconds for the sum over several GPUs; it takes a few where it works and for ever where it does not."""


def patience(device: Stage, row: Row | None) -> float:
    """Return how many times longer the stages after the device list may take: many GPUs, kernels made on first use.

    Args:
        device: the device stage.
        row: the matrix row, whose machine code tells of releases up to 2.9, which do not warn.
    """
    listed = device.data.get("listed") or ()
    factor = float(max(1, -(-len(listed) // GPUS_PER_LIMIT)))
    compiled = device.data.get("compiles_ptx") or any(_has_no_machine_code(item, row) for item in listed)
    return factor * PTX_FACTOR if compiled else factor


def _has_no_machine_code(item: Mapping[str, Any], row: Row | None) -> bool:
    """Whether no machine code in the release runs on a listed GPU: of the same major, at most of its minor."""
    capability = ComputeCapability.parse(str(item.get("compute_capability") or ""))
    if capability is None or row is None or not row.sass:
        return False
    return not any(code.major == capability.major and code <= capability for code in row.sass)


def _gate(run: Run) -> Stage:
    blocked = precondition(run.premises)
    framework = framework_file(run.seen, run.premises)
    if blocked is None and framework is None:
        blocked = Cause(
            "framework-missing",
            "libtensorflow_framework.so.2 is not in the environment",
            "install TensorFlow again; only its Linux x86_64 wheels can be verified",
        )
    if blocked is not None:
        return failed(Level.GATE, blocked, Said(None))
    arguments = {"framework": str(framework), "seconds": (run.timeout or LIMITS[Level.GATE]) / 2}
    if not bends_the_loader(run.environ.values):
        # Nothing that the loader listens to is set: the same question twice has the same answer.
        said = run.ask(Level.GATE, "gate", arguments)
        return judge_gate(run.premises, said, said)
    bare = Pending(partial(run.ask, Level.GATE, "gate", arguments, bare_environ()))
    user = run.ask(Level.GATE, "gate", arguments)
    return judge_gate(run.premises, user, bare.result())


def _compute(run: Run) -> Stage:
    return judge_compute(run.premises, run.ask(Level.COMPUTE, "compute", {}))


def _train(run: Run) -> Stage:
    said = run.ask(Level.TRAIN, "train", {})
    several = len(said.get("names") or ()) > 1
    return judge_train(run.premises, said, run.ask(Level.TRAIN, "allreduce", {}, limit=ALL_REDUCE) if several else None)


def _perf(run: Run) -> Stage:
    said = run.ask(Level.PERF, "perf", {})
    models = [(device.get("model"), device.get("compute_capability")) for device in said.get("listed") or ()]
    gpus = (run.host.gpus.value or ()) if run.host else ()
    return judge_perf(said, [_peaks(name, capability) for name, capability in models], gpus)


def _peaks(name: str | None, capability: str | None) -> CardPeaks | None:
    if not name:
        return None
    found = peaks_of(name, ComputeCapability.parse(capability or ""))
    if found is None:
        return None
    tflops = {"float32": found.fp32, "tf32": found.tf32, "float16": found.fp16, "bfloat16": found.bf16}
    return CardPeaks(found.name, tflops, found.bandwidth, found.certainty.value, found.source)


STAGES: Mapping[Level, Callable[[Run], Stage]] = {
    Level.GATE: _gate,
    Level.IMPORT: import_stage,
    Level.DEVICE: device_stage,
    Level.COMPUTE: _compute,
    Level.TRAIN: _train,
    Level.PERF: _perf,
}
"""How each level is run."""

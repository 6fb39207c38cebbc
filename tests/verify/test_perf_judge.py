"""Speeds, reported against the card's peaks."""

from __future__ import annotations

from typing import Any

import pytest
from verify.samples import gpu, said

from provision.model.host import GpuProcess
from provision.model.verdict import StageStatus
from provision.verify.perf import CardPeaks, judge_perf, load_on

H200 = CardPeaks(
    "H200 SXM", {"float32": 67.0, "tf32": 494.5, "float16": 989.4, "bfloat16": 989.4}, 4800.0, "vendor", "the datasheet"
)


def rates(**tflops: float) -> dict[str, Any]:
    return {mode: {"sizes": [], "tflops": value} for mode, value in tflops.items()}


def device(**more: Any) -> dict[str, Any]:
    return {
        "device": "GPU:0",
        "products": rates(float32=51.2, tf32=400.0, float16=700.0, bfloat16=720.0),
        "bandwidth": {"mebibytes": 256, "to_device": 12.5, "to_host": 11.0, "memory": 4100.0},
        "first_kernel_seconds": 1.25,
        "second_kernel_seconds": 0.001,
        **more,
    }


def test_against_the_peak() -> None:
    stage = judge_perf(said({"step": "done", "devices": [device()]}), [H200])
    assert stage.status is StageStatus.PASSED
    assert stage.summary == "GPU:0: float32 51.2, tf32 400, float16 700, bfloat16 720 TFLOP/s"
    assert stage.details == (
        "GPU:0: float32 51.2 (76% of peak), tf32 400 (81% of peak), float16 700 (71% of peak), bfloat16 720 (73% of peak) TFLOP/s",
        "GPU:0: 12.5 GB/s to it, 11 GB/s back, own memory 4100 GB/s (85% of peak)",
        "GPU:0: first kernel after 1.25 s",
        "GPU:0: peaks of H200 SXM from the datasheet [vendor]",
    )
    assert stage.data["devices"][0]["peaks"]["share"]["float32"] == pytest.approx(0.764)


def test_an_unknown_card_has_no_share() -> None:
    stage = judge_perf(said({"step": "done", "devices": [device()]}), [None])
    assert "%" not in "".join(stage.details)
    assert stage.data["devices"][0]["peaks"] is None


def test_slow_is_said_not_failed() -> None:
    slow = device(products=rates(float32=10.0, tf32=400.0), first_kernel_seconds=300.0)
    stage = judge_perf(said({"step": "done", "devices": [slow]}), [H200])
    assert stage.status is StageStatus.PASSED
    assert "GPU:0: float32 below 30% of the card's peak: other load, power or heat?" in stage.details
    assert "GPU:0: first kernel after 300.00 s, PTX was compiled" in stage.details


def test_a_precision_that_the_release_does_not_have() -> None:
    products = {**rates(float32=10.0), "bfloat16": {"sizes": [], "error": "NotFoundError: no kernel"}}
    stage = judge_perf(said({"step": "done", "devices": [device(products=products)]}))
    assert stage.status is StageStatus.PASSED
    assert "bfloat16 not measured" in stage.details[0]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (said({"step": "done", "devices": []}), "gpu-not-registered"),
        (said({"step": "tf32 8192 on GPU:0", "devices": []}, "timeout"), "hung"),
        (said({"step": "start", "devices": [], "error": "RuntimeError: odd"}), "perf-failed"),
        (said({"step": "done", "devices": [device(products={"float32": {"sizes": [], "error": "x"}})]}), "perf-failed"),
    ],
)
def test_failures(given: Any, code: str) -> None:
    stage = judge_perf(given)
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)


def test_other_load_is_named() -> None:
    busy = gpu(processes=(GpuProcess(4242, "python", 30000), GpuProcess(None, "Xorg", None)))
    assert load_on(busy) == [
        "GPU 0: python (pid 4242) also runs on it, 30000 MiB",
        "GPU 0: Xorg (pid None) also runs on it",
    ]
    assert load_on(gpu(memory_used_mib=50000)) == ["GPU 0: 50000 of 143771 MiB were in use before the measurement"]
    assert load_on(gpu(memory_used_mib=600)) == []
    stage = judge_perf(said({"step": "done", "devices": [device()]}), [H200], [busy])
    assert stage.details[-1] == "GPU 0: Xorg (pid None) also runs on it"
    assert len(stage.data["load"]) == 2

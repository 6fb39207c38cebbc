"""What training needs, judged part by part."""

from __future__ import annotations

from typing import Any

import pytest
from verify.samples import premises, said

from provision.model.verdict import StageStatus
from provision.verify.answer import Said
from provision.verify.train import judge_train

PLACE = "/job:localhost/replica:0/task:0/device:GPU:0"
PARTS = {"forward": 3e-7, "input_gradient": 4e-7, "filter_gradient": 5e-7}
COARSE = {"forward": 3e-4, "input_gradient": 3e-4, "filter_gradient": 3e-4}


def fit(dtype: str = "float32", **more: Any) -> dict[str, Any]:
    return {"losses": [3.2, 1.0, 0.5], "seconds": 4.0, "placed": PLACE, "compute_dtype": dtype, **more}


def device(**more: Any) -> dict[str, Any]:
    return {
        "device": "GPU:0",
        "convolution": {"modes": {"float32": PARTS, "tf32": COARSE}, "placed": [PLACE, PLACE, PLACE]},
        "compiled": {"seconds": 0.8, "argument": "jit_compile", "placed": PLACE, "largest": 4e-7},
        "keras": fit(),
        "mixed": fit("float16"),
        **more,
    }


def answer(*devices: dict[str, Any], log: str = "", **more: Any) -> Said:
    return said({"step": "done", "devices": list(devices), "growth": {"enabled": True}, "mapped": [], **more}, log=log)


def test_all_is_well() -> None:
    stage = judge_train(premises(), answer(device()))
    assert stage.status is StageStatus.PASSED
    assert stage.summary == "cuDNN convolution, XLA, mixed precision and Keras work, memory grows"
    assert stage.details == (
        "GPU:0: convolution error 3.0e-04; XLA compiled in 0.8 s, error 4.0e-07; loss 3.20 to 0.50, in float16 3.20 to 0.50",
    )


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"convolution": {"modes": {"float32": COARSE}, "placed": [PLACE]}}, "wrong-result"),
        ({"convolution": {"modes": {"tf32": {**COARSE, "forward": 0.9}}, "placed": [PLACE]}}, "wrong-result"),
        ({"convolution": {"modes": {"tf32": {**COARSE, "filter_gradient": None}}, "placed": [PLACE]}}, "wrong-result"),
        (
            {"convolution": {"modes": {"float32": PARTS}, "placed": [PLACE, PLACE.replace("GPU", "CPU")]}},
            "ran-elsewhere",
        ),
        ({"convolution": {"error": "UnimplementedError: DNN library is not found. [Op:Conv2D]"}}, "cudnn-failed"),
        (
            {
                "convolution": {
                    "error": "FailedPreconditionError: Loaded runtime CuDNN library: 8.0.5 but source was compiled with: 8.1.0."
                }
            },
            "cudnn-too-old",
        ),
        ({"compiled": {"error": "InternalError: libdevice not found at ./libdevice.10.bc"}}, "libdevice-not-found"),
        ({"compiled": {"error": "InternalError: Couldn't invoke ptxas --version"}}, "ptxas-not-found"),
        ({"compiled": {"seconds": 1.0, "placed": PLACE, "largest": 1e-3}}, "wrong-result"),
        ({"compiled": {"seconds": 1.0, "placed": PLACE, "largest": None}}, "wrong-result"),
        ({"compiled": {"seconds": 1.0, "placed": "", "largest": 1e-7}}, "ran-elsewhere"),
        ({"keras": fit(losses=[1.0, 0.9])}, "loss-does-not-fall"),
        ({"keras": fit(losses=[1.0, None])}, "loss-does-not-fall"),
        ({"keras": fit(placed=PLACE.replace("GPU", "CPU"))}, "ran-elsewhere"),
        ({"mixed": fit(losses=[1.0, None])}, "mixed-precision-failed"),
        ({"mixed": {"error": "ValueError: odd"}}, "mixed-failed"),
    ],
)
def test_one_part_fails(changed: dict[str, Any], code: str) -> None:
    stage = judge_train(premises(), answer(device(**changed)))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)
    assert "GPU:0" in stage.summary


def test_every_part_that_failed_is_named() -> None:
    broken = device(
        compiled={"error": "InternalError: libdevice not found at ./libdevice.10.bc"},
        mixed={"error": "ValueError: odd"},
    )
    stage = judge_train(premises(), answer(broken))
    assert stage.cause == "libdevice-not-found"
    assert "also [mixed-failed]: mixed on GPU:0: ValueError: odd" in stage.details


def test_the_log_explains_a_part_that_only_says_internal_error() -> None:
    stage = judge_train(
        premises(),
        answer(
            device(convolution={"error": "UnknownError: x"}),
            log="E Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED",
        ),
    )
    assert stage.cause == "cudnn-failed"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(), "gpu-not-registered"),
        (said({"step": "keras on GPU:0", "devices": []}, "timeout"), "hung"),
        (said({"step": "start", "error": "RuntimeError: odd", "devices": []}), "train-failed"),
        (answer(device(), growth={"enabled": False}), "no-memory-growth"),
    ],
)
def test_the_whole_fails(given: Said, code: str) -> None:
    assert judge_train(premises(), given).cause == code


@pytest.mark.parametrize(
    ("reduced", "code"),
    [
        (said({"step": "done", "sums": [[3.0, 3.0], [3.0, 3.0]], "expected": 3.0}), ""),
        (said({"step": "done", "sums": [[3.0, 3.0], [3.0, 1.0]], "expected": 3.0}), "wrong-result"),
        (said({"step": "done", "sums": [], "expected": 3.0}), "wrong-result"),
        (said({"step": "all-reduce"}, "timeout"), "all-reduce-hung"),
        (said({"step": "all-reduce"}, "signal SIGSEGV"), "all-reduce-failed"),
        (said({"step": "all-reduce", "error": "InternalError: NCCL: unhandled system error"}), "all-reduce-failed"),
    ],
)
def test_all_reduce(reduced: Said, code: str) -> None:
    second = PLACE.replace("GPU:0", "GPU:1")
    two = device(
        device="GPU:1",
        convolution={"modes": {"float32": PARTS}, "placed": [second]},
        compiled={"seconds": 1.0, "placed": second, "largest": 1e-7},
        keras=fit(placed=second),
        mixed=fit("float16", placed=second),
    )
    stage = judge_train(premises(), answer(device(), two), reduced)
    assert stage.cause == code
    if not code:
        assert stage.summary.endswith("all-reduce over 2 GPUs")
    if code == "all-reduce-failed":
        assert any("NCCL_DEBUG" in line and "/dev/shm" in line for line in stage.details)


@pytest.mark.parametrize(
    ("growth", "line"),
    [
        ({"enabled": True}, None),
        ({"enabled": True, "total": 100 << 20, "free": 60 << 20}, "GPU:0: 40 of 100 MiB in use afterwards"),
        (
            {"enabled": True, "total": 100 << 20, "free": 5 << 20},
            "GPU:0: 95 of 100 MiB in use afterwards: nearly all; another process, or memory growth does not work",
        ),
    ],
)
def test_memory_afterwards(growth: dict[str, Any], line: str | None) -> None:
    details = judge_train(premises(), answer(device(), growth=growth)).details
    assert details[1:] == ((line,) if line else ())

"""What the import probe says, judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from verify.samples import premises, said

from provision.model.matrix import Row
from provision.model.verdict import StageStatus
from provision.verify.imports import judge_import

VERSIONS: dict[str, Any] = {
    "tensorflow": "2.20.0",
    "file": "/env/lib/python3.12/site-packages/tensorflow/__init__.py",
    "numpy": "2.3.0",
    "built_with_cuda": True,
    "build": {"cuda_version": "12.5.1", "cudnn_version": "9", "is_cuda_build": True},
    "keras": "3.11.0",
}
GOOD: dict[str, Any] = {
    "step": "done",
    "import_seconds": 2.04,
    "versions": VERSIONS,
    "product": {"size": 256, "exact": True, "error": 4e-7},
    "losses": [4.0, 2.0, 1.0],
    "fit_seconds": 0.5,
}


def changed(**more: Any) -> dict[str, Any]:
    return {**GOOD, **more}


def test_all_is_well(row_of: Callable[[str], Row]) -> None:
    stage = judge_import(premises(row=row_of("2.20.0")), said(GOOD))
    assert stage.status is StageStatus.PASSED
    assert stage.summary == (
        "TensorFlow 2.20.0 imports in 2.0 s (built with CUDA 12.5.1, cuDNN 9), CPU product right, Keras fits"
    )
    assert stage.data["versions"] == VERSIONS


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (said({"step": "import"}, "timeout"), "hung"),
        (said({"step": "import"}, "signal SIGILL"), "cpu-instructions"),
        (said({"step": "import"}, "signal SIGBUS"), "library-truncated"),
        (said({"step": "import"}, "signal SIGKILL"), "killed"),
        (said({"step": "product"}, "signal SIGSEGV"), "crashed"),
        (said(failure="not started"), "interpreter-broken"),
        (said({"step": "product"}), "no-answer"),
        (
            said(
                step="import",
                error="ModuleNotFoundError: No module named 'tensorflow'",
                traceback="ModuleNotFoundError: No module named 'tensorflow'",
            ),
            "no-tensorflow",
        ),
        (
            said(step="import", error="TypeError: x", traceback="TypeError: Descriptors cannot be created directly.\n"),
            "protobuf-mismatch",
        ),
        (said(step="import", error="ZeroDivisionError: x", traceback="ZeroDivisionError: x"), "import-failed"),
        (said(step="product", error="InvalidArgumentError: x", traceback="x", versions=VERSIONS), "cpu-compute-failed"),
        (said(step="fit", error="ValueError: x", traceback="x", versions=VERSIONS), "keras-fit-failed"),
        (said(changed(product={"size": 256, "exact": False, "error": 0.0})), "wrong-result"),
        (said(changed(product={"size": 256, "exact": True, "error": 1e-3})), "wrong-result"),
        (said(changed(product={"size": 256, "exact": True, "error": float("nan")})), "wrong-result"),
        (said(changed(product={"size": 256, "exact": True, "error": None})), "wrong-result"),
        (said(changed(losses=[1.0, None])), "loss-does-not-fall"),
        (said(changed(losses=[1.0, 2.0])), "loss-does-not-fall"),
        (said(changed(losses=[1.0, float("nan")])), "loss-does-not-fall"),
        (said(changed(versions={**VERSIONS, "built_with_cuda": False})), "cpu-only-build"),
        (said(changed(versions={**VERSIONS, "tensorflow": "2.19.0"})), "tensorflow-shadowed"),
    ],
)
def test_failures(answer: Any, code: str) -> None:
    stage = judge_import(premises(), answer)
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)
    assert stage.summary


def test_what_numpy_prints_before_a_crash_is_the_cause() -> None:
    log = "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.0 as it may crash.\n"
    answer = said(step="import", error="SystemError: initialization of _pywrap failed", traceback="", log=log)
    assert judge_import(premises(), answer).cause == "numpy-mismatch"


def test_a_death_after_the_import_says_in_which_step() -> None:
    stage = judge_import(premises(), said({"step": "fit", "versions": VERSIONS}, "signal SIGSEGV"))
    assert stage.summary == "the process crashed (SIGSEGV), after the import, in step 'fit'"


@pytest.mark.parametrize(
    ("build", "code"),
    [
        ({"cuda_version": "12.3", "cudnn_version": "9"}, "other-build"),
        ({"cuda_version": "12.5.1", "cudnn_version": "8"}, "other-build"),
        ({"cuda_version": "12.5", "cudnn_version": "9"}, ""),
        ({"cuda_version": "64_112", "cudnn_version": "unknown"}, ""),
        ({}, ""),
    ],
)
def test_build_against_the_row(row_of: Callable[[str], Row], build: dict[str, str], code: str) -> None:
    stage = judge_import(premises(row=row_of("2.20.0")), said(changed(versions={**VERSIONS, "build": build})))
    assert stage.cause == code


@pytest.mark.parametrize(
    ("installed", "imported", "same"),
    [
        ("2.15.0.post1", "2.15.0", True),
        ("2.15.1", "2.15.0", False),
        ("2.15.0", "2.15.0", True),
        ("2.4.1", "2.4.1", True),
    ],
)
def test_a_post_release_says_less_of_itself(installed: str, imported: str, *, same: bool) -> None:
    versions = {**VERSIONS, "tensorflow": imported}
    stage = judge_import(premises(tensorflow=installed), said(changed(versions=versions)))
    assert (stage.cause == "") is same


def test_without_a_keras_fit_nothing_is_said_about_it() -> None:
    stage = judge_import(premises(), said(changed(losses=None)))
    assert stage.summary.endswith("CPU product right")


def test_every_row_agrees_with_what_its_own_build_says(matrix: Any) -> None:
    for row in matrix.rows:
        build = {"cuda_version": row.cuda.text, "cudnn_version": row.cudnn.text}
        versions = {**VERSIONS, "tensorflow": row.release.text, "build": build}
        stage = judge_import(premises(row=row, tensorflow=row.release.text), said(changed(versions=versions)))
        assert stage.status is StageStatus.PASSED, row.release

"""The proof, judged: where it ran, how exact it is, whose libraries did it."""

from __future__ import annotations

from typing import Any

import pytest
from verify.samples import SITE, premises, said

from provision.model.verdict import StageStatus
from provision.verify.answer import Said
from provision.verify.compute import judge_compute

PLACE = "/job:localhost/replica:0/task:0/device:GPU:0"
MAPPED = [
    "/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ptxjitcompiler.so.570.86.15",
    f"{SITE}/nvidia/cublas/lib/libcublas.so.12",
    f"{SITE}/tensorflow/libtensorflow_framework.so.2",
]


def device(**more: Any) -> dict[str, Any]:
    """One H200 as it would answer: TF32 by default, float32 on demand."""
    return {
        "device": "GPU:0",
        "size": 1024,
        "seconds": {"start": 1.5, "first_kernels": 0.4, "first_product": 0.2},
        "own_kernels": True,
        "exact_product": True,
        "placed": PLACE,
        "backing": PLACE,
        "modes": {
            "default": {"largest": 3e-5, "rms": 2.9e-4, "tf32": True},
            "float32": {"largest": 2e-7, "rms": 6e-7, "tf32": False},
            "tf32": {"largest": 3e-5, "rms": 2.9e-4, "tf32": True},
        },
        "memory_before": {"current": 0, "peak": 0},
        "memory_after": {"current": 1280, "peak": 33558272},
        **more,
    }


def answer(*devices: dict[str, Any], mapped: list[str] | None = None, log: str = "", **more: Any) -> Said:
    values = {"step": "done", "devices": list(devices), "mapped": MAPPED if mapped is None else mapped, **more}
    return said(values, log=log)


def modes(name: str, largest: float | None, rms: float | None) -> dict[str, Any]:
    return {**device()["modes"], name: {"largest": largest, "rms": rms, "tf32": None}}


def test_proved() -> None:
    stage = judge_compute(premises(), answer(device()))
    assert stage.status is StageStatus.PASSED
    assert stage.summary == "1024 × 1024 products on GPU:0 right, exact where they must be"
    assert stage.details == (
        (
            "GPU:0: default: TF32, error 2.9e-04; float32: float32, error 6.0e-07; tf32: TF32, error 2.9e-04; "
            "start 1.5 s, first kernels 0.4 s"
        ),
        "2 library files of the environment were mapped, none from elsewhere",
    )
    assert stage.data["mapped"]["inside"] == [
        "nvidia/cublas/lib/libcublas.so.12",
        "tensorflow/libtensorflow_framework.so.2",
    ]
    assert set(stage.data["tolerance"]) == {"float32", "tf32"}


def test_two_gpus() -> None:
    second = PLACE.replace("GPU:0", "GPU:1")
    stage = judge_compute(premises(), answer(device(), device(device="GPU:1", placed=second, backing=second)))
    assert stage.summary == "1024 × 1024 products on GPU:0, GPU:1 right, exact where they must be"


def test_a_card_without_tf32() -> None:
    plain = {"largest": 2e-7, "rms": 6e-7, "tf32": True}
    assert judge_compute(premises(), answer(device(modes={"default": plain, "tf32": plain}))).cause == ""


@pytest.mark.parametrize(
    "driver",
    [
        "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0123/libcuda.so.1.1",
        "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0123/libnvdxgdmal.so.1",
        "/usr/lib64/libcudadebugger.so.570.86.15",
        "/usr/local/cuda-12.8/compat/libcuda.so.570.86.15",
        "/usr/lib/x86_64-linux-gnu/libnvidia-nvvm.so.570.86.15",
    ],
)
def test_the_drivers_own_libraries_are_not_called_foreign(driver: str) -> None:
    stage = judge_compute(premises(managed=True), answer(device(), mapped=[*MAPPED, driver]))
    assert stage.status is StageStatus.PASSED
    assert stage.details[-1].endswith("none from elsewhere")


def test_an_environment_behind_a_link_is_itself() -> None:
    """The kernel names mapped files by their real paths: /home may be a link to /data/home."""
    real = SITE.replace("/home", "/data/home", 1) if SITE.startswith("/home") else f"/data{SITE}"
    cublas = "nvidia/cublas/lib/libcublas.so.12"
    mapped = ["/usr/lib/libcuda.so.570.86.15", f"{real}/{cublas}"]
    given = premises(managed=True, files={"libcublas.so.12": cublas}, real_roots=(real, real.rsplit("/lib/", 1)[0]))
    stage = judge_compute(given, answer(device(), mapped=mapped))
    assert stage.status is StageStatus.PASSED
    assert stage.data["mapped"]["inside"] == [cublas]
    stranger = judge_compute(premises(managed=True, files={"libcublas.so.12": cublas}), answer(device(), mapped=mapped))
    assert stranger.cause == "library-hijacked"


def test_slow_first_kernels_mean_ptx() -> None:
    seconds = {"start": 2.0, "first_kernels": 410.0, "first_product": 0.1}
    stage = judge_compute(premises(), answer(device(seconds=seconds)))
    assert stage.details[-1].startswith("PTX was compiled on first use")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"placed": PLACE.replace("GPU", "CPU")}, "ran-elsewhere"),
        ({"backing": PLACE.replace("GPU", "CPU")}, "ran-elsewhere"),
        ({"placed": PLACE.replace("GPU:0", "GPU:1")}, "ran-elsewhere"),
        ({"placed": ""}, "ran-elsewhere"),
        ({"placed": None}, "ran-elsewhere"),
        (
            {"device": "CPU:0", "placed": PLACE.replace("GPU", "CPU"), "backing": PLACE.replace("GPU", "CPU")},
            "ran-elsewhere",
        ),
        ({"size": 512}, "too-small"),
        ({"own_kernels": False}, "wrong-result"),
        ({"own_kernels": None}, "wrong-result"),
        ({"exact_product": False}, "wrong-result"),
        ({"modes": modes("default", None, None)}, "wrong-result"),
        ({"modes": modes("default", 0.3, 1.0)}, "wrong-result"),
        ({"modes": modes("default", 1e-3, 3e-3)}, "wrong-result"),
        ({"modes": modes("float32", 3e-5, 2.9e-4)}, "wrong-result"),
        ({"modes": modes("float32", 1e-3, 6e-7)}, "wrong-result"),
        ({"error": "InternalError: cudaGetDevice() failed. Status: named symbol not found"}, "compute-failed"),
        ({"error": "InternalError: no kernel image is available for execution on the device"}, "no-kernel-image"),
        ({"error": "InternalError: CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}, "ptx-too-new"),
        ({"error": "ResourceExhaustedError: OOM when allocating tensor"}, "gpu-out-of-memory"),
        ({"error": "InternalError: Blas xGEMM launch failed : a.shape=[1024,1024]"}, "cublas-failed"),
    ],
)
def test_what_proves_nothing(changed: dict[str, Any], code: str) -> None:
    stage = judge_compute(premises(), answer(device(**changed)))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(), "gpu-not-registered"),
        (said({"step": "GPU:0", "devices": []}, "timeout"), "hung"),
        (said({"step": "GPU:0", "devices": []}, "signal SIGSEGV"), "crashed"),
        (said({"step": "GPU:0", "devices": []}, "signal SIGKILL"), "killed"),
        (
            said({"step": "GPU:0", "devices": []}, "signal SIGABRT", "F cuda: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
            "gpu-out-of-memory",
        ),
        (said({"step": "GPU:0", "devices": [], "error": "RuntimeError: odd"}), "compute-failed"),
        (said({"step": "GPU:0", "devices": []}), "no-answer"),
        (said(failure="not started"), "interpreter-broken"),
        (answer(device(), mapped=[f"{SITE}/nvidia/cublas/lib/libcublas.so.12"]), "no-driver-mapped"),
    ],
)
def test_endings(given: Said, code: str) -> None:
    stage = judge_compute(premises(), given)
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)


def test_a_bad_second_gpu_spoils_the_proof() -> None:
    bad = device(device="GPU:1", placed="", backing="")
    assert judge_compute(premises(), answer(device(), bad)).status is StageStatus.FAILED


def test_a_foreign_library_is_named_and_fails_only_a_managed_environment() -> None:
    mapped = [*MAPPED[:2], "/usr/local/cuda/lib64/libcublas.so.12", MAPPED[3]]
    stage = judge_compute(premises(), answer(device(), mapped=mapped))
    assert stage.status is StageStatus.PASSED
    assert stage.details[-1].endswith("and from elsewhere: /usr/local/cuda/lib64/libcublas.so.12")
    stage = judge_compute(premises(managed=True), answer(device(), mapped=mapped))
    assert stage.cause == "library-hijacked"


def test_unknown_maps_are_not_held_against_it() -> None:
    given = said({"step": "done", "devices": [device()], "mapped": None})
    assert judge_compute(premises(), given).status is StageStatus.PASSED

"""The device list, judged against what the driver says."""

from __future__ import annotations

from typing import Any

import pytest
from verify.samples import gpu, host_of, said

from provision.model.host import DriverState, HostFacts
from provision.model.verdict import StageStatus
from provision.verify.answer import Said
from provision.verify.device import judge_device

H200 = {"name": "/physical_device:GPU:0", "model": "NVIDIA H200", "compute_capability": "9.0"}
CUDA_H200 = {"name": "NVIDIA H200", "compute_capability": "9.0"}
NO_LIBCUDA = {"error": "OSError: libcuda.so.1: cannot open shared object file: No such file or directory"}


def answer(listed: list[Any], driver: dict[str, Any], log: str = "", visible: str | None = None) -> Said:
    return said({"step": "done", "listed": listed, "driver": driver, "visible": visible, "mapped": []}, log=log)


def seen(*devices: dict[str, str]) -> dict[str, Any]:
    return {"init": 0, "cuda": 12080, "devices": list(devices)}


def test_listed() -> None:
    stage = judge_device(answer([H200], seen(CUDA_H200)), host_of(DriverState.WORKING, (gpu(),)))
    assert stage.status is StageStatus.PASSED
    assert stage.summary == "TensorFlow lists 1 GPU: NVIDIA H200 (compute capability 9.0)"


def test_listed_without_host_facts() -> None:
    assert judge_device(answer([H200, H200], seen(CUDA_H200, CUDA_H200)), None).summary.startswith(
        "TensorFlow lists 2 GPUs"
    )


def test_ptx_is_mentioned() -> None:
    log = "W: TensorFlow was not built with CUDA kernel binaries compatible with compute capability 9.0. CUDA kernels will be jit-compiled from PTX, which could take 30 minutes or longer."
    stage = judge_device(answer([H200], seen(CUDA_H200), log), None)
    assert stage.details == ("TensorFlow has no machine code for a GPU here: the driver compiles PTX on first use",)
    assert stage.data["compiles_ptx"] is True


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (DriverState.NO_GPU, "no-gpu"),
        (DriverState.NOT_INSTALLED, "driver-not-installed"),
        (DriverState.NOT_LOADED, "driver-not-loaded"),
        (DriverState.LIBRARY_MISMATCH, "driver-library-mismatch"),
        (DriverState.NO_PERMISSION, "no-permission"),
        (DriverState.NOT_PASSED, "not-passed-into-container"),
        (DriverState.HUNG, "driver-hung"),
        (DriverState.UNKNOWN, "no-gpu-seen"),
        (None, "no-gpu-seen"),
    ],
)
def test_without_a_usable_gpu_nobody_can_tell(state: DriverState | None, code: str) -> None:
    host = host_of(state, why="because") if state else None
    stage = judge_device(answer([], NO_LIBCUDA), host)
    assert (stage.status, stage.cause) == (StageStatus.CANNOT_TELL, code)
    assert any("libcuda.so.1" in line for line in stage.details)
    assert ("because" in stage.details) is (state is not None)


def test_cuinit_without_a_device_is_shown() -> None:
    stage = judge_device(answer([], {"init": 100, "devices": []}), host_of(DriverState.NO_GPU))
    assert stage.status is StageStatus.CANNOT_TELL
    assert "cuInit returned 100 (no device)" in stage.details


@pytest.mark.parametrize("value", ["-1", "", "NoDevFiles", "7"])
def test_negative_control_hidden_gpus_fail(value: str) -> None:
    hidden = answer([], {"init": 100, "devices": []}, visible=value)
    for host, unhidden in (
        (host_of(DriverState.HIDDEN, (gpu(),)), None),
        (None, answer([H200], seen(CUDA_H200))),
        (host_of(DriverState.WORKING, (gpu(),)), answer([H200], seen(CUDA_H200))),
    ):
        stage = judge_device(hidden, host, unhidden)
        assert (stage.status, stage.cause) == (StageStatus.FAILED, "hidden-by-cuda-visible-devices")
        assert f"CUDA_VISIBLE_DEVICES={value!r}" in stage.summary


def test_the_variable_is_not_blamed_where_there_is_nothing_to_hide() -> None:
    hidden = answer([], NO_LIBCUDA, visible="-1")
    stage = judge_device(hidden, host_of(DriverState.NO_GPU), answer([], NO_LIBCUDA))
    assert (stage.status, stage.cause) == (StageStatus.CANNOT_TELL, "no-gpu")


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open", "library-not-found"),
        (
            "Ignoring visible gpu device (device: 0, name: Tesla K80) with Cuda compute capability 3.7. The minimum required Cuda capability is 6.0.",
            "gpu-too-old",
        ),
        (
            "Ignoring visible gpu device (device: 1, name: GT 1030) with core count: 3. The minimum required count is 8.",
            "gpu-too-small",
        ),
        ("", "gpu-not-registered"),
    ],
)
def test_seen_by_the_driver_and_not_by_tensorflow(log: str, code: str) -> None:
    stage = judge_device(answer([], seen(CUDA_H200), log), host_of(DriverState.WORKING, (gpu(),)))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)
    assert stage.summary.startswith("TensorFlow lists no GPU, libcuda lists 1")


GT_1030 = {"name": "GT 1030", "compute_capability": "6.1"}
TOO_SMALL = "Ignoring visible gpu device (device: 1, name: GT 1030, pci bus id: 0) with core count: 3. The minimum required count is 8."
TOO_OLD = "Ignoring visible gpu device (device: 1, name: GT 710, pci bus id: 0) with Cuda compute capability 3.0. The minimum required Cuda capability is 3.5."


@pytest.mark.parametrize("log", [TOO_SMALL, TOO_OLD, f"{TOO_SMALL}\n{TOO_SMALL}"])
def test_a_display_card_that_tensorflow_leaves_out_is_named_and_no_failure(log: str) -> None:
    stage = judge_device(answer([H200], seen(CUDA_H200, GT_1030), log), None)
    assert stage.status is StageStatus.PASSED
    assert stage.summary == "TensorFlow lists 1 GPU: NVIDIA H200 (compute capability 9.0)"
    assert stage.details[0].startswith("TensorFlow lists 1 of 2 GPUs: TensorFlow leaves out a GPU")
    assert log.splitlines()[0] in stage.details


def test_a_gpu_that_nothing_explains_fails() -> None:
    for devices, log, code in (
        ((CUDA_H200, CUDA_H200), "", "gpu-left-out"),
        # One of two missing ones is explained, the other is not.
        ((CUDA_H200, GT_1030, CUDA_H200), TOO_SMALL, "gpu-too-small"),
    ):
        stage = judge_device(answer([H200], seen(*devices), log), None)
        assert (stage.status, stage.cause) == (StageStatus.FAILED, code)
        assert stage.summary.startswith(f"TensorFlow lists 1 of {len(devices)} GPUs")


@pytest.mark.parametrize("driver", [{"init": 3, "devices": []}, {"init": 999, "devices": []}, NO_LIBCUDA])
def test_nvml_lists_it_and_libcuda_does_not_start(driver: dict[str, Any]) -> None:
    stage = judge_device(answer([], driver), host_of(DriverState.WORKING, (gpu(),)))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, "cuinit-failed")


@pytest.mark.parametrize(
    ("failure", "code"), [("timeout", "hung"), ("signal SIGSEGV", "crashed"), ("signal SIGABRT", "aborted")]
)
def test_endings(failure: str, code: str) -> None:
    stage = judge_device(said({"step": "list"}, failure), host_of(DriverState.WORKING, (gpu(),)))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)


def test_an_exception_while_listing() -> None:
    stage = judge_device(said({"error": "RuntimeError: odd", "step": "list"}), None)
    assert (stage.cause, stage.summary) == ("device-list-failed", "RuntimeError: odd")


@pytest.mark.parametrize("host", [None, host_of(DriverState.NO_GPU), host_of(DriverState.WORKING, (gpu(),))])
@pytest.mark.parametrize("visible", [None, "-1", "0"])
@pytest.mark.parametrize("driver", [NO_LIBCUDA, {"init": 100, "devices": []}, seen(), seen(CUDA_H200)])
def test_an_empty_list_never_passes(host: HostFacts | None, visible: str | None, driver: dict[str, Any]) -> None:
    stage = judge_device(answer([], driver, visible=visible), host)
    assert stage.status in (StageStatus.FAILED, StageStatus.CANNOT_TELL)
    assert stage.cause

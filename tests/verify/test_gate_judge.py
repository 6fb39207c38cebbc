"""What the gate probe says, judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from verify.samples import FRAMEWORK, GATE_12, SITE, WHEELS, found, gate_said, missing, premises, said, wheel_path

from provision.model.matrix import Row
from provision.model.verdict import StageStatus
from provision.verify.gate import judge_gate, precondition

ALL = [found(soname) for soname in GATE_12]


def without(*sonames: str) -> list[dict[str, Any]]:
    return [missing(soname) if soname in sonames else found(soname) for soname in GATE_12]


def test_all_found_in_the_environment() -> None:
    stage = judge_gate(premises(), gate_said(ALL), gate_said(ALL))
    assert stage.status is StageStatus.PASSED
    assert stage.cause == ""
    assert stage.summary == "all 7 CUDA libraries found in the environment, cuDNN 9.3.0"
    assert stage.details == ()
    cudnn = next(item for item in stage.data["libraries"] if item["soname"] == "libcudnn.so.9")
    assert cudnn["file"] == "nvidia/cudnn/lib/libcudnn.so.9"
    assert cudnn["wheel"] == "nvidia-cudnn-cu12 9.3.0.75"
    assert cudnn["inside"] is True
    assert cudnn["meant"] is True


def test_one_missing_names_library_searcher_and_search_in_order() -> None:
    answer = gate_said(without("libcusolver.so.11"))
    stage = judge_gate(premises(), answer, answer)
    assert stage.status is StageStatus.FAILED
    assert stage.cause == "library-not-found"
    assert stage.summary == "1 of 7 CUDA libraries not found: libcusolver.so.11"
    assert stage.details == (
        "libcusolver.so.11: not found by tensorflow/libtensorflow_framework.so.2: cannot open shared object file: No such file or directory",
        "  the environment has nvidia/cusolver/lib/libcusolver.so.11 (nvidia-cusolver-cu12 11.6.3.83), but not where is searched",
        "searched, in this order:",
        "  RUNPATH of tensorflow/libtensorflow_framework.so.2: nvidia/cublas/lib, tensorflow",
        "  loader cache: /etc/ld.so.cache",
        "  system search path: /lib, /usr/lib",
        "hint: `tfgpu-provision create` makes an environment in which TensorFlow finds them; until then it will run on the CPU",
    )


def test_a_library_that_is_nowhere_is_not_said_to_be_somewhere() -> None:
    answer = gate_said(without("libcudnn.so.9"))
    stage = judge_gate(premises(files={}), answer, answer)
    assert not any("the environment has" in line for line in stage.details)


def test_a_missing_dependency_shows_its_own_name() -> None:
    dependency = "libcublasLt.so.12: cannot open shared object file: No such file or directory"
    libraries = [missing(name, dependency) if "cusolver" in name else found(name) for name in GATE_12]
    stage = judge_gate(premises(), gate_said(libraries), gate_said(libraries))
    assert "libcublasLt.so.12: cannot open" in stage.details[0]
    assert stage.details[0].startswith("libcusolver.so.11: not found by")


def test_an_alias_is_explained(row_of: Callable[[str], Row]) -> None:
    row = row_of("2.4.1")
    assert row.aliases["libcusolver.so.10"] == "libcusolver.so.11"
    answer = gate_said([missing("libcusolver.so.10")])
    stage = judge_gate(premises(row=row), answer, answer)
    assert (
        "  no wheel brings that name; nvidia/cusolver/lib/libcusolver.so.11 (nvidia-cusolver-cu12 11.6.3.83) "
        "serves under it as an alias"
    ) in stage.details


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"tensorflow": None, "distribution": None}, "no-tensorflow"),
        ({"cuda_build": False, "distribution": "tensorflow-cpu"}, "cpu-only-build"),
    ],
)
def test_preconditions(changed: dict[str, Any], code: str) -> None:
    cause = precondition(premises(**changed))
    assert cause is not None
    assert cause.code == code
    stage = judge_gate(premises(**changed), gate_said(ALL), gate_said(ALL))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)


def test_a_tensorflow_in_the_user_site_is_mentioned() -> None:
    cause = precondition(premises(tensorflow=None, user_site=True))
    assert cause is not None
    assert "user's own site" in cause.evidence[0]


@pytest.mark.parametrize("unknown", [None, True])
def test_no_precondition_where_the_build_may_be_right(*, unknown: bool | None) -> None:
    assert precondition(premises(cuda_build=unknown)) is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (said(failure="timeout"), "hung"),
        (said(failure="not started"), "interpreter-broken"),
        (said({"unreadable": "ValueError: not a complete ELF shared library"}), "framework-unreadable"),
        (
            gate_said([], gate={"unloadable": "OSError: libstdc++.so.6: version `GLIBCXX_3.4.29'"}),
            "framework-unloadable",
        ),
        (gate_said([], gate={"status_ok": False}), "gate-closed"),
    ],
)
def test_other_failures(answer: Any, code: str) -> None:
    stage = judge_gate(premises(), answer, answer)
    assert (stage.status, stage.cause) == (StageStatus.FAILED, code)


def test_a_status_that_disagrees_is_told_not_believed() -> None:
    stage = judge_gate(premises(), gate_said(ALL, gate={"status_ok": False}), gate_said(ALL))
    assert stage.status is StageStatus.PASSED
    assert stage.details == (
        "the status that the loader returned does not read as OK, although it opened every library",
    )
    assert stage.data["status_ok"] is False


def test_a_build_without_the_loader_is_skipped_not_failed() -> None:
    answer = said({"framework": FRAMEWORK, "functions": {}, "calls": {}})
    stage = judge_gate(premises(), answer, answer)
    assert (stage.status, stage.cause) == (StageStatus.SKIPPED, "no-loader")


def test_the_library_that_kills_is_named_with_its_wheel() -> None:
    path = f"{SITE}/{wheel_path('libcudnn.so.9')}"
    answer = gate_said(
        [],
        gate={"ended": "signal SIGBUS"},
        calls={
            "CudaRuntime": {"ended": "", "libraries": [found("libcudart.so.12")]},
            "Cudnn": {"ended": "signal SIGBUS", "libraries": [], "died_at": path},
        },
    )
    stage = judge_gate(premises(), answer, answer)
    assert stage.cause == "library-truncated"
    assert stage.summary == "opening nvidia/cudnn/lib/libcudnn.so.9 kills the process (signal SIGBUS)"
    assert "it belongs to nvidia-cudnn-cu12 9.3.0.75" in stage.details
    assert stage.details[-1] == "hint: install nvidia-cudnn-cu12 again"


def test_a_death_that_no_single_call_repeats_keeps_its_name() -> None:
    answer = gate_said([], gate={"ended": "signal SIGSEGV"}, calls={"Cudnn": {"ended": "", "libraries": []}})
    assert judge_gate(premises(), answer, answer).cause == "crashed"


def test_a_library_without_its_version_function_is_an_impostor() -> None:
    bogus = found("libcudnn.so.9", "/old/libcudnn.so.9", version="", version_problem="no version function")
    libraries = [bogus if item["soname"] == bogus["soname"] else item for item in ALL]
    stage = judge_gate(premises(), gate_said(libraries), gate_said(ALL))
    assert stage.cause == "not-the-library"
    assert "/old/libcudnn.so.9: no version function" in stage.details
    assert (
        "libcudnn.so.9: this shell's LD_LIBRARY_PATH puts /old/libcudnn.so.9 in the place of nvidia/cudnn/lib/libcudnn.so.9"
    ) in stage.details


def test_a_version_that_could_not_be_asked_is_no_fault() -> None:
    libraries = [dict(item, version=None, version_problem="cudaRuntimeGetVersion returned 35") for item in ALL]
    stage = judge_gate(premises(), gate_said(libraries), gate_said(libraries))
    assert stage.status is StageStatus.PASSED
    assert stage.summary.endswith("cuDNN unknown")


@pytest.mark.parametrize(
    ("release", "version", "code"),
    [
        ("2.20.0", "9.1.0", "cudnn-too-old"),
        ("2.20.0", "8.9.7", "cudnn-too-old"),
        ("2.20.0", "10.0.0", "cudnn-other-major"),
        ("2.16.2", "9.3.0", "cudnn-other-major"),
        ("2.20.0", "9.3.0", ""),
        ("2.20.0", "9.28.0", ""),
    ],
)
def test_cudnn_against_the_build(row_of: Callable[[str], Row], release: str, version: str, code: str) -> None:
    row = row_of(release)
    if release == "2.20.0":
        row = replace(row, cudnn=type(row.cudnn)("9.3"))
    libraries = [dict(item, version=version) if "cudnn" in item["soname"] else item for item in ALL]
    stage = judge_gate(premises(row=row), gate_said(libraries), gate_said(libraries))
    assert stage.cause == code


TOOLKIT = found("libcublas.so.12", "/usr/local/cuda/lib64/libcublas.so.12", version="12.4.5")


def test_a_toolkit_in_the_place_of_the_own_library_is_a_remark_in_a_foreign_environment() -> None:
    libraries = [TOOLKIT if item["soname"] == TOOLKIT["soname"] else item for item in ALL]
    stage = judge_gate(premises(), gate_said(libraries), gate_said(ALL))
    assert stage.status is StageStatus.PASSED
    assert stage.summary.startswith("all 7 CUDA libraries found outside the environment")
    assert (
        "libcublas.so.12: /usr/local/cuda/lib64/libcublas.so.12 12.4.5 answers, not the environment's own"
        in stage.details
    )


def test_the_same_is_a_failure_in_a_managed_one() -> None:
    libraries = [TOOLKIT if item["soname"] == TOOLKIT["soname"] else item for item in ALL]
    stage = judge_gate(premises(managed=True), gate_said(libraries), gate_said(ALL))
    assert stage.cause == "library-hijacked"
    assert "libcublas.so.12: /usr/local/cuda/lib64/libcublas.so.12 12.4.5" in stage.details


def test_libraries_of_the_system_alone_are_no_fault() -> None:
    libraries = [dict(item, file=f"/usr/lib/{item['soname']}", tried=f"/usr/lib/{item['soname']}") for item in ALL]
    stage = judge_gate(premises(files={}, wheels={}, managed=True), gate_said(libraries), gate_said(libraries))
    assert stage.status is StageStatus.PASSED
    assert all(item["meant"] is None for item in stage.data["libraries"])


def test_a_link_into_a_cache_counts_as_inside() -> None:
    cached = [dict(item, file=f"/home/anna/.cache/uv/{item['soname']}") for item in ALL]
    stage = judge_gate(premises(), gate_said(cached), gate_said(cached))
    assert stage.summary.startswith("all 7 CUDA libraries found in the environment")


def test_an_environment_that_lives_by_ld_library_path_is_told_so() -> None:
    stage = judge_gate(premises(), gate_said(ALL), gate_said(without("libcusolver.so.11", "libcudnn.so.9")))
    assert stage.status is StageStatus.PASSED
    assert stage.summary.startswith("all 7 CUDA libraries found only with this shell's LD_LIBRARY_PATH")
    assert stage.details == (
        "only this shell's LD_LIBRARY_PATH leads to libcusolver.so.11, libcudnn.so.9: cron, an IDE or Jupyter lack it",
    )


def test_a_library_lost_through_ld_library_path_is_told() -> None:
    stage = judge_gate(premises(), gate_said(without("libcudnn.so.9")), gate_said(ALL))
    assert stage.status is StageStatus.FAILED
    assert "without this shell's LD_LIBRARY_PATH these are found: libcudnn.so.9" in stage.details


def test_a_second_tensorflow_is_mentioned() -> None:
    stage = judge_gate(premises(others=("tensorflow-cpu 2.19.0",)), gate_said(ALL), gate_said(ALL))
    assert stage.details == ("tensorflow-cpu 2.19.0 is installed as well and overwrites files of the same package",)


def test_a_wheel_of_another_version_than_the_set_is_not_the_one_meant(row_of: Callable[[str], Row]) -> None:
    row = row_of("2.20.0")
    library_set = row.sets[0]
    pin = library_set.provider("libcudnn.so.9")
    assert pin is not None
    wheels = {**WHEELS, **{one.name: one.version for one in library_set.pins}, pin.name: "9.1.0.70"}
    stage = judge_gate(
        premises(row=row, library_set=library_set, wheels=wheels, managed=True),
        gate_said([dict(item, version="9.28.0") if "cudnn" in item["soname"] else item for item in ALL]),
        gate_said(ALL),
    )
    assert stage.cause == "library-hijacked"
    meant = {item["soname"]: item["meant"] for item in stage.data["libraries"]}
    assert meant["libcudnn.so.9"] is False
    assert all(value for soname, value in meant.items() if soname != "libcudnn.so.9")


def test_libraries_beside_the_gate_are_recorded_and_never_fail_it() -> None:
    answer = gate_said(ALL, calls={"Cupti": {"ended": "", "libraries": [missing("libcupti.so.12")]}})
    stage = judge_gate(premises(), answer, answer)
    assert stage.status is StageStatus.PASSED
    assert stage.data["beside"][0]["soname"] == "libcupti.so.12"
    assert stage.data["beside"][0]["found"] is False

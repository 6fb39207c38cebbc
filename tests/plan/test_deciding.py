from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plan_builder import (
    CU129_NEW,
    ROW_2_10,
    ROW_2_20,
    GlibcVersion,
    Matrix,
    cc,
    ccs,
    fault,
    gpu,
    host,
    matrix,
    modules,
    row,
)

from provision.errors import UsageError
from provision.model.host import DriverState
from provision.model.plan import GpuService, Plan, Refusal, Request
from provision.model.versions import PythonVersion
from provision.plan import decide, judge

MATRIX = matrix()
GOOD = host("580.65.06", "8.6")
BAD_PATCH = row(ROW_2_20, "2.16.1", faults=(fault("search-path", "links are put there", avoid=True),))
GOOD_PATCH = row(ROW_2_20, "2.16.2")
OLDER_PATCH = row(ROW_2_20, "2.16.0")


def chosen(spec: str, machine: Any = GOOD, among: Matrix = MATRIX, **changes: Any) -> str | None:
    answer = decide(Request(spec, **changes), machine, among)
    return answer.row.release.text if isinstance(answer, Plan) else None


@pytest.mark.parametrize(
    ("spec", "rows", "expected"),
    [
        ("2.16", (OLDER_PATCH, BAD_PATCH, GOOD_PATCH), "2.16.2"),
        ("2.16", (OLDER_PATCH, BAD_PATCH), "2.16.0"),
        ("2.16", (BAD_PATCH,), "2.16.1"),
        ("2.16.1", (OLDER_PATCH, BAD_PATCH, GOOD_PATCH), "2.16.1"),
        ("", (OLDER_PATCH, BAD_PATCH), "2.16.0"),
        ("~=2.16.0", (OLDER_PATCH, BAD_PATCH, GOOD_PATCH), "2.16.2"),
        (">=2.16", (GOOD_PATCH, ROW_2_20), "2.20.0"),
        ("latest", (ROW_2_10, ROW_2_20), "2.20.0"),
        # A newer release with a caveat gives way to an older one without; with the same number the newer one wins.
        ("", (ROW_2_10, row(ROW_2_20, faults=(fault(),))), "2.10.1"),
        ("", (row(ROW_2_10, faults=(fault(),)), row(ROW_2_20, faults=(fault(),))), "2.20.0"),
        ("", (row(ROW_2_10, faults=(fault(),)), row(ROW_2_20, faults=(fault("a"), fault("b")))), "2.10.1"),
        # A remark is no caveat.
        ("", (ROW_2_10, row(ROW_2_20, faults=(fault(handled="done"),))), "2.20.0"),
        # A minor is its newest good patch, caveats or not.
        ("2.16", (OLDER_PATCH, row(GOOD_PATCH, faults=(fault(),))), "2.16.2"),
        # The newest good patch that runs here.
        ("2.16", (OLDER_PATCH, row(GOOD_PATCH, sass=ccs("9.0"), ptx=(), ptx_modules=())), "2.16.0"),
    ],
)
def test_which_release(spec: Any, rows: Any, expected: Any) -> None:
    assert chosen(spec, among=matrix(*rows)) == expected


def test_what_was_passed_over_is_told_with_the_reasons_newest_first() -> None:
    newest = row(ROW_2_20, "2.21.0", glibc=GlibcVersion("2.27"))
    caveat = row(ROW_2_20, faults=(fault("crash"),))
    answer = decide(Request(""), host("580.65.06", "8.6", glibc="2.17"), matrix(ROW_2_10, BAD_PATCH, caveat, newest))
    assert isinstance(answer, Plan)
    assert answer.row is not newest
    assert answer.passed_over == (
        ("2.21.0", ("glibc-too-old",)),
        ("2.20.0", ("fault-crash",)),
        ("2.16.1", ("fault-search-path",)),
    )


def test_nothing_is_passed_over_for_an_exact_release() -> None:
    answer = decide(Request("2.10.1"), GOOD, MATRIX)
    assert isinstance(answer, Plan)
    assert answer.passed_over == ()


def test_a_refusal_names_every_obstacle_at_once() -> None:
    machine = host("470.57.02", "5.2", glibc="2.5", cpu="sse2", pythons="3.7")
    answer = decide(Request("2.20"), machine, MATRIX)
    assert isinstance(answer, Refusal)
    assert {item.code for item in answer.reasons} == {
        "python-unsupported",
        "glibc-too-old",
        "cpu-too-old",
        "driver-too-old",
        "gpu-too-old",
    }
    assert all(item.what and item.needs and item.source for item in answer.reasons)


def test_the_refusal_of_a_range_speaks_of_the_release_that_is_nearest_to_running() -> None:
    machine = host("470.57.02", "5.2", pythons="3.5")
    answer = decide(Request(""), machine, MATRIX)
    assert isinstance(answer, Refusal)
    assert answer.row is ROW_2_10  # one obstacle, where 2.20 has three


@pytest.mark.parametrize(
    ("spec", "distribution", "code", "says"),
    [
        ("2.3", "tensorflow", "release-unserved", "no CUDA 10 wheels"),
        ("2.3.4", "tensorflow", "release-unserved", "no CUDA 10 wheels"),
        ("<2.4", "tensorflow", "release-unserved", "no CUDA 10 wheels"),
        ("1.15.5", "tensorflow-gpu", "release-unserved", "no CUDA 10 wheels"),
        ("tensorflow-gpu==2.12.0", "tensorflow", "release-unserved", "an empty shell"),
        ("2.12.0", "tensorflow-gpu", "release-unserved", "an empty shell"),
        ("tf-nightly", "tensorflow", "release-unserved", "not final"),
        ("nightly", "tensorflow", "release-unserved", "not final"),
        ("2.99", "tensorflow", "release-unknown", "TensorFlow 2.99"),
        ("2.16.0rc0", "tensorflow", "release-unknown", "2.10.1 to 2.20.0"),
        (">=3", "tensorflow", "release-unknown", "2.10.1 to 2.20.0"),
        (">=2.12,<2.12", "tensorflow", "release-unknown", "no release is <2.12,>=2.12; those that are served"),
        ("2.10.7", "tensorflow", "release-unknown", "of this minor it has 2.10.1"),
        ("tensorflow-cpu==2.20.0", "tensorflow", "release-unknown", "tensorflow-cpu 2.20.0"),
    ],
)
def test_what_has_no_row_is_refused_with_the_reason_the_matrix_gives(
    spec: Any, distribution: Any, code: Any, says: Any
) -> None:
    answer = decide(Request(spec, distribution=distribution), GOOD, MATRIX)
    assert isinstance(answer, Refusal)
    assert answer.row is None
    assert [item.code for item in answer.reasons] == [code]
    assert says in answer.reasons[0].what
    assert any(item.kind == "release" for item in answer.alternatives)


def test_a_matrix_without_rows_refuses_everything() -> None:
    answer = decide(Request(""), GOOD, dataclasses.replace(MATRIX, rows=()))
    assert isinstance(answer, Refusal)
    assert answer.alternatives == ()


def test_a_spec_that_cannot_be_read_is_raised() -> None:
    with pytest.raises(UsageError):
        decide(Request("2.x"), GOOD, MATRIX)


def test_the_pins_are_tensorflow_the_wheels_and_the_constraints_each_with_its_reason() -> None:
    answer = judge(ROW_2_10, GOOD, MATRIX)
    assert isinstance(answer, Plan)
    assert [pin.requirement for pin in answer.pins] == [
        "tensorflow==2.10.1",
        "nvidia-cuda-runtime-cu11==11.8.89",
        "nvidia-cusolver-cu11==11.4.1.48",
        "nvidia-cudnn-cu11==8.6.0.163",
        "nvidia-cuda-nvcc-cu11==11.8.89",
        "numpy<1.24",
    ]
    why = {pin.requirement.split("=")[0]: pin.why for pin in answer.pins}
    assert "libcudnn.so.8" in why["nvidia-cudnn-cu11"]
    assert "ptxas" in why["nvidia-cuda-nvcc-cu11"]
    assert all(why.values())


def test_a_conflicting_package_is_refused_in_our_terms() -> None:
    answer = decide(Request("2.10", requirements=("numpy==1.26.4",)), GOOD, MATRIX)
    assert isinstance(answer, Refusal)
    assert [item.code for item in answer.reasons] == ["requirement-conflict"]
    # 2.20 has no such constraint, so it is what this machine can run with that package.
    assert [item.command for item in answer.alternatives if item.kind == "release"] == [
        "tfgpu-provision create --tf 2.20.0 --with numpy==1.26.4"
    ]


@pytest.mark.parametrize(
    ("gpus", "served", "left_out", "libraries"),
    [
        (("8.6",), ["native"], 0, "cu129-cudnn924"),
        (("6.0", "8.9"), ["native", "native"], 0, "cu129-cudnn910"),
        (("8.9", "6.0"), ["native", "native"], 0, "cu129-cudnn910"),
        (("3.5", "8.9"), ["none", "native"], 1, "cu129-cudnn924"),
        (("12.0", "8.9", "8.9"), ["none", "native", "native"], 1, "cu129-cudnn924"),
        (("3.5", "6.0", "12.0"), ["none", "native", "none"], 2, "cu129-cudnn910"),
        ((None, "8.6"), ["unknown", "native"], 0, "cu129-cudnn924"),
    ],
)
def test_several_gpus(gpus: Any, served: Any, left_out: Any, libraries: Any) -> None:
    machine = host("580.65.06", *(gpu(item, f"GPU {place}", place) for place, item in enumerate(gpus)))
    answer = judge(ROW_2_20, machine, MATRIX)
    assert isinstance(answer, Plan)
    assert [item.service for item in answer.gpus] == [GpuService(item) for item in served]
    assert all(item.why for item in answer.gpus)
    assert [item.code for item in answer.caveats].count("gpu-left-out") == left_out
    assert answer.library_set.ident == libraries
    assert answer.outcome == ("caveat" if left_out or None in gpus else "ok")


def test_a_gpu_that_is_left_out_is_named_with_the_way_to_hide_it() -> None:
    machine = host("580.65.06", gpu("3.5", "NVIDIA GeForce GT 710", 0), gpu("8.9", "NVIDIA GeForce RTX 4090", 1))
    answer = judge(ROW_2_20, machine, MATRIX)
    assert isinstance(answer, Plan)
    (caveat,) = [item for item in answer.caveats if item.code == "gpu-left-out"]
    assert "GT 710" in caveat.what
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=1" in caveat.what
    # Without numbers there is nothing to type.
    machine = host("580.65.06", gpu("3.5"), gpu("8.9"))
    answer = judge(ROW_2_20, machine, MATRIX)
    assert isinstance(answer, Plan)
    assert "CUDA_VISIBLE_DEVICES" not in answer.caveats[0].what


def test_gpus_that_no_single_set_serves_leave_the_fewest_out() -> None:
    only_old = dataclasses.replace(CU129_NEW, ident="old", first_cc=cc("6.0"), last_cc=cc("7.0"))
    release = row(ROW_2_20, sets=(CU129_NEW, only_old))
    answer = judge(release, host("580.65.06", "6.0", "8.6", "8.9"), MATRIX)
    assert isinstance(answer, Plan)
    assert answer.library_set is CU129_NEW
    assert [item.service.value for item in answer.gpus] == ["none", "native", "native"]


def test_two_equal_gpus_are_one_obstacle() -> None:
    answer = judge(ROW_2_20, host("535.104.05", "9.0", "9.0"), MATRIX)
    assert isinstance(answer, Refusal)
    assert len(answer.reasons) == 1


@pytest.mark.parametrize(
    ("machine", "widest", "outcome"),
    [
        (host(), True, "ok"),
        (host("580.65.06"), True, "ok"),
        (host("580.65.06", state=DriverState.NO_GPU), True, "ok"),
        (host(None, "8.6"), False, "ok"),
        (host("580.65.06", gpu(None, "NVIDIA Something")), True, "caveat"),
        (host("580.65.06", "8.6", state=DriverState.LIBRARY_MISMATCH), False, "caveat"),
    ],
)
def test_without_a_gpu_the_plan_serves_the_widest_range_and_says_so(machine: Any, widest: Any, outcome: Any) -> None:
    answer = judge(ROW_2_20, machine, MATRIX)
    assert isinstance(answer, Plan)
    assert (answer.widest, answer.outcome) == (widest, outcome)
    assert (answer.library_set.ident == "cu129-cudnn910") is widest
    said = [item.what for item in answer.caveats if item.code == "widest-range"]
    assert bool(said) is widest
    if widest:
        assert "compute capability 6.0 (Pascal) to 9.0 (Hopper)" in said[0]


def test_the_widest_range_is_what_the_known_driver_drives() -> None:
    answer = judge(ROW_2_20, host("590.44.01"), MATRIX)
    assert isinstance(answer, Plan)
    assert answer.library_set is CU129_NEW
    assert "7.5 (Turing) to 9.0 (Hopper)" in next(i.what for i in answer.caveats if i.code == "widest-range")


def test_judge_takes_a_python() -> None:
    assert isinstance(judge(ROW_2_20, GOOD, MATRIX, PythonVersion("3.9")), Plan)
    assert isinstance(judge(ROW_2_20, GOOD, MATRIX, PythonVersion("3.8")), Refusal)


def test_a_plan_carries_what_it_was_made_from() -> None:
    request = Request("2.20", requirements=("pandas",))
    answer = decide(request, GOOD, MATRIX)
    assert answer.request is request
    assert answer.host is GOOD
    assert answer.matrix_digest == MATRIX.digest


def test_caveats_that_change_the_outcome_come_first() -> None:
    machine = host("580.65.06", "9.0", state=DriverState.NOT_LOADED)
    answer = judge(ROW_2_20, machine, MATRIX)
    assert isinstance(answer, Plan)
    assert [item.notable for item in answer.caveats] == [True, False]


def test_ptx_that_nobody_read_on_a_gpu_without_machine_code_is_derived_from_the_cuda_version() -> None:
    unread = row(ROW_2_20, sass=ccs("8.0"), ptx=ccs("8.0"), ptx_modules=())
    assert isinstance(judge(unread, host("550.54", "9.0"), MATRIX), Refusal)
    assert isinstance(judge(unread, host("555.42", "9.0"), MATRIX), Plan)
    read = row(unread, ptx_modules=(modules("8.0", "8.0", 10, "8.0"),))
    assert isinstance(judge(read, host("525.60.13", "9.0"), MATRIX), Plan)

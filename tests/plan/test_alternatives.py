from __future__ import annotations

from typing import Any

import pytest
from plan_builder import ROW_2_10, ROW_2_20, gpu, host, matrix, row

from provision.model.plan import Refusal, Request
from provision.model.versions import PythonVersion
from provision.plan import decide
from provision.plan.alternatives import create_command

MATRIX = matrix()


def alternatives(spec: Any, machine: Any, **changes: Any) -> Any:
    answer = decide(Request(spec, **changes), machine, MATRIX)
    assert isinstance(answer, Refusal)
    return [(item.kind, item.what, item.command) for item in answer.alternatives]


@pytest.mark.parametrize(
    ("spec", "machine", "kinds"),
    [
        ("2.20", host("470.57.02", "8.6"), ["release", "driver"]),
        ("2.20", host("470.57.02", "5.2"), ["release", "gpu"]),  # a driver and a GPU together
        ("2.20", host("580.65.06", "5.2"), ["release", "gpu"]),
        ("2.20", host("590.44.01", "6.1"), ["driver", "gpu"]),
        ("2.20", host("535.104.05", "9.0"), ["release", "driver", "driver"]),  # and forward compatibility
        ("2.20", host("550.54.15", "9.0"), ["release", "driver"]),  # 550 is no branch for it
        ("2.20", host("535.104.05", "9.0", wsl=True), ["release", "driver"]),  # nor is WSL
        ("2.20", host("535.104.05", "9.0", "8.6"), []),  # the RTX serves, the H100 is left out: no refusal
        ("2.20", host("580.65.06", "8.6", pythons="3.7"), ["release", "python"]),
        ("2.20", host("580.65.06", "12.0"), ["gpu", "system"]),
        ("2.20", host("580.65.06", "8.6", system="windows"), ["system"]),
        ("2.20", host("580.65.06", "8.6", system="macos"), ["system", "system"]),
        ("2.20", host("580.65.06", "8.6", machine="aarch64"), ["system", "system"]),
        ("2.20", host("580.65.06", "8.6", musl=True), ["system"]),
        ("2.20", host("580.65.06", "8.6", cpu="sse2"), ["system"]),
        ("2.3", host("580.65.06", "8.6"), ["release", "release", "system"]),
    ],
)
def test_what_would_work(spec: Any, machine: Any, kinds: Any) -> None:
    answer = decide(Request(spec), machine, MATRIX)
    assert [item.kind for item in getattr(answer, "alternatives", ())] == kinds


def test_another_release_comes_with_the_command_to_type() -> None:
    ((kind, what, command), *_) = alternatives("2.20", host("470.57.02", "8.6"))
    assert (kind, what) == ("release", "the described machine can run 2.10.1")
    assert command == "tfgpu-provision create --tf 2.10.1"


def test_this_machine_is_called_so() -> None:
    ((_, what, _), *_) = alternatives("2.20", host("470.57.02", "8.6", described=False, pythons="3.9"))
    assert what.startswith("this machine can run 2.10.1")


def test_the_nearest_release_comes_before_the_newest() -> None:
    rows = matrix(ROW_2_10, row(ROW_2_20, "2.17.0"), row(ROW_2_20, "2.18.1"), row(ROW_2_20, "2.20.0"))
    answer = decide(Request("2.11.0"), host("580.65.06", "8.6"), rows)
    assert [item.command.split()[-1] for item in answer.alternatives] == ["2.17.0", "2.20.0"]  # as near as 2.10.1
    answer = decide(Request("2.18.9"), host("580.65.06", "8.6"), rows)
    assert [item.command.split()[-1] for item in answer.alternatives] == ["2.18.1", "2.20.0"]


def test_the_oldest_driver_that_is_enough() -> None:
    found = alternatives("2.20", host("470.57.02", "8.6"))
    assert ("driver", "with driver 525.60.13 or newer, TensorFlow 2.20.0 runs") in [item[:2] for item in found]
    found = alternatives("2.20", host("470.57.02", "9.0"))
    assert ("driver", "with driver 555 or newer, TensorFlow 2.20.0 runs") in [item[:2] for item in found]
    found = alternatives("2.20", host("472.50", "8.6", wsl=True))
    assert ("driver", "with driver 528.33 or newer, TensorFlow 2.20.0 runs") in [item[:2] for item in found]


def test_or_newer_has_an_end_where_the_gpu_leaves_the_driver() -> None:
    found = alternatives("2.20", host("470.57.02", "6.1"))
    what = next(what for kind, what, _ in found if kind == "driver")
    assert "525.60.13 or newer, up to branch 580, the last for Pascal" in what


def test_a_driver_that_is_too_new_gets_the_newest_branch_that_still_drives_the_gpu() -> None:
    found = alternatives("2.20", host("590.44.01", "6.1"))
    assert found[0][1] == "with a driver of branch 580, TensorFlow 2.20.0 runs"


def test_changes_are_added_up_only_where_no_single_one_is_enough() -> None:
    found = alternatives("2.20", host("470.57.02", "5.2", pythons="3.7"))
    combined = [item for item in found if item[0] != "release"]
    assert len(combined) == 1
    assert "Python 3.13 and driver 525.60.13 or newer and a GPU of" in combined[0][1]
    assert combined[0][2] == "tfgpu-provision plan --tf 2.20.0 --for driver=525.60.13,gpu=8.9"


def test_another_python_is_typed() -> None:
    found = alternatives("2.20", host("580.65.06", "8.6", pythons="3.7"))
    assert found[-1] == (
        "python",
        "with Python 3.13, TensorFlow 2.20.0 runs",
        "tfgpu-provision create --tf 2.20.0 --python 3.13",
    )


def test_a_python_that_was_asked_for_is_kept_where_something_runs_with_it_and_let_go_where_not() -> None:
    found = alternatives("2.20", host("580.65.06", "8.6"), python=PythonVersion("3.8"))
    assert found[0][2] == "tfgpu-provision create --tf 2.10.1 --python 3.8"
    found = alternatives("2.20", host("580.65.06", "8.6"), python=PythonVersion("3.5"))
    assert found[0][2] == "tfgpu-provision create --tf 2.20.0"


def test_forward_compatibility_names_the_package_that_is_enough() -> None:
    what = alternatives("2.20", host("535.104.05", gpu("9.0", "NVIDIA H100")))[-1][1]
    assert "cuda-compat-12-5" in what


@pytest.mark.parametrize(
    ("release", "request_", "expected"),
    [
        (ROW_2_20, Request(), "tfgpu-provision create --tf 2.20.0"),
        (ROW_2_20, Request(python=PythonVersion("3.11")), "tfgpu-provision create --tf 2.20.0 --python 3.11"),
        (ROW_2_20, Request(requirements=("pandas>=2",)), "tfgpu-provision create --tf 2.20.0 --with 'pandas>=2'"),
        (
            ROW_2_20,
            Request(requirements=("x; python_version<'3.9'",)),
            """tfgpu-provision create --tf 2.20.0 --with 'x; python_version<'"'"'3.9'"'"''""",
        ),
        (
            row(ROW_2_10, "2.4.1", distribution="tensorflow-gpu"),
            Request(),
            "tfgpu-provision create --tf tensorflow-gpu==2.4.1",
        ),
    ],
)
def test_the_command_keeps_what_else_was_asked_for(release: Any, request_: Any, expected: Any) -> None:
    assert create_command(release, request_) == expected

from __future__ import annotations

from typing import Any

import pytest
from plan_builder import ROW_2_20, host

from provision.model.host import Interpreter
from provision.model.versions import PythonVersion
from provision.plan.rules import python


def asked(text: Any) -> Any:
    return PythonVersion(text) if text else None


@pytest.mark.parametrize(
    ("want", "pythons", "described", "series", "codes"),
    [
        # ROW_2_20 has wheels for 3.9 to 3.13.
        (None, "", False, "3.13", ["python-fetched"]),
        (None, "", True, "3.13", []),
        (None, "3.11.4", False, "3.11", []),
        (None, "3.9.1 3.12.0 3.10.2", False, "3.12", []),
        (None, "3.9.1 3.14.0", False, "3.9", []),
        (None, "3.7.9", False, "3.13", ["python-fetched"]),
        (None, "3.7.9", True, "3.13", ["python-unsupported"]),
        (None, "3.14", True, "3.13", ["python-unsupported"]),
        (None, "3.14 3.10", True, "3.10", []),
        ("3.11", "", True, "3.11", []),
        ("3.11.4", "", True, "3.11", []),
        ("3.11", "3.11.9", False, "3.11", []),
        ("3.11", "3.12.1", False, "3.11", ["python-fetched"]),
        ("3.11", "3.14", True, "3.11", []),
        ("3.8", "3.11.9", False, "3.13", ["python-unsupported"]),
        ("3.14", "", True, "3.13", ["python-unsupported"]),
        ("3.1", "", True, "3.13", ["python-unsupported"]),
    ],
)
def test_which_python(want: Any, pythons: Any, described: Any, series: Any, codes: Any) -> None:
    found = python.choose(ROW_2_20, host(pythons=pythons, described=described), asked(want))
    assert found.series == PythonVersion(series)
    assert [item.code for item in found.findings] == codes


@pytest.mark.parametrize(
    "interpreter",
    [
        Interpreter("/pypy", PythonVersion("3.11.4"), "path", implementation="pypy"),
        Interpreter("/arm", PythonVersion("3.11.4"), "path", machine="aarch64"),
    ],
)
def test_only_cpython_of_this_architecture_counts(interpreter: Any) -> None:
    found = python.choose(ROW_2_20, host(pythons=(interpreter,), described=False), None)
    assert found.series == PythonVersion("3.13")


def test_the_obstacle_names_the_series_with_a_wheel() -> None:
    (found,) = python.choose(ROW_2_20, host(pythons="3.7", described=True), None).findings
    assert "3.7" in found.what
    assert "3.9, 3.10, 3.11, 3.12, 3.13" in found.what
    assert found.needs == "one of Python 3.9, 3.10, 3.11, 3.12, 3.13"

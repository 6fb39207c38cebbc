from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plan_builder import ROW_2_10, ROW_2_20, host, matrix, row

from provision.model.host import DriverState
from provision.model.plan import Caveat, Obstacle
from provision.model.versions import CudaVersion, PtxIsa
from provision.plan.machine import driver_reach, first_driver_for
from provision.plan.rules import driver

MATRIX = matrix()


@pytest.mark.parametrize(
    ("release", "machine", "refused"),
    [
        (ROW_2_10, host("450.80.02"), False),
        (ROW_2_10, host("450.80.01"), True),
        (ROW_2_10, host("450.51.06"), True),
        (ROW_2_10, host("470.57.02"), False),
        (ROW_2_10, host("580.65.06"), False),
        (ROW_2_10, host("390.157"), True),
        (ROW_2_20, host("525.60.13"), False),
        (ROW_2_20, host("525.60.11"), True),
        (ROW_2_20, host("470.256.02"), True),
        (ROW_2_20, host("1000.1"), False),
        # The numbers of WSL and Windows are those of the Windows driver.
        (ROW_2_20, host("528.33", wsl=True), False),
        (ROW_2_20, host("528.32", wsl=True), True),
        (ROW_2_20, host("527.41", wsl=True), True),
        (ROW_2_20, host("527.41"), False),
        (ROW_2_10, host("452.39", wsl=True), False),
        (ROW_2_10, host("452.38", wsl=True), True),
        (ROW_2_10, host("451.82", system="windows"), True),
        # Only the CUDA version is known.
        (ROW_2_20, host(cuda="11.8"), True),
        (ROW_2_20, host(cuda="12.0"), False),
        (ROW_2_10, host(cuda="10.2"), True),
        # Minor-version compatibility: the minor does not matter for the floor.
        (ROW_2_20, host("525.85.12", cuda="12.0"), False),
        # A family that the matrix has no floor for cannot be judged.
        (row(ROW_2_20, cuda=CudaVersion("13.0")), host("470.57.02"), False),
    ],
)
def test_the_floor_of_the_family(release: Any, machine: Any, refused: Any) -> None:
    found = [item for item in driver.family(release, machine, MATRIX) if isinstance(item, Obstacle)]
    assert [item.code for item in found] == (["driver-too-old"] if refused else [])


def test_a_driver_just_below_the_floor_is_not_told_that_it_has_what_it_lacks() -> None:
    (found,) = driver.family(ROW_2_20, host("525.60.11"), MATRIX)
    assert isinstance(found, Obstacle)
    assert "is older than the first one for CUDA 12" in found.what
    assert "supports CUDA 12" not in found.what


def test_an_unknown_driver_is_a_remark_that_names_the_floor() -> None:
    (found,) = driver.family(ROW_2_20, host(), MATRIX)
    assert isinstance(found, Caveat)
    assert not found.notable
    assert "525.60.13" in found.what
    (found,) = driver.family(ROW_2_20, host(wsl=True), MATRIX)
    assert "528.33" in found.what


@pytest.mark.parametrize(
    ("state", "code", "notable"),
    [
        (DriverState.NO_GPU, "no-gpu", False),
        (DriverState.NOT_INSTALLED, "driver-not-installed", True),
        (DriverState.NOT_LOADED, "driver-not-loaded", True),
        (DriverState.LIBRARY_MISMATCH, "driver-library-mismatch", True),
        (DriverState.NO_PERMISSION, "driver-no-permission", True),
        (DriverState.HIDDEN, "gpu-hidden", True),
        (DriverState.NOT_PASSED, "gpu-not-passed", True),
        (DriverState.HUNG, "driver-hung", True),
    ],
)
def test_a_driver_that_is_not_in_order_is_said(state: Any, code: Any, notable: Any) -> None:
    (found,) = driver.driver_state(ROW_2_20, host("535.1", "8.6", state=state), MATRIX)
    assert isinstance(found, Caveat)
    assert (found.code, found.notable) == (code, notable)
    assert ("as the test says" in found.what) is notable


def test_every_state_is_thought_of() -> None:
    silent = {DriverState.WORKING, DriverState.UNKNOWN}
    for state in set(DriverState) - silent:
        assert list(driver.driver_state(ROW_2_20, host(state=state), MATRIX)), state
    assert not list(driver.driver_state(ROW_2_20, host(state=DriverState.WORKING), MATRIX))


def test_unknown_is_nothing_on_a_described_machine_and_a_caveat_on_a_real_one() -> None:
    assert not list(driver.driver_state(ROW_2_20, host(state=DriverState.UNKNOWN), MATRIX))
    (found,) = driver.driver_state(ROW_2_20, host(state=DriverState.UNKNOWN, described=False), MATRIX)
    assert found.code == "driver-state-unknown"
    assert found.notable


@pytest.mark.parametrize(("value", "said"), [("1", True), ("0", False), ("", False)])
@pytest.mark.parametrize("name", ["CUDA_FORCE_PTX_JIT", "CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT"])
def test_variables_that_change_how_code_is_taken(name: Any, value: Any, said: Any) -> None:
    machine = dataclasses.replace(host("535.1", "8.6"), variables={name: value, "PATH": "/bin"})
    found = list(driver.variables(ROW_2_20, machine, MATRIX))
    assert [name in item.what for item in found] == ([True] if said else [])


@pytest.mark.parametrize(
    ("machine", "cuda", "ptx", "derived", "branch"),
    [
        (host("535.104.05"), "12.2", "8.2", True, 535),
        (host("535.104.05", cuda="12.8"), "12.8", "8.7", False, 535),
        (host("536.67", wsl=True), "12.2", "8.2", True, 535),
        (host("572.16", wsl=True), "12.8", "8.7", True, 570),
        (host("560.35"), "12.5", "8.5", True, 555),
        (host(cuda="12.4"), "12.4", "8.4", False, None),
        (host("340.108"), None, None, False, None),
        (host(), None, None, False, None),
        (host("999.1"), "13.1", "9.1", True, 590),
    ],
)
def test_what_a_driver_reaches(machine: Any, cuda: Any, ptx: Any, derived: Any, branch: Any) -> None:
    found = driver_reach(machine, MATRIX)
    assert found.cuda == (CudaVersion(cuda) if cuda else None)
    assert found.ptx == (PtxIsa(ptx) if ptx else None)
    assert found.derived is derived
    assert (found.branch.branch if found.branch else None) == branch


@pytest.mark.parametrize(
    ("isa", "windows", "expected"),
    [
        ("8.5", False, ("12.5", "555")),
        ("8.5", True, ("12.5", "555")),
        ("8.3", False, ("12.3", "545")),
        ("8.2", True, ("12.2", "536")),
        ("7.0", False, ("11.0", "450")),
        ("99.0", False, None),
    ],
)
def test_the_first_driver_that_compiles_a_ptx_isa(isa: Any, windows: Any, expected: Any) -> None:
    found = first_driver_for(PtxIsa(isa), MATRIX, windows=windows)
    assert (found and (found[0].text, found[1])) == expected

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plan_builder import ROW_2_10, ROW_2_20, cc, ccs, gpu, host, matrix, modules, row

from provision.model.plan import Caveat, GpuService, Obstacle
from provision.plan.machine import driver_reach
from provision.plan.rules import gpu as rules

MATRIX = matrix()
ROW_2_16 = row(
    ROW_2_20,
    "2.16.2",
    sass=ccs("5.0 6.0 7.0 8.0 9.0"),
    ptx_modules=(
        modules("9.0", "8.1", 274, "5.0 6.0 7.0 8.0 9.0"),
        modules("9.0a", "8.0", 1149, "5.0 6.0 7.0 8.0"),
        modules("9.0", "8.1", 115, ""),
    ),
)
ROW_2_21 = row(
    ROW_2_20,
    "2.21.0",
    ptx_modules=(modules("9.0", "8.3", 330, "6.0 7.0 8.0 8.9 9.0"), modules("9.0", "8.5", 1149, "6.0 7.0 8.0 8.9")),
)
ROW_2_4 = row(ROW_2_10, "2.4.1", ptx_modules=(modules("8.0", "7.0", 459, "3.5 5.0 6.0 7.0 7.5 8.0"),))


def driver(version: Any = None, **changes: Any) -> Any:
    return driver_reach(host(version, **changes), MATRIX)


def codes(rule: Any, release: Any, capability: Any, version: Any = "580.65.06", **changes: Any) -> Any:
    return [item.code for item in rule(release, gpu(capability), driver(version, **changes), MATRIX)]


@pytest.mark.parametrize(
    ("release", "capability", "service", "code"),
    [
        (ROW_2_4, "3.5", "native", "3.5"),
        (ROW_2_4, "3.7", "native", "3.5"),
        (ROW_2_4, "3.0", "none", None),
        (ROW_2_4, "5.2", "native", "5.0"),
        (ROW_2_4, "6.1", "native", "6.0"),
        (ROW_2_4, "7.5", "native", "7.5"),
        (ROW_2_4, "8.0", "native", "8.0"),
        (ROW_2_4, "8.6", "native", "8.0"),
        (ROW_2_4, "8.9", "native", "8.0"),
        (ROW_2_4, "9.0", "ptx-jit", "8.0"),
        (ROW_2_4, "12.0", "ptx-jit", "8.0"),
        (ROW_2_20, "5.2", "none", None),
        (ROW_2_20, "6.1", "native", "6.0"),
        (ROW_2_20, "7.5", "native", "7.0"),
        (ROW_2_20, "8.6", "native", "8.0"),
        (ROW_2_20, "8.9", "native", "8.9"),
        (ROW_2_20, "9.0", "native", "9.0"),
        (ROW_2_20, "10.0", "ptx-jit", "9.0"),
        # Machine code never crosses a major, and needs a minor that is not lower.
        (row(ROW_2_20, sass=ccs("8.6"), ptx=()), "8.0", "none", None),
        (row(ROW_2_20, sass=ccs("8.6"), ptx=()), "9.0", "none", None),
        (row(ROW_2_20, sass=ccs("8.6"), ptx=ccs("7.0")), "8.0", "ptx-jit", "7.0"),
    ],
)
def test_how_a_release_reaches_a_gpu(release: Any, capability: Any, service: Any, code: Any) -> None:
    found = rules.reach(release, cc(capability))
    assert found.service is GpuService(service)
    assert (found.sass or found.ptx) == (cc(code) if code else None)


@pytest.mark.parametrize(
    ("release", "capability", "expected"),
    [
        (ROW_2_20, "9.0", [("9.0a", "8.5")]),
        (ROW_2_20, "8.9", []),
        (ROW_2_20, "8.6", []),
        (ROW_2_20, "7.0", []),
        (ROW_2_20, "10.0", [("9.0", "8.3")]),
        (ROW_2_16, "9.0", [("9.0a", "8.0")]),
        (ROW_2_21, "9.0", [("9.0", "8.5")]),
        (ROW_2_4, "8.0", []),
        (ROW_2_4, "9.0", [("8.0", "7.0")]),
        (ROW_2_10, "8.6", [("8.0", "7.0")]),
        (ROW_2_10, "7.5", []),
        (ROW_2_10, "9.0", [("8.0", "7.0"), ("8.0", "7.2")]),
        # Nobody read what stands beside the PTX: it is all there is for its own major.
        (row(ROW_2_20, ptx_modules=(modules("9.0a", "8.5"),)), "9.0", [("9.0a", "8.5")]),
        (row(ROW_2_20, ptx_modules=(modules("9.0a", "8.5"),)), "8.9", []),
        (row(ROW_2_20, ptx_modules=(modules("8.0", "7.1"),)), "9.0", []),
    ],
)
def test_which_ptx_the_driver_must_compile(release: Any, capability: Any, expected: Any) -> None:
    assert [(item.target, item.isa.text) for item in rules.jit_modules(release, cc(capability))] == expected


@pytest.mark.parametrize(
    ("release", "capability", "version", "expected"),
    [
        # Hopper: the limits of the derived rules, one driver branch below and at each.
        (ROW_2_16, "9.0", "525.60.13", ["ptx-jit-part"]),
        (ROW_2_20, "9.0", "535.104.05", ["driver-too-old-for-ptx"]),
        (ROW_2_20, "9.0", "550.54.15", ["driver-too-old-for-ptx"]),
        (ROW_2_20, "9.0", "555.42.02", ["ptx-jit-part"]),
        (ROW_2_21, "9.0", "550.54.15", ["driver-too-old-for-ptx"]),
        (ROW_2_21, "9.0", "580.65.06", ["ptx-jit-part"]),
        (ROW_2_10, "9.0", "450.80.02", ["driver-too-old-for-ptx"]),
        (ROW_2_10, "9.0", "460.32.03", []),
        (ROW_2_4, "9.0", "450.80.02", []),
        # Native GPUs need no PTX, whatever the driver.
        (ROW_2_20, "8.6", "525.60.13", []),
        (ROW_2_20, "6.1", "525.60.13", []),
        # Ampere takes most kernels of 2.10 as PTX 7.0, which every CUDA 11 driver compiles.
        (ROW_2_10, "8.6", "450.80.02", ["ptx-jit-part"]),
        # A GPU that is out of reach is another rule's.
        (ROW_2_20, "5.2", "525.60.13", []),
        # No driver known: what it takes is said.
        (ROW_2_20, "9.0", None, ["ptx-driver-unknown"]),
        # A driver of before the branch table is refused by the family's floor.
        (ROW_2_20, "9.0", "340.108", []),
        # PTX that nobody read is taken to be that of the release's CUDA version (12.5.1: 8.5).
        (row(ROW_2_20, ptx_modules=(), sass=ccs("8.0")), "9.0", "550.54.15", ["driver-too-old-for-ptx"]),
        (row(ROW_2_20, ptx_modules=(), sass=ccs("8.0"), ptx=ccs("8.0")), "9.0", "555.42.02", []),
    ],
)
def test_ptx_against_the_driver(release: Any, capability: Any, version: Any, expected: Any) -> None:
    assert codes(rules.jit_driver, release, capability, version) == expected


def test_the_reported_cuda_version_is_preferred_to_the_branch() -> None:
    """NVIDIA's forward compatibility package shows as a newer CUDA version under an old driver."""
    assert codes(rules.jit_driver, ROW_2_20, "9.0", "535.104.05", cuda="12.8") == ["ptx-jit-part"]
    assert codes(rules.jit_driver, ROW_2_20, "9.0", "555.42.02", cuda="12.4") == ["driver-too-old-for-ptx"]


def test_the_obstacle_says_what_would_be_enough_and_that_it_is_derived() -> None:
    (found,) = rules.jit_driver(ROW_2_20, gpu("9.0", "NVIDIA H100"), driver("535.104.05"), MATRIX)
    assert isinstance(found, Obstacle)
    assert "NVIDIA H100" in found.what
    assert "PTX 8.5" in found.what
    assert "8.2" in found.what
    assert found.needs == "driver 555 or newer (CUDA 12.5)"
    assert found.certainty.value == "derived"


@pytest.mark.parametrize(
    ("release", "capability", "expected"),
    [
        (ROW_2_20, "9.0", []),
        (ROW_2_20, "8.9", []),
        (ROW_2_20, "10.0", ["ptx-for-another-gpu"]),
        (ROW_2_20, "12.0", ["ptx-for-another-gpu"]),
        (ROW_2_16, "12.0", ["ptx-for-another-gpu"]),
        (ROW_2_21, "12.0", []),
        (ROW_2_10, "12.0", []),
        (ROW_2_20, "5.2", []),
        (row(ROW_2_20, ptx_modules=(modules("9.0a", "8.5"),)), "12.0", ["ptx-for-another-gpu"]),
        (row(ROW_2_20, ptx_modules=(modules("9.0a", "8.5"),)), "8.0", []),
    ],
)
def test_ptx_made_for_exactly_one_capability(release: Any, capability: Any, expected: Any) -> None:
    assert codes(rules.specific_ptx, release, capability) == expected


@pytest.mark.parametrize(
    ("capability", "version", "wsl", "expected"),
    [
        ("3.7", "470.256.02", False, []),
        ("3.7", "525.60.13", False, ["gpu-left-driver"]),
        ("3.5", "474.14", True, []),
        ("3.5", "496.13", True, []),  # no branch between 470 and 525 in this small matrix
        ("3.5", "528.33", True, ["gpu-left-driver"]),
        ("6.1", "580.65.06", False, []),
        ("6.1", "590.44.01", False, ["gpu-left-driver"]),
        ("6.1", "582.28", True, []),
        ("6.1", "591.44", True, ["gpu-left-driver"]),
        ("7.0", "590.44.01", False, ["gpu-left-driver"]),
        ("7.5", "590.44.01", False, []),
        ("8.9", "470.57.02", False, ["driver-too-old-for-gpu"]),
        ("8.9", "525.60.13", False, []),
        ("12.0", "555.42.02", False, ["driver-too-old-for-gpu"]),
        ("12.0", "570.26", False, []),
        ("8.6", "340.108", False, ["driver-too-old-for-gpu"]),
        ("8.6", None, False, []),
        ("13.7", "570.26", False, []),
    ],
)
def test_the_life_of_a_gpu_in_driver_branches(capability: Any, version: Any, wsl: Any, expected: Any) -> None:
    assert codes(rules.lifecycle, ROW_2_20, capability, version, wsl=wsl) == expected


@pytest.mark.parametrize(
    ("release", "capability", "expected"),
    [
        (ROW_2_20, "5.2", ["gpu-too-old"]),
        (ROW_2_20, "6.0", []),
        (ROW_2_20, "9.0", []),
        (ROW_2_20, "10.0", ["ptx-jit"]),
        (ROW_2_10, "9.0", ["ptx-jit"]),
        (ROW_2_10, "8.9", []),
        (ROW_2_10, "3.0", ["gpu-too-old"]),
        (ROW_2_10, None, ["gpu-capability-unknown"]),
        (row(ROW_2_10, sass=(), ptx=()), "8.0", ["gpu-too-old"]),
    ],
)
def test_the_code_inside(release: Any, capability: Any, expected: Any) -> None:
    assert codes(rules.code_inside, release, capability) == expected


def test_what_the_matrix_does_not_serve() -> None:
    assert codes(rules.not_served, ROW_2_20, "12.0") == ["gpu-unserved"]
    assert codes(rules.not_served, ROW_2_20, "10.0") == ["gpu-unserved"]
    assert codes(rules.not_served, ROW_2_20, "9.0") == []
    assert codes(rules.not_served, ROW_2_20, None) == []


@pytest.mark.parametrize(
    ("mig", "devices", "notable"), [(True, (), [True]), (True, ("1g.10gb",), [False]), (False, (), []), (None, (), [])]
)
def test_mig(mig: Any, devices: Any, notable: Any) -> None:
    item = dataclasses.replace(gpu("8.0"), mig=mig, mig_devices=devices)
    found = list(rules.mig(ROW_2_20, item, driver(), MATRIX))
    assert all(isinstance(one, Caveat) for one in found)
    assert [one.notable for one in found] == notable

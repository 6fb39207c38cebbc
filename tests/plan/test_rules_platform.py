from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plan_builder import ROW_2_10, ROW_2_20, gpu, host, matrix, row

from provision.model.host import Disagreement
from provision.model.plan import Caveat
from provision.model.versions import GlibcVersion
from provision.plan.rules import platform

MATRIX = matrix()
NEEDS_2_27 = row(ROW_2_20, "2.21.0", glibc=GlibcVersion("2.27"))


def codes(findings: Any) -> Any:
    return [item.code for item in findings]


@pytest.mark.parametrize(
    ("rule", "release", "machine", "expected"),
    [
        (platform.operating_system, ROW_2_20, host(), []),
        (platform.operating_system, ROW_2_20, host(wsl=True), []),
        (platform.operating_system, ROW_2_20, host(system="windows"), ["windows-unsupported"]),
        (platform.operating_system, ROW_2_10, host(system="windows"), ["windows-unsupported"]),
        (platform.operating_system, ROW_2_20, host(system="macos"), ["macos-unsupported"]),
        (platform.operating_system, ROW_2_20, host(system="freebsd"), ["freebsd-unsupported"]),
        (platform.operating_system, ROW_2_20, host(system=None), []),
        (platform.architecture, ROW_2_20, host(), []),
        (platform.architecture, ROW_2_20, host(machine="aarch64"), ["architecture-unsupported"]),
        (platform.architecture, ROW_2_20, host(machine="ppc64le"), ["architecture-unsupported"]),
        (platform.architecture, ROW_2_20, host(machine=None), []),
        # An ARM Mac fails for being a Mac; the wheels for Linux on aarch64 are not its question.
        (platform.architecture, ROW_2_20, host(machine="aarch64", system="macos"), []),
        (platform.c_library, NEEDS_2_27, host(glibc="2.27"), []),
        (platform.c_library, NEEDS_2_27, host(glibc="2.35"), []),
        (platform.c_library, NEEDS_2_27, host(glibc="2.26"), ["glibc-too-old"]),
        (platform.c_library, NEEDS_2_27, host(glibc="2.17"), ["glibc-too-old"]),
        (platform.c_library, NEEDS_2_27, host(glibc="2.4"), ["glibc-too-old"]),
        (platform.c_library, NEEDS_2_27, host(), []),
        (platform.c_library, NEEDS_2_27, host(musl=True), ["musl-unsupported"]),
        (platform.processor, ROW_2_20, host(cpu="sse2 avx avx2 fma"), []),
        (platform.processor, ROW_2_20, host(cpu="sse2"), ["cpu-too-old"]),
        (platform.processor, ROW_2_20, host(cpu=""), ["cpu-too-old"]),
        (platform.processor, ROW_2_20, host(), []),
    ],
)
def test_obstacles(rule: Any, release: Any, machine: Any, expected: Any) -> None:
    assert codes(rule(release, machine, MATRIX)) == expected


def test_the_matrix_says_why_where_it_knows() -> None:
    (found,) = platform.operating_system(ROW_2_20, host(system="windows"), MATRIX)
    assert "no CUDA build" in found.what
    assert found.needs == "WSL2"
    # The entry is for 2.11 and later; for 2.10 the rule speaks for itself.
    (found,) = platform.operating_system(ROW_2_10, host(system="windows"), MATRIX)
    assert "no CUDA build" not in found.what
    assert "WSL2" in found.needs


def test_the_obstacle_names_what_was_found_and_what_is_needed() -> None:
    (found,) = platform.c_library(NEEDS_2_27, host(glibc="2.17"), MATRIX)
    assert "2.17" in found.what
    assert "2.27" in found.what
    assert "2.27" in found.needs


def test_sources_that_disagree_are_carried_over_as_a_remark() -> None:
    item = Disagreement("driver version", (("nvml", "535.1"), ("proc", "550.2")))
    machine = dataclasses.replace(host("535.1", gpu("8.6")), disagreements=(item,))
    (found,) = platform.disagreements(ROW_2_20, machine, MATRIX)
    assert isinstance(found, Caveat)
    assert not found.notable
    assert "nvml says 535.1" in found.what
    assert "proc says 550.2" in found.what

"""What repair cannot or must not do: it says so, says what to do instead, and leaves the environment alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor.lab.test_faults import BY_NAME
from repair.lab.expected import PROVED_LATER, REFUSED
from repair.lab.workshop import Workshop, told, untouched

from provision.model.repair import RepairOutcome
from provision.model.verdict import StageStatus

pytestmark = [pytest.mark.e2e, pytest.mark.index]


@pytest.mark.parametrize("name", ["driver-missing", "visible-minus-one", "old-libstdc++"])
def test_what_lies_outside_is_printed_and_nothing_is_touched(name: str, workshop: Callable[[str], Workshop]) -> None:
    shop = workshop(BY_NAME[name].on[0])
    BY_NAME[name].inject(shop.bench)
    with untouched(shop.prefix):
        result = shop.repair()
    assert result.outcome is RepairOutcome.BY_HAND, told(result)
    assert result.plan.by_hand[0].fixes[0].commands
    assert not (shop.prefix / ".tfgpu/repairs").exists()


@pytest.mark.parametrize("name", ["gpu-too-old", "python-gone", "torch-pulls-cudnn"])
def test_what_nothing_inside_can_help_is_refused_with_the_way_that_works(
    name: str, workshop: Callable[[str], Workshop]
) -> None:
    shop = workshop(BY_NAME[name].on[0])
    BY_NAME[name].inject(shop.bench)
    with untouched(shop.prefix):
        result = shop.repair()
    assert result.outcome is RepairOutcome.REFUSED, told(result)
    assert result.denial.code == {**REFUSED, **PROVED_LATER}[name]
    said = "\n".join((*result.denial.why, result.denial.hint))
    assert f"tfgpu-provision repair {shop.prefix} --into" in said or "tfgpu-provision create" in said, said
    assert not (shop.prefix / ".tfgpu/repairs").exists()


def test_what_lies_inside_is_repaired_although_the_driver_is_missing(workshop: Callable[[str], Workshop]) -> None:
    shop = workshop("created-2.21.0")
    for name in ("no-cufft", "driver-missing"):
        BY_NAME[name].inject(shop.bench)
    result = shop.repair()
    assert result.outcome is RepairOutcome.BY_HAND, told(result)
    assert [item.code for item in result.plan.by_hand] == ["driver_missing"], told(result)
    assert [item.code for item in result.after.findings] == ["driver_missing"], told(result)
    assert result.verdict.stages[0].status is StageStatus.PASSED, told(result)

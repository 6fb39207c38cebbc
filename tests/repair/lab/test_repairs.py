"""Every fault of doctor's laboratory that repair can remove: removed for real, proved, taken back byte for byte."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from doctor.lab.bench import Fault
from doctor.lab.test_faults import BY_NAME
from repair.lab.expected import ASKED_FOR, LEFT_IN_THE_SHELL, MORE, REPAIRED
from repair.lab.workshop import Workshop, differences, told

from provision.model.repair import EntryState, RepairOutcome
from provision.model.verdict import StageStatus

pytestmark = [pytest.mark.e2e, pytest.mark.index]

EVERY = bool(os.environ.get("TFGPU_EVERY_ROW"))
CASES = [
    pytest.param(release, BY_NAME[name], id=f"{name}-{release}")
    for name in REPAIRED
    for release in ((*BY_NAME[name].on, *MORE.get(name, ())) if EVERY else BY_NAME[name].on[:1])
]


@pytest.mark.parametrize(("release", "fault"), CASES)
def test_a_fault_is_removed_proved_and_taken_back(
    release: str, fault: Fault, workshop: Callable[[str], Workshop]
) -> None:
    shop = workshop(release)
    fault.inject(shop.bench)
    before = shop.keep()
    result = shop.repair(kernels=fault.name in ASKED_FOR)
    left = LEFT_IN_THE_SHELL.get(fault.name)
    assert result.outcome is (RepairOutcome.BY_HAND if left else RepairOutcome.REPAIRED), told(result)
    shop.bench.machine.variables.pop(left or "", None)  # the next shell does not have it any more
    assert fault.code in [item.code for item in result.plan.repairs], told(result)
    assert {stage.level.value: stage.status for stage in result.verdict.stages} == {
        "gate": StageStatus.PASSED,
        "import": StageStatus.PASSED,
    }, told(result)
    answer = shop.ask()
    assert (answer.document["findings"], answer.code) == ([], 0), answer.told()
    changed = {item.path for item in result.patch.changes}
    assert {line.split(":")[0] for line in differences(before, shop.prefix)} == changed
    taken = shop.undo()
    assert (taken.outcome, taken.entry.state) == (RepairOutcome.UNDONE, EntryState.UNDONE)
    assert differences(before, shop.prefix) == []

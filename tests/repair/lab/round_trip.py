"""There and back: a fault put in, repaired, proved, and taken back byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from doctor.lab.bench import Fault
from doctor.lab.test_faults import BY_NAME
from repair.lab.expected import ASKED_FOR, LARGE, LEFT_IN_THE_SHELL, MORE, REPAIRED
from repair.lab.workshop import Workshop, differences, told
from thorough import EVERY_ROW, sample

from provision.doctor.causes import CAUSES
from provision.model.doctor import Category
from provision.model.level import Level
from provision.model.repair import EntryState, RepairOutcome
from provision.model.verdict import StageStatus

_IMPORTED = (Category.PYTHON, Category.PACKAGES)
"""Causes after which the gate alone would prove too little."""


def of_packages(name: str) -> bool:
    """Whether a fault is one of Python or its packages, else it is one of CUDA's libraries or what surrounds them."""
    return CAUSES[BY_NAME[name].code].category in _IMPORTED


def cases(wanted: Callable[[str], bool]) -> list[Any]:
    """Return original and fault for each that can be repaired; one original each, unless every one is asked for.

    Of those that put the whole of TensorFlow back, most wait for that too.
    """
    return [
        pytest.param(release, BY_NAME[name], id=f"{name}-{release}")
        for name in sample([name for name in REPAIRED if wanted(name)])
        if EVERY_ROW or name not in LARGE
        for release in ((*BY_NAME[name].on, *MORE.get(name, ())) if EVERY_ROW else BY_NAME[name].on[:1])
    ]


def there_and_back(shop: Workshop, fault: Fault) -> None:
    """Repair a fault, prove that it is gone and that only what was said has changed, and take it back."""
    fault.inject(shop.bench)
    before = shop.keep()
    level = Level.IMPORT if EVERY_ROW or of_packages(fault.name) else Level.GATE
    result = shop.repair(kernels=fault.name in ASKED_FOR, level=level)
    left = LEFT_IN_THE_SHELL.get(fault.name)
    assert result.outcome is (RepairOutcome.BY_HAND if left else RepairOutcome.REPAIRED), told(result)
    shop.bench.machine.variables.pop(left or "", None)  # the next shell does not have it any more
    assert fault.code in [item.code for item in result.plan.repairs], told(result)
    stages = {stage.level: stage.status for stage in result.verdict.stages}
    assert stages == dict.fromkeys(level.upto, StageStatus.PASSED), told(result)
    answer = shop.ask()
    found = [item for item in answer.document["findings"] if item["certainty"] != "possible"]
    assert (found, answer.code) == ([], 0), answer.told()
    changed = {item.path for item in result.patch.changes}
    assert {line.split(":")[0] for line in differences(before, shop.prefix)} == changed
    taken = shop.undo()
    assert (taken.outcome, taken.entry.state) == (RepairOutcome.UNDONE, EntryState.UNDONE)
    assert differences(before, shop.prefix) == []

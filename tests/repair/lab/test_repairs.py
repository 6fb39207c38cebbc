"""Faults of CUDA's libraries and of what surrounds them: removed for real, proved, taken back byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor.lab.bench import Fault
from doctor.lab.test_faults import BY_NAME
from repair.lab.expected import REFUSED, REPAIRED
from repair.lab.round_trip import cases, of_packages, there_and_back
from repair.lab.workshop import Workshop

pytestmark = [pytest.mark.e2e, pytest.mark.index]


@pytest.mark.parametrize(("release", "fault"), cases(lambda name: not of_packages(name)))
def test_a_fault_is_removed_proved_and_taken_back(
    release: str, fault: Fault, workshop: Callable[[str], Workshop]
) -> None:
    there_and_back(workshop(release), fault)


def test_the_table_of_what_is_expected_is_about_faults_that_there_are() -> None:
    assert set(REPAIRED) | set(REFUSED) <= set(BY_NAME)
    assert not set(REPAIRED) & set(REFUSED)

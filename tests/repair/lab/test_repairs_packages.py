"""Faults of Python and its packages: removed for real, proved by an import, taken back byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor.lab.bench import Fault
from repair.lab.round_trip import cases, of_packages, there_and_back
from repair.lab.workshop import Workshop

pytestmark = [pytest.mark.e2e, pytest.mark.index]


@pytest.mark.parametrize(("release", "fault"), cases(of_packages))
def test_a_fault_is_removed_proved_and_taken_back(
    release: str, fault: Fault, workshop: Callable[[str], Workshop]
) -> None:
    there_and_back(workshop(release), fault)

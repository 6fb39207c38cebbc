"""Fixtures for the tests of doctor."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor.machines import working_machine
from host.conftest import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return an ordinary machine in working order, to be broken."""
    return working_machine(tmp_path)

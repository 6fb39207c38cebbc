"""What the tests of wiring share."""

from __future__ import annotations

from pathlib import Path

import pytest
from wiring.samples import compiler, small_environment

from provision.model.environment import EnvRef


@pytest.fixture
def cc() -> str:
    found = compiler()
    if found is None:
        pytest.skip("no C compiler on PATH to make small libraries")
    return found


@pytest.fixture
def env(tmp_path: Path, cc: str) -> EnvRef:
    """An environment whose framework library searches only its own folder, by RPATH, as 2.4 to 2.6 do."""
    return small_environment(tmp_path / "env", rpath=True)

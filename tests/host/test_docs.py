"""docs/host.md says what the program does."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.host import describe
from provision.host.description import _KEYS
from provision.model.host import DriverState
from provision.report.host import host_text
from provision.system import System

PAGE = (Path(__file__).parents[2] / "docs" / "host.md").read_text()


@pytest.mark.parametrize("state", list(DriverState))
def test_every_state_is_explained(state: DriverState) -> None:
    assert f"| `{state.value}` |" in PAGE


@pytest.mark.parametrize("key", [*_KEYS, "gpu"])
def test_every_key_is_explained(key: str) -> None:
    assert f"| `{key}` |" in PAGE


def test_the_example_is_what_the_program_prints() -> None:
    shown = host_text(describe(["driver=535.104.05,gpu=RTX 3090,os=ubuntu22.04"], System(environ={})))
    assert shown.split("\n\n")[0] in PAGE

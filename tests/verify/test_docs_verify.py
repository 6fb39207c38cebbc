"""Every cause that verify can name stands in its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import provision.verify
from provision.verify import causes, device, gpu_log, train

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/verify.md"
SOURCES = sorted(Path(provision.verify.__file__).parent.glob("*.py"))


def codes() -> set[str]:
    found = {ending[0] for ending in causes._ENDINGS.values()}
    found |= {entry[1] for entry in (*causes._TEXTS, *gpu_log._TABLE)}
    found |= {code for code, _ in device._NO_GPU_HERE.values()}
    found |= set(train._CODES.values())
    for source in (*SOURCES, ROOT / "provision/workflows/verify_stages.py"):
        found |= set(re.findall(r'Cause\(\s*"([a-z0-9-]+)"', source.read_text()))
    return found


def test_there_are_many() -> None:
    assert len(codes()) > 50


@pytest.mark.parametrize("code", sorted(codes()))
def test_it_is_documented(code: str) -> None:
    assert f"`{code}`" in PAGE.read_text()


def test_levels_are_documented() -> None:
    for level in ("gate", "import", "device", "compute", "train", "perf"):
        assert f"| `{level}` |" in PAGE.read_text()

"""Committed environments come back from their locks; ``benchmarks/sweep.py`` does the same for all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from thorough import sample
from provision.lock.files import parse

pytestmark = [pytest.mark.e2e, pytest.mark.index]

FOLDER = Path(__file__).parents[2] / "environments"


@pytest.mark.parametrize("name", sample(["2.10", "2.21"], 0))
def test_an_environment_is_recreated_from_its_committed_lock(name: str, tmp_path: Path) -> None:
    path = FOLDER / name / "tfgpu-lock.txt"
    lock = parse(path.name, path.read_bytes())
    target = tmp_path / "env"
    argv = [sys.executable, "-m", "provision", "create", str(target), "--locked", str(path), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["outcome"] == "created"
    assert document["distributions"] == [item.requirement for item in lock.packages]
    stages = {stage["level"]: stage["status"] for stage in document["verdict"]["stages"]}
    assert (stages["gate"], stages["import"]) == ("passed", "passed")
    check = [find_uv_bin(), "pip", "check", "--python", str(target / "bin/python")]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    assert sorted(tmp_path.iterdir()) == [target]
    shutil.rmtree(target)

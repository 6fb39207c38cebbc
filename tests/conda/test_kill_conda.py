"""kill -9 at moments spread over a conda create, and a disk that fills: no more harm than for a virtual environment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conda.create_world import CondaWorld
from conda.world import tree
from create.small_world import NEW, beside, snapshot
from create.test_kill import _kill_after


def _duration(world: CondaWorld) -> float:
    took = []
    for number in range(3):
        start = time.monotonic()
        process = world.spawn("--json", path=f"measured{number}")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        took.append(time.monotonic() - start)
    return min(took[1:])


def _works(target: Path) -> None:
    done = subprocess.run([str(target / "bin/tf_tool")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert beside(target) == []


def _kill_creates(world: CondaWorld, moments: int) -> int:
    duration = _duration(world)
    untouched, cache = snapshot(world.folder / "measured0"), tree(world.cache / "pkgs")
    killed = 0
    for number in range(moments):
        name = f"env{number}"
        killed += _kill_after(world.spawn("--json", path=name), duration * (number + 1) / (moments + 1))
        target = world.folder / name
        if target.exists():
            assert world.record(target)["backend"] == "conda"
        done = world.create("--json", path=name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["outcome"] in ("created", "exists")
        _works(target)
        listed = (Path(world.environ["HOME"]) / ".conda/environments.txt").read_text().splitlines()
        assert str(target) in listed
    assert snapshot(world.folder / "measured0") == untouched
    assert tree(world.cache / "pkgs") == cache
    return killed


def _kill_replaces(world: CondaWorld, moments: int) -> int:
    world.document()
    old = snapshot(world.target)
    duration = _duration(world)
    killed = 0
    for number in range(moments):
        moment = duration * (0.3 + 0.7 * (number + 1) / (moments + 1))
        killed += _kill_after(world.spawn("--json", "--replace", tf=NEW), moment)
        if world.record()["release"] != NEW:
            assert snapshot(world.target) == old, "the old environment was touched"
        assert world.document("--replace", tf=NEW)["outcome"] == "created"
        _works(world.target)
        world.document("--replace")
        old = snapshot(world.target)
    return killed


def test_killed_at_some_moments(conda_world: CondaWorld) -> None:
    assert _kill_creates(conda_world, 3) >= 2


@pytest.mark.e2e
def test_killed_at_25_moments(conda_world: CondaWorld) -> None:
    assert _kill_creates(conda_world, 25) >= 20


@pytest.mark.e2e
def test_replace_killed_at_25_moments(conda_world: CondaWorld) -> None:
    assert _kill_replaces(conda_world, 25) >= 15


def test_a_full_disk_leaves_what_was_there(conda_world: CondaWorld) -> None:
    """A limit on file sizes stops the writing as a full disk does, at the first file that is too large."""
    conda_world.document()
    before = snapshot(conda_world.target)
    arguments = conda_world.arguments("--replace", "--json", path="env", tf=NEW, verify=False)
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    limited += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "sys.argv = ['tfgpu-provision', *sys.argv[1:]]; runpy.run_module('provision', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments],
        cwd=conda_world.folder,
        env={**conda_world.environ, "RATTLER_CACHE_DIR": str(conda_world.cache) + "-other"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (5, 6), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(conda_world.target) == before
    assert beside(conda_world.target) == []

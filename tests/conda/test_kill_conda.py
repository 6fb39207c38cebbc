"""kill -9 at moments spread over a conda create, and a disk that fills: no more harm than for a virtual environment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conda.create_world import CondaWorld
from conda.test_engine_kill import children, command_of
from conda.world import tree
from create.small_world import NEW, OLD, beside, snapshot
from create.test_kill import _kill_after
from thorough import moments


def _duration(world: CondaWorld) -> float:
    took = []
    for number in range(3):
        start = time.monotonic()
        process = world.spawn("--json", path=f"measured{number}")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        took.append(time.monotonic() - start)
    return min(took[1:])


def _works(target: Path, release: str) -> None:
    done = subprocess.run([str(target / "bin/tf_tool")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, release), done.stderr
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
        _works(target, OLD)
        listed = (Path(world.environ["HOME"]) / ".conda/environments.txt").read_text().splitlines()
        assert str(target) in listed
    assert snapshot(world.folder / "measured0") == untouched
    assert tree(world.cache / "pkgs") == cache
    return killed


def _kill_replaces(world: CondaWorld, moments: int) -> int:
    duration = _duration(world)
    there, wanted = OLD, NEW
    world.document(tf=there)
    killed = 0
    for number in range(moments):
        old = snapshot(world.target)
        moment = duration * (0.3 + 0.7 * (number + 1) / (moments + 1))
        killed += _kill_after(world.spawn("--json", "--replace", tf=wanted), moment)
        if world.record()["release"] != wanted:
            assert snapshot(world.target) == old, "the old environment was touched"
        assert world.document("--replace", tf=wanted)["outcome"] == "created"
        _works(world.target, wanted)
        # The next moment replaces what this one has made: no create only to go back.
        there, wanted = wanted, there
    return killed


def test_killed_at_some_moments(conda_world: CondaWorld) -> None:
    assert _kill_creates(conda_world, 3) >= 2


@pytest.mark.e2e
def test_killed_at_many_moments(conda_world: CondaWorld) -> None:
    assert _kill_creates(conda_world, moments(25)) >= moments(15)


@pytest.mark.e2e
def test_replace_killed_at_many_moments(conda_world: CondaWorld) -> None:
    assert _kill_replaces(conda_world, moments(25)) >= moments(10)


def _await_end(process: str) -> None:
    """Wait until a process is gone: the kernel ends it with its parent, which takes it a moment."""
    deadline = time.monotonic() + 5
    while command_of(process):
        assert time.monotonic() < deadline, f"{process} is still running"
        time.sleep(0.01)


@pytest.mark.parametrize("moment", ["solve", "fill"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_create_ends_its_worker_and_leaves_nothing(
    conda_world: CondaWorld, moment: str, number: signal.Signals
) -> None:
    process = conda_world.spawn()
    worker, filled = "", False
    deadline = time.monotonic() + 30
    while not worker or (moment == "fill" and not filled):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        found = [item for item in children(process.pid) if b"provision.backends.conda.worker" in command_of(item)]
        worker = worker or next(iter(found), "")
        filled = any((conda_world.folder / name / "conda-meta").exists() for name in beside(conda_world.target))
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "unharmed" in said
    assert "Traceback" not in said
    _await_end(worker)
    assert list(conda_world.folder.iterdir()) == []
    assert not (Path(conda_world.environ["HOME"]) / ".conda/environments.txt").exists()
    assert conda_world.document()["outcome"] == "created"


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
        # Python does not notice when it cuts its byte code short, and every later process would read that.
        env={
            **conda_world.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "RATTLER_CACHE_DIR": str(conda_world.cache) + "-other",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (5, 6), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(conda_world.target) == before
    assert beside(conda_world.target) == []

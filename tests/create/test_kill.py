"""kill -9 at moments spread over a create; each is followed by a plain create that succeeds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from create.conftest import World
from create.small_world import NEW, beside, snapshot
from thorough import EVERY_ROW, moments


def _kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill the command after a time; whether it was still running."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    return False


def _duration(world: World) -> float:
    """Return how long a warm create takes: the faster of two, after one that warmed the cache."""
    took = []
    for number in range(3):
        start = time.monotonic()
        process = world.spawn("--json", path=f"measured{number}")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        took.append(time.monotonic() - start)
    return min(took[1:])


def _kill_and_create(world: World, moments: int) -> int:
    duration = _duration(world)
    killed = 0
    for number in range(moments):
        name = f"env{number}"
        killed += _kill_after(world.spawn("--json", path=name), duration * (number + 1) / (moments + 1))
        target = world.folder / name
        if target.exists():
            assert json.loads((target / ".tfgpu/environment.json").read_text())["packages"] == 5
        done = world.create("--json", path=name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["outcome"] in ("created", "exists")
        script = subprocess.run([str(target / "bin/tf_tool")], capture_output=True, text=True, check=False)
        assert script.returncode == 0, script.stderr
        assert beside(target) == []
    return killed


def _kill_replaces(world: World, moments: int) -> int:
    world.document()
    old = snapshot(world.target)
    duration = _duration(world)
    killed = 0
    for number in range(moments):
        killed += _kill_after(
            world.spawn("--json", "--replace", tf=NEW), duration * (0.3 + 0.7 * (number + 1) / (moments + 1))
        )
        record = json.loads((world.target / ".tfgpu/environment.json").read_text())
        if record["release"] != NEW:
            assert snapshot(world.target) == old, "the old environment was touched"
        assert world.document("--replace", tf=NEW)["outcome"] == "created"
        assert beside(world.target) == []
        world.document("--replace")
        old = snapshot(world.target)
    return killed


def test_killed_at_some_moments(world: World) -> None:
    assert _kill_and_create(world, 5) >= 3


def test_a_killed_replace_leaves_the_old_environment_or_the_new_one(world: World) -> None:
    assert _kill_replaces(world, 2) >= 1


@pytest.mark.e2e
def test_killed_at_many_moments(world: World) -> None:
    assert _kill_and_create(world, moments(50)) >= moments(30)


@pytest.mark.e2e
def test_replace_killed_at_many_moments(world: World) -> None:
    assert _kill_replaces(world, moments(50)) >= moments(20)


def test_after_a_kill_a_refused_create_cleans_all_the_same(world: World) -> None:
    world.document()
    process = world.spawn("--replace", tf=NEW)
    deadline = time.monotonic() + 60
    while not any((world.folder / name / "pyvenv.cfg").exists() for name in beside(world.target)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert beside(world.target) != []
    document = world.document(tf=NEW, code=3)
    assert document["denial"]["code"] == "path-exists"
    assert any("interrupted" in remark for remark in document["remarks"])
    assert any("removed" in remark for remark in document["remarks"])
    assert beside(world.target) == []


def test_no_child_outlives_a_killed_create(world: World) -> None:
    world.index.faults["tensorflow"] = "slow"
    process = world.spawn()
    deadline = time.monotonic() + 60
    while not _children(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.5)
    assert not [child for child in children if Path(f"/proc/{child}").exists() and not _zombie(child)]
    world.index.faults.clear()
    assert world.document()["outcome"] == "created"


def _children(pid: int) -> list[int]:
    try:
        return [
            int(text)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for text in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _real(target: Path, release: str, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "provision",
        "create",
        "--tf",
        release,
        "--no-verify",
        "--json",
        *options,
        str(target),
    ]


@pytest.mark.e2e
@pytest.mark.index
@pytest.mark.parametrize("release", ["2.10.1"])
def test_a_real_create_killed_at_many_moments(tmp_path: Path, release: str) -> None:
    """With the real wheels, from a warm cache; moments are spread over the whole create."""
    times = 50 if EVERY_ROW else 5
    subprocess.run(_real(tmp_path / "warm", release), check=True, capture_output=True)
    start = time.monotonic()
    subprocess.run(_real(tmp_path / "measured", release), check=True, capture_output=True)
    duration = time.monotonic() - start
    target = tmp_path / "env"
    killed = 0
    for number in range(times):
        process = subprocess.Popen(_real(target, release), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        killed += _kill_after(process, duration * (number + 1) / (times + 1))
        done = subprocess.run(_real(target, release), text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert beside(target) == []
        record = json.loads((target / ".tfgpu/environment.json").read_text())
        assert record["release"] == release
        assert len(list(target.glob("lib/python*/site-packages/*.dist-info"))) == record["packages"]
        subprocess.run(["rm", "-rf", str(target)], check=True)
    assert killed >= times * 0.4, f"{killed} of {times} creates were killed"

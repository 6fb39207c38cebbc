"""Kill -9 of the whole command over packages, links, scripts and remnants: repaired or as before, whatever the moment.

Ten moments; ``TFGPU_EVERY_ROW=1`` kills at a hundred.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from create.world import World
from repair.interference import COUNTED
from repair.repair_world import call, sick, spawn, tree
from repair.test_command import damaged
from thorough import EVERY_ROW

pytestmark = pytest.mark.e2e

KINDS = {"damaged_install", "dependency_conflict", "wiring_lost", "visible_devices_hidden"}
MOMENTS = 100 if EVERY_ROW else 10


def broken(world: World) -> Path:
    """Break an environment in every way that repair has an action for in this small world."""
    env = damaged(world)
    sick(world)
    site = next(env.glob("lib/python3*/site-packages"))
    (site / "~ensorflow").mkdir()
    script = env / "bin" / "activate"
    text = script.read_text() + "export CUDA_VISIBLE_DEVICES=-1\n"
    script.unlink()
    script.write_text(text)
    return env


def test_a_kill_at_any_moment_leaves_it_repaired_or_as_it_was(world: World) -> None:
    env = broken(world)
    before = tree(env)
    begin = time.monotonic()
    done = call(world, "env", "--yes")
    whole = time.monotonic() - begin
    assert done["outcome"] == "repaired"
    codes = {item["code"] for item in done["plan"]["repairs"]}
    assert codes >= KINDS, codes
    after = tree(env)
    steps = 3 * len(done["paths"])
    call(world, "--undo", "env")
    assert tree(env) == before
    chance = random.Random(2111)  # noqa: S311 - the same moments each time
    ends = {"before": 0, "after": 0, "cut": 0}
    for number in range(MOMENTS):
        counted = number % 2 == 0
        with spawn(world, COUNTED.format(left=chance.randrange(steps) if counted else 1 << 30), "env", "--yes") as run:
            if not counted:
                time.sleep(whole * chance.random())
                run.send_signal(signal.SIGKILL)
            run.communicate(timeout=120)
        assert run.returncode in (0, -signal.SIGKILL)
        now = tree(env)
        ends["before" if now == before else "after" if now == after else "cut"] += 1
        if now not in (before, after):
            how = ("--undo", "--resume")[number // 2 % 2]
            call(world, how, "env")
            assert tree(env) == (before if how == "--undo" else after)
        done = call(world, "env", "--yes")
        assert done["outcome"] in ("repaired", "sound")
        assert tree(env) == after
        call(world, "--undo", "env")
        assert tree(env) == before
    assert ends["cut"] >= MOMENTS // 5
    assert ends["before"] or not EVERY_ROW, "of ten moments none may come before the first change"

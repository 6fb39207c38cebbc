"""Kill -9 over a repair of a real environment that does a bit of everything: afterwards it is repaired, or as before.

A hundred moments, and only with ``TFGPU_EVERY_ROW=1``; `test_kill_command.py` does it in a small world each time.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor.lab.copies import link_tree
from doctor.lab.test_faults import BY_NAME
from repair.interference import COUNTED
from repair.lab.workshop import Workshop, differences, told
from thorough import EVERY_ROW

from provision.model.level import Level
from provision.model.repair import EntryState, RepairOutcome
from provision.repair.history.journal import read_history, unfinished

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.index,
    pytest.mark.skipif(not EVERY_ROW, reason="minutes for each ten moments; TFGPU_EVERY_ROW=1 asks for it"),
]

RELEASE = "created-2.10.1"
FAULTS = ("two-distributions", "protobuf-4", "no-cudnn-cu11", "links-gone", "visible-by-activation")
"""Distributions taken away, exchanged and added; links made, a start script and the record rewritten."""
MOMENTS = 100
QUICKLY = ("--yes", "--level", "gate")
"""Without importing TensorFlow each time."""

KILLED = f"import sys\nfrom provision.cli.main import main\n{COUNTED.format(left='int(sys.argv.pop(1))')}\nmain()\n"
"""Our command line, which kills itself after as many steps as its first word says."""


def broken(workshop: Callable[[str], Workshop]) -> Workshop:
    shop = workshop(RELEASE)
    # Copies are without headers, and TensorFlow is installed again: they would be 8,000 of 9,000 changes.
    headers = "tensorflow/include"
    site = shop.bench.env.site
    link_tree(shop.bench.env.original / site.relative_to(shop.prefix) / headers, site / headers)
    for name in FAULTS:
        BY_NAME[name].inject(shop.bench)
    del shop.bench.machine.variables["CUDA_VISIBLE_DEVICES"]
    (shop.bench.env.site / "~rotobuf").mkdir()
    return shop


def start(shop: Workshop, *words: str, killed: int | None = None) -> subprocess.Popen[bytes]:
    main = ["-m", "provision"] if killed is None else ["-c", KILLED, str(killed)]
    argv = [sys.executable, *main, "repair", *words, str(shop.prefix)]
    return subprocess.Popen(
        argv, env=shop.bench.machine.variables, cwd=shop.bench.machine.folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and what it has started."""
    for line in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(line), signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def journal_of(shop: Workshop) -> str:
    """Return everything that journals of this environment say."""
    return "".join(path.read_text() for path in shop.prefix.glob(".tfgpu/repairs/*/journal"))


def settled(shop: Workshop, before: Path, after: Path, how: str) -> str:
    """Bring what a kill has left to an end, in one of three ways; return which of the two ends it is."""
    cut = unfinished(shop.prefix)
    if how == "repair" or cut is None:
        result = shop.repair(level=Level.GATE)
        assert result.outcome in (RepairOutcome.REPAIRED, RepairOutcome.SOUND), told(result)
        assert cut is None or result.remarks, told(result)
    else:
        done = shop.command("repair", f"--{how}", "--level", "gate", str(shop.prefix))
        assert done.returncode == 0, done.stdout + done.stderr
        assert (differences(before, shop.prefix) == []) is (how == "undo")
    assert unfinished(shop.prefix) is None
    wrong = differences(after, shop.prefix) if how != "undo" or cut is None else []
    assert wrong == []
    last = read_history(shop.prefix)[0]
    if last.state is EntryState.DONE:
        assert shop.undo().outcome is RepairOutcome.UNDONE
    assert differences(before, shop.prefix) == []
    return how


@pytest.fixture
def shop(workshop: Callable[[str], Workshop]) -> Workshop:
    return broken(workshop)


def test_a_kill_at_any_moment_leaves_the_environment_repaired_or_as_it_was(shop: Workshop) -> None:
    before = shop.keep()
    begin = time.monotonic()
    result = shop.repair(level=Level.GATE)
    whole = time.monotonic() - begin
    assert result.outcome is RepairOutcome.REPAIRED, told(result)
    assert {type(step).__name__ for step in result.plan.steps} >= {"Install", "Uninstall", "Wire", "Unset"}
    after = shop.keep("after")
    steps = 3 * len(result.patch.changes)
    assert shop.undo().outcome is RepairOutcome.UNDONE
    assert differences(before, shop.prefix) == []
    chance = random.Random(1121)  # noqa: S311 - the same moments each time
    ways = ("undo", "resume", "repair")

    for number in range(MOMENTS):
        if number % 2:
            process = start(shop, *QUICKLY, killed=chance.randrange(steps))
            process.wait(timeout=300)
            assert process.returncode in (0, -signal.SIGKILL)
        else:
            process = start(shop, *QUICKLY)
            time.sleep(whole * chance.random())
            kill(process)
        settled(shop, before, after, ways[number % 3])

    for state in ("applying", "applied", "done"):  # at each state of the journal, as soon as it is there
        earlier = journal_of(shop).count(f'"{state}"')
        process = start(shop, *QUICKLY)
        while journal_of(shop).count(f'"{state}"') == earlier and process.poll() is None:
            time.sleep(0.001)
        kill(process)
        settled(shop, before, after, "resume")


def test_kills_on_the_way_back_and_forth_lose_nothing(shop: Workshop) -> None:
    """One kill after another, of undo and of resume; every fourth time it is brought to an end and compared."""
    before = shop.keep()
    result = shop.repair(level=Level.GATE)
    assert result.outcome is RepairOutcome.REPAIRED, told(result)
    after = shop.keep("after")
    steps = 3 * len(result.patch.changes)
    chance = random.Random(2111)  # noqa: S311 - the same moments each time
    killed = 0
    for number in range(2 * MOMENTS):
        words = ("--undo",) if number % 2 == 0 else ("--resume", "--level", "gate")
        process = start(shop, *words, killed=chance.randrange(steps))
        killed += process.wait(timeout=300) == -signal.SIGKILL
        if number % 4 == 3:
            cut = unfinished(shop.prefix)
            if cut is not None:
                how = chance.choice(("--undo", "--resume"))
                done = shop.command("repair", how, "--level", "gate", str(shop.prefix))
                assert done.returncode == 0, done.stdout + done.stderr
            assert unfinished(shop.prefix) is None
            wrong = differences(before, shop.prefix)
            if wrong:
                assert differences(after, shop.prefix) == []
            else:
                shop.repair(level=Level.GATE)
    assert killed, "no moment was hit"

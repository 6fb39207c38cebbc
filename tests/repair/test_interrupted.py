"""A repair whose process died: what every command says of it, and that both ends can be reached."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from create.world import World
from repair.repair_world import REPAIRS, arguments, call, changed, sick, spawn, tree
from repair.test_command import at_terminal

DIE = """
import os, signal
from provision.repair.history.journal_entry import Journal
real = Journal.advance
def advance(self, state):
    real(self, state)
    if state.value == {state!r}:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.advance = advance
"""
DIE_BUILDING = """
import os, signal
import provision.workflows.repair_work as work
def carry_out(*_words):
    os.kill(os.getpid(), signal.SIGKILL)
work.carry_out = carry_out
"""
DIE_HALF_WAY = """
import os, signal
from provision.repair.files.settle import Settling
real = Settling.run
def run(self, moves, on_path):
    seen = []
    def tell(path):
        seen.append(path)
        if len(seen) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
    real(self, moves, tell)
Settling.run = run
"""
MOMENTS = {
    "building": DIE_BUILDING,
    "applying": DIE.format(state="applying"),
    "half way": DIE_HALF_WAY,
    "applied": DIE.format(state="applied"),
}


def cut_off(world: World, moment: str) -> tuple[Path, dict[str, str], dict[str, str]]:
    """Let a repair die; return the environment, its tree before, and that of the sound environment it had been."""
    world.document()
    after = tree(world.target)
    env = sick(world)
    before = tree(env)
    killed(world, MOMENTS[moment], "env", "--yes")
    return env, before, after


def killed(world: World, code: str, *options: str) -> None:
    with spawn(world, code, *options) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, out + err


def states(world: World) -> list[str]:
    return [item["state"] for item in call(world, "--history", "env")["history"]]


@pytest.mark.parametrize("moment", ["applying", "half way", "applied"])
def test_it_can_be_finished(moment: str, world: World) -> None:
    env, before, after = cut_off(world, moment)
    done = call(world, "--resume", "env")
    assert done["outcome"] == "finished"
    assert tree(env) == after
    assert states(world) == ["done"]
    assert call(world, "--resume", "env", code=3)["denial"]["code"] == "nothing-to-resume"
    call(world, "--undo", "env")
    assert tree(env) == before


@pytest.mark.parametrize("moment", ["applying", "half way", "applied"])
def test_it_can_be_walked_back(moment: str, world: World) -> None:
    env, before, _ = cut_off(world, moment)
    assert call(world, "--undo", "env")["outcome"] == "undone"
    assert tree(env) == before
    assert call(world, "--undo", "env", code=3)["denial"]["code"] == "nothing-to-undo"


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_repair_walks_back_first_and_then_goes_on(moment: str, world: World) -> None:
    env, before, after = cut_off(world, moment)
    if moment == "building":
        assert tree(env) == before
    done = call(world, "env", "--yes")
    assert done["outcome"] == "repaired"
    assert any("walked back" in line for line in done["remarks"]) == (moment != "building")
    assert tree(env) == after
    assert [item.name for item in (env / REPAIRS).rglob("stage")] == [], "nothing is left of the copy that was cut off"


WAIT = """
import time
import provision.workflows.repair_work as work
def wait(*_words, **_more):
    print("waiting", flush=True)
    time.sleep(60)
work.{name} = wait
"""


@pytest.mark.parametrize(
    ("name", "number", "left"),
    [("carry_out", signal.SIGINT, []), ("verify", signal.SIGINT, ["undone"]), ("verify", signal.SIGTERM, ["undone"])],
)
def test_ctrl_c_walks_back(name: str, number: signal.Signals, left: list[str], world: World) -> None:
    env = sick(world)
    before = tree(env)
    with spawn(world, WAIT.format(name=name), "env", "--yes") as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert tree(env) == before
    assert states(world) == left


def test_an_undo_that_was_cut_off_goes_on(world: World) -> None:
    env = sick(world)
    before = tree(env)
    call(world, "env", "--yes")
    killed(world, DIE_HALF_WAY, "--undo", "env")
    assert tree(env) != before
    assert states(world) == ["undoing"]
    assert "while it was taken back" in call(world, "env", "--dry-run", code=3)["denial"]["why"][0]
    call(world, "--undo", "env")
    assert tree(env) == before
    assert states(world) == ["undone"]


def test_every_command_says_what_it_found_and_what_to_type(world: World) -> None:
    env, before, _ = cut_off(world, "half way")
    half = tree(env)
    matrix = ("--matrix", str(world.matrix))
    diagnosis = json.loads(world.run("doctor", "env", *matrix, "--json").stdout)
    assert diagnosis["primary"]["code"] == "environment_incomplete"
    assert any(REPAIRS in clue["source"] for clue in diagnosis["primary"]["evidence"])
    commands = [command for fix in diagnosis["primary"]["fixes"] for command in fix["commands"]]
    assert commands == [f"tfgpu-provision repair --undo {env}", f"tfgpu-provision repair --resume {env}"]
    status = json.loads(world.run("status", "env", *matrix, "--json").stdout)
    synced = json.loads(world.run("sync", "env", "--dry-run", *matrix, "--json").stdout)
    for remarks in (status["remarks"], synced["remarks"]):
        assert any("was cut off" in line and commands[1] in line for line in remarks)
    refused = json.loads(world.run("sync", "env", *matrix, "--json").stdout)
    assert (refused["denial"]["code"], refused["exit_code"]) == ("repair-cut-off", 3)
    assert "--resume" in world.run("verify", "env", "--level", "gate", *matrix).stderr
    # What is wired again by hand meanwhile is not lost: both ends can still be reached.
    assert tree(env) == half
    assert call(world, "env", "--dry-run", code=3)["denial"]["code"] == "repair-cut-off"
    assert "--resume" in world.run("wire", "env", *matrix).stderr
    call(world, "--undo", "env")
    assert tree(env) == before


def test_create_says_it_before_the_environment_gives_way(world: World) -> None:
    cut_off(world, "half way")
    document = world.document("--replace")
    assert any("was cut off" in line for line in document["remarks"])


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks_what_shall_become_of_it(answer: str, world: World) -> None:
    env, _, after = cut_off(world, "half way")
    code, said = at_terminal(world, answer, "env")
    assert said.index("was cut off while") < said.index("finish it?")
    if answer == "y":
        assert (code, tree(env)) == (0, after)
        assert "do it?" not in said, "nothing was left to repair"
    else:
        assert "do it?" in said
        assert code == 1


def test_a_history_that_was_tampered_with_is_no_way_out_of_the_environment(world: World) -> None:
    env, _, _ = cut_off(world, "half way")
    outside = world.folder / "outside"
    outside.write_text("mine")
    entry = next((env / REPAIRS).glob("*/entry.json"))
    entry.write_text(entry.read_text().replace("lib/python3", "../outside/python3"))
    before = tree(env)
    for options in (("--undo", "env"), ("--resume", "env"), ("env", "--yes")):
        assert call(world, *options, code=2)["error"]["code"] == "bad-journal"
    assert world.run("status", "env", "--matrix", str(world.matrix)).returncode in (0, 1)
    assert json.loads(world.run("doctor", "env", "--matrix", str(world.matrix), "--json").stdout)["primary"]
    assert outside.read_text() == "mine"
    assert changed(before, tree(env)) == []
    assert world.run(*arguments(world, "--history", "env")).returncode == 2

"""The command as a user runs it, in a small world: what it prints, how it ends, and what is on the disk then."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from create import small_world
from create.small_world import OLD, beside
from create.world import World
from repair.repair_world import REPAIRS, arguments, call, changed, sick, spawn, tree

from provision.workflows.repair_history import Named, named


def test_without_anybody_to_ask_it_shows_the_plan_and_changes_nothing(world: World) -> None:
    env = sick(world)
    before = tree(env)
    document = call(world, "env", code=1)
    assert document["outcome"] == "planned"
    assert [item["code"] for item in document["plan"]["repairs"]] == ["wiring_lost"]
    done = world.run(*arguments(world, "env"))
    assert done.returncode == 1
    assert f"repair --yes {env}" in done.stdout
    assert tree(env) == before
    assert not (env / REPAIRS).exists()


def test_a_dry_run_names_just_the_paths_that_a_run_changes(world: World) -> None:
    env = sick(world)
    before = tree(env)
    dry = call(world, "env", "--dry-run")
    assert dry["outcome"] == "dry-run"
    assert tree(env) == before
    assert not (env / REPAIRS).exists(), "a dry run leaves nothing"
    done = call(world, "env", "--yes")
    assert done["outcome"] == "repaired"
    assert done["paths"] == dry["paths"]
    assert [item["path"] for item in dry["paths"]] == changed(before, tree(env)) != []
    assert done["entry"]["state"] == "done"
    assert done["after"]["primary"] is None
    assert call(world, "env", "--yes")["outcome"] == "sound"


def test_undo_gives_the_same_bytes_and_says_what_it_cannot_do_twice(world: World) -> None:
    env = sick(world)
    before = tree(env)
    ident = call(world, "env", "--yes")["entry"]["id"]
    repaired = tree(env)
    assert call(world, "--undo", "env", "0" * 8, code=3)["denial"]["code"] == "no-such-repair"
    assert tree(env) == repaired
    undone = call(world, "--undo", "env")
    assert (undone["outcome"], undone["entry"]["id"], undone["entry"]["state"]) == ("undone", ident, "undone")
    assert tree(env) == before
    assert call(world, "--undo", "env", code=3)["denial"]["code"] == "nothing-to-undo"
    assert call(world, "--undo", "env", ident, code=3)["denial"]["code"] == "already-undone"
    assert tree(env) == before
    history = call(world, "--history", "env")["history"]
    assert [(item["id"], item["state"], item["repairs"][0]["code"]) for item in history] == [
        (ident, "undone", "wiring_lost")
    ]


def test_undo_of_what_was_changed_since_names_it_and_touches_nothing(world: World) -> None:
    env = sick(world)
    first = call(world, "env", "--yes")
    path = first["paths"][0]["path"]
    (env / path).unlink()
    (env / path).write_text("mine")
    before = tree(env)
    denial = call(world, "--undo", "env", code=3)["denial"]
    assert denial["code"] == "changed-since"
    assert any(path in line for line in denial["why"])
    assert tree(env) == before


def test_of_two_repairs_of_the_same_paths_the_later_one_goes_first(world: World) -> None:
    env = sick(world)
    states = [tree(env)]
    idents = [call(world, "env", "--yes")["entry"]["id"]]
    for path in list(env.rglob("*.so*")):
        if path.is_symlink():
            path.unlink()
            path.symlink_to("/nowhere")
    states.append(tree(env))
    idents.append(call(world, "env", "--yes")["entry"]["id"])
    denial = call(world, "--undo", "env", idents[0], code=3)["denial"]
    assert denial["code"] == "changed-since"
    assert idents[1] in denial["hint"]
    call(world, "--undo", "env", idents[1])
    assert tree(env) == states[1]


def test_a_sync_keeps_the_history(world: World) -> None:
    env = sick(world)
    before = tree(env)
    entry = call(world, "env", "--yes")["entry"]
    (next(env.glob("lib/python3*/site-packages")) / "tensorflow/part5.py").unlink()
    done = world.run("sync", "env", "--no-verify", "--matrix", str(world.matrix))
    assert done.returncode == 0, done.stderr
    assert call(world, "--history", "env")["history"] == [entry]
    call(world, "--undo", "env")
    assert changed(before, tree(env)) == [".tfgpu/environment.json"], "it names the sync that wrote it"


def damaged(world: World) -> Path:
    """Make an environment in which a file of TensorFlow and a whole package are missing."""
    world.document()
    site = next(world.target.glob("lib/python3*/site-packages"))
    (site / "tensorflow/part5.py").unlink()
    for path in (*site.glob("six-*"), site / "six"):
        shutil.rmtree(path)
    return world.target


def test_packages_come_from_the_index_and_go_again_without_it(world: World) -> None:
    env = damaged(world)
    before = tree(env)
    done = call(world, "env", "--yes")
    assert done["outcome"] == "repaired"
    assert {"name": "six", "before": "", "after": "1.0"} in done["packages"]
    assert {"name": "tensorflow", "before": OLD, "after": OLD} in done["packages"]
    assert call(world, "env")["outcome"] == "sound"
    assert world.run("status", "env", "--matrix", str(world.matrix)).returncode == 0
    world.index.faults["/"] = "500"
    asked = len(world.index.asked)
    call(world, "--undo", "env")
    assert tree(env) == before
    assert len(world.index.asked) == asked


@pytest.mark.parametrize(("fault", "code"), [("500", "network"), ("cut", "network"), ("swap", "hash-mismatch")])
def test_a_failing_index_leaves_everything_as_it_was(fault: str, code: str, world: World) -> None:
    env = damaged(world)
    before = tree(env)
    world.environ["UV_CACHE_DIR"] = str(world.folder.parent / "another-cache")
    world.index.faults["files/six"] = fault
    assert call(world, "env", "--yes", code=6)["error"]["code"] == code
    assert tree(env) == before
    assert not (env / REPAIRS).exists()


def test_what_does_not_pass_its_proof_is_walked_back(world: World) -> None:
    env = sick(world)
    before = tree(env)
    done = world.run("repair", "env", "--yes", "--level", "import", "--matrix", str(world.matrix), "--json")
    assert done.returncode == 6, done.stdout
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "not-better"
    assert any("import" in line for line in error["why"])
    assert tree(env) == before
    assert [item["state"] for item in call(world, "--history", "env")["history"]] == ["undone"]


def test_another_environment_is_built_beside_with_the_same_packages(world: World) -> None:
    env = sick(world)
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "-q", "-p", str(env), "pandas"], env=world.environ, check=True
    )
    before = tree(env)
    planned = call(world, "env", "--into", "other", code=1)
    assert planned["plan"]["beside"] == OLD
    assert planned["plan"]["carry"] == ["pandas==1.0"]
    assert not (world.folder / "other").exists()
    done = world.run("repair", "env", "--into", "other", "--yes", "--matrix", str(world.matrix), "--json")
    # Nothing of TensorFlow is in the stubs: what create builds from them fails its own proof.
    assert done.returncode == 6, done.stdout
    assert not (world.folder / "other").exists()
    dry = call(world, "env", "--into", "other", "--dry-run")
    assert dry["outcome"] == "dry-run"
    assert tree(env) == before
    assert beside(world.folder / "other") == []


def test_a_jupyter_kernel_lies_outside_and_is_only_changed_when_that_is_asked_for(world: World) -> None:
    world.document()
    small_world.make_wheel(world.index.folder, "ipykernel", "1.0")
    kernel = Path(world.environ["HOME"], ".local/share/jupyter/kernels/project/kernel.json")
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [sys.executable, "-m", "ipykernel"], "display_name": "project"}))
    old, before = kernel.read_bytes(), tree(world.target)
    left = call(world, "env", "--yes", code=1)
    assert left["outcome"] == "by-hand"
    assert [item["code"] for item in left["plan"]["by_hand"]] == ["jupyter_kernel_elsewhere"]
    assert (kernel.read_bytes(), tree(world.target)) == (old, before)
    done = call(world, "env", "--yes", "--kernels")
    assert done["outcome"] == "repaired"
    assert str(kernel) in [item["path"] for item in done["paths"]]
    assert json.loads(kernel.read_text())["argv"][0] == str(world.target / "bin/python")
    call(world, "--undo", "env")
    assert (kernel.read_bytes(), tree(world.target)) == (old, before)


def test_a_program_that_runs_in_it_is_named(world: World) -> None:
    env = sick(world)
    with subprocess.Popen(
        [str(env / "bin/python"), "-c", "import time; print(1, flush=True); time.sleep(60)"], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        remarks = call(world, "env", code=1)["remarks"]
        child.kill()
    assert any(f" {child.pid} {env}/bin/python" in line for line in remarks)


def test_two_at_once_do_not_meet(world: World) -> None:
    env = sick(world)
    wait = (
        "from provision.repair import stage\n"
        "import provision.workflows.repair_work as work\n"
        "real = work.carry_out\n"
        "def slow(*words):\n"
        "    print('inside', flush=True); sys.stdin.readline(); return real(*words)\n"
        "work.carry_out = slow\n"
    )
    with spawn(world, wait, "env", "--yes", stdin=subprocess.PIPE) as first:
        assert first.stdout
        assert first.stdout.readline() == "inside\n"
        assert call(world, "env", "--yes", code=5)["error"]["code"] == "busy"
        assert world.failure("--replace", code=5)["code"] == "busy"
        out, err = first.communicate("go\n", timeout=60)
    assert first.returncode == 0, out + err
    assert call(world, "env")["outcome"] == "sound"
    assert [item.name for item in env.joinpath(REPAIRS).iterdir() if item.is_dir()] != []


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_on_a_terminal_it_shows_the_plan_and_asks_once(answer: str, code: int, world: World) -> None:
    env = sick(world)
    before = tree(env)
    done, said = at_terminal(world, answer, "env")
    assert done == code, said
    assert said.index("wiring_lost") < said.index("do it?")
    assert said.count("do it?") == 1
    assert (tree(env) == before) == (code == 1)


def at_terminal(world: World, answer: str, *options: str) -> tuple[int, str]:
    """Run repair on a terminal, give one answer when it asks; return its exit code and what it showed."""
    controller, terminal = pty.openpty()
    process = spawn(world, "", *options, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            said += os.read(controller, 1 << 16)
        except OSError:
            break
        if said.endswith(b"]: "):
            os.write(controller, f"{answer}\n".encode())
            said += b"\n"
    os.close(controller)
    return process.wait(timeout=60), said.decode()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--undo", "--history"), "usage"),
        (("--undo", "--dry-run"), "usage"),
        (("env", "12345678"), "usage"),
        (("env", "--undo", "not-an-id"), "bad-repair"),
        (("env", "--only", "nonsense"), "unknown-cause"),
        (("nowhere",), "no-environment"),
        (("--undo", "nowhere"), "no-environment"),
        ((), "no-environment"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], code: str, world: World) -> None:
    assert call(world, *options, code=2)["error"]["code"] == code


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ((None, None), Named()),
        (("env", None), Named("env")),
        (("env", "0123abcd"), Named("env", "0123abcd")),
        (("0123abcd", None), Named(None, "0123abcd")),
        (("./0123abcd", None), Named("./0123abcd")),
    ],
)
def test_the_id_of_a_repair_can_stand_alone(words: tuple[str | None, str | None], meant: Named) -> None:
    assert named(*words) == meant


def test_a_wrong_level_is_named(world: World) -> None:
    done = world.run("repair", "--level", "moon", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "bad-level")


def test_a_python_of_the_machine_is_refused_with_the_way_that_works(world: World) -> None:
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    denial = call(world, str(base), "--yes", code=3)["denial"]
    assert denial["code"] == "system-python"
    assert "--into" in denial["hint"]


def test_only_one_cause(world: World) -> None:
    env = sick(world)
    before = tree(env)
    assert call(world, "env", "--yes", "--only", "missing_cudnn")["outcome"] == "sound"
    assert tree(env) == before
    assert call(world, "env", "--yes", "--only", "wiring_lost,missing_cudnn")["outcome"] == "repaired"

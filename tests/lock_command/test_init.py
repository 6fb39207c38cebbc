"""init: the table is written, read back by the commands, and everything else of the file stays."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from create.small_world import OLD
from create.world import World

from provision.errors import InvalidFileError, UsageError
from provision.system import System
from provision.workflows.init import InitOptions, init
from provision.workflows.settings import load_settings

BEFORE = '[project]\nname = "x"   # mine\n\n[tool.ruff]\nline-length=3'
TABLE = '[tool.tfgpu]  # ours\ntf = "2.4"\nrequirements = [\n  "a",\n]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_bytes(text.encode())
    return path


def test_what_init_writes_is_what_lock_reads(world: World) -> None:
    done = world.run(
        "init", "--tf", OLD, "--with", "pandas", "--for", "ci:gpu=none", "--for", "big:driver=520,gpu='8.0'"
    )
    assert done.returncode == 0, done.stderr
    settings = load_settings(world.folder)
    assert settings.text("tf") == OLD
    assert settings.table("targets") == {"ci": "gpu=none", "big": "driver=520,gpu=8.0"}
    assert world.run("lock", "--matrix", str(world.matrix)).returncode == 0
    assert "pandas==1.0" in (world.folder / "tfgpu-lock.big.txt").read_text()
    assert world.run("lock", "--matrix", str(world.matrix), "--check").returncode == 0


@pytest.mark.parametrize("before", ["", BEFORE, BEFORE + "\n", BEFORE.replace("\n", "\r\n"), "# only a comment\n"])
def test_the_rest_of_the_file_stays_byte_for_byte(before: str, tmp_path: Path) -> None:
    path = write(tmp_path, before)
    path.chmod(0o600)
    inner = tmp_path / "src"
    inner.mkdir()
    result = init(System(), inner, InitOptions(tf="2.15", packages=("numpy<2",), targets=("ci:gpu=none",)))
    assert (result.path, result.created, result.replaced) == (str(path), False, False)
    assert path.read_bytes().startswith(before.encode())
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_settings(inner).strings("requirements") == ("numpy<2",)
    assert ("\r\n" in before) == (b"\r\n" in path.read_bytes())
    assert b"\n\n\n" not in path.read_bytes()


def test_a_project_without_a_file_gets_one(tmp_path: Path) -> None:
    result = init(System(), tmp_path, InitOptions(tf="2.15"))
    assert result.created
    assert (tmp_path / "pyproject.toml").read_text() == '[tool.tfgpu]\ntf = "2.15"\n'


def test_a_table_that_is_there_gives_way_only_to_replace(tmp_path: Path) -> None:
    behind = "\n# about ruff\n[tool.ruff]\nx = 1\n"
    path = write(tmp_path, f'[project]\nname = "x"\n\n{TABLE}{behind}\n[tool.tfgpu.targets]\nold = "gpu=none"\n# end\n')
    before = path.read_bytes()
    result = init(System(), tmp_path, InitOptions(tf="2.15"))
    assert result.denial is not None
    assert result.denial.code == "table-exists"
    assert path.read_bytes() == before
    replaced = init(System(), tmp_path, InitOptions(tf="2.15", replace=True))
    assert replaced.replaced
    assert path.read_text() == f'[project]\nname = "x"\n\n[tool.tfgpu]\ntf = "2.15"\n{behind}\n# end\n'


def test_a_table_in_one_line_is_replaced_too(tmp_path: Path) -> None:
    write(tmp_path, '[tool]\ntfgpu = {tf = "2.4"}\n')
    init(System(), tmp_path, InitOptions(tf="2.9", targets=("y:gpu=8.6",), replace=True))
    assert load_settings(tmp_path).table("targets") == {"y": "gpu=8.6"}


def test_a_form_that_cannot_hold_it_is_left_alone(tmp_path: Path) -> None:
    for text in ("tool = {x = {y = 1}}\n", "tool = 3\n", "[tool\n"):
        path = write(tmp_path, text)
        with pytest.raises(InvalidFileError):
            init(System(), tmp_path, InitOptions(tf="2.9"))
        assert path.read_text() == text


@pytest.mark.parametrize(
    "options",
    [
        InitOptions(tf="two"),
        InitOptions(python="2"),
        InitOptions(packages=("--index-url x",)),
        InitOptions(targets=("a:gpu=nope",)),
        InitOptions(targets=("a b:gpu=8.6",)),
    ],
)
def test_what_the_commands_could_not_read_is_not_written(options: InitOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        init(System(), tmp_path, options)
    assert list(tmp_path.iterdir()) == []


def test_without_options_and_without_a_terminal_there_is_nobody_to_ask(world: World) -> None:
    done = world.run("init", "--json")
    assert done.returncode == 2
    assert list(world.folder.iterdir()) == []


def test_on_a_terminal_it_asks(world: World) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "provision", "init"],
        cwd=world.folder, env=world.environ, stdin=follower, stdout=subprocess.PIPE, stderr=follower, text=True,
    )  # fmt: skip
    os.close(follower)
    os.write(leader, b"2.15\n3.11\nvenv\npandas numpy<2\nlaptop:driver=535,gpu=8.6\n\n")
    said, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 0, said
    settings = load_settings(world.folder)
    assert (settings.text("tf"), settings.text("python"), settings.text("backend")) == ("2.15", "3.11", "venv")
    assert settings.strings("requirements") == ("pandas", "numpy<2")
    assert settings.table("targets") == {"laptop": "driver=535,gpu=8.6"}


def test_json_is_one_document(world: World) -> None:
    done = world.run("init", "--tf", "2.15", "--json")
    found = json.loads(done.stdout)
    assert (found["outcome"], found["created"], found["denial"], found["schema"]) == ("written", True, None, 1)

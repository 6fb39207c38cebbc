"""Short words for repair in the small world of create: an environment of ours whose links were lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
from create.small_world import snapshot
from create.world import World

import provision.report.repair

SCHEMA = json.loads(Path(provision.report.repair.__file__).with_name("repair.schema.json").read_text())
REPAIRS = ".tfgpu/repairs"


def sick(world: World) -> Path:
    """Make an environment, if there is none, and take the links away that made its CUDA libraries visible."""
    if not world.target.exists():
        world.document()
    for path in world.target.rglob("*.so*"):
        if path.is_symlink():
            path.unlink()
    return world.target


def arguments(world: World, *options: str) -> list[str]:
    """Return the command line of a repair that is proved by what stubs can pass."""
    free = {"--undo", "--history"} & set(options)
    return ["repair", *options, *([] if free else ["--level", "gate", "--matrix", str(world.matrix)])]


def call(world: World, *options: str, code: int = 0) -> dict[str, Any]:
    """Run repair with --json and return its document, held to the schema unless it failed."""
    done = world.run(*arguments(world, *options), "--json")
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    if "error" not in document:
        jsonschema.validate(document, SCHEMA)
        assert done.stderr == ""
    return document


def tree(environment: Path) -> dict[str, str]:
    """Return an environment byte by byte, less byte code and the history of repairs."""
    return {
        name: what
        for name, what in snapshot(environment).items()
        if not name.startswith(REPAIRS) and "__pycache__" not in name
    }


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the paths in which two trees differ."""
    return sorted(name for name in {**before, **after} if before.get(name) != after.get(name))


def spawn(world: World, code: str, *options: str, **more: Any) -> subprocess.Popen[str]:
    """Start a repair as a process of its own, after some lines of Python."""
    program = f"import sys\n{code}\nfrom provision.cli.main import main\nmain()\n"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments(world, *options)],
        cwd=world.folder,
        env=world.environ,
        **{"text": True, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )

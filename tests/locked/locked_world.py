"""Short words for the commands that use a lock, in the small world."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from create.small_world import OLD
from create.world import World


def call(world: World, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json and the small matrix; return its document."""
    done = world.run(*arguments, "--matrix", str(world.matrix), "--json")
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def lock(world: World, name: str = "tfgpu-lock.txt", *options: str, tf: str = OLD) -> Path:
    """Write a lock of the small world into the project."""
    done = world.run("lock", "--tf", tf, "--matrix", str(world.matrix), "-o", name, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return world.folder / name


def locked_create(world: World, *options: str, code: int = 0, path: str = "env") -> dict[str, Any]:
    """Run ``create --locked`` without its verification, which the small TensorFlow cannot pass."""
    words = [*options] if any(word.startswith("--locked") for word in options) else ["--locked", *options]
    return call(world, "create", path, *words, "--no-verify", "--python", sys.executable, code=code)


def site(prefix: Path) -> Path:
    """Return the environment's site-packages."""
    return next(prefix.glob("lib/python3*/site-packages"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Change an installed file as an editor does that writes beside: the cache keeps its own."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def kinds(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the differences of a status as pairs of kind and name."""
    return [(item["kind"], item["name"]) for item in document["differences"]]


def closed_port(world: World) -> None:
    """Point uv at an index where nobody answers, with an empty cache: whatever is downloaded fails."""
    world.environ["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple/"
    world.environ["UV_CACHE_DIR"] = os.fspath(world.folder.parent / "empty-cache")

"""The real wheels of 2.10.1: locked, made twice, damaged, mended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from create.small_world import snapshot

pytestmark = [pytest.mark.e2e, pytest.mark.index]


def _run(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    argv = [sys.executable, "-m", "provision", *words, "--json"]
    done = subprocess.run(argv, text=True, capture_output=True, check=False, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def _files(prefix: Path) -> dict[str, str]:
    """Return every file with its hash, but caches, byte code, and what says when and where it was made."""
    told = ("bin/activate", "pyvenv.cfg", ".tfgpu/environment.json", ".tfgpu/receipt.json", ".lock", "CACHEDIR.TAG")
    return {
        name: said
        for name, said in snapshot(prefix).items()
        if "__pycache__" not in name and not name.endswith(".pyc") and not name.startswith(told)
    }


def test_a_lock_gives_the_same_environment_twice_and_sync_mends_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "provision", "lock", "--tf", "2.10.1", "-o", "tfgpu-lock.txt"]
    locked = subprocess.run(argv, text=True, capture_output=True, check=False, cwd=tmp_path)
    assert locked.returncode == 0, locked.stdout + locked.stderr
    for name in ("one", "two"):
        assert _run(tmp_path, "create", name, "--locked", "tfgpu-lock.txt")["outcome"] == "created"
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    subprocess.run(["rm", "-rf", str(tmp_path / "two")], check=True)
    env = tmp_path / "one"
    assert _run(tmp_path, "status", "one", "--deep")["in_order"] is True
    site = next(env.glob("lib/python3*/site-packages"))
    damaged = site / "six.py"
    fresh = damaged.with_name("six.new")
    fresh.write_text("# damaged\n")
    fresh.replace(damaged)
    next(path for path in sorted((site / "tensorflow").glob("libcu*.so*")) if path.is_symlink()).unlink()
    found = _run(tmp_path, "status", "one", code=1)
    assert {item["kind"] for item in found["differences"]} == {"files", "wiring"}
    assert _run(tmp_path, "sync", "one")["outcome"] == "synced"
    assert _run(tmp_path, "status", "one", "--deep")["in_order"] is True
    assert _run(tmp_path, "sync", "one")["outcome"] == "unchanged"

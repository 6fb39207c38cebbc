"""Our locks installed by other tools, without us; afterwards ``wire`` makes TensorFlow's loader find everything.

pip downloads everything anew, and uv does so for the addresses of a pylock: 2.21.0 alone is 3.4 GB, so that
``TFGPU_EVERY_ROW=1`` has to ask for the largest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from provision.host import find_interpreters
from provision.lock.files import parse
from provision.model.lock import Lock, normalised
from thorough import EVERY_ROW
from provision.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.index]

FOLDER = Path(__file__).parents[2] / "environments"
UV = find_uv_bin()
_EVERY = pytest.mark.skipif(not EVERY_ROW, reason="gigabytes; TFGPU_EVERY_ROW=1 asks for it")


def interpreter(lock: Lock) -> str:
    found = [item.path for item in find_interpreters(System()) if item.version.series == lock.contract.python]
    if not found:
        pytest.skip(f"no Python {lock.contract.python} on this machine")
    return found[0]


def run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, f"{argv}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def ours(*arguments: str, cwd: Path, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    argv = [sys.executable, "-m", "provision", *arguments, "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode in codes, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def gate(prefix: Path, cwd: Path) -> dict[str, Any]:
    document = ours("verify", str(prefix), "--level", "gate", cwd=cwd, codes=(0, 1))
    (stage,) = (stage for stage in document["stages"] if stage["level"] == "gate")
    found: dict[str, Any] = stage
    return found


def installed(prefix: Path) -> set[str]:
    """Return what is in an environment, however it was installed: old pips leave no ``.dist-info`` of what they build."""
    script = (
        "import importlib.metadata as m; print(*(d.metadata['Name'] + '==' + d.version for d in m.distributions()))"
    )
    said = subprocess.run([str(prefix / "bin/python"), "-c", script], capture_output=True, text=True, check=True).stdout
    pairs = (word.split("==") for word in said.split())
    return {f"{normalised(name)}=={version}" for name, version in pairs}


@pytest.fixture
def prefix(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "plain"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def with_pip(python: str, prefix: Path, lock: Path) -> None:
    run(python, "-m", "venv", str(prefix))
    pip = [str(prefix / "bin/python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    run(*pip, "--require-hashes", "-r", str(lock))


def with_uv(python: str, prefix: Path, lock: Path) -> None:
    run(UV, "venv", "--quiet", "--no-project", "--python", python, str(prefix))
    run(UV, "pip", "sync", "--quiet", "--python", str(prefix), str(lock))


@pytest.mark.parametrize(
    ("release", "install"),
    [
        pytest.param("2.4.1", with_pip, marks=_EVERY),
        ("2.4.1", with_uv),
        ("2.21", with_uv),
        pytest.param("2.21", with_pip, marks=_EVERY),
    ],
)
def test_a_lock_installs_without_us_and_wire_makes_it_pass(
    release: str, install: Any, prefix: Path, tmp_path: Path
) -> None:
    path = FOLDER / release / "tfgpu-lock.txt"
    lock = parse(path.name, path.read_bytes())
    install(interpreter(lock), prefix, path)
    assert {item.requirement for item in lock.packages} <= installed(prefix)
    before = gate(prefix, tmp_path)
    assert before["status"] == "failed", "without wiring TensorFlow does not find all its libraries"
    assert ours("wire", str(prefix), cwd=tmp_path)["ok"]
    after = gate(prefix, tmp_path)
    assert after["status"] == "passed", after


@_EVERY
def test_a_pylock_installs_with_uv(prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    shutil.copytree(FOLDER / "2.10", project, ignore=shutil.ignore_patterns("*.txt"))
    ours("lock", "--for", "os=linux", "--format", "pylock", cwd=project)
    path = project / "pylock.tfgpu.toml"
    # What comes from an address is kept apart from what comes from an index: it would stay twice in the user's cache.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with_uv(interpreter(parse(path.name, path.read_bytes())), prefix, path)
    assert ours("wire", str(prefix), cwd=tmp_path)["ok"]
    assert gate(prefix, tmp_path)["status"] == "passed"

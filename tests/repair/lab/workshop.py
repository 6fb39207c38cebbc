"""A place on the bench where an environment is broken, repaired, and brought back to what it was."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doctor.lab.bench import Answer, Bench
from doctor.lab.copies import link_tree, state
from uv import find_uv_bin

from provision.model.repair import RepairResult
from provision.system import System
from provision.workflows.repair import RepairOptions, repair
from provision.workflows.repair_history import Named, undo

_NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
"""What uv needs from this machine to reach the index as it is configured here."""
_ASIDE = ".tfgpu/repairs"


def differences(one: Path, other: Path) -> list[str]:
    """Return what is not the same below two folders: kind, mode, target, bytes; byte code and our journal aside.

    Two names of one inode are not read: nothing may have been written into it, which `Originals.changed` sees.
    """
    found = []
    mine, theirs = dict(_entries(one)), dict(_entries(other))
    for name in sorted(mine.keys() | theirs.keys()):
        left, right = mine.get(name), theirs.get(name)
        if left is None or right is None:
            found.append(f"{name}: only in {'the second' if left is None else 'the first'}")
        elif _look(left) != _look(right):
            found.append(f"{name}: {_look(left)} / {_look(right)}")
        elif left.is_file() and not left.is_symlink() and not left.samefile(right):
            found += [] if filecmp.cmp(left, right, shallow=False) else [f"{name}: content"]
    return found


def _entries(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(root):
        where = os.path.relpath(folder, root)
        if where == ".tfgpu":
            folders[:] = [name for name in folders if name != "repairs"]
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in (*folders, *files):
            path = name if where == "." else f"{where}/{name}"
            if not name.endswith(".pyc") and path != ".tfgpu":  # which is there for the journal at least
                yield path, Path(folder, name)


def _look(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    status = path.lstat()
    return f"{status.st_mode:o}"


def snapshot(prefix: Path, place: Path) -> Path:
    """Return a tree of hardlinks of an environment as it is, to compare with later."""
    link_tree(prefix, place, left_out=("__pycache__",))
    return place


@dataclass
class Workshop:
    """A bench, and repair's words on it."""

    bench: Bench
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        """Let the described user have this machine's cache and way to the index."""
        variables = self.bench.machine.variables
        variables["UV_CACHE_DIR"] = cache()
        variables |= {name: os.environ[name] for name in _NETWORK if name in os.environ}

    @property
    def prefix(self) -> Path:
        return self.bench.env.prefix

    @property
    def system(self) -> System:
        machine = self.bench.machine
        return System(environ=dict(machine.variables), root=machine.root)

    def keep(self, name: str = "before") -> Path:
        """Remember the environment as it is now."""
        place = self.prefix.with_name(name)
        shutil.rmtree(place, ignore_errors=True)
        return snapshot(self.prefix, place)

    def repair(self, **options: Any) -> RepairResult:
        """Repair, in this process, as a user on this machine would with ``--yes``."""
        self.monkeypatch.chdir(self.bench.machine.folder)
        target = self.bench.target or str(self.prefix)
        wanted = RepairOptions(**{"environment": target, "yes": True, **options})
        return repair(self.system, self.bench.machine.folder, wanted)

    def undo(self, ident: str = "") -> RepairResult:
        """Take a repair back, with nothing that could be asked or fetched."""
        variables = {**self.bench.machine.variables, "UV_CACHE_DIR": "/nonexistent", "UV_OFFLINE": "1"}
        system = System(environ=variables, root=self.bench.machine.root)
        return undo(system, Named(str(self.prefix), ident))

    def ask(self) -> Answer:
        """Ask the doctor."""
        return self.bench.ask(self.monkeypatch)

    def command(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run our own command line as a process, with the fake driver and the user's variables, on the real root."""
        argv = [*more.pop("before", ()), sys.executable, "-m", "provision", *words]
        environ = {**self.bench.machine.variables, **more.pop("environ", {})}
        return subprocess.run(
            argv, env=environ, cwd=self.bench.machine.folder, capture_output=True, text=True, check=False, **more
        )


def cache() -> str:
    """Return the folder of uv's cache of whoever runs the tests."""
    done = subprocess.run([find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def told(result: RepairResult) -> str:
    """Return what a failing test should show."""
    lines = [f"{result.outcome.value} {result.remarks} {result.denial or ''}", f"packages: {result.packages}"]
    for name, found in (("before", result.before), ("after", result.after)):
        lines += [f"{name} {item.role.value} {item.code} {item.summary}" for item in (found.findings if found else ())]
    if result.plan:
        lines += [f"repairs {item.code}: {item.steps}" for item in result.plan.repairs]
        lines += [f"by hand {item.code}" for item in result.plan.by_hand]
    if result.verdict:
        lines += [f"{stage.level.value} {stage.status.value} {stage.summary}" for stage in result.verdict.stages]
    return "\n".join(lines)


@contextlib.contextmanager
def untouched(prefix: Path) -> Iterator[None]:
    """Fail where something below a folder has changed meanwhile, times included; our own folder aside."""
    before = {name: said for name, said in state(prefix) if not name.startswith(_ASIDE)}
    yield
    after = {name: said for name, said in state(prefix) if not name.startswith(_ASIDE)}
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert [name for name in changed if "__pycache__" not in name] == []

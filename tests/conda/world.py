"""What the tests of the conda rooms share: an engine with a home of its own, and what a row would give it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine
from provision.model.created import Denial
from provision.model.lock import CondaLocked
from provision.system import System

ROW = {"__archspec": "1=x86_64", "__cuda": "11.2", "__glibc": "2.17", "__linux": "4.18", "__unix": "0"}
GPU = ("python 3.8.*", "cudnn 8.0.*", "cudatoolkit 11.0.*", "numpy", "tool")


def system_at(home: Path, **environ: str) -> System:
    home.mkdir(parents=True, exist_ok=True)
    return System({"HOME": str(home), "PATH": os.environ["PATH"], **environ})


def engine_at(tmp_path: Path, *, offline: bool = False, **environ: str) -> Engine:
    system = system_at(tmp_path / "home", **environ)
    return Engine(system, CondaConfig.load(system), offline=offline)


def solved(
    engine: Engine, specs: tuple[str, ...], address: str, virtual: Mapping[str, str] = ROW, **more: Any
) -> tuple[CondaLocked, ...]:
    answer = engine.solve(specs, [address], virtual, **more)
    assert not isinstance(answer, Denial), answer
    return answer


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != "verified.json"
    }

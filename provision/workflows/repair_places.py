"""The environment that repair's history speaks of, and the commands that go on with it."""

from __future__ import annotations

import shlex
from pathlib import Path

from provision.probes.environment import locate
from provision.snapshot.interpreter import Unusable, ask
from provision.system import System


def prefix_of(system: System, target: str | None) -> Path:
    """Return the root of an environment, also where its Python does not run.

    Raises:
        UsageError: the target is no environment and was none.
    """
    found = ask(system, target)
    if found is None:
        # Says where it looked.
        return Path(locate(system, target).prefix)
    return root_of(found.path) if isinstance(found, Unusable) else Path(found.env.prefix)


def root_of(path: str) -> Path:
    """Return the root of an environment of which a folder or its Python was named."""
    named = Path(path)
    return named.parent.parent if named.parent.name == "bin" and not named.is_dir() else named


def undo_command(prefix: Path, ident: str = "") -> str:
    """Return what walks a repair back."""
    return f"tfgpu-provision repair --undo {shlex.quote(str(prefix))}{f' {ident}' if ident else ''}"


def resume_command(prefix: Path) -> str:
    """Return what finishes a repair that was cut off."""
    return f"tfgpu-provision repair --resume {shlex.quote(str(prefix))}"

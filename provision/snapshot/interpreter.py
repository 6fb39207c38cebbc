"""The interpreter of an environment, asked before anything else is loaded: its answer is what the rest waits for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provision.errors import UsageError
from provision.probes.environment import Inventory, inspect
from provision.system import System

_BROKEN = ("broken-interpreter", "not-an-environment", "no-rights")
_TRACES = ("pyvenv.cfg", "conda-meta", ".tfgpu", "bin/activate", "lib/python3*/site-packages")
"""What tells a folder that was an environment from one that never was."""


@dataclass(frozen=True)
class Unusable:
    """A target whose Python does not run: its path, and why, line by line."""

    path: str
    why: tuple[str, ...]


def ask(system: System, target: str | None) -> Inventory | Unusable | None:
    """Return what the interpreter says, or why there is none to ask; None where none was named and none is active.

    Raises UsageError, as `provision.probes.environment.locate` does, for what is no environment and was none.
    """
    try:
        return inspect(system, target)
    except UsageError as error:
        if target is None and error.code == "no-environment":
            return None
        path = Path(target or ".").expanduser().absolute()
        if error.code == "broken-interpreter" or (error.code in _BROKEN and _was_environment(path)):
            return Unusable(str(path), (error.what, *error.why))
        raise


def _was_environment(path: Path) -> bool:
    """Whether a folder was an environment, or a file its Python, before something was taken away."""
    roots = (path, path.parent.parent) if path.parent.name == "bin" else (path,)
    try:
        return any(next(iter(root.glob(trace)), None) is not None for root in roots for trace in _TRACES)
    except OSError:
        return False

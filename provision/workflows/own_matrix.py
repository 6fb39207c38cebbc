"""A matrix that may be written: never the one that is installed with this program."""

from __future__ import annotations

from pathlib import Path

from provision.errors import ToolFailedError, UsageError
from provision.matrix import default_path
from provision.system import write_atomic

_SHIPPED = "_data"


def check_own(path: Path) -> None:
    """Raise UsageError, code ``matrix-not-yours``, for the matrix that is installed with us."""
    if path == default_path() and path.parent.name == _SHIPPED:
        raise UsageError(
            "the matrix in force is installed with this program",
            code="matrix-not-yours",
            why=(str(path), "the next installation would undo what is written into it"),
            hint="name a file of your own with --matrix FILE",
        )


def write_matrix(path: Path, text: str) -> None:
    """Write a matrix in one step; raises ToolFailedError, code ``matrix-not-written``."""
    try:
        write_atomic(path, text, mode=path.stat().st_mode & 0o777)
    except OSError as error:
        why = (error.strerror or str(error),)
        raise ToolFailedError(f"{path} cannot be written", code="matrix-not-written", why=why) from error

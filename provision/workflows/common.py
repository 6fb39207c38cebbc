"""What several workflows need: the machine in question and the matrix in force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision import matrix
from provision.host import TIME_LIMIT, describe, detect
from provision.model.host import HostFacts
from provision.model.matrix import Matrix
from provision.system import System
from provision.workflows.settings import Settings

FOR_VARIABLE = "TFGPU_FOR"


def host_for(system: System, for_: Sequence[str] | None, *, wide: bool = False, limit: float = TIME_LIMIT) -> HostFacts:
    """Return the machine in question: the ``--for`` values, else ``TFGPU_FOR``, else this one.

    Args:
        system: the door.
        for_: the values of ``--for``; None or empty where the option was not given.
        wide: also look for interpreters, toolkits, tools and disk space, which deciding does not need.
        limit: seconds for each child process that loads a driver library.

    Raises:
        UsageError: code ``bad-for``.
        InvalidFileError: code ``bad-capture``.
    """
    texts = tuple(for_ or ())
    if not texts and system.environ.get(FOR_VARIABLE, "").strip():
        texts = (system.environ[FOR_VARIABLE],)
    return describe(texts, system) if texts else detect(system, wide=wide, limit=limit)


def load_matrix(option: Path | None, settings: Settings) -> Matrix:
    """Return the matrix in force: the ``--matrix`` file, else ``[tool.tfgpu] matrix``, else the one shipped with us.

    Raises:
        InvalidFileError: the file is wrong; all its errors at once.
    """
    return matrix.load(option or settings.path("matrix"))

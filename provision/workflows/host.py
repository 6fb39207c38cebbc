"""The host command: look at this machine, or at a described one, and say everything that is known."""

from __future__ import annotations

from collections.abc import Sequence

from provision.host import TIME_LIMIT
from provision.model.host import HostFacts
from provision.system import System
from provision.workflows.common import host_for


def look(system: System, for_: Sequence[str] | None, *, limit: float = TIME_LIMIT) -> HostFacts:
    """Return all facts of the machine in question.

    Args:
        system: the door.
        for_: the values of ``--for``.
        limit: seconds for each child process that loads a driver library.

    Raises:
        UsageError: code ``bad-for``.
        InvalidFileError: code ``bad-capture``.
    """
    return host_for(system, for_, wide=True, limit=limit)

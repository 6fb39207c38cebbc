"""This machine, or a described one, as `HostFacts`: every fact with its source.

The functions import what they need when they are called: a described machine needs none of the detection.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from provision.model.host import HostFacts, Interpreter
from provision.system import System

TIME_LIMIT = 60.0
"""Seconds for each driver library: an idle machine of eight GPUs may need more than twenty."""

__all__ = ["TIME_LIMIT", "describe", "detect", "find_interpreters"]


def detect(system: System, *, wide: bool = True, limit: float = TIME_LIMIT) -> HostFacts:
    """Return this machine; see `provision.host.detection.detect`."""
    from provision.host import detection  # noqa: PLC0415 - see above

    return detection.detect(system, wide=wide, limit=limit)


def describe(texts: Sequence[str], system: System) -> HostFacts:
    """Return the machine that ``--for`` values describe; see `provision.host.description.describe`."""
    from provision.host import description  # noqa: PLC0415 - see above

    return description.describe(texts, system)


def find_interpreters(system: System, series: Collection[str] = ()) -> tuple[Interpreter, ...]:
    """Return every Python 3 of this machine; see `provision.host.interpreters.find_interpreters`."""
    from provision.host import interpreters  # noqa: PLC0415 - see above

    return interpreters.find_interpreters(system, series)

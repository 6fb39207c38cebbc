"""From a lock to what the installer needs; the counterpart of `provision.backends.resolve`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from provision.backends.resolve import Resolution
from provision.backends.uv import Sources
from provision.lock.requirements import render_lock
from provision.model.lock import Lock, Locked

BUILD_TOOLS = "build-tools.txt"
"""Name of the file with the lock of the build tools, beside a resolution and in an environment's own folder."""


def resolution_of(lock: Lock, scratch: Callable[[], Path], *, allow_source: bool) -> Resolution:
    """Return exactly what a lock names; what is built, and with what, is the lock's as well.

    Args:
        lock: already held against the rules of what may be built (`unlocked_source` in the workflow).
        scratch: gives a folder for the file with the build tools.
        allow_source: let uv build whatever has no wheel.
    """
    sources = Sources(lock.source_only, everything=allow_source)
    tools = None
    if lock.build_tools:
        tools = scratch() / BUILD_TOOLS
        tools.write_text(render_lock(lock.build_tools), encoding="utf-8")
    return Resolution(lock.packages, sources, tools)


def same_packages(one: Sequence[Locked], other: Sequence[Locked]) -> bool:
    """Whether two lists name the same packages in the same versions with a file in common."""
    if [item.requirement for item in one] != [item.requirement for item in other]:
        return False
    return all(set(here.hashes) & set(there.hashes) for here, there in zip(one, other, strict=True))

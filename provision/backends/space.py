"""Whether the disk holds what is about to be written."""

from __future__ import annotations

import os
from pathlib import Path

from provision.errors import ToolFailedError
from provision.model.plan import Plan
from provision.system import System

_UNPACKED_MIB = {11: 4700, 12: 6700}
"""MiB of an environment on disk by CUDA major; measured on 2.10.1 and 2.4.1 (CUDA 11.8) and 2.21.0 (CUDA 12.9), the
largest of each, on 2026-11-21. 2.16.1 (CUDA 12.3) takes 4,716."""
_OTHERWISE_MIB = 6700
_OWN_MIB = 300
"""What an environment takes where its files are hardlinks into uv's cache: folders, links, byte code, records."""


def need_mib(plan: Plan, *, cached: bool, linked: bool) -> tuple[int, int]:
    """Return the MiB needed in uv's cache and in the environment itself, estimated from the CUDA major.

    Args:
        plan: its library set decides.
        cached: everything is in the cache already.
        linked: cache and environment are on one file system, so that files are shared.
    """
    whole = _UNPACKED_MIB.get(plan.library_set.cuda.major, _OTHERWISE_MIB)
    return (0 if cached else whole), (_OWN_MIB if linked else whole)


def same_file_system(one: Path, other: Path) -> bool:
    """Whether two places are on one file system; for a place that does not exist its nearest parent counts."""
    try:
        return _existing(one).stat().st_dev == _existing(other).stat().st_dev
    except OSError:
        return False


def check_space(system: System, plan: Plan, cache: Path, parent: Path, *, cached: bool) -> None:
    """Raise ToolFailedError (``no-space``) where the disk will not hold it; unknown free space is no obstacle."""
    linked = same_file_system(cache, parent)
    in_cache, in_place = need_mib(plan, cached=cached, linked=linked)
    needs = [(parent, in_cache + in_place)] if linked else [(cache, in_cache), (parent, in_place)]
    short = []
    for place, need in needs:
        free = system.free_mib(place)
        if free is not None and free < need:
            short.append(f"{os.fspath(place)}: {free} MiB free, about {need} MiB needed")
    if short:
        raise ToolFailedError(
            "there is not enough space on the disk",
            code="no-space",
            why=tuple(short),
            hint="free some space (`uv cache prune` helps), choose a path on another disk, or set UV_CACHE_DIR",
        )


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path

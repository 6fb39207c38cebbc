"""Whether somebody else changed the environment while its copy was being changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from provision.model.environment import RECORD_FOLDER
from provision.model.repair import Patch
from provision.repair.files.patch import REPAIRS
from provision.repair.files.settle import BYTE_CODE

Mark = tuple[int, int, int]
"""Type and mode, size, time of the last change of the content in nanoseconds; of a folder only the first, since what is
in it has marks of its own. Inodes are no part of it: on overlayfs, the copy by hard links changes them."""
Footprint = Mapping[str, Mark]


def footprint(prefix: Path, left_out: Collection[Path] = ()) -> Footprint:
    """Return the mark of every path, byte code, the journal and ``left_out`` aside; raises OSError."""
    found: dict[str, Mark] = {}
    _walk(os.fspath(prefix), "", frozenset(map(os.fspath, left_out)), found)
    return found


def changed_since(before: Footprint, prefix: Path, patch: Patch) -> tuple[str, ...]:
    """Return the paths of a patch that are not what they were."""
    changed = []
    for change in patch.changes:
        if change.path.startswith("/"):
            continue
        try:
            now: Mark | None = _mark((prefix / change.path).lstat())
        except OSError:
            now = None
        if now != before.get(change.path):
            changed.append(change.path)
    return tuple(changed)


def _walk(folder: str, inside: str, left_out: frozenset[str], found: dict[str, Mark]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{inside}{entry.name}"
            if entry.name == BYTE_CODE or path == f"{RECORD_FOLDER}/{REPAIRS}" or entry.path in left_out:
                continue
            found[path] = _mark(entry.stat(follow_symlinks=False))
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path, f"{path}/", left_out, found)


def _mark(found: os.stat_result) -> Mark:
    folder = stat.S_ISDIR(found.st_mode)
    return (found.st_mode, 0 if folder else found.st_size, 0 if folder else found.st_mtime_ns)

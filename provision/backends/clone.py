"""A copy of an environment that costs no disk: hard links for what installers only replace, copies for the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from provision.errors import ToolFailedError
from provision.model.environment import RECORD_FOLDER

_COPIED_BELOW = frozenset({"bin", "conda-meta", RECORD_FOLDER})
"""Folders at the root of an environment whose files are copied."""


def clone(source: Path, target: Path, left_out: Collection[Path] = ()) -> None:
    """Fill the empty folder ``target`` with what is in ``source``; links are kept as links.

    A hard link must never be written through. uv replaces files (it writes beside and renames, or removes and links),
    and so do we; what is small and rewritten more often (scripts, dist-info folders, our own records, everything at
    the root) is copied all the same.

    Args:
        source: the environment.
        target: must not be below ``source``, unless that part of it is left out.
        left_out: absolute paths below ``source`` that the copy does not get.

    Raises:
        OSError: something cannot be read or written.
    """
    _fill(os.fspath(source), os.fspath(target), frozenset(map(os.fspath, left_out)), copied=False, top=True)


def clone_failed(error: OSError, source: Path) -> ToolFailedError:
    """Return the failure, code ``clone-failed``, for what `clone` has raised."""
    return ToolFailedError(
        "the environment cannot be copied beside itself",
        code="clone-failed",
        why=(f"{error.filename or source}: {error.strerror or error}",),
        hint="check rights and free space there",
    )


def _fill(source: str, target: str, left_out: frozenset[str], *, copied: bool, top: bool = False) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            if left_out and entry.path in left_out:
                continue
            there = f"{target}{os.sep}{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), there)  # noqa: PTH115, PTH211 - 25,000 times
            elif entry.is_dir(follow_symlinks=False):
                Path(there).mkdir(mode=0o700)
                small = copied or entry.name.endswith(".dist-info") or (top and entry.name in _COPIED_BELOW)
                _fill(entry.path, there, left_out, copied=small)
            elif entry.is_file(follow_symlinks=False) and (copied or top):
                shutil.copy2(entry.path, there, follow_symlinks=False)
            else:
                _link(entry, there)
    shutil.copystat(source, target)


def _link(entry: os.DirEntry[str], there: str) -> None:
    try:
        os.link(entry.path, there, follow_symlinks=False)
    except OSError:
        # Another file system below the environment, a file of somebody else, or too many links.
        shutil.copy2(entry.path, there, follow_symlinks=False)

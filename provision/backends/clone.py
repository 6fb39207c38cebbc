"""A copy of an environment that costs no disk: hard links for what installers only replace, copies for the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from provision.model.environment import RECORD_FOLDER

_COPIED_BELOW = frozenset({"bin", RECORD_FOLDER})
"""Folders at the root of an environment whose files are copied."""


def clone(source: Path, target: Path) -> None:
    """Fill the empty folder ``target`` with what is in ``source``; links are kept as links.

    A hard link must never be written through. uv replaces files (it writes beside and renames, or removes and links),
    and so do we; what is small and rewritten more often (scripts, dist-info folders, our own records, everything at
    the root) is copied all the same.

    Raises:
        OSError: something cannot be read or written.
    """
    _fill(os.fspath(source), os.fspath(target), copied=False, top=True)


def _fill(source: str, target: str, *, copied: bool, top: bool = False) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            there = f"{target}{os.sep}{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), there)  # noqa: PTH115, PTH211 - 25,000 times
            elif entry.is_dir(follow_symlinks=False):
                Path(there).mkdir(mode=0o700)
                small = copied or entry.name.endswith(".dist-info") or (top and entry.name in _COPIED_BELOW)
                _fill(entry.path, there, copied=small)
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

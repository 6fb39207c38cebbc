"""Writing so that a crash leaves either the old file or the new one."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file beside its place, sync it, and rename it there; raises OSError, leaving what was there."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


def write_all_atomic(contents: Mapping[Path, bytes], *, mode: int = 0o644) -> None:
    """Write several files, folders above them included; raises OSError before any is replaced where one cannot be.

    All are written and synced beside their places first, so that what is left are renames.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            staged[path] = Path(name)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            staged[path].chmod(mode)
        for path, beside in staged.items():
            beside.replace(path)
    except BaseException:
        for beside in staged.values():
            with contextlib.suppress(OSError):
                beside.unlink()
        raise
    for parent in {path.parent for path in contents}:
        sync_directory(parent)


def sync_directory(path: Path) -> None:
    """Make renames and new names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a folder and everything below it; links are removed, never followed; a missing folder is fine."""

    def make_writable(function: Any, name: str, _error: object) -> None:
        # A folder without the write bit keeps its entries; hardlinked files keep their mode.
        parent = Path(name).parent
        parent.chmod(parent.stat().st_mode | stat.S_IRWXU)
        function(name)

    if path.is_symlink():
        path.unlink()
        return
    if path.exists():
        shutil.rmtree(path, onerror=make_writable)

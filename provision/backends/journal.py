"""The journal of one create: a lock and a memory in one file beside the target.

While a create runs, its process holds the file's lock (`flock`), which the kernel releases however the process ends.
A journal whose lock is free therefore belongs to a create that was killed, and its lines say how far that one came.
Each line is one JSON object, synced before the step that it announces; a torn last line is a step not taken.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.errors import ToolFailedError
from provision.system import sync_directory

_LIMIT = 1 << 20


class Journal:
    """An open, locked journal.

    Attributes:
        path: the file.
        earlier: the lines that a killed create left, empty where there was none.
    """

    def __init__(self, path: Path) -> None:
        """Create or open the journal and lock it.

        Raises:
            ToolFailedError: code ``busy`` where another create of the same target runs.
            OSError: the folder cannot be written.
        """
        self.path = path
        descriptor = lock_file(path)
        if descriptor is None:
            raise ToolFailedError(
                "another create works on this path now",
                code="busy",
                why=(f"{path} is locked by a running process",),
                hint="wait until it has finished, or choose another path",
            )
        self._descriptor = descriptor
        self.earlier = _lines(self._descriptor)

    def write(self, step: str, **facts: str) -> None:
        """Add a line and sync it."""
        line = json.dumps({"step": step, **facts}) + "\n"
        os.write(self._descriptor, line.encode())
        os.fsync(self._descriptor)
        if step == "begin":
            sync_directory(self.path.parent)

    def restart(self) -> None:
        """Forget the earlier lines, once what they tell of was cleaned."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.earlier = ()

    def close(self, *, remove: bool) -> None:
        """Release the lock; with ``remove`` nothing is left to remember."""
        if self._descriptor < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def lock_file(path: Path) -> int | None:
    """Create or open a file, lock it, and return its descriptor, which is to be closed; None where another has it.

    The kernel releases the lock however the process ends. Raises OSError where the file cannot be opened.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise
        # The winner removes the file when it is done: what we locked may no longer be what stands there.
        with contextlib.suppress(OSError):
            here, ours = path.stat(), os.fstat(descriptor)
            if (here.st_dev, here.st_ino) == (ours.st_dev, ours.st_ino):
                return descriptor
        os.close(descriptor)


def _lines(descriptor: int) -> tuple[Mapping[str, Any], ...]:
    text = os.pread(descriptor, _LIMIT, 0).decode("utf-8", "replace")
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), str):
            break
        found.append(entry)
    return tuple(found)

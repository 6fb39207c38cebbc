"""Who may repair an environment now: a lock in it against other repairs, one beside it against create and sync."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from provision.backends.journal import lock_file
from provision.backends.transaction import journal_path
from provision.errors import InvalidFileError, ToolFailedError
from provision.repair.files.images import kind_of, remove

_NAME = "lock"
_PATIENCE = 0.5
"""Seconds; `ours_or_free` of another process holds the lock for a moment."""
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_taken: dict[tuple[int, int], Taken] = {}
"""The locks of this process by device and inode: asking the kernel would tell us that somebody has them."""


@dataclass
class Taken:
    """A lock that this process has.

    Attributes:
        folder: of the repairs.
        working_on: names of the repairs whose journal is open.
        descriptors: of the locked files.
        passing: locked files that go with the lock.
    """

    folder: Path
    working_on: set[str] = field(default_factory=set)
    descriptors: list[int] = field(default_factory=list)
    passing: list[Path] = field(default_factory=list)

    def release(self) -> None:
        """Let others in; folders with nothing but the lock go. It may be called twice."""
        if not self.descriptors:
            return
        with contextlib.suppress(OSError):
            if os.listdir(self.folder) == [_NAME]:  # noqa: PTH208 - names only
                remove(self.folder / _NAME)
                self.folder.rmdir()
                self.folder.parent.rmdir()
        for path in self.passing:
            with contextlib.suppress(OSError):
                remove(path)
        found = os.fstat(self.descriptors[0])
        _taken.pop((found.st_dev, found.st_ino), None)
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def take(prefix: Path, folder: Path) -> Taken:
    """Lock an environment; ``folder`` is that of its repairs, and is made.

    Raises:
        ToolFailedError: ``busy``, ``not-writable``.
        InvalidFileError: ``bad-journal``.
        OSError: the disk refused.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        descriptor = _open(prefix, folder)
        if descriptor is not None:
            break
        if time.monotonic() > end:
            raise _busy(f"another repair of {prefix} runs now", folder / _NAME)
        time.sleep(0.02)
    taken = Taken(folder)
    taken.descriptors.append(descriptor)
    found = os.fstat(descriptor)
    _taken[found.st_dev, found.st_ino] = taken
    try:
        _lock_beside(prefix, taken)
    except BaseException:
        taken.release()
        raise
    return taken


def ours_or_free(folder: Path) -> Taken | None:
    """Return the lock where this process has it, an empty one where nobody has, None where another process has."""
    nobody = Taken(folder)
    try:
        descriptor = os.open(folder / _NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return nobody
    try:
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) in _taken:
            return _taken[found.st_dev, found.st_ino]
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:
        return nobody
    finally:
        os.close(descriptor)
    return nobody


def _open(prefix: Path, folder: Path) -> int | None:
    try:
        for path in (folder.parent, folder):
            if kind_of(path) == "nothing":
                with contextlib.suppress(FileExistsError):
                    path.mkdir(mode=0o755)
            elif kind_of(path) != "folder":
                raise InvalidFileError(f"{path} is no folder", code="bad-journal", why=("a repair makes one",))
        return lock_file(folder / _NAME)
    except FileNotFoundError:
        if not prefix.is_dir():
            raise
        # Another repair ended just now and took its folder with it.
        return None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise ToolFailedError(
                f"{prefix} is on a file system that has no locks",
                code="no-locks",
                why=(f"{error.filename or folder}: {error.strerror}",),
                hint="mount it with locks, or build another environment: `tfgpu-provision repair --into PATH`",
            ) from None
        if error.errno not in _READ_ONLY:
            raise
        raise ToolFailedError(
            f"{prefix} cannot be written to",
            code="not-writable",
            why=(f"{error.filename or folder}: {error.strerror}",),
            hint="run it as the owner of the environment, or build another one: `tfgpu-provision repair --into PATH`",
        ) from None


def _lock_beside(prefix: Path, taken: Taken) -> None:
    """Take the lock of create and sync, which exchange the whole environment; where we may write beside it."""
    path = journal_path(prefix)
    try:
        descriptor = lock_file(path)
    except OSError:
        # Then neither create nor sync can work here: both begin by making this file.
        return
    if descriptor is None:
        raise _busy(f"create or sync works on {prefix} now", path)
    taken.descriptors.append(descriptor)
    if os.fstat(descriptor).st_size == 0:
        taken.passing.append(path)


def _busy(what: str, path: Path) -> ToolFailedError:
    return ToolFailedError(
        what, code="busy", why=(f"{path} is locked by a running process",), hint="wait until it has finished"
    )

"""What stands at a path, and putting a file there so that a crash leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path

from provision.model.repair import NOTHING, PathState

_BLOCK = 1 << 20
_CANNOT_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)
"""Another file system, one without hard links, a file of somebody else, too many links: a copy serves as well."""

_TICK = 50_000_000
"""Nanoseconds; the kernel takes a file's time from a clock that moves every 10 ms or more often."""
_digests: dict[tuple[int, int, int, int], str] = {}
"""By device, inode, size and time of the last change in nanoseconds."""


def state_of(path: Path) -> PathState:
    """Return what stands at a path, a file's digest included; kind ``special`` for pipes, sockets and devices.

    Raises OSError where it cannot be read.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return PathState("link", target=os.readlink(path))  # noqa: PTH115 - as it is written
    if stat.S_ISDIR(found.st_mode):
        return PathState("folder", mode)
    if stat.S_ISREG(found.st_mode):
        return PathState("file", mode, found.st_size, sha256_of(path))
    return PathState("special", mode)


def kind_of(path: Path) -> str:
    """Return what stands at a path without reading it."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING.kind
    for test, kind in ((stat.S_ISLNK, "link"), (stat.S_ISDIR, "folder"), (stat.S_ISREG, "file")):
        if test(mode):
            return kind
    return "special"


def sha256_of(path: Path) -> str:
    """Return the digest of a regular file's content, hexadecimal; raises OSError, also for a link.

    A file that did not change since this process read it is not read again: a repair looks at each several times.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        found = os.fstat(descriptor)
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if key in _digests:
            return _digests[key]
        digest = hashlib.sha256()
        while block := stream.read(_BLOCK):
            digest.update(block)
        # What was written just now may be written again without another time.
        if abs(time.time_ns() - found.st_mtime_ns) > _TICK:
            _digests[key] = digest.hexdigest()
    return digest.hexdigest()


def is_in(path: Path, wanted: PathState, image: Path | None = None) -> bool:
    """Whether a path is in a state; of folders only that they are folders counts.

    Args:
        path: the place.
        wanted: the state.
        image: another name of the wanted file where there may be one: a hard link to it needs no reading.
    """
    kind = kind_of(path)
    if kind != wanted.kind:
        return False
    if kind == "link":
        return os.readlink(path) == wanted.target  # noqa: PTH115 - as it is written
    if kind != "file":
        return True
    found = path.lstat()
    if (stat.S_IMODE(found.st_mode), found.st_size) != (wanted.mode, wanted.size):
        return False
    if image is not None:
        with contextlib.suppress(OSError):
            other = image.lstat()
            if (found.st_dev, found.st_ino) == (other.st_dev, other.st_ino):
                return True
    return sha256_of(path) == wanted.sha256


def confined(root: Path, path: str, *, make: bool = False) -> Path | None:
    """Return a path below ``root`` that no link leads out of; None where a folder above it is none.

    A path that is absolute lies outside by what it is; it is returned where its folder is there.

    Args:
        root: a folder.
        path: normalised, without ``..``.
        make: make folders that are missing.

    Raises:
        OSError: a folder cannot be made or looked at.
    """
    if path.startswith("/"):
        return Path(path) if Path(path).parent.is_dir() else None
    *above, name = path.split("/")
    # Text instead of paths: it runs some times for each of thousands.
    here = os.fspath(root)
    for part in above:
        here = f"{here}/{part}"
        try:
            mode = os.lstat(here).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if not make:
                return None
            Path(here).mkdir()
        else:
            if not stat.S_ISDIR(mode):
                return None
    return Path(f"{here}/{name}")


def bring(source: Path, target: Path, beside: Path) -> None:
    """Let ``target`` be the same file as ``source``: by a hard link, else a copy; it is replaced in one step.

    Args:
        source: a regular file; it stays.
        target: what stands there is replaced; a folder is not.
        beside: a name in the same folder, used meanwhile.

    Raises:
        OSError: nothing was changed at ``target``.
    """
    remove(beside)
    try:
        put(source, beside)
        beside.replace(target)
    finally:
        # Renaming one of two names of a file to the other leaves both.
        remove(beside)


def put(source: Path, target: Path) -> None:
    """Make ``target``, which is not there, the same file as ``source``: by a hard link, else a copy; raises OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        try:
            _copy(source, target)
        except BaseException:
            remove(target)
            raise


def remove(path: Path) -> None:
    """Remove a file or link; one that is missing is fine. Raises OSError."""
    try:
        path.unlink()
    except OSError:
        # A read-only file system refuses before it looks, and nothing is there to be removed.
        if kind_of(path) != NOTHING.kind:
            raise


def _copy(source: Path, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(reading, "rb") as old, os.fdopen(os.open(target, flags, 0o600), "wb") as new:
        shutil.copyfileobj(old, new, _BLOCK)
        new.flush()
        found = os.fstat(old.fileno())
        if found.st_uid != os.geteuid() or found.st_gid != os.getegid():
            with contextlib.suppress(OSError):
                os.fchown(new.fileno(), found.st_uid, found.st_gid)
        os.fchmod(new.fileno(), stat.S_IMODE(found.st_mode))
        os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(new.fileno())


def sync_file_system(folder: Path) -> None:
    """Write everything to the disk that is on the file system of a folder; raises OSError.

    One call (syncfs, Linux 2.6.39, glibc 2.14) instead of one for each of thousands of files.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if call(descriptor) != 0:
            code = ctypes.get_errno()
            if code == errno.ENOSYS:
                os.sync()
                return
            raise OSError(code, os.strerror(code), os.fspath(folder))
    finally:
        os.close(descriptor)

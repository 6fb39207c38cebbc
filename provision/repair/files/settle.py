"""Bring the paths of a patch to one of its two ends, from any state in between.

Every step is repeatable and loses nothing: a file is replaced only when the journal holds it, and a path that is in
neither state (somebody else was there) is not touched on the way forward and put aside on the way back. Between a
folder and a file or link at the same path there is a moment with nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import ToolFailedError
from provision.model.repair import NOTHING, PathState
from provision.repair.files.images import bring, confined, is_in, kind_of, put, remove, sync_file_system
from provision.system import remove_tree

BYTE_CODE = "__pycache__"
Images = Callable[[int, str, bool], Path | None]
"""Names the place in the journal of a path's file, by number and path; with True the folders above are made."""
OnPath = Callable[[str], None]
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Move:
    """One path: ``want`` is where it goes, ``rest`` where it may come from."""

    number: int
    path: str
    want: PathState
    rest: PathState

    @property
    def makes_room(self) -> bool:
        """Whether something must go before what is wanted can come."""
        return self.want == NOTHING or (
            self.want.kind != self.rest.kind and "folder" in (self.want.kind, self.rest.kind)
        )


class Settling:
    """One way through a patch.

    Args:
        prefix: the environment.
        wanted: holds the files of the wanted states.
        other: holds, or is given, the files of the other states.
        aside: where what is in neither state is put; None raises instead.
    """

    def __init__(self, prefix: Path, wanted: Images, other: Images, aside: Path | None) -> None:
        self._prefix = prefix
        self._wanted = wanted
        self._other = other
        self._aside = aside
        self._disks: dict[int, Path] = {}

    def run(self, moves: Sequence[Move], on_path: OnPath | None) -> None:
        """Move every path, the folders above first; ``on_path`` is told each before it is looked at.

        Raises:
            OSError: the disk refused; everything is in one of its two states, and nothing is lost.
            ToolFailedError: ``changed-meanwhile``.
        """
        tell = on_path or (lambda _path: None)
        if self._aside is not None:
            moves = [move for move in moves if not self._is_theirs(move)]
        for move in moves:
            self._open(move)
        for move in reversed(moves):
            if move.makes_room:
                tell(move.path)
                self._clear(move)
        for move in moves:
            if move.want != NOTHING:
                tell(move.path)
                self._make(move)
        for move in reversed(moves):
            self._close(move)
        drop_byte_code(self._prefix, (move.path for move in moves))
        sync_file_system(self._prefix)
        for folder in self._disks.values():
            sync_file_system(_standing(folder))

    def _is_theirs(self, move: Move) -> bool:
        """Whether a file outside of the environment is in neither state: then it is left to whoever changed it."""
        if not move.path.startswith("/"):
            return False
        place = Path(move.path)
        return not is_in(place, move.want) and not is_in(place, move.rest)

    def _open(self, move: Move) -> None:
        """Let us work in folders whose mode forbids it, if they are ours."""
        if "folder" not in (move.want.kind, move.rest.kind):
            return
        place = confined(self._prefix, move.path)
        if place is None or kind_of(place) != "folder":
            return
        mode = stat.S_IMODE(place.lstat().st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            with contextlib.suppress(PermissionError):
                place.chmod(mode | stat.S_IRWXU)

    def _close(self, move: Move) -> None:
        if move.want.kind != "folder":
            return
        place = confined(self._prefix, move.path)
        if place is not None and stat.S_IMODE(place.lstat().st_mode) != move.want.mode:
            place.chmod(move.want.mode)

    def _clear(self, move: Move) -> None:
        place = confined(self._prefix, move.path)
        if place is None:
            return
        remove(beside(place))
        kind = kind_of(place)
        if kind == NOTHING.kind or kind == move.want.kind == "folder":
            return
        if kind == "folder" or move.want.kind in (NOTHING.kind, "folder"):
            self._take_away(move, place)
        self._note(place.parent)

    def _make(self, move: Move) -> None:
        place = confined(self._prefix, move.path, make=self._aside is not None)
        if place is None:
            raise NotADirectoryError(errno.ENOTDIR, "a folder above it is missing", str(self._prefix / move.path))
        self._note(place.parent)
        remove(beside(place))
        kind, want = kind_of(place), move.want
        if want.kind == "folder":
            if kind != "folder":
                self._take_away(move, place)
                place.mkdir(mode=want.mode | stat.S_IRWXU)
            return
        image = self._wanted(move.number, move.path, False) if want.kind == "file" else None
        if is_in(place, want, image):
            return
        if kind == "folder":
            self._take_away(move, place)
        elif kind != NOTHING.kind:
            self._secure(move, place)
        if want.kind == "link":
            os.symlink(want.target, beside(place))  # noqa: PTH211 - as it was written
            beside(place).replace(place)
        else:
            self._bring(checked(image, want, move.path), place)

    def _bring(self, image: Path, place: Path) -> None:
        try:
            bring(image, place, beside(place))
        except OSError as error:
            if error.errno not in _FULL or self._aside is None or kind_of(place) == "folder":
                raise
            # A full disk may have no room for both; what stands here is in the journal, and its room will do.
            remove(place)
            put(image, place)

    def _take_away(self, move: Move, place: Path) -> None:
        """Remove what stands at a place, once it is known or put aside."""
        kind = kind_of(place)
        if kind == NOTHING.kind:
            return
        if kind != "folder":
            self._secure(move, place)
            remove(place)
            return
        if move.rest.kind != "folder":
            self._put_aside(move.path, place)
            return
        for name in sorted(os.listdir(place)):  # noqa: PTH208 - names only
            if name == BYTE_CODE:
                remove_tree(place / name) if kind_of(place / name) == "folder" else remove(place / name)
            else:
                self._put_aside(f"{move.path}/{name}", place / name)
        place.rmdir()

    def _secure(self, move: Move, place: Path) -> None:
        """See that the journal holds the file that stands at a place; what it does not know is put aside."""
        image = self._other(move.number, move.path, False) if move.rest.kind == "file" else None
        if is_in(place, move.rest, image):
            if move.rest.kind == "file" and (image is None or kind_of(image) != "file"):
                image = self._other(move.number, move.path, True)
                if image is None:
                    raise NotADirectoryError(errno.ENOTDIR, "the journal is not what it should be", move.path)
                bring(place, image, image.with_name(beside(place).name))
            return
        if not is_in(place, move.want):
            self._put_aside(move.path, place)

    def _put_aside(self, path: str, place: Path) -> None:
        if self._aside is None:
            raise ToolFailedError(
                "something else changes the environment at the same time",
                code="changed-meanwhile",
                why=(f"{place} is neither what it was nor what the repair makes of it",),
                hint="end what works in the environment (pip, conda, a notebook that installs), then repair again",
            )
        number = 0
        while True:
            name = path.lstrip("/") + (f".{number}" if number else "")
            target = confined(self._aside.parent, f"{self._aside.name}/{name}", make=True)
            if target is None:
                raise NotADirectoryError(errno.ENOTDIR, "the journal is not what it should be", str(self._aside))
            if kind_of(target) == NOTHING.kind:
                break
            number += 1
        shutil.move(place, target)

    def _note(self, folder: Path) -> None:
        device = folder.stat().st_dev
        if device != self._prefix.stat().st_dev:
            self._disks.setdefault(device, folder)


def _standing(folder: Path) -> Path:
    """Return a folder, or what is left above it."""
    return folder if folder.is_dir() else _standing(folder.parent)


def beside(place: Path) -> Path:
    """Return the name that is used beside a place while it changes: short, its own, and the same every time."""
    return place.with_name(f".tfgpu-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}")


def checked(image: Path | None, wanted: PathState, path: str) -> Path:
    """Return a file of the journal that has the size and mode that are noted; raises OSError for another one."""
    if image is None or kind_of(image) != "file":
        raise FileNotFoundError(errno.ENOENT, "the repair's journal does not have the file", path)
    found = image.lstat()
    if (found.st_size, stat.S_IMODE(found.st_mode)) != (wanted.size, wanted.mode):
        raise OSError(errno.EIO, "the file in the repair's journal is not the one that was noted", path)
    return image


def drop_byte_code(prefix: Path, paths: Iterable[str]) -> None:
    """Remove the byte code of every source file of these, so that Python compiles what is there now.

    What cannot be removed stays: Python holds byte code against the source's time and size as well.
    """
    stems: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name.endswith(".py"):
            stems.setdefault(folder, set()).add(name[:-3])
    for folder, names in stems.items():
        cache = confined(prefix, f"{folder}/{BYTE_CODE}" if folder else BYTE_CODE)
        if cache is None or kind_of(cache) != "folder":
            continue
        with contextlib.suppress(OSError):
            for name in os.listdir(cache):  # noqa: PTH208 - names only
                stem = name.removesuffix(".pyc")
                stem = stem.rpartition(".")[0] if ".opt-" in stem else stem
                if name.endswith(".pyc") and stem.rpartition(".")[0] in names:
                    remove(cache / name)
            cache.rmdir()

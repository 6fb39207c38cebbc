"""What a repair changes, path by path: found by comparing, kept for undo, carried out, and taken back."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from provision.errors import ToolFailedError
from provision.model.environment import RECORD_FOLDER
from provision.model.repair import NOTHING, Patch, PathChange, PathState
from provision.repair.files.images import bring, confined, is_in, kind_of, state_of
from provision.repair.files.settle import BYTE_CODE, Images, Move, OnPath, Settling

REPAIRS = "repairs"
"""The folder of the journal, below `RECORD_FOLDER`."""
_JOURNAL = f"{RECORD_FOLDER}/{REPAIRS}"


def difference(before: Path, after: Path, left_out: Collection[str] = ()) -> Patch:
    """Compare two folders, byte code and the journal aside.

    Two names of one file are the same without a look into it; 30,000 of them take about half a second.

    Args:
        before: the environment.
        after: its copy.
        left_out: folders, relative, that the copy does not have of its own, see `provision.repair.stage.build_stage`.

    Raises:
        ToolFailedError: ``special-file``, where a pipe, socket or device would have to change.
        OSError: something cannot be read.
    """
    changes: list[PathChange] = []
    _compare(before, after, "", changes, frozenset((*left_out, _JOURNAL)))
    return Patch(tuple(sorted(changes, key=lambda change: change.path)))


def outside_image(stage: Path, path: Path) -> Path:
    """Return where the new content of a file outside of the environment is to be written (a Jupyter kernel's)."""
    return stage.with_name("outside") / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def with_outside(patch: Patch, stage: Path, paths: Iterable[Path]) -> Patch:
    """Add files outside, whose new content and mode `outside_image` has; raises OSError."""
    more = [PathChange(str(path), state_of(path), state_of(outside_image(stage, path))) for path in paths]
    changes = (*patch.changes, *(change for change in more if change.before != change.after))
    return Patch(tuple(sorted(changes, key=lambda change: change.path)))


def keep(patch: Patch, prefix: Path, kept: Path) -> int:
    """Keep every file that will change, as hard links where the file system has them; return their bytes.

    It may be called again.

    Raises:
        ToolFailedError: ``changed-meanwhile``.
        OSError: the disk refused.
    """
    kept.mkdir(exist_ok=True)
    total = 0
    for number, change in enumerate(patch.changes):
        if change.before.kind != "file":
            continue
        place, image = confined(prefix, change.path), kept / str(number)
        if place is None or not is_in(place, change.before, image):
            raise ToolFailedError(
                "something else changes the environment at the same time",
                code="changed-meanwhile",
                why=(f"{prefix / change.path} is no longer what it was when the repair was prepared",),
                hint="end what works in the environment (pip, conda, a notebook that installs), then repair again",
            )
        if kind_of(image) != "file":
            bring(place, image, kept / f"{number}.part")
        total += change.before.size
    return total


def deviations(patch: Patch, prefix: Path, *, applied: bool) -> tuple[str, ...]:
    """Return the paths that are not in the wanted state; none means that it can be left without a loss.

    What others put into a folder that would have to go counts as well.

    Args:
        patch: of a repair.
        prefix: the environment.
        applied: whether the states afterwards are wanted, or those before.
    """
    found = []
    known = {change.path for change in patch.changes}
    for change in patch.changes:
        wanted, other = (change.after, change.before) if applied else (change.before, change.after)
        place = confined(prefix, change.path)
        if place is None:
            found += [change.path] if wanted != NOTHING else []
        elif not is_in(place, wanted) or (wanted.kind == "folder" and _mode(place) != wanted.mode):
            found.append(change.path)
        elif wanted.kind == "folder" and other.kind != "folder":
            inside = (f"{change.path}/{name}" for name in sorted(os.listdir(place)) if name != BYTE_CODE)  # noqa: PTH208
            found += [path for path in inside if path not in known]
    return tuple(found)


def go_forward(patch: Patch, prefix: Path, stage: Path, kept: Path, on_path: OnPath | None = None) -> None:
    """Bring every path to its state afterwards, from any half-applied state; syncs what it did.

    Args:
        patch: of the repair.
        prefix: the environment.
        stage: has the new files; they stay there as well.
        kept: has the old files.
        on_path: told each path before it is touched.

    Raises:
        ToolFailedError: ``changed-meanwhile``: a path is in neither state; it was not touched.
        OSError: the disk refused.
    """
    moves = [Move(number, item.path, item.after, item.before) for number, item in enumerate(patch.changes)]
    Settling(prefix, _staged(stage), _kept(kept), None).run(moves, on_path)


def go_back(patch: Patch, prefix: Path, stage: Path, kept: Path, on_path: OnPath | None = None) -> None:
    """Bring every path to its state before, from any half-applied state; syncs what it did.

    The new files are in ``stage`` afterwards, so that it is possible to go forward again. What is in neither state is
    moved to the folder ``aside`` beside ``kept``.

    Raises:
        OSError: the disk refused; it can be tried again.
    """
    moves = [Move(number, item.path, item.before, item.after) for number, item in enumerate(patch.changes)]
    stage.mkdir(exist_ok=True)
    Settling(prefix, _kept(kept), _staged(stage), kept.with_name("aside")).run(moves, on_path)


def lacking(patch: Patch, prefix: Path, stage: Path, kept: Path, *, forward: bool) -> tuple[str, ...]:
    """Return the paths whose wanted file is neither in place nor, whole, in the journal; reads all of them."""
    images = _staged(stage) if forward else _kept(kept)
    found = []
    for number, change in enumerate(patch.changes):
        wanted = change.after if forward else change.before
        if wanted.kind != "file":
            continue
        place, image = confined(prefix, change.path), images(number, change.path, False)
        if (image is None or not is_in(image, wanted)) and (place is None or not is_in(place, wanted)):
            found.append(change.path)
    return tuple(found)


def _staged(stage: Path) -> Images:
    def place(_number: int, path: str, make: bool) -> Path | None:  # noqa: FBT001 - an `Images`
        if not path.startswith("/"):
            return confined(stage, path, make=make)
        image = outside_image(stage, Path(path))
        if make:
            image.parent.mkdir(exist_ok=True)
        return image if kind_of(image.parent) == "folder" else None

    return place


def _kept(kept: Path) -> Images:
    return lambda number, _path, _make: kept / str(number) if kind_of(kept) == "folder" else None


def _compare(
    one: Path | None, other: Path | None, inside: str, changes: list[PathChange], left_out: frozenset[str]
) -> None:
    """Compare two folders, of which one may be missing."""
    here, there = _entries(one), _entries(other)
    for name in {**here, **there}:
        path = f"{inside}{name}"
        if name == BYTE_CODE or path in left_out:
            continue
        old, new = here.get(name), there.get(name)
        old_folder, new_folder = _folder(old), _folder(new)
        if not (old_folder or new_folder) and old and new and _same_file(old, new):
            continue
        if not (path == RECORD_FOLDER and new is None):
            _note(path, _state(old), _state(new), changes)
        if old_folder or new_folder:
            _compare(old_folder, new_folder, f"{path}/", changes, left_out)


def _entries(folder: Path | None) -> dict[str, os.DirEntry[str]]:
    if folder is None:
        return {}
    with os.scandir(folder) as found:
        return {entry.name: entry for entry in found}


def _folder(entry: os.DirEntry[str] | None) -> Path | None:
    return Path(entry.path) if entry is not None and entry.is_dir(follow_symlinks=False) else None


def _same_file(one: os.DirEntry[str], other: os.DirEntry[str]) -> bool:
    here, there = one.stat(follow_symlinks=False), other.stat(follow_symlinks=False)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _state(entry: os.DirEntry[str] | None) -> PathState:
    return NOTHING if entry is None else state_of(Path(entry.path))


def _note(path: str, before: PathState, after: PathState, changes: list[PathChange]) -> None:
    if before == after:
        return
    if "special" in (before.kind, after.kind):
        raise ToolFailedError(
            "the repair would have to change a file that is a pipe, a socket or a device",
            code="special-file",
            why=(f"{path} is one",),
            hint="remove it from the environment, then repair again",
        )
    changes.append(PathChange(path, before, after))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)

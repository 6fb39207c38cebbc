"""Where an environment is to stand, and what stands there now."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from provision.backends.record import Record, read_record
from provision.errors import ToolFailedError, UsageError

_NAME_LIMIT = 200
"""Bytes of the last part of a path; file systems allow 255, and our own names beside it add up to 30."""
_PATH_LIMIT = 3500
"""Bytes of the whole path; the system allows 4096, and the deepest file of TensorFlow needs about 250 of them."""


class Standing(str, Enum):
    """What stands at the target."""

    NOTHING = "nothing"
    """Nothing, or an empty folder."""
    OURS = "ours"
    """An environment that this tool made, complete (see `provision.backends.transaction`)."""
    VENV = "venv"
    """A virtual environment that somebody else made."""
    FOREIGN = "foreign"
    """Anything else: a file, a folder with content, a conda environment."""


@dataclass(frozen=True)
class Place:
    """A target and what stands there; ``what`` says it in words, ``record`` is there where it is ours."""

    path: Path
    standing: Standing
    what: str = ""
    record: Record | None = None


def resolve_target(text: str | Path, folder: Path) -> Path:
    """Return the absolute path of a target; links on the way are followed, and the target itself if it is one.

    Raises:
        UsageError: code ``path-not-usable``, with the reason.
    """
    raw = os.fspath(text)
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise _unusable(ascii(raw), "it is not valid UTF-8, and records of environments are") from None
    if not raw.strip():
        raise _unusable(repr(raw), "it is empty")
    if any(not character.isprintable() for character in raw):
        raise _unusable(ascii(raw), "it holds control characters, with which activation scripts do not work")
    if os.pathsep in raw:
        raise _unusable(raw, f"it holds {os.pathsep!r}, which separates the entries of PATH")
    path = Path(os.path.normpath(folder / raw))
    if len(os.fsencode(path.name)) > _NAME_LIMIT or len(os.fsencode(path)) > _PATH_LIMIT:
        raise _unusable(f"{raw[:60]}…", f"a name may have {_NAME_LIMIT} bytes, a whole path {_PATH_LIMIT}")
    try:
        path = path.resolve() if path.exists() else path.parent.resolve() / path.name
        if path.is_symlink():
            raise _unusable(raw, "it is a link to something that does not exist")
        current = Path.cwd()
    except (OSError, RuntimeError) as error:
        raise _unusable(raw, getattr(error, "strerror", None) or str(error)) from error
    if path == current or path in current.parents:
        raise _unusable(raw, "it is the folder one stands in, or contains it")
    return path


def look_at(path: Path) -> Place:
    """Return what stands at a target; raises ToolFailedError (``no-permission``) where looking is not allowed."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode):
            return Place(path, Standing.FOREIGN, "a file" if stat.S_ISREG(mode) else "not a folder")
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except FileNotFoundError:
        return Place(path, Standing.NOTHING)
    except NotADirectoryError:
        return Place(path, Standing.FOREIGN, "below a file")
    except OSError as error:
        raise ToolFailedError(
            "the target cannot be looked at",
            code="no-permission",
            why=(f"{path}: {error.strerror}",),
            hint="choose another path",
        ) from error
    if empty:
        return Place(path, Standing.NOTHING)
    record = read_record(path)
    if record is not None:
        what = f"an environment of this tool with {record.distribution} {record.release} on Python {record.python}"
        return Place(path, Standing.OURS, what, record)
    if (path / "conda-meta").is_dir():
        return Place(path, Standing.FOREIGN, "a conda environment")
    if (path / "pyvenv.cfg").is_file():
        return Place(path, Standing.VENV, "a virtual environment that this tool did not make")
    return Place(path, Standing.FOREIGN, "a folder with other things in it")


def make_parents(path: Path) -> tuple[Path, ...]:
    """Make the folders above a target; return those that were made, deepest first.

    Raises:
        ToolFailedError: code ``no-permission`` or ``path-not-usable`` where that is not possible.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(13, "no right to write there", os.fspath(path.parent))
    except OSError as error:
        code = "no-permission" if isinstance(error, PermissionError) else "path-not-usable"
        raise ToolFailedError(
            "no environment can be made there",
            code=code,
            why=(f"{error.filename or path.parent}: {error.strerror or error}",),
            hint="choose a path in a folder that you can write",
        ) from error
    return tuple(missing)


def _unusable(shown: str, why: str) -> UsageError:
    return UsageError(
        "the path cannot be used", code="path-not-usable", why=(f"{shown}: {why}",), hint="choose another"
    )

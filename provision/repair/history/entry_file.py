"""``entry.json`` and the journal's lines: written whole, and read as what a stranger may have put there.

An environment may come from somebody else, and its history with it: sizes are limited, files are regular, every path
stays below the environment's root (or is a Jupyter kernel's ``kernel.json``), and every value has its type.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from provision.errors import InvalidFileError
from provision.model.document import SCHEMA_VERSION
from provision.model.environment import RECORD_FOLDER
from provision.model.repair import NOTHING, Entry, EntryState, PackageChange, Patch, PathChange, PathState
from provision.repair.files.patch import REPAIRS

T = TypeVar("T")
IDENT = re.compile(r"[0-9a-f]{8}\Z")
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_KERNEL = "kernel.json"
_ENTRY_LIMIT = 128 << 20
_LINES_LIMIT = 1 << 20
_TEXT_LIMIT = 4096
_LIST_LIMIT = 1_000_000


def render_entry(entry: Entry) -> bytes:
    """Return what `read_entry` reads; the state is not part of it, the journal's lines have it."""
    document = {
        "schema": SCHEMA_VERSION,
        "ident": entry.ident,
        "packages": [[item.name, item.before, item.after] for item in entry.packages],
        "kept_bytes": entry.kept_bytes,
        "changes": [[item.path, _values(item.before), _values(item.after)] for item in entry.patch.changes],
    }
    return (json.dumps(document, indent=None, separators=(",", ":")) + "\n").encode()


def first_line(entry: Entry, number: int) -> Mapping[str, Any]:
    """Return the journal's first line, which says what is known before anything is done."""
    return {
        "state": entry.state.value,
        "schema": SCHEMA_VERSION,
        "ident": entry.ident,
        "number": number,
        "when": entry.when,
        "version": entry.version,
        "repairs": [list(item) for item in entry.repairs],
    }


def read_lines(path: Path) -> tuple[Entry, int] | None:
    """Return what a journal's lines say (packages and patch are not in them) and the entry's number; None without one.

    A torn last line is a step not taken.

    Raises:
        InvalidFileError: ``bad-journal``.
    """
    content = _content(path, _LINES_LIMIT)
    if content is None:
        return None
    lines = _lines(content)
    # Without a line it was killed before it had begun.
    return _held_against(path, lambda: _begun(lines, path.parent.name)) if lines else None


def read_entry(path: Path, lines: Entry) -> Entry:
    """Return an entry with its packages and its patch; ``lines`` as they are where it has none yet.

    Raises:
        InvalidFileError: ``bad-journal``.
    """
    content = _content(path, _ENTRY_LIMIT)
    if content is None:
        if lines.state is EntryState.BUILDING:
            return lines
        raise _bad(path, ValueError("it is missing"))
    return parse_entry(content, lines, path)


def parse_entry(content: bytes, lines: Entry, path: Path) -> Entry:
    """Return an entry from the bytes of its file; raises InvalidFileError, naming ``path``."""
    return _held_against(path, lambda: _entry(_Fields(json.loads(content)), lines))


def _lines(content: bytes) -> list[Any]:
    lines: list[Any] = []
    with contextlib.suppress(ValueError, RecursionError):
        lines.extend(json.loads(line) for line in content.split(b"\n")[:-1])
    return lines


def _begun(lines: list[Any], ident: str) -> tuple[Entry, int]:
    first, last = _Fields(lines[0]), _Fields(lines[-1])
    if first.text("ident") != ident:
        raise ValueError("it is of another repair")
    when = first.text("when")
    if not _WHEN.match(when):
        raise ValueError("when it was made is no time")
    repairs = tuple((_text(code), _text(what)) for code, what in first.items("repairs"))
    entry = Entry(ident, when, first.text("version"), EntryState(last.text("state")), repairs)
    return entry, first.number("number")


def _entry(document: _Fields, lines: Entry) -> Entry:
    if document.number("schema") != SCHEMA_VERSION or document.text("ident") != lines.ident:
        raise ValueError("it is of another repair or another version of this tool")
    changes = tuple(
        PathChange(_path(name), _state(before), _state(after)) for name, before, after in document.items("changes")
    )
    paths = [change.path for change in changes]
    if paths != sorted(set(paths)) or any(change.before == change.after for change in changes):
        raise ValueError("its paths are not sorted, or nothing changes at one of them")
    packages = tuple(PackageChange(_text(a), _text(b), _text(c)) for a, b, c in document.items("packages"))
    return replace(lines, packages=packages, patch=Patch(changes), kept_bytes=document.number("kept_bytes"))


def _held_against(path: Path, make: Callable[[], T]) -> T:
    """Return what is made of a file's content; raises InvalidFileError for what does not fit."""
    try:
        return make()
    except (ValueError, TypeError, RecursionError) as error:
        raise _bad(path, error) from None


class _Fields:
    """The values of a JSON object, each with its type; raises ValueError."""

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise ValueError("it holds no object")  # noqa: TRY004 - one kind of error for a wrong document
        self._document = document

    def text(self, name: str) -> str:
        return _text(self._document.get(name))

    def number(self, name: str) -> int:
        return _number(self._document.get(name))

    def items(self, name: str) -> list[Any]:
        value = self._document.get(name)
        if not isinstance(value, list) or len(value) > _LIST_LIMIT:
            raise ValueError(f"{name} is no list, or too long")
        return value


def _values(state: PathState) -> list[str | int]:
    if state.kind == "file":
        return [state.kind, state.mode, state.size, state.sha256]
    if state.kind == "link":
        return [state.kind, state.target]
    return [state.kind, state.mode] if state.kind == "folder" else [state.kind]


def _state(values: object) -> PathState:
    if not isinstance(values, list) or not values:
        raise ValueError("a state is no list")
    match values:
        case ["nothing"]:
            return NOTHING
        case ["folder", mode]:
            return PathState("folder", _number(mode, 0o7777))
        case ["link", str(target)] if target:
            return PathState("link", target=_text(target))
        case ["file", mode, size, str(sha256)] if _SHA256.match(sha256):
            return PathState("file", _number(mode, 0o7777), _number(size), sha256)
    raise ValueError("a state is not what it should be")


def _path(value: object) -> str:
    """Return a path that stays in the environment, or is a kernel's; raises ValueError."""
    path = _text(value)
    parts = path.removeprefix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError(f"a path that is not normal: {path[:80]!a}")
    if path.startswith("/"):
        if parts[-1] != _KERNEL:
            raise ValueError(f"a path outside of the environment: {path[:80]!a}")
    elif parts[0] == RECORD_FOLDER and (len(parts) == 1 or parts[1] == REPAIRS):
        raise ValueError(f"a path of the journal itself: {path[:80]!a}")
    return path


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT or _CONTROL.search(value):
        raise ValueError("a text is none, too long, or has control characters")
    return value


def _number(value: object, most: int = 1 << 62) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError("a number is none, or out of range")
    return value


def _content(path: Path, limit: int) -> bytes | None:
    """Return a regular file's bytes, None where there is none; raises InvalidFileError."""
    try:
        # Without O_NONBLOCK a pipe with this name would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _bad(path, ValueError(error.strerror)) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise _bad(path, ValueError("it is no file, or larger than any journal"))
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit + 1)
    finally:
        os.close(descriptor)


def _bad(path: Path, error: Exception) -> InvalidFileError:
    return InvalidFileError(
        f"{path} is not what a repair writes",
        code="bad-journal",
        why=(str(error),),
        hint=f"nothing was changed; without {path.parent} the repair that it tells of is forgotten",
    )

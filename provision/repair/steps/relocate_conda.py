"""The files of conda packages that name their prefix: conda wrote it over a placeholder, so it can be written again.

Each record in ``conda-meta`` says which files have the placeholder, whether they are texts or programs, and how long
the placeholder was. In a program a name ends with a zero byte, and what the placeholder was longer is filled with
zeros; as many as that may be taken up by a longer name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.errors import InvalidFileError, ToolFailedError
from provision.system import write_atomic

BEFORE = rb"(?:(?<![\w./-])|(?<=-[IL])|(?<=file://))"
AFTER = rb"(?=[/\"'`\s:;,)\\<>|&}\]\0]|\Z)"
"""A folder of which another one's name is only the beginning (``env`` and ``env-old``) is another folder, and so is one
that ends alike (``/opt/env`` and ``/env``); but a compiler's ``-I`` and ``-L`` stand right before a name."""
_RECORD_LIMIT = 64 << 20


@dataclass(frozen=True)
class Placed:
    """A file of a package that names the prefix; ``placeholder`` is how long the placeholder was."""

    path: str
    binary: bool
    placeholder: int


def placed_files(prefix: Path) -> Iterator[Placed]:
    """Yield the files of conda packages that name the prefix; raises InvalidFileError for a record that is wrong."""
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        for item in _paths(_read(path)):
            placeholder, name = item.get("prefix_placeholder"), item.get("_path")
            if isinstance(placeholder, str) and isinstance(name, str) and _inside(name):
                yield Placed(name, item.get("file_mode") == "binary", len(placeholder.encode()))


def replaced_in_binary(content: bytes, old: bytes, new: bytes, placeholder: int) -> bytes | None:
    """Return a program with one prefix in place of another, None where the new one is too long for its place.

    Args:
        content: of the file.
        old: the prefix that is in it.
        new: the one that it shall have.
        placeholder: how long the placeholder was for which the packager made room.
    """
    # In a program anything may stand before a name; only one as short as ``/env`` may be the end of another.
    named = re.compile((BEFORE if old.count(b"/") == 1 else b"") + re.escape(old) + AFTER)
    parts, end = [], 0
    for found in re.finditer(rb"[^\0]*" + re.escape(old) + rb"[^\0]*(?P<zeros>\0+)?", content):
        text = found[0].rstrip(b"\0")
        text, zeros = content[found.start() : found.start() + len(text)], len(found["zeros"] or b"")
        rewritten, times = named.subn(lambda _: new, text)
        room = min(max(zeros - 1, 0), times * max(placeholder - len(old), 0))
        left = len(text) + room - len(rewritten)
        if left < 0:
            return None
        parts += [content[end : found.start()], rewritten, b"\0" * left]
        end = found.start() + len(text) + room
    return b"".join((*parts, content[end:]))


def correct_metadata(prefix: Path, changed: Mapping[str, bytes]) -> None:
    """Let the records in ``conda-meta`` name the hashes of files that were rewritten; records are replaced.

    Raises:
        InvalidFileError: a record is wrong.
        OSError: the disk refused.
    """
    for path in sorted((prefix / "conda-meta").glob("*.json")) if changed else ():
        record = _read(path)
        touched = False
        for item in _paths(record):
            content = changed.get(str(item.get("_path")))
            if content is None or "sha256_in_prefix" not in item:
                continue
            item["sha256_in_prefix"] = hashlib.sha256(content).hexdigest()
            touched = True
        if touched:
            text = path.read_text(encoding="utf-8")
            indent = re.search(r"\n( +)\"", text)
            written = json.dumps(record, indent=len(indent[1]) if indent else None, ensure_ascii=False)
            write_atomic(path, written + ("\n" if text.endswith("\n") else ""), mode=path.stat().st_mode & 0o7777)


def too_long(prefix: Path, path: str) -> ToolFailedError:
    """Return the error for a place whose name does not fit into a program."""
    return ToolFailedError(
        "programs of this conda environment cannot name the folder where it stands",
        code="relocate-impossible",
        why=(f"{path} has no room for {str(prefix)!r}",),
        hint="move the environment to a folder with a shorter path, or back",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            record = json.loads(stream.read(_RECORD_LIMIT))
    except (ValueError, RecursionError) as error:
        raise _invalid(path, str(error)) from error
    if not isinstance(record, dict):
        raise _invalid(path, "it is no table")
    return record


def _paths(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    data = record.get("paths_data")
    paths = data.get("paths") if isinstance(data, dict) else None
    yield from (item for item in (paths if isinstance(paths, list) else ()) if isinstance(item, dict))


def _inside(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def _invalid(path: Path, why: str) -> InvalidFileError:
    return InvalidFileError(
        "a record of a conda package cannot be read",
        code="conda-meta-invalid",
        why=(f"{path}: {why}",),
        hint="install that package again, or make the environment anew",
    )

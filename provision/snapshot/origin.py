"""Where an environment was made, and whether its making ever ended."""

from __future__ import annotations

import re
from pathlib import Path

from provision.backends.record import LOCK, RECORD, read_record
from provision.model.environment import RECORD_FOLDER

_BUILDING = re.compile(r"\..+\.tfgpu-(old-)?[0-9a-f]{8}\Z")
_SHEBANG = re.compile(rb"\A#!\s*(/[^\n]*?)/bin/python[\d.]*\s*\n")
_VIRTUAL = re.compile(r"^VIRTUAL_ENV=(['\"]?)(/[^'\"$`\n]*)\1\s*$", re.MULTILINE)
_SCRIPTS = ("pip", "pip3", "f2py", "tensorboard", "wheel", "conda")
_LIMIT = 1 << 16


def read_origin(prefix: Path) -> tuple[str, str]:
    """Return the state of an environment's record and the path at which it was made.

    The state is empty where this tool did not make it, ``ok``, ``incomplete`` where a creation was interrupted, or
    ``moved`` where its scripts name another path at which nothing is any more. A copy, whose original is still there,
    is none of these. Environments of this tool can be moved: their scripts ask where they are.
    """
    ours = prefix / RECORD_FOLDER
    if _BUILDING.match(prefix.name):
        return "incomplete", ""
    if (ours / RECORD).exists() or (ours / LOCK).exists():
        # The record is written last, and whole.
        return ("ok" if read_record(prefix) is not None else "incomplete"), ""
    made = _made_at(prefix)
    try:
        moved = made is not None and made != prefix and not made.exists() and made.resolve() != prefix.resolve()
    except (OSError, RuntimeError, ValueError):
        moved = False
    return ("moved", str(made)) if moved else ("", "")


def _made_at(prefix: Path) -> Path | None:
    for name in _SCRIPTS:
        match = _SHEBANG.match(_head(prefix / "bin" / name))
        if match:
            return Path(match[1].decode("utf-8", "replace"))
    match_text = _VIRTUAL.search(_head(prefix / "bin" / "activate").decode("utf-8", "replace"))
    return Path(match_text[2]) if match_text else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LIMIT)
    except OSError:
        return b""

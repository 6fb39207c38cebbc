"""The file in which conda lists the environments of a user: ``~/.conda/environments.txt``.

As conda does it: the normalised path, one line, nothing where it stands there already. That file is a convenience, so
a home that cannot be written is no failure.
"""

from __future__ import annotations

import os
from pathlib import Path

from provision.system import System
from provision.system.files import write_atomic


def environments_file(system: System) -> Path | None:
    """Return the user's list, None where there is no home folder."""
    home = system.environ.get("HOME", "")
    return Path(home) / ".conda" / "environments.txt" if home.startswith("/") else None


def register(system: System, prefix: Path) -> bool:
    """Add a prefix; returns whether it stands there now."""
    return _changed(system, prefix, add=True)


def unregister(system: System, prefix: Path) -> bool:
    """Take a prefix out; returns whether it is gone."""
    return _changed(system, prefix, add=False)


def _changed(system: System, prefix: Path, *, add: bool) -> bool:
    file = environments_file(system)
    line = os.path.normpath(prefix)
    if file is None or "\n" in line or "\r" in line:
        return not add
    try:
        # A list that is a link (dotfiles kept elsewhere) stays one: its target is written.
        file = file.resolve()
        raw = file.read_bytes() if file.exists() else b""
        lines = raw.split(b"\n")
        wanted = os.fsencode(line)
        there = wanted in [item.strip() for item in lines]
        if there is add:
            return True
        if add:
            file.parent.mkdir(parents=True, exist_ok=True)
            content = raw + (b"" if not raw or raw.endswith(b"\n") else b"\n") + wanted + b"\n"
        else:
            content = b"\n".join(item for item in lines if item.strip() != wanted)
        write_atomic(file, content, mode=file.stat().st_mode & 0o777 if file.exists() else 0o644)
    except (OSError, RuntimeError):
        return False
    return True

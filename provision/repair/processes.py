"""Which running programs use an environment: what they have loaded and what they load later would be of two kinds."""

from __future__ import annotations

import os
import re
from pathlib import Path

from provision.system import System

_BYTES = 8 << 20
_SHOWN = 300
_MOST = 20
_SECRET = re.compile(r"(?i)(token|secret|password|passwd|key)")


def running_in(system: System, prefix: Path) -> tuple[str, ...]:
    """Return ``PID COMMAND`` of this user's processes that were started from an environment or have files of it mapped.

    Of a command the program and what it runs are shown, never its further arguments, which may hold secrets. This
    process and those that started it are left out. At most 20; nothing where ``/proc`` cannot be read.

    Args:
        system: the door.
        prefix: the environment's root, absolute.
    """
    roots = tuple(dict.fromkeys(f"{text}/" for text in (os.fspath(prefix), os.path.realpath(prefix))))
    mine, own = os.getuid(), _ancestry(system)
    found: list[tuple[int, str]] = []
    for path in system.glob("/proc", "[0-9]*"):
        pid = path.rpartition("/")[2]
        if not pid.isdecimal() or int(pid) in own:
            continue
        try:
            if system.path(path).stat().st_uid != mine:
                continue
            argv = _read(system, f"{path}/cmdline").split(b"\0")
            if _uses(system, path, argv, roots):
                found.append((int(pid), f"{pid} {_shown(argv)}"))
        except OSError:
            # It has ended, or is not ours to look at.
            continue
    return tuple(text for _, text in sorted(found))[:_MOST]


def _uses(system: System, path: str, argv: list[bytes], roots: tuple[str, ...]) -> bool:
    marks = [os.fsencode(root) for root in roots]
    # A venv's Python is a link to another one: only the command tells where it was started.
    if argv[0].startswith(tuple(marks)):
        return True
    executable = os.fsencode(system.path(f"{path}/exe").readlink())
    if executable.startswith(tuple(marks)):
        return True
    maps = _read(system, f"{path}/maps")
    return any(b" " + mark in maps for mark in marks)


def _shown(argv: list[bytes]) -> str:
    words = [word.decode("utf-8", "replace") for word in argv if word]
    shown = words[:1]
    for word in words[1:]:
        if word == "-m" or (shown[-1:] != ["-m"] and word.startswith("-")):
            shown += [word] if word == "-m" else []
            if word == "-c":
                break
            continue
        if not _SECRET.search(word):
            shown.append(word)
        break
    return "".join(character if character.isprintable() else "?" for character in " ".join(shown))[:_SHOWN]


def _ancestry(system: System) -> frozenset[int]:
    """Return this process and those above it."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            stat = _read(system, f"/proc/{pid}/stat")
        except OSError:
            break
        # The name stands in brackets and may hold any character.
        fields = stat.rpartition(b")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0
    return frozenset(found)


def _read(system: System, path: str) -> bytes:
    with system.path(path).open("rb") as stream:
        return stream.read(_BYTES)

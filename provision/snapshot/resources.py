"""Memory, limits and file systems that a TensorFlow process gets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from provision.host.machine import read_text
from provision.host.paths import resolve
from provision.model.machine import Mount
from provision.system import System

_MIB = 1 << 20
_NO_LIMIT = 1 << 60
"""Version 1 of control groups writes the largest multiple of a page where there is no limit."""


def address_space(system: System) -> int | None:
    """Return the soft limit of a process' address space in bytes, None where there is none or nobody can say."""
    text = read_text(system, "/proc/self/limits", []) or ""
    found = re.search(r"^Max address space\s+(\d+)", text, re.MULTILINE)
    return int(found.group(1)) if found else None


def memory_mib(system: System) -> int | None:
    """Return the machine's memory in MiB."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", read_text(system, "/proc/meminfo", []) or "", re.MULTILINE)
    return int(found.group(1)) >> 10 if found else None


def memory_limit_mib(system: System) -> int | None:
    """Return the memory limit of this control group in MiB, as a container sees it; None where there is none."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = (read_text(system, path, []) or "").strip()
        if text.isdecimal() and int(text) < _NO_LIMIT:
            return int(text) // _MIB
    return None


def mounts(system: System, prefix: Path | None, variables: Mapping[str, str]) -> tuple[Mount, ...]:
    """Return the file systems below the folders that a TensorFlow process needs, as far as they are there."""
    table = _table(read_text(system, "/proc/self/mountinfo", []) or "")
    wanted = (
        ("environment", str(prefix) if prefix else ""),
        ("temporary", next((variables[name] for name in ("TMPDIR", "TEMP", "TMP") if variables.get(name)), "/tmp")),  # noqa: S108 - where programs write, not where we do
        ("home", variables.get("HOME", "")),
        ("shared memory", "/dev/shm"),  # noqa: S108 - the same
    )
    return tuple(_mount(system, purpose, path, table) for purpose, path in wanted if path and system.exists(path))


def _table(text: str) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Return mount point, type and options of each line of mountinfo; of several on one point the last holds."""
    found = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if dash and len(fields) > 5 and kinds:  # noqa: PLR2004 - proc(5): six fields come before the optional ones
            point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal.group(1), 8)), fields[4])
            options = {*fields[5].split(","), *(kinds[2].split(",") if len(kinds) > 2 else ())}  # noqa: PLR2004 - the same
            found.append((point, kinds[0], frozenset(options)))
    return tuple(found)


def _mount(system: System, purpose: str, path: str, table: tuple[tuple[str, str, frozenset[str]], ...]) -> Mount:
    place = (resolve(Path(path)) if system.root == Path("/") else None) or Path(path)
    above = [str(place), *map(str, place.parents)]
    point, kind, options = "", "", frozenset[str]()
    for entry in table:
        if entry[0] in above and len(entry[0]) >= len(point):
            point, kind, options = entry
    free, inodes = _free(system.path(path))
    return Mount(purpose, path, point, kind, "noexec" in options, "ro" in options, free, inodes)


def _free(place: Path) -> tuple[int | None, int | None]:
    """Return free MiB and inodes for this user; file systems that make inodes as they go do not count them."""
    try:
        status = os.statvfs(place)
    except OSError:
        return None, None
    free = status.f_bavail * status.f_frsize // _MIB if status.f_blocks else None
    return free, status.f_favail if status.f_files else None

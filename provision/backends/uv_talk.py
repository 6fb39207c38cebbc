"""What uv says on standard error, read as events and as causes of failure.

uv has no machine-readable progress. Its plain lines are stable enough to be read, and what is not recognised costs
nothing but a line of progress or a less exact error code. Checked against uv 0.9 to 0.13.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_SIZE = re.compile(r"^Downloading (?P<name>\S+)(?: \((?P<number>[\d.]+)(?P<unit>[KMGT]?i?B)\))?$")
_DONE = re.compile(r"^\s*(?:Downloaded|Built) (?P<name>\S+)")
_BUILDING = re.compile(r"^\s*Building (?P<name>\S+)")
_COUNT = re.compile(r"^(?P<what>Resolved|Prepared|Installed) (?P<count>\d+) packages?\b")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_QUOTED_LINES = 20


class Kind(str, Enum):
    """What a line of uv announces."""

    DOWNLOADING = "downloading"
    BUILDING = "building"
    FETCHED = "fetched"
    """Downloaded or built."""
    RESOLVED = "resolved"
    PREPARED = "prepared"
    INSTALLED = "installed"


@dataclass(frozen=True)
class Event:
    """One line of progress; ``size`` in bytes, 0 where uv does not say."""

    kind: Kind
    name: str = ""
    size: int = 0
    count: int = 0


def clean(text: str) -> str:
    """Return uv's text without colours and without credentials in addresses."""
    return _USER_INFO.sub("", _ANSI.sub("", text))


def read_event(line: str) -> Event | None:
    """Return what a line of standard error announces, None where it is none of the known lines."""
    line = _ANSI.sub("", line).rstrip()
    if found := _SIZE.match(line):
        number, unit = found["number"], found["unit"]
        size = int(float(number) * _UNITS.get(unit, 1)) if number else 0
        return Event(Kind.DOWNLOADING, found["name"], size)
    if found := _DONE.match(line):
        return Event(Kind.FETCHED, found["name"])
    if found := _BUILDING.match(line):
        return Event(Kind.BUILDING, found["name"])
    if found := _COUNT.match(line):
        return Event(Kind(found["what"].lower()), count=int(found["count"]))
    return None


_CAUSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The order decides: a full disk or a wrong hash is often wrapped into "Failed to download".
    ("no-space", ("No space left on device", "os error 28)", "Disk quota exceeded", "File too large", "os error 27)")),
    ("hash-mismatch", ("Hash mismatch",)),
    ("build-failed", ("Failed to build", "build backend returned an error", "requirements from `setup.py` build")),
    ("offline-miss", ("network was disabled", "Network connectivity is disabled", "--offline")),
    (
        "no-wheel",
        ("no usable wheels", "building from source is disabled", "no wheels with a matching", "no wheels are"),
    ),
    (
        "package-not-found",
        ("was not found in the package registry", "were not found in the provided package locations"),
    ),
    ("index-denied", ("401 Unauthorized", "403 Forbidden", "lack of valid authentication credentials")),
    ("conflict", ("No solution found when resolving",)),
    (
        "network",
        (
            "Failed to fetch",
            "error sending request",
            "Request failed after",
            "client error",
            "dns error",
            "timed out",
            "Connection reset",
            "error decoding response body",
            "HTTP status",
        ),
    ),
    # What is no archive any more cannot have the hash either; uv finds that out while it unpacks.
    ("hash-mismatch", ("Failed to extract archive",)),
    ("cache-unusable", ("Failed to initialize cache", "failed to open file", "failed to create directory")),
    ("no-permission", ("Permission denied", "Read-only file system", "os error 30)", "os error 13)")),
)


def cause_of(stderr: str) -> str:
    """Return the stable code of why uv failed, ``uv-failed`` where its text says nothing known."""
    text = clean(stderr)
    return next((code for code, marks in _CAUSES if any(mark in text for mark in marks)), "uv-failed")


def quoted(stderr: str) -> tuple[str, ...]:
    """Return the lines of uv's complaint, from its first ``error:`` on, without empty ones; at most twenty."""
    lines = [line.rstrip() for line in clean(stderr).splitlines() if line.strip()]
    start = next((place for place, line in enumerate(lines) if line.startswith("error:")), 0)
    return tuple(line.removeprefix("error: ") for line in lines[start:][:_QUOTED_LINES])


def derivation(text: str) -> tuple[str, ...]:
    """Return the resolver's reasoning without its frame: from ``cause:`` to the hints.

    Args:
        text: as `clean` returns it.
    """
    lines = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("hint:"):
            break
        if stripped and not stripped.startswith(("error:", "Using Python")):
            lines.append(stripped.removeprefix("cause: "))
    return tuple(lines)


def mentions(text: str, name: str) -> bool:
    """Whether uv's text speaks of a distribution, however its name is written there."""
    pattern = re.sub(r"[-_.]+", "[-_.]+", re.escape(name).replace(r"\-", "-").replace(r"\.", "."))
    return re.search(rf"(?<![\w-]){pattern}(?![\w-])", text, re.IGNORECASE) is not None

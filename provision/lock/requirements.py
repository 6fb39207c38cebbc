"""The lock of an environment: every distribution with its exact version and its sha256 hashes.

The text is a plain requirements file, so that other tools can read it. It holds no address: where an artifact comes
from is the index's business, what it is is fixed by its hash.
"""

from __future__ import annotations

import re

from provision.errors import ToolFailedError
from provision.model.lock import Locked, normalised

_HEAD = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9.!+_-]+)\Z")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})\Z")


def parse_lock(text: str) -> tuple[Locked, ...]:
    """Read a lock, sorted by name.

    Raises:
        ToolFailedError: code ``bad-lock`` for anything that is not ``name==version`` with at least one sha256: an
            address, an option, a range, a marker, the same name twice.
    """
    found: dict[str, Locked] = {}
    for number, line in _logical_lines(text):
        head, *rest = line.split()
        name = _HEAD.match(head)
        hashes = [_HASH.match(word) for word in rest]
        if name is None or not hashes or None in hashes or normalised(name["name"]) in found:
            raise ToolFailedError(
                "a lock holds a line that it must not hold",
                code="bad-lock",
                why=(f"line {number}: {line[:120]}", "every line must be name==version with its sha256 hashes"),
                hint="this is not a file of ours, or it was edited: create the environment anew",
            )
        locked = Locked(normalised(name["name"]), name["version"], tuple(word["digest"] for word in hashes if word))
        found[locked.name] = locked
    return tuple(found[name] for name in sorted(found))


def render_lock(locked: tuple[Locked, ...], remarks: tuple[str, ...] = ()) -> str:
    """Return the text of a lock; ``remarks`` become comments at its top."""
    lines = [f"# {remark}" for remark in remarks]
    lines += [
        " \\\n".join([item.requirement, *(f"    --hash=sha256:{digest}" for digest in item.hashes)])
        for item in sorted(locked, key=lambda item: item.name)
    ]
    return "\n".join(lines) + "\n"


def install_text(locked: tuple[Locked, ...]) -> str:
    """Return what is handed to the installer: a lock, with the addresses that the user has allowed."""
    return "".join(
        " ".join((f"{item.name} @ {item.url}" if item.url else item.requirement, *_hash_options(item))) + "\n"
        for item in locked
    )


def _hash_options(item: Locked) -> tuple[str, ...]:
    return tuple(f"--hash=sha256:{digest}" for digest in item.hashes)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Join continued lines and drop comments; each with the number of its first line."""
    joined: list[tuple[int, str]] = []
    pending = ""
    start = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not pending:
            start = number
            if not line or line.startswith("#"):
                continue
        pending += " " + line.removesuffix("\\").strip()
        if not line.endswith("\\"):
            joined.append((start, pending.strip()))
            pending = ""
    if pending.strip():
        joined.append((start, pending.strip()))
    return joined

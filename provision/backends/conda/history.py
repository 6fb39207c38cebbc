"""``conda-meta/history`` as conda reads it, so that ``conda env export --from-history`` knows what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from provision.model.lock import CondaLocked
from provision.system.files import write_atomic

_WRITTEN_LIKE = "4.12.0"
"""The conda whose form the entry has. An older one that is newer than the reader makes conda warn, so it is old."""


def write_history(
    prefix: Path, command: str, packages: Iterable[CondaLocked], requested: Sequence[str], when: datetime
) -> None:
    """Write the first entry; raises OSError.

    Args:
        prefix: the environment; its ``conda-meta`` is there.
        command: what was typed, one line.
        packages: what was installed.
        requested: MatchSpecs that were asked for.
        when: in UTC.
    """
    write_atomic(prefix / "conda-meta" / "history", _entry(command, (), packages, requested, when))


def append_history(
    prefix: Path,
    command: str,
    *,
    gone: Iterable[CondaLocked],
    new: Iterable[CondaLocked],
    requested: Sequence[str],
    when: datetime,
) -> None:
    """Add an entry for packages that were exchanged; the file is replaced. Raises OSError.

    Args:
        prefix: the environment.
        command: what was typed, one line.
        gone: what was removed.
        new: what was installed.
        requested: MatchSpecs that were asked for.
        when: in UTC.
    """
    path = prefix / "conda-meta" / "history"
    former = path.read_bytes() if path.is_file() else b""
    mode = path.stat().st_mode & 0o777 if former else 0o644
    write_atomic(path, former + _entry(command, gone, new, requested, when).encode(), mode=mode)


def _entry(
    command: str, gone: Iterable[CondaLocked], new: Iterable[CondaLocked], requested: Sequence[str], when: datetime
) -> str:
    lines = [
        f"==> {when:%Y-%m-%d %H:%M:%S} <==",
        f"# cmd: {' '.join(command.split())}",
        f"# conda version: {_WRITTEN_LIKE}",
        *(f"-{_named(item)}" for item in sorted(gone, key=lambda item: item.name)),
        *(f"+{_named(item)}" for item in sorted(new, key=lambda item: item.name)),
        f"# update specs: {list(requested)!r}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _named(item: CondaLocked) -> str:
    return f"{item.channel.rstrip('/')}/{item.subdir}::{item.name}-{item.version}-{item.build}"

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
    lines = [
        f"==> {when:%Y-%m-%d %H:%M:%S} <==",
        f"# cmd: {' '.join(command.split())}",
        f"# conda version: {_WRITTEN_LIKE}",
        *(
            f"+{item.channel.rstrip('/')}/{item.subdir}::{item.name}-{item.version}-{item.build}"
            for item in sorted(packages, key=lambda item: item.name)
        ),
        f"# update specs: {list(requested)!r}",
    ]
    write_atomic(prefix / "conda-meta" / "history", "".join(f"{line}\n" for line in lines))

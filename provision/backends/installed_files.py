"""What the RECORD of an installed distribution says about its files, and how to look at them."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_RECORD_LIMIT = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class InstalledFile:
    """One line of a RECORD; ``size`` and ``digest`` (urlsafe base64 of a sha256) only where it has them."""

    path: str
    size: int | None
    digest: str


def installed_files(info: Path, wanted: Callable[[str], bool] | None = None) -> tuple[InstalledFile, ...] | None:
    """Return every file of a dist-info's RECORD, byte code left out; None where it is gone or unreadable.

    Byte code is made and thrown away by Python.

    Args:
        info: the dist-info.
        wanted: whether a path is of interest; of TensorFlow's 20,000 files most are headers.
    """
    try:
        with (info / "RECORD").open("rb") as stream:
            data = stream.read(_RECORD_LIMIT + 1)
        if len(data) > _RECORD_LIMIT:
            return None
        return tuple(_files(csv.reader(data.decode("utf-8").splitlines()), wanted))
    except (OSError, ValueError, csv.Error):
        return None


def digest_of(path: str) -> str | None:
    """Return the sha256 of a file as a RECORD writes it, None where it cannot be read."""
    found = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - unbuffered, 25,000 times
            while count := stream.readinto(buffer):
                found.update(buffer[:count])
    except OSError:
        return None
    return base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode()


def _files(rows: Iterable[Sequence[str]], wanted: Callable[[str], bool] | None) -> Iterator[InstalledFile]:
    for row in rows:
        if row and wanted is not None and not wanted(row[0]):
            continue
        if not row or "\0" in row[0] or row[0].endswith(".pyc"):
            continue
        kind, _, digest = (row[1] if len(row) > 1 else "").partition("=")
        size = row[2] if len(row) > 2 else ""  # noqa: PLR2004 - path, hash, size
        yield InstalledFile(row[0], int(size) if size.isdecimal() else None, digest if kind == "sha256" else "")

"""An installed distribution, read as a wheel is: its RECORD says which files it has."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from provision.errors import InvalidFileError

_LIMIT = 8 << 20
_RECORD_LIMIT = 64 << 20


class Files:
    """The files of one distribution below its site-packages folder; those elsewhere (``../../../bin``) are left out."""

    def __init__(self, site: Path, info: Path) -> None:
        """Take the folder of the packages, and that of the metadata in it."""
        self.site, self._info = site, info

    @property
    def filename(self) -> str:
        """Name of the folder of its metadata."""
        return self._info.name

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Path to size as RECORD has it, 0 where it does not say; raises InvalidFileError as `read`."""
        raw = self.read(f"{self._info.name}/RECORD", _RECORD_LIMIT)
        if raw is None:
            raise self._unreadable("it has no RECORD")
        try:
            rows = list(csv.reader(raw.decode("utf-8").splitlines()))
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._unreadable("its RECORD is no table") from error
        return {
            row[0]: int(row[-1]) if row[-1].isdecimal() and len(row[-1]) < 16 else 0  # noqa: PLR2004 - no file is larger
            for row in rows
            if row and row[0] and not row[0].startswith("/") and ".." not in row[0].split("/")
        }

    def read(self, path: str, limit: int = _LIMIT) -> bytes | None:
        """Return a small file, None where there is none; raises InvalidFileError, ``unreadable-environment``."""
        try:
            with (self.site / path).open("rb") as stream:
                found = stream.read(limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(f"{path}: {error.strerror or error}") from error
        if len(found) > limit:
            raise self._unreadable(f"{path} is larger than {limit} bytes")
        return found

    def _unreadable(self, why: str) -> InvalidFileError:
        return InvalidFileError(
            f"{self._info.name} cannot be read as an installed package",
            code="unreadable-environment",
            why=(why,),
            hint="`tfgpu-provision doctor ENV` says what is damaged",
        )

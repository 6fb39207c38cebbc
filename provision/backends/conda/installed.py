"""What a conda prefix holds, from the records in its ``conda-meta``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.backends.conda.channels import stripped
from provision.errors import InvalidFileError
from provision.model.lock import CondaLocked

_LIMIT = 64 << 20


def installed_packages(prefix: Path) -> tuple[CondaLocked, ...]:
    """Return every package of a prefix, sorted by name; ``sha256`` is empty where an old conda did not write it.

    Raises:
        InvalidFileError: code ``conda-meta-invalid``.
    """
    found = [_package(path) for path in sorted((prefix / "conda-meta").glob("*.json"))]
    return tuple(sorted(found, key=lambda item: item.name))


def _package(path: Path) -> CondaLocked:
    try:
        with path.open("rb") as stream:
            record = json.loads(stream.read(_LIMIT))
        return _of(record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidFileError(
            "a record of a conda package cannot be read",
            code="conda-meta-invalid",
            why=(f"{path}: {error}",),
            hint="`conda list` fails on it as well; install that package again, or make the environment anew",
        ) from error


def _of(record: Mapping[str, Any]) -> CondaLocked:
    name, version, build = (str(record[key]) for key in ("name", "version", "build"))
    channel, subdir = str(record.get("channel") or ""), str(record.get("subdir") or "linux-64")
    url = str(record.get("url") or f"{channel.removesuffix(f'/{subdir}')}/{subdir}/{record['fn']}")
    size = record.get("size")
    return CondaLocked(
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        channel=stripped(url.rsplit("/", 2)[0]),
        url=stripped(url),
        md5=str(record.get("md5") or ""),
        sha256=str(record.get("sha256") or ""),
        size=size if isinstance(size, int) else None,
        depends=tuple(map(str, record.get("depends") or ())),
        constrains=tuple(map(str, record.get("constrains") or ())),
    )

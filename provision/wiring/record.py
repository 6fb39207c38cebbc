"""``wiring.json``: what was put into an environment, written down before it is put there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from provision.errors import InvalidFileError
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.system import write_atomic

RECORD_NAME = "wiring.json"
_LIMIT = 4 << 20


@dataclass(frozen=True)
class RecordedLink:
    """A link of ours: ``path`` below the environment's root, ``target`` as written into the link (relative)."""

    path: str
    target: str
    asked_by: str


@dataclass(frozen=True)
class RecordedFile:
    """A file of ours: ``path`` below the environment's root, ``sha256`` of its content."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """What a wiring put into an environment; every path is relative to its root.

    Attributes:
        tensorflow: the release that was wired.
        library_set: key of the set in the matrix.
        framework: path and size in bytes of the framework library that was read; another one makes the record stale.
        links: in the order in which they were made.
        files: the hook.
        cuda_data_dir: what XLA is told, empty for nothing.
        made_folders: folders that were not there before.
    """

    tensorflow: str
    library_set: str
    framework: tuple[str, int]
    links: tuple[RecordedLink, ...]
    files: tuple[RecordedFile, ...]
    cuda_data_dir: str
    made_folders: tuple[str, ...] = ()


def record_path(env: EnvRef) -> Path:
    """Return where the record of this environment is kept."""
    return Path(env.prefix) / RECORD_FOLDER / RECORD_NAME


def sha256_of(content: bytes) -> str:
    """Return the hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()


def write_record(env: EnvRef, record: Record) -> None:
    """Write the record, whole or not at all; raises OSError."""
    path = record_path(env)
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, json.dumps({"schema": SCHEMA_VERSION, **jsonable(record)}, indent=1) + "\n")


def read_record(env: EnvRef) -> Record | None:
    """Return the record, None where the environment has none; raises InvalidFileError for one that is wrong."""
    path = record_path(env)
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid(path, error.strerror or str(error)) from error
    if len(raw) > _LIMIT:
        raise _invalid(path, f"it is larger than {_LIMIT} bytes")
    try:
        return _record(json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(path, f"{type(error).__name__}: {error}") from error


def _record(data: Mapping[str, Any]) -> Record:
    if data["schema"] != SCHEMA_VERSION:
        raise ValueError(f"its schema is {data['schema']!r}, this program reads {SCHEMA_VERSION}")
    framework_path, framework_size = data["framework"]
    return Record(
        tensorflow=_text(data["tensorflow"]),
        library_set=_text(data["library_set"]),
        framework=(_inside(framework_path), int(framework_size)),
        links=tuple(
            RecordedLink(_inside(item["path"]), _text(item["target"]), _text(item["asked_by"]))
            for item in data["links"]
        ),
        files=tuple(RecordedFile(_inside(item["path"]), _text(item["sha256"])) for item in data["files"]),
        cuda_data_dir=_text(data["cuda_data_dir"]),
        made_folders=tuple(_inside(item) for item in data["made_folders"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _inside(value: object) -> str:
    """Accept only a path that stays below the root: what the record names may be removed."""
    path = PurePosixPath(_text(value))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{value!r} does not stay inside the environment")
    return str(path)


def _invalid(path: Path, why: str) -> InvalidFileError:
    return InvalidFileError(
        "the wiring record of this environment cannot be read",
        code="invalid-wiring-record",
        why=(f"{path}: {why}",),
        hint=f"move {path.name} away and wire the environment again; links already there are kept",
    )

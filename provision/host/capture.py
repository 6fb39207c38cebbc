"""A machine as a JSON document, and back: ``host --json`` here, ``--for machine.json`` there.

A captured file comes from another machine and is not trusted: every value is read as the type that the model says,
sizes are limited, and all complaints are collected and raised at once.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from provision.errors import InvalidFileError
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.facts import Fact
from provision.model.host import HostFacts
from provision.model.versions import Dotted

SIZE_LIMIT = 4 << 20
_TEXT_LIMIT = 64 * 1024
_LIST_LIMIT = 4096
_COMPLAINT_LIMIT = 12
_HINT = "write it with `tfgpu-provision host --json > machine.json` on the machine in question"


def to_document(host: HostFacts) -> dict[str, Any]:
    """Return the host as ``{"schema": 1, "host": {…}}``; `from_document` gives the same value back."""
    return {"schema": SCHEMA_VERSION, "host": jsonable(host)}


def read(path: Path) -> HostFacts:
    """Read a captured host from a file.

    Raises:
        InvalidFileError: code ``bad-capture``, with every complaint.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise _bad(str(path), (error.strerror or str(error),)) from error
    if len(raw) > SIZE_LIMIT:
        raise _bad(str(path), (f"larger than {SIZE_LIMIT} bytes",))
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _bad(str(path), (f"not JSON: {str(error)[:200]}",)) from error
    return from_document(document, str(path))


def from_document(document: object, name: str = "captured host") -> HostFacts:
    """Return the host of a document, exactly as it was.

    Unknown keys are complaints too: a typing mistake must not silently change a plan.

    Raises:
        InvalidFileError: code ``bad-capture``.
    """
    if not isinstance(document, dict):
        raise _bad(name, ("not a JSON object",))
    if document.get("schema") != SCHEMA_VERSION:
        raise _bad(name, (f"schema: {_short(document.get('schema'))}, this program reads {SCHEMA_VERSION}",))
    complaints: list[str] = []
    host = _value(document.get("host"), HostFacts, "host", complaints)
    if complaints or not isinstance(host, HostFacts):
        shown = complaints[:_COMPLAINT_LIMIT]
        rest = len(complaints) - len(shown)
        raise _bad(name, (*shown, *((f"and {rest} more",) if rest else ())))
    return host


def _bad(name: str, why: tuple[str, ...]) -> InvalidFileError:
    return InvalidFileError(f"{name} is not a captured host", code="bad-capture", why=why, hint=_HINT)


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - width of one complaint


@cache
def _fields(kind: type) -> dict[str, tuple[Any, bool]]:
    """Return each field's type and whether it may be left out."""
    hints = get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }


def _value(data: Any, kind: Any, where: str, complaints: list[str]) -> Any:
    """Read ``data`` as ``kind``; what does not fit is complained of and becomes None."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        return _value(data, next(part for part in arguments if part is not type(None)), where, complaints)
    if origin is Fact:
        return _dataclass(data, Fact, {"T": arguments[0]}, where, complaints)
    if origin in (tuple, frozenset):
        if not isinstance(data, list) or len(data) > _LIST_LIMIT:
            complaints.append(f"{where}: {_short(data)} is not a list of at most {_LIST_LIMIT}")
            return None
        parts = arguments[:1] * len(data) if origin is frozenset or arguments[-1] is Ellipsis else arguments
        if len(parts) != len(data):
            complaints.append(f"{where}: has {len(data)} entries, not {len(parts)}")
            return None
        pairs = zip(data, parts, strict=True)
        items = [_value(item, part, f"{where}[{index}]", complaints) for index, (item, part) in enumerate(pairs)]
        return frozenset(items) if origin is frozenset else tuple(items)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(data, where, complaints)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and not issubclass(kind, Dotted):
        return _dataclass(data, kind, {}, where, complaints)
    return _scalar(data, kind, where, complaints)


def _dataclass(data: Any, kind: Any, bound: Mapping[str, Any], where: str, complaints: list[str]) -> Any:
    if not isinstance(data, dict):
        complaints.append(f"{where}: {_short(data)} is not an object")
        return None
    before = len(complaints)
    fields = _fields(kind)
    complaints.extend(f"{where}: {_short(key)} is not known" for key in data if key not in fields)
    values: dict[str, Any] = {}
    for name, (hint, optional) in fields.items():
        if name not in data:
            if not optional:
                complaints.append(f"{where}.{name}: missing")
            continue
        exact = _bind(hint, bound)
        values[name] = _value(data[name], exact, f"{where}.{name}", complaints)
    return kind(**values) if len(complaints) == before else None


def _bind(hint: Any, bound: Mapping[str, Any]) -> Any:
    """Return ``T | None`` of `Fact` with the type it stands for here."""
    if not bound:
        return hint
    if isinstance(hint, TypeVar):
        return bound[hint.__name__]
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType) and any(isinstance(part, TypeVar) for part in arguments):
        return bound["T"] | None
    return hint


def _mapping(data: Any, where: str, complaints: list[str]) -> dict[str, str] | None:
    if not isinstance(data, dict) or len(data) > _LIST_LIMIT:
        complaints.append(f"{where}: {_short(data)} is not an object of texts")
        return None
    return {
        str(key): text
        for key, item in data.items()
        if (text := _scalar(item, str, f"{where}.{str(key)[:60]}", complaints)) is not None
    }


def _scalar(data: Any, kind: Any, where: str, complaints: list[str]) -> Any:
    fits = type(data) is kind if kind in (bool, int, str) else isinstance(data, str)
    if fits and (not isinstance(data, str) or len(data) <= _TEXT_LIMIT):
        if kind in (bool, int, str):
            return data
        try:
            if issubclass(kind, Dotted | Enum):
                return kind(data)
        except ValueError:
            complaints.append(f"{where}: {_short(data)} is not a {kind.__name__}")
            return None
    complaints.append(f"{where}: {_short(data)} is not a {kind.__name__}")
    return None

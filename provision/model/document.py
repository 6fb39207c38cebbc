"""Any value of the model as JSON-ready data: the one way in which facts leave the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from provision.model.versions import Dotted, TfVersion

SCHEMA_VERSION = 1
"""Version of every JSON document this program prints or writes."""


def jsonable(value: Any) -> Any:
    """Return ``value`` as dicts, lists, strings, numbers, booleans and None.

    Versions become their text, enums their value, sets sorted lists. Raises TypeError for what is not of the model.
    """
    if value is None or isinstance(value, bool | int | float) or type(value) is str:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Dotted | TfVersion):
        return value.text
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(jsonable(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(jsonable(item) for item in value)
    if isinstance(value, tuple | list):
        return [jsonable(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    msg = f"not a value of the model: {type(value).__name__}"
    raise TypeError(msg)

"""The JSON Schema of matrix.yaml for editors, made from the same description that the reader follows.

A schema cannot lay tables side by side: that a set brings every gate library is checked by the reader alone.
"""

from __future__ import annotations

from typing import Any

from provision.matrix.shape import MATRIX, Items, Record, Reference, Scalar, Shape, Table, Words

ADDRESS = "https://json-schema.org/draft/2020-12/schema"
_NUMBERS = ("string", "number")
"""An editor's YAML reads 12.5 as a number; the program reads the text."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a matrix file."""
    return {"$schema": ADDRESS, "title": "matrix.yaml of tfgpu-provision", **_of(MATRIX)}


def _of(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Record):
        return {
            "description": shape.about,
            "type": "object",
            "properties": {key: _of(value) for key, value in shape.fields.items()},
            "required": [key for key in shape.fields if key in shape.required],
            "additionalProperties": False,
        }
    if isinstance(shape, Table):
        return {
            "description": shape.about,
            "type": "object",
            "propertyNames": {"pattern": _whole(shape.key.pattern)},
            "additionalProperties": _of(shape.value),
        }
    if isinstance(shape, Items):
        return {"description": shape.about, "type": "array", "items": _of(shape.of)}
    if isinstance(shape, Words):
        word = shape.of.pattern
        return {
            "description": f"{shape.of.what}, several separated by blanks",
            "type": list(_NUMBERS),
            "pattern": f"^(?:{word})(?: (?:{word}))*$",
        }
    if isinstance(shape, Reference):
        several = ", several separated by blanks" if shape.many else ""
        return {"description": f"name of an entry of {shape.table}{several}", "type": "string", "pattern": r"^\S"}
    return _scalar(shape)


def _scalar(shape: Scalar) -> dict[str, Any]:
    return {"description": shape.what, "type": [*_NUMBERS, "boolean"], "pattern": _whole(shape.pattern)}


def _whole(pattern: str) -> str:
    # Named groups are spelled (?P<name>…) in Python and (?<name>…) in the dialect of JSON Schema: neither is needed.
    plain = pattern.replace("(?P<distribution>", "(?:").replace("(?P<release>", "(?:")
    return f"^(?:{plain})$"

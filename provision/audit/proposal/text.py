"""New entries put into the text of a matrix, and the tables of that text by their names. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from provision.errors import InvalidFileError
from provision.matrix import canonical
from provision.matrix.tree import MappingNode, Node, Problems, ScalarNode, SequenceNode, parse

Entry = Mapping[str, Any]
"""What an entry of a table holds: text, or further entries."""


def tables_of(text: str) -> Mapping[str, Any]:
    """Return the tables of a matrix as they are written: text, mappings and lists of text.

    Raises:
        InvalidFileError: code ``invalid-matrix``.
    """
    problems = Problems("matrix")
    root = parse(text.encode("utf-8", "surrogatepass"), problems)
    if root is None or problems:
        raise InvalidFileError("the matrix cannot be read", code="invalid-matrix", why=problems.lines)
    found: Mapping[str, Any] = _plain(root)
    return found


def _plain(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {key.value: _plain(value) for key, value in node.value if isinstance(key, ScalarNode)}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    return node.value


def with_entries(text: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the canonical text of a matrix with entries added: table to name to entry; comments stay where they are.

    An entry of a name that the table has already must not be among them. Raises as `canonical`.
    """
    lines = text.rstrip("\n").split("\n")
    for table, added in entries.items():
        if not added:
            continue
        place = next((number for number, line in enumerate(lines) if re.match(rf"{re.escape(table)}:", line)), None)
        if place is None:
            place = len(lines)
            lines.append(f"{table}:")
        elif lines[place].removeprefix(f"{table}:").strip() == "{}":
            lines[place] = f"{table}:"
        lines[place + 1 : place + 1] = _written(added, 1)
    return canonical("\n".join(lines) + "\n")


def _written(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield f"{pad}{json.dumps(key)}:"
            yield from _written(inner, depth + 1)
        elif isinstance(inner, list | tuple):
            yield f"{pad}{json.dumps(key)}:"
            yield from (f"{pad}  - {json.dumps(item, ensure_ascii=False)}" for item in inner)
        else:
            yield f"{pad}{json.dumps(key)}: {json.dumps(inner, ensure_ascii=False)}"


def difference(old: str, new: str, name: str = "matrix.yaml") -> str:
    """Return a unified diff, empty where both are the same."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, f"{name} (proposed)", lineterm="")
    return "".join(f"{line}\n" for line in lines)

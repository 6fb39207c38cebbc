"""The one written form of a matrix: keys in the order of the format, entries sorted, one spelling for every value.

Two people who add the same row write the same bytes, and a diff shows what changed and nothing else. Comments of
whole lines stay above the key they stood above.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from provision.errors import InvalidFileError
from provision.matrix.shape import MATRIX as ROOT
from provision.matrix.shape import Items, Record, Shape, Table
from provision.matrix.tree import MappingNode, Node, Problems, ScalarNode, SequenceNode, line_of, parse

_PLAIN = re.compile(r"[A-Za-z0-9](?:[ $()+\-./0-9;<=>A-Z^_a-z~]|:(?=\S)|#(?<=\S#))*", re.ASCII)
"""Text that needs no quotes anywhere, not even within braces, where PyYAML also ends plain text at ``?``."""
_BASIC_PLANE = 0xFFFF
_PARTS = re.compile(r"\d+|\D+")


def canonical(text: str) -> str:
    """Return the canonical text of a matrix.

    Unknown keys are kept, after the known ones, so that a wrong file can be tidied before it is corrected. Raises
    InvalidFileError for text that is not a YAML mapping of the plain kind a matrix is made of.
    """
    problems = Problems("matrix")
    root = parse(text.encode("utf-8", "surrogatepass"), problems)
    if root is None or problems:
        raise InvalidFileError(
            "the matrix cannot be written in its canonical form", code="invalid-matrix", why=problems.lines
        )
    if not root.value:
        return "{}\n"
    return "\n".join(_Writer(text).document(root)) + "\n"


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key in which numbers inside text count as numbers: 2.9.3 before 2.10.0."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in _PARTS.findall(text))


class _Writer:
    def __init__(self, text: str) -> None:
        self._comments = _comments(text)

    def document(self, root: MappingNode) -> Iterator[str]:
        for place, (key, value) in enumerate(_ordered(root, ROOT)):
            if place and not isinstance(value, ScalarNode):
                yield ""
            yield from self._pair(key, value, _inner(ROOT, key), 0)
        yield from self._comments.get(-1, ())

    def _pair(self, key: Node, value: Node, shape: Shape | None, depth: int) -> Iterator[str]:
        pad = "  " * depth
        yield from (pad + comment for comment in self._comments.get(line_of(key), ()))
        name = _flow(key)
        if isinstance(value, ScalarNode):
            yield f"{pad}{name}: {_flow(value)}"
        elif not value.value:
            yield f"{pad}{name}: {'{}' if isinstance(value, MappingNode) else '[]'}"
        elif isinstance(value, SequenceNode):
            yield f"{pad}{name}:"
            record = shape.of if isinstance(shape, Items) else None
            yield from (f"{pad}  - {_flow(item, record)}" for item in value.value)
        else:
            yield f"{pad}{name}:"
            inline = isinstance(shape, Table) and shape.inline
            for inner_key, inner in _ordered(value, shape):
                of = _inner(shape, inner_key)
                if inline and isinstance(inner, MappingNode):
                    yield from ("  " + pad + comment for comment in self._comments.get(line_of(inner_key), ()))
                    yield f"{pad}  {_flow(inner_key)}: {_flow(inner, of)}"
                else:
                    yield from self._pair(inner_key, inner, of, depth + 1)


def _inner(shape: Shape | None, key: Node) -> Shape | None:
    if isinstance(shape, Record):
        return shape.fields.get(key.value) if isinstance(key, ScalarNode) else None
    return shape.value if isinstance(shape, Table) else None


def _ordered(node: Node, shape: Shape | None) -> list[tuple[Node, Node]]:
    """Return the pairs of a mapping: those of a record in the order of the format, those of a table by their key."""
    pairs: list[tuple[Node, Node]] = list(node.value)
    if isinstance(shape, Record):
        order = {name: place for place, name in enumerate(shape.fields)}
        return sorted(pairs, key=lambda pair: (order.get(_text(pair[0]), len(order)), _text(pair[0])))
    if isinstance(shape, Table):
        return sorted(pairs, key=lambda pair: natural(_text(pair[0])))
    return pairs


def _text(node: Node) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else ""


def _flow(node: Node, shape: Shape | None = None) -> str:
    """Return a node on one line."""
    if isinstance(node, ScalarNode):
        return _spelled(node.value)
    if isinstance(node, SequenceNode):
        return "[" + ", ".join(_flow(item) for item in node.value) + "]"
    pairs = (f"{_flow(key)}: {_flow(value, _inner(shape, key))}" for key, value in _ordered(node, shape))
    return "{" + ", ".join(pairs) + "}"


def _spelled(text: str) -> str:
    """Return text plain where YAML reads it back unchanged in every place, else in double quotes."""
    if _PLAIN.fullmatch(text) and not text.endswith(" "):
        return text
    return "".join(
        letter if letter.isprintable() else _escaped(letter) for letter in json.dumps(text, ensure_ascii=False)
    )


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\U{number:08x}" if number > _BASIC_PLANE else f"\\u{number:04x}"


def _comments(text: str) -> dict[int, tuple[str, ...]]:
    """Return line of a key → the whole-line comments directly above it; -1 for those after everything."""
    found: dict[int, tuple[str, ...]] = {}
    waiting: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("#"):
            waiting.append(bare)
        elif bare and waiting:
            found[number] = tuple(waiting)
            waiting = []
    if waiting:
        found[-1] = tuple(waiting)
    return found

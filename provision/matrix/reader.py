"""Nodes → checked values as `provision.matrix.shape` describes them; an error is noted and stops nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

from provision.matrix.shape import MATRIX, Items, Record, Reference, Scalar, Shape, Table, Words
from provision.matrix.tree import MappingNode, Node, Problems, ScalarNode, SequenceNode, line_of

_SHOWN = 60


class Entry(dict[str, Any]):
    """The values of one mapping by their keys, and the lines on which it and they stand."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class Named(NamedTuple):
    """A reference as it stands in the file; resolved once every table is read."""

    table: str
    names: tuple[str, ...]
    node: Node


class Reader:
    """Reads one document; ``references`` holds what has to be found in other tables."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._made: dict[tuple[int, str], Any] = {}
        self.references: list[Named] = []

    def read(self, node: Node, shape: Shape, where: str) -> Any:
        """Return the value of ``node``, or None where it is wrong; ``where`` names it in messages."""
        if isinstance(shape, Record):
            return self._record(node, shape, where)
        if isinstance(shape, Table):
            return self._table(node, shape, where)
        if isinstance(shape, Items):
            return self._items(node, shape, where)
        if not isinstance(node, ScalarNode):
            self._problems.add(line_of(node), f"{where}: must be text, not a {_kind(node)}")
            return None
        text: str = node.value
        if isinstance(shape, Scalar):
            return self._scalar(text, shape, where, node)
        words = tuple(text.split(" ")) if text else ()
        if isinstance(shape, Words):
            return self._words(words, shape, where, node)
        return self._reference(words, shape, where, node)

    def resolve(self, root: Entry) -> None:
        """Note every reference to an entry that is not in the file."""
        for named in self.references:
            table = root.get(named.table)
            known = table.lines if table is not None else {}
            for name in (name for name in named.names if name not in known):
                self._problems.add(line_of(named.node), f"{named.table} has no entry {name[:_SHOWN]!r}")

    def _scalar(self, text: str, shape: Scalar, where: str, node: Node) -> Any:
        key = (id(shape), text)
        value = self._made.get(key)
        if value is not None:
            return value
        if shape.fits(text):
            try:
                value = shape.make(text)
            except ValueError:
                value = None
        if value is None:
            self._problems.add(line_of(node), f"{where}: not {shape.what}: {text[:_SHOWN]!r}")
            return None
        self._made[key] = value
        return value

    def _words(self, words: tuple[str, ...], shape: Words, where: str, node: Node) -> Any:
        if len(set(words)) != len(words):
            self._problems.add(line_of(node), f"{where}: {shape.of.what} stands twice")
        if shape.most is not None and not 1 <= len(words) <= shape.most:
            self._problems.add(line_of(node), f"{where}: needs one to {shape.most} values")
        made = [self._scalar(word, shape.of, where, node) for word in words]
        return None if any(value is None for value in made) else tuple(made)

    def _reference(self, words: tuple[str, ...], shape: Reference, where: str, node: Node) -> Any:
        if len(words) != 1 and not (shape.many and words):
            self._problems.add(line_of(node), f"{where}: needs the name of an entry of {shape.table}")
            return None
        if len(set(words)) != len(words):
            self._problems.add(line_of(node), f"{where}: a name stands twice")
        self.references.append(Named(shape.table, words, node))
        return words if shape.many else words[0]

    def _record(self, node: Node, shape: Record, where: str) -> Entry | None:
        pairs = self._pairs(node, where)
        if pairs is None:
            return None
        values = Entry(line_of(node))
        for key, value in pairs:
            name = key.value
            values.lines[name] = line_of(key)
            if name in shape.fields:
                values[name] = self.read(value, shape.fields[name], f"{where}.{name}" if where else name)
                continue
            known = ", ".join(shape.fields)
            self._problems.add(line_of(key), f"{where or 'the file'}: unknown key {name[:_SHOWN]!r} (known: {known})")
        for name in shape.fields:
            if name in shape.required and name not in values.lines:
                self._problems.add(values.line, f"{where or 'the file'}: {name} is missing")
        return values

    def _table(self, node: Node, shape: Table, where: str) -> Entry | None:
        pairs = self._pairs(node, where)
        if pairs is None:
            return None
        values = Entry(line_of(node))
        made: dict[Any, str] = {}
        for key, value in pairs:
            text = key.value
            name = self._scalar(text, shape.key, where, key)
            if name in made and name is not None:
                self._problems.add(line_of(key), f"{where}: {text} stands twice (as {made[name]})")
                continue
            made[name] = text
            values[name] = self.read(value, shape.value, f"{where}.{text}")
            values.lines[name] = line_of(key)
        return values

    def _items(self, node: Node, shape: Items, where: str) -> tuple[Any, ...] | None:
        if not isinstance(node, SequenceNode):
            self._problems.add(line_of(node), f"{where}: must be a list, not a {_kind(node)}")
            return None
        return tuple(self.read(item, shape.of, f"{where}[{place}]") for place, item in enumerate(node.value, 1))

    def _pairs(self, node: Node, where: str) -> list[tuple[Node, Node]] | None:
        """Return the keys and values of a mapping; a key that stands twice is an error, not the last one wins."""
        if not isinstance(node, MappingNode):
            self._problems.add(line_of(node), f"{where}: must be a mapping, not a {_kind(node)}")
            return None
        pairs: list[tuple[Node, Node]] = []
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._problems.add(line_of(key), f"{where}: a key must be text")
            elif key.value in seen:
                self._problems.add(line_of(key), f"{where or 'the file'}: {key.value[:_SHOWN]} stands twice")
            else:
                seen.add(key.value)
                pairs.append((key, value))
        return pairs


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "mapping"
    return "list" if isinstance(node, SequenceNode) else "text"


def keep_sound(root: Entry) -> None:
    """Leave only what is complete, with everything it refers to, so that the rest can still be checked.

    The tables of the format stand so that each refers only to those before it.
    """
    for name, shape in MATRIX.fields.items():
        if isinstance(shape, Table):
            table = root.get(name)
            if table is None:
                root[name] = table = Entry(root.line)
            for key in [key for key in table if key is None or not _sound(table[key], shape.value, root)]:
                del table[key]


def _sound(value: Any, shape: Shape, root: Entry) -> bool:
    if value is None:
        return False
    if isinstance(shape, Record):
        return shape.required <= value.keys() and all(_sound(value[key], shape.fields[key], root) for key in value)
    if isinstance(shape, Table):
        return None not in value and all(_sound(item, shape.value, root) for item in value.values())
    if isinstance(shape, Items):
        return all(_sound(item, shape.of, root) for item in value)
    if isinstance(shape, Reference):
        return all(name in root[shape.table] for name in (value if shape.many else (value,)))
    return True

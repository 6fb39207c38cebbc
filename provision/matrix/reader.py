"""Nodes → checked values as `provision.matrix.shape` describes them; an error is noted and stops nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Named:
    """A reference as it stands in the file; resolved once every table is read."""

    table: str
    names: tuple[str, ...]
    line: int


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
            return self._scalar(text, shape, where, line_of(node))
        words = tuple(text.split(" ")) if text else ()
        if isinstance(shape, Words):
            return self._words(words, shape, where, line_of(node))
        return self._reference(words, shape, where, line_of(node))

    def resolve(self, root: Entry) -> None:
        """Note every reference to an entry that is not in the file."""
        for named in self.references:
            table = root.get(named.table)
            known = table.lines if table is not None else {}
            for name in (name for name in named.names if name not in known):
                self._problems.add(named.line, f"{named.table} has no entry {name[:_SHOWN]!r}")

    def _scalar(self, text: str, shape: Scalar, where: str, line: int) -> Any:
        key = (id(shape), text)
        if key in self._made:
            return self._made[key]
        value = None
        if shape.fits(text):
            try:
                value = shape.make(text)
            except ValueError:
                value = None
        if value is None:
            self._problems.add(line, f"{where}: not {shape.what}: {text[:_SHOWN]!r}")
            return None
        self._made[key] = value
        return value

    def _words(self, words: tuple[str, ...], shape: Words, where: str, line: int) -> Any:
        if len(set(words)) != len(words):
            self._problems.add(line, f"{where}: {shape.of.what} stands twice")
        if shape.most is not None and not 1 <= len(words) <= shape.most:
            self._problems.add(line, f"{where}: needs one to {shape.most} values")
        made = [self._scalar(word, shape.of, where, line) for word in words]
        return None if any(value is None for value in made) else tuple(made)

    def _reference(self, words: tuple[str, ...], shape: Reference, where: str, line: int) -> Any:
        if len(words) != 1 and not (shape.many and words):
            self._problems.add(line, f"{where}: needs the name of an entry of {shape.table}")
            return None
        if len(set(words)) != len(words):
            self._problems.add(line, f"{where}: a name stands twice")
        self.references.append(Named(shape.table, words, line))
        return words if shape.many else words[0]

    def _record(self, node: Node, shape: Record, where: str) -> Entry | None:
        entry = self._pairs(node, where)
        if entry is None:
            return None
        values = Entry(entry.line)
        values.lines = entry.lines
        for key, value in entry.items():
            if key not in shape.fields:
                known = ", ".join(shape.fields)
                self._problems.add(
                    entry.lines[key], f"{where or 'the file'}: unknown key {key[:_SHOWN]!r} (known: {known})"
                )
                continue
            values[key] = self.read(value, shape.fields[key], f"{where}.{key}" if where else key)
        for key in shape.fields:
            if key in shape.required and key not in entry:
                self._problems.add(entry.line, f"{where or 'the file'}: {key} is missing")
        return values

    def _table(self, node: Node, shape: Table, where: str) -> Entry | None:
        entry = self._pairs(node, where)
        if entry is None:
            return None
        values = Entry(entry.line)
        made: dict[Any, str] = {}
        for key, value in entry.items():
            line = entry.lines[key]
            name = self._scalar(key, shape.key, where, line)
            if name in made and name is not None:
                self._problems.add(line, f"{where}: {key} stands twice (as {made[name]})")
                continue
            made[name] = key
            values[name] = self.read(value, shape.value, f"{where}.{key}")
            values.lines[name] = line
        return values

    def _items(self, node: Node, shape: Items, where: str) -> tuple[Any, ...] | None:
        if not isinstance(node, SequenceNode):
            self._problems.add(line_of(node), f"{where}: must be a list, not a {_kind(node)}")
            return None
        return tuple(self.read(item, shape.of, f"{where}[{place}]") for place, item in enumerate(node.value, 1))

    def _pairs(self, node: Node, where: str) -> Entry | None:
        """Return key text → value node of a mapping; a key that stands twice is an error, not the last one wins."""
        if not isinstance(node, MappingNode):
            self._problems.add(line_of(node), f"{where}: must be a mapping, not a {_kind(node)}")
            return None
        entry = Entry(line_of(node))
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._problems.add(line_of(key), f"{where}: a key must be text")
            elif key.value in entry:
                self._problems.add(line_of(key), f"{where or 'the file'}: {key.value[:_SHOWN]} stands twice")
            else:
                entry[key.value] = value
                entry.lines[key.value] = line_of(key)
        return entry


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

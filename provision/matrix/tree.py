"""YAML text → nodes with line numbers; whatever a hostile or damaged file may do ends here as a list of errors.

Only maps, lists and plain text are let through: no anchors or aliases (they can blow up a small file), no tags, no
second document, no key twice, no deep nesting. Scalars stay text, so ``2.10`` is never the number 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import yaml

LIMIT_BYTES = 2 << 20
"""A matrix is well under 200 KiB; far more is not a matrix."""
_MAX_DEPTH = 8
_MAX_EVENTS = 200_000
_BASE_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Node = yaml.Node
MappingNode = yaml.MappingNode
SequenceNode = yaml.SequenceNode
ScalarNode = yaml.ScalarNode


class Problems:
    """Errors of one file, each with its line; all of them are collected before anyone gives up."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        """Note an error; lines count from 1."""
        self._found.append((line, message))

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def lines(self) -> tuple[str, ...]:
        """Return ``file:line: message`` for each error, in the order of the file."""
        return tuple(f"{self._name}:{line}: {message}" for line, message in sorted(set(self._found)))


def line_of(node: Any) -> int:
    """Return the line, from 1, on which a node or an event starts."""
    return int(node.start_mark.line) + 1


def parse(data: bytes, problems: Problems) -> MappingNode | None:
    """Return the root of a document that is a mapping, or None with the problems noted."""
    text = _decode(data, problems)
    if text is None:
        return None
    loader = _BASE_LOADER(text)
    try:
        root = _compose(loader, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
        return None
    except yaml.YAMLError as error:
        problems.add(1, f"not YAML: {str(error).splitlines()[0]}")
        return None
    finally:
        loader.dispose()
    if root is None:
        if not problems:
            problems.add(1, "the file is empty")
        return None
    if not isinstance(root, MappingNode):
        problems.add(line_of(root), "the document must be a mapping of tables")
        return None
    return root


def _decode(data: bytes, problems: Problems) -> str | None:
    if len(data) > LIMIT_BYTES:
        problems.add(1, f"larger than {LIMIT_BYTES} bytes")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.add(data.count(b"\n", 0, error.start) + 1, f"not UTF-8 text (byte {error.start})")
        return None
    if "\0" in text:
        problems.add(text.count("\n", 0, text.index("\0")) + 1, "holds a NUL byte: not a text file")
        return None
    if not text.strip():
        problems.add(1, "the file is empty")
        return None
    return text


def _compose(loader: Any, problems: Problems) -> Node | None:
    """Build nodes from events, refusing what a matrix never needs before it costs anything."""
    stack: list[tuple[Node, list[Node]]] = []
    root: Node | None = None
    for event in _events(loader):
        kind = _NODES.get(type(event))
        if kind is None:
            if isinstance(event, yaml.CollectionEndEvent):
                node, children = stack.pop()
                if isinstance(node, MappingNode):
                    node.value = list(zip(children[::2], children[1::2], strict=True))
            elif wrong := _refused(event, again=root is not None):
                problems.add(line_of(event), wrong)
                return None
            continue
        if wrong := _decorated(event):
            problems.add(line_of(event), wrong)
            return None
        made: Node = kind(None, event.value if kind is ScalarNode else [], event.start_mark, event.end_mark)
        if stack:
            stack[-1][1].append(made)
        else:
            root = made
        if kind is not ScalarNode:
            stack.append((made, [] if kind is MappingNode else made.value))
            if len(stack) > _MAX_DEPTH:
                problems.add(line_of(event), f"nested deeper than {_MAX_DEPTH} levels")
                return None
    return root


def _events(loader: Any) -> Iterator[Any]:
    events = iter(loader.get_event, None)
    yield from islice(events, _MAX_EVENTS)
    if next(events, None) is not None:
        msg = f"more than {_MAX_EVENTS} values"
        raise yaml.YAMLError(msg)


def _refused(event: Any, *, again: bool) -> str:
    """Return what is wrong with an event that makes no node; ``again`` where there is a document already."""
    if isinstance(event, yaml.AliasEvent):
        return "YAML aliases are not allowed"
    return "only one YAML document is allowed" if again and isinstance(event, yaml.DocumentStartEvent) else ""


def _decorated(event: Any) -> str:
    """Return what is wrong with an event that makes a node."""
    if event.anchor is not None:
        return "YAML anchors are not allowed"
    return "" if event.tag is None else f"YAML tags are not allowed: {event.tag[:60]}"


_NODES: dict[type, Any] = {
    yaml.ScalarEvent: ScalarNode,
    yaml.MappingStartEvent: MappingNode,
    yaml.SequenceStartEvent: SequenceNode,
}

"""What an expression of user code stands for, as far as its text says: dotted names, constants, lists of devices."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from provision.snapshot.script_names import canonical

_DEVICE = re.compile(r"(?:\A|[/:])(cpu|gpu)(?::(\d+))?\Z", re.IGNORECASE)
_LISTS = ("tensorflow.config.list_physical_devices", "tensorflow.config.list_logical_devices")


@dataclass(frozen=True)
class Devices:
    """A list of TensorFlow's devices, or one of them.

    Attributes:
        kind: ``GPU``, ``CPU``, or empty for all kinds.
        index: which one; None for the list.
    """

    kind: str
    index: int | None = None


@dataclass
class Names:
    """What names are bound to, as far as it is known: the last binding in the order of execution.

    Attributes:
        paths: name to the dotted path of what it was imported as or assigned from.
        values: name to a string, a number or a list of them.
        devices: name to a list of devices or one of them.
        instances: name to the class of this file that it is an instance of.
        models: names of Keras models, as far as it is seen that they are.
        defaults: option of the command line to what it is where the user does not give it.
    """

    paths: dict[str, str] = field(default_factory=dict)
    values: dict[str, str | int | float | list[object]] = field(default_factory=dict)
    devices: dict[str, Devices] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    defaults: dict[str, str] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        """Drop what was known of a name."""
        for table in (self.paths, self.values, self.devices, self.instances):
            table.pop(name, None)
        self.models.discard(name)

    def path(self, node: ast.AST) -> str:
        """Return the canonical dotted path of a name or attribute, empty where it is neither or not imported."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.paths:
            return ""
        return canonical(".".join([self.paths[node.id], *reversed(parts)]))

    def text(self, node: ast.AST | None) -> str | None:
        """Return the string that an expression is, numbers as text; None where it is not known."""
        value = self.value(node)
        return None if value is None or isinstance(value, list) else str(value)

    def value(self, node: ast.AST | None) -> str | int | float | list[object] | None:
        """Return the string, number or list that an expression is, None where it is not known."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, (str, int, float)) else None
        if isinstance(node, ast.Name):
            return self.values.get(node.id)
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(item) for item in node.elts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            return -number if isinstance(number, (int, float)) else None
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)):
            return self._joined(node)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("str", "list")
            and len(node.args) <= 1
            and not node.keywords
        ):
            if not node.args:
                return [] if node.func.id == "list" else ""
            return self.text(node.args[0]) if node.func.id == "str" else None
        return None

    def _joined(self, node: ast.JoinedStr | ast.BinOp) -> str | None:
        parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
        said = [self.value(item.value if isinstance(item, ast.FormattedValue) else item) for item in parts]
        if isinstance(node, ast.BinOp) and not all(isinstance(item, str) for item in said):
            return None
        return None if any(item is None or isinstance(item, list) for item in said) else "".join(map(str, said))

    def default(self, node: ast.AST | None) -> str | None:
        """Return what an option of the command line is by default: ``args.gpu``, ``FLAGS.gpu``, ``str(args.gpu)``."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
            node = node.args[0]
        is_option = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        return self.defaults.get(node.attr) if is_option and isinstance(node, ast.Attribute) else None

    def pairs(self, node: ast.AST | None) -> list[tuple[str, ast.expr]]:
        """Return the items of a dictionary that is written out, those with known names."""
        if not isinstance(node, ast.Dict):
            return []
        named = [(self.text(key), value) for key, value in zip(node.keys, node.values, strict=True)]
        return [(key, value) for key, value in named if key is not None]

    def device_list(self, node: ast.AST | None) -> Devices | None:
        """Return which devices an expression is, None where it is not known."""
        if isinstance(node, ast.Name):
            return self.devices.get(node.id)
        if isinstance(node, ast.Call) and self.path(node.func) in _LISTS:
            return Devices((self.text(argument(node, 0, "device_type")) or "").upper())
        if isinstance(node, ast.Subscript):
            of = self.device_list(node.value)
            index = self.value(node.slice)
            return Devices(of.kind, index) if of and of.index is None and isinstance(index, int) else None
        if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) == 1:
            return self.device_list(node.elts[0])
        return None

    def named_device(self, node: ast.AST | None) -> Devices | None:
        """Return the device that a string names, ``/CPU:0``, ``gpu:1``, ``/job:a/device:GPU:0``; None for others."""
        match = _DEVICE.search(self.text(node) or "")
        return Devices(match[1].upper(), int(match[2]) if match[2] else 0) if match else None


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """Return an argument by its place or its name, None where it is not given."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if len(call.args) > place and not any(isinstance(item, ast.Starred) for item in call.args[: place + 1]):
        return call.args[place]
    return None


def calls_in(node: ast.AST) -> list[ast.Call]:
    """Return the calls in an expression or simple statement in the order in which they happen."""
    found = [item for item in ast.walk(node) if isinstance(item, ast.Call)]
    return sorted(found, key=lambda item: (item.end_lineno or 0, item.end_col_offset or 0))

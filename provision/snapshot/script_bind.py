"""What assignments in user code bind names to, and what they set."""

from __future__ import annotations

import ast
import re

from provision.snapshot.script_calls import Calls
from provision.snapshot.script_recorder import Flow, Recorder
from provision.snapshot.script_values import Names, argument

_IMPORTING = ("importlib.import_module", "__import__")
_MODEL = re.compile(r"keras\.(?:Sequential|Model|models\.\w+|applications\.(?:\w+\.)?[A-Z]\w+|Functional)\Z")


class Bindings:
    """Follows assignments in the order of execution.

    Attributes:
        classes: names of the classes of this file.
    """

    def __init__(self, names: Names, recorder: Recorder, calls: Calls) -> None:
        self._names = names
        self._recorder = recorder
        self._calls = calls
        self.classes: set[str] = set()

    def parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call | None, *, method: bool) -> None:
        """Bind the parameters of a function to what a call hands over; without a call nothing is known of them."""
        given = [*node.args.posonlyargs, *node.args.args][1 if method else 0 :]
        names = [item.arg for item in (*given, *node.args.kwonlyargs)]
        values: dict[str, ast.expr] = {}
        if call is not None and not any(isinstance(item, ast.Starred) for item in call.args):
            last = given[len(given) - len(node.args.defaults) :] if node.args.defaults else []
            values = {item.arg: value for item, value in zip(last, node.args.defaults[-len(last) :], strict=False)}
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=False)
            values |= {item.arg: value for item, value in pairs if value is not None}
            values |= {item.arg: value for item, value in zip(given, call.args, strict=False)}
            values |= {item.arg: item.value for item in call.keywords if item.arg in names}
        # All of them before the first is bound: `f(b, a)` in a function of a and b exchanges the two.
        known = {name: (self._names.value(value), self._names.device_list(value)) for name, value in values.items()}
        for name in names:
            self._names.forget(name)
            value, devices = known.get(name, (None, None))
            if value is not None:
                self._names.values[name] = value
            if devices is not None:
                self._names.devices[name] = devices

    def bind(self, node: ast.stmt, flow: Flow) -> None:
        """Note what an assignment binds, and what it sets."""
        if isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and self._names.path(target.value) == "os.environ":
                    self._recorder.variable(self._names.text(target.slice), None, node.lineno, flow, unset=True)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, flow)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, node.value, flow)
        elif isinstance(node, ast.AugAssign):
            if self._names.path(node.target) == "os.environ":
                for name, value in self._names.pairs(node.value):
                    self._recorder.variable(name, self._names.text(value), node.lineno, flow)
            elif isinstance(node.target, ast.Subscript) and self._names.path(node.target.value) == "os.environ":
                self._recorder.variable(self._names.text(node.target.slice), None, node.lineno, flow)
            elif isinstance(node.target, ast.Name):
                self._names.forget(node.target.id)

    def _assign(self, target: ast.expr, value: ast.expr, flow: Flow) -> None:
        if isinstance(target, ast.Name):
            self._assign_name(target.id, value, flow)
        elif isinstance(target, ast.Subscript):
            self._calls.set_item(target, value, flow)
        elif isinstance(target, ast.Attribute):
            self._calls.set_attribute(target, value, flow)
        elif isinstance(target, (ast.Tuple, ast.List)):
            several = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
            matched = len(several) == len(target.elts)
            for place, item in enumerate(target.elts):
                if matched:
                    self._assign(item, several[place], flow)
                elif isinstance(item, ast.Name):
                    self._names.forget(item.id)

    def _assign_name(self, name: str, value: ast.expr, flow: Flow) -> None:
        path, known, devices = self._names.path(value), self._names.value(value), self._names.device_list(value)
        made = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        if isinstance(value, ast.Call) and (made or self._names.path(value.func)) in _IMPORTING:
            path = self._names.text(argument(value, 0, "name")) or ""
        self._names.forget(name)
        if path:
            self._names.paths[name] = path
        # After a branch that may not be taken nobody knows which of two values it is.
        if known is not None and not flow.maybe:
            self._names.values[name] = known
        if devices is not None and not flow.maybe:
            self._names.devices[name] = devices
        if isinstance(value, ast.Call) and _MODEL.match(self._names.path(value.func)):
            self._names.models.add(name)
        if made in self.classes:
            self._names.instances[name] = made

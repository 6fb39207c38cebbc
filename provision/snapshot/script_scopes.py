"""``tf.device`` in user code: which device, and how much of the work stands under it."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from provision.snapshot.script_names import TRAINING
from provision.snapshot.script_recorder import Flow, Recorder
from provision.snapshot.script_values import Names, argument

_DEVICE = "tensorflow.device"
_NEARLY_ALL = 0.8


class Scopes:
    """Notes scopes; the trees are those of the whole file."""

    def __init__(self, names: Names, recorder: Recorder, trees: Sequence[ast.Module]) -> None:
        self._names = names
        self._recorder = recorder
        self._trees = trees

    def entered_by_with(self, scope: ast.expr, body: Sequence[ast.stmt], flow: Flow) -> bool:
        """Note ``with tf.device(…):``; returns whether it is one."""
        if not (isinstance(scope, ast.Call) and self._names.path(scope.func) == _DEVICE):
            return False
        self._note(scope, "whole" if self._whole(body) else "part", flow)
        return True

    def entered_by_call(self, call: ast.Call, flow: Flow) -> None:
        """Note ``tf.device(…).__enter__()`` and ``stack.enter_context(tf.device(…))``: all that follows is under it."""
        if not isinstance(call.func, ast.Attribute):
            return
        inner: ast.AST | None = call.func.value if call.func.attr == "__enter__" else None
        if call.func.attr == "enter_context" and call.args:
            inner = call.args[0]
        if isinstance(inner, ast.Call) and self._names.path(inner.func) == _DEVICE:
            self._note(inner, "whole", flow)

    def _note(self, call: ast.Call, share: str, flow: Flow) -> None:
        named = self._names.named_device(argument(call, 0, "device_name"))
        if named is None:
            return
        fields = {"certain": flow.certain, "device": f"{named.kind}:{named.index}"}
        if named.kind == "CPU" and not flow.device:
            self._recorder.remark("cpu-device", call.lineno, {**fields, "share": share})
        elif named.kind == "GPU" and named.index:
            self._recorder.remark("gpu-device", call.lineno, {**fields, "index": str(named.index)})

    def _whole(self, body: Sequence[ast.stmt]) -> bool:
        """Whether the work of the file is done in this block: all of it, or what trains."""
        functions = {
            node.name: node
            for tree in self._trees
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        within, everywhere = _Work(self._names, functions), _Work(self._names, functions)
        within.count(body)
        everywhere.count(self._trees)
        if within.on_gpu or everywhere.on_gpu:
            return False
        return within.training > 0 or within.calls >= _NEARLY_ALL * everywhere.calls


class _Work:
    """Counts calls of TensorFlow in code and in the functions that it calls."""

    def __init__(self, names: Names, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> None:
        self._names = names
        self._functions = functions
        self.calls = 0
        self.training = 0
        self.on_gpu = False

    def count(self, nodes: Sequence[ast.AST]) -> None:
        waiting, seen = list(nodes), set[int]()
        while waiting:
            for call in [item for item in ast.walk(waiting.pop()) if isinstance(item, ast.Call)]:
                if id(call) in seen:
                    continue
                seen.add(id(call))
                self._one(call)
                method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
                called = method or (call.func.id if isinstance(call.func, ast.Name) else "")
                handed = [item.id for item in call.args if isinstance(item, ast.Name)]
                waiting += [self._functions[name] for name in (called, *handed) if name in self._functions]

    def _one(self, call: ast.Call) -> None:
        path = self._names.path(call.func)
        if path == _DEVICE:
            named = self._names.named_device(argument(call, 0, "device_name"))
            self.on_gpu = self.on_gpu or named is None or named.kind == "GPU"
        elif path.startswith(("tensorflow.", "keras.")) and not path.startswith("tensorflow.config."):
            self.calls += 1
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method in TRAINING and not path.startswith("tensorflow.data"):
            self.training += 1

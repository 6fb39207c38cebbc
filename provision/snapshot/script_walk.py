"""Walk through user code in the order in which it would run, and remark on what bears on the GPU. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from provision.model.script import Remark
from provision.snapshot.script_bind import Bindings
from provision.snapshot.script_calls import Calls
from provision.snapshot.script_names import IMPORTS_TENSORFLOW, OTHER_FRAMEWORKS, Moment
from provision.snapshot.script_recorder import Flow, Progress, Recorder
from provision.snapshot.script_scopes import Scopes
from provision.snapshot.script_source import TOO_DEEP, Piece
from provision.snapshot.script_values import Names, calls_in

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class _Definition:
    """A function of the file, with how far the process had come where it was defined."""

    node: _Function
    piece: Piece
    progress: Progress
    owner: str = ""
    entered: bool = field(default=False)


def remarks_of(pieces: Sequence[Piece], file: str) -> tuple[Remark, ...]:
    """Return what the pieces of one file say, in the order of their lines.

    Args:
        pieces: a file or the cells of a notebook, in their order.
        file: how it is called in the remarks.
    """
    walker = _Walker(pieces, file)
    for piece in pieces:
        if piece.tree is None:
            walker.recorder.remark("unparsable", piece.problem_line, {"reason": piece.problem}, piece=piece)
            continue
        try:
            walker.module(piece)
        except RecursionError:
            walker.recorder.remark("unparsable", 1, {"reason": TOO_DEEP}, piece=piece)
    try:
        walker.rest()
    except RecursionError:
        walker.recorder.remark("unparsable", 1, {"reason": TOO_DEEP})
    walker.calls.finish()
    return walker.recorder.finish()


class _Walker:
    """Order, names and branches; what a call means is for `Calls`, what a device scope holds for `Scopes`."""

    def __init__(self, pieces: Sequence[Piece], file: str) -> None:
        self.names = Names()
        self.recorder = Recorder(pieces, file)
        self.calls = Calls(self.names, self.recorder)
        self.scopes = Scopes(self.names, self.recorder, [piece.tree for piece in pieces if piece.tree is not None])
        self.bindings = Bindings(self.names, self.recorder, self.calls)
        self.functions: dict[str, _Definition] = {}

    def module(self, piece: Piece) -> None:
        """Walk through a file or a cell."""
        self.recorder.piece = piece
        asides = list(piece.asides)
        for statement in piece.tree.body if piece.tree else ():
            while asides and asides[0].line <= statement.lineno:
                self.recorder.aside(asides.pop(0))
            self.statement(statement, Flow())
        for aside in asides:
            self.recorder.aside(aside)

    def rest(self) -> None:
        """Walk through the functions that nothing in the file calls, each as if called right after its definition."""
        for definition in list(self.functions.values()):
            if not definition.entered:
                before = self.recorder.progress
                self.recorder.progress = definition.progress.copy()
                self._enter(definition, Flow(certain="function"))
                self.recorder.progress = before

    def body(self, statements: Iterable[ast.stmt], flow: Flow) -> None:
        for statement in statements:
            self.statement(statement, flow)

    def statement(self, node: ast.stmt, flow: Flow) -> None:
        kinds: dict[type[ast.stmt], Callable[..., None]] = {
            ast.FunctionDef: self._define,
            ast.AsyncFunctionDef: self._define,
            ast.ClassDef: self._class,
            ast.If: self._if,
            ast.For: self._for,
            ast.AsyncFor: self._for,
            ast.While: self._while,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.Try: self._try,
            ast.Match: self._match,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
        }
        # `try` with `except*` has a class of its own, which Python 3.10 does not know.
        known = self._try if hasattr(node, "handlers") else kinds.get(type(node))
        if known is not None:
            known(node, flow)
        else:
            self.expression(node, flow)
            self.bindings.bind(node, flow)

    def expression(self, node: ast.AST, flow: Flow) -> None:
        """Follow every call, into the file's own functions as well."""
        for call in calls_in(node):
            self.calls.call(call, flow)
            self.scopes.entered_by_call(call, flow)
            called = self._called(call)
            for name in called:
                if not self.functions[name].entered:
                    self._enter(self.functions[name], flow, call)
            for item in [*call.args, *(keyword.value for keyword in call.keywords)]:
                # A function that is handed over is taken to be called: `app.run(main)`.
                if isinstance(item, ast.Name) and item.id in self.functions and not self.functions[item.id].entered:
                    self._enter(self.functions[item.id], flow)

    def _called(self, call: ast.Call) -> list[str]:
        """Return the functions of this file that a call enters."""
        names = []
        function = call.func
        if isinstance(function, ast.Name):
            names += [function.id, f"{function.id}.__init__"]
        elif isinstance(function, ast.Attribute):
            owner = function.value
            if isinstance(owner, ast.Name):
                names.append(f"{self.names.instances.get(owner.id, owner.id)}.{function.attr}")
            elif isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name):
                names.append(f"{owner.func.id}.{function.attr}")
        return [name for name in names if name in self.functions]

    def _enter(self, definition: _Definition, flow: Flow, call: ast.Call | None = None) -> None:
        definition.entered = True
        before, self.recorder.piece = self.recorder.piece, definition.piece
        outer = self.names.instances.get("self", "")
        self.bindings.parameters(definition.node, call, method=bool(definition.owner))
        self.names.instances["self"] = definition.owner
        self.body(definition.node.body, flow)
        self.names.instances["self"] = outer
        self.recorder.piece = before

    def _define(self, node: _Function, flow: Flow, owner: str = "") -> None:
        for decorator in node.decorator_list:
            self.expression(decorator, flow)
        if self.recorder.piece is not None:
            name = f"{owner}.{node.name}" if owner else node.name
            self.functions[name] = _Definition(node, self.recorder.piece, self.recorder.progress.copy(), owner)

    def _class(self, node: ast.ClassDef, flow: Flow) -> None:
        self.bindings.classes.add(node.name)
        for item in node.body:
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._define(item, flow, node.name)
            else:
                self.statement(item, flow)

    def _while(self, node: ast.While, flow: Flow) -> None:
        self.expression(node.test, flow)
        self.body(node.body, flow)
        self.body(node.orelse, flow)

    def _match(self, node: ast.Match, flow: Flow) -> None:
        self.expression(node.subject, flow)
        for case in node.cases:
            self.body(case.body, flow.branch())

    def _if(self, node: ast.If, flow: Flow) -> None:
        # A chain of elif is a deep tree, so it is followed in a loop.
        while True:
            self.expression(node.test, flow)
            always = self._always(node.test)
            if always is not False:
                self.body(node.body, flow if always else flow.branch())
            if always is True:
                return
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
            flow = flow.branch()
        self.body(node.orelse, flow if always is False else flow.branch())

    def _always(self, test: ast.expr) -> bool | None:
        """Whether a condition is always true or never; a list of GPUs is taken to have some."""
        if isinstance(test, ast.Constant):
            return bool(test.value)
        if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__":
            return True
        if isinstance(test, ast.Compare):
            test = test.left
        if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "len" and test.args:
            test = test.args[0]
        devices = self.names.device_list(test)
        return True if devices and devices.kind == "GPU" else None

    def _for(self, node: ast.For | ast.AsyncFor, flow: Flow) -> None:
        self.expression(node.iter, flow)
        if isinstance(node.target, ast.Name):
            self.names.forget(node.target.id)
        self.body(node.body, flow)
        self.body(node.orelse, flow)

    def _try(self, node: ast.stmt, flow: Flow) -> None:
        self.body(getattr(node, "body", ()), flow)
        for handler in getattr(node, "handlers", ()):
            self.body(handler.body, flow.branch())
        self.body(getattr(node, "orelse", ()), flow)
        self.body(getattr(node, "finalbody", ()), flow)

    def _with(self, node: ast.With | ast.AsyncWith, flow: Flow) -> None:
        inside = flow
        for item in node.items:
            self.expression(item.context_expr, flow)
            if self.scopes.entered_by_with(item.context_expr, node.body, flow):
                inside = replace(flow, device=True)
            if isinstance(item.optional_vars, ast.Name):
                self.names.forget(item.optional_vars.id)
        self.body(node.body, inside)

    def _import(self, node: ast.Import | ast.ImportFrom, _flow: Flow) -> None:
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.ImportFrom) and node.level:
            return
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                self._take(alias.asname or alias.name, f"{node.module}.{alias.name}")
            elif alias.asname:
                self._take(alias.asname, alias.name)
            else:
                top = alias.name.split(".", maxsplit=1)[0]
                self._take(top, top)
        for module in modules:
            top = module.split(".", maxsplit=1)[0]
            if IMPORTS_TENSORFLOW.match(module):
                self.recorder.reach(Moment.IMPORT, node.lineno)
            elif top in OTHER_FRAMEWORKS and self.recorder.progress.at(Moment.IMPORT) is None:
                self.recorder.remark("other-framework", node.lineno, {"module": top})
            if module == "pycuda.autoinit":
                self.recorder.reach(Moment.DRIVER, node.lineno)

    def _take(self, name: str, path: str) -> None:
        self.names.forget(name)
        self.names.paths[name] = path

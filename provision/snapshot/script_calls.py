"""What calls and assignments in user code mean for the GPU, and whether they come too late."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace

from provision.snapshot.script_names import (
    CONTEXT_CALLS,
    CONTEXT_METHODS,
    DRIVER_CALLS,
    GRAPH_ONLY,
    IMPORTS_TENSORFLOW,
    Moment,
)
from provision.snapshot.script_recorder import Flow, Recorder
from provision.snapshot.script_source import Aside
from provision.snapshot.script_values import Names, argument

_EXPORT = re.compile(r"\bexport\s+([A-Za-z_]\w*)=(\S*)")
_ENVIRON = {"os.environ.update", "os.environ.setdefault", "os.putenv", "os.environ.pop", "os.unsetenv"}
_SHELLS = {"os.system", "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.Popen"}
_LIMITS = {"set_logical_device_configuration", "set_virtual_device_configuration"}
_CONFIG = "tensorflow.config."


class Calls:
    """Judges calls one by one, in the order in which they happen."""

    def __init__(self, names: Names, recorder: Recorder) -> None:
        self._names = names
        self._recorder = recorder
        self._graph = GRAPH_ONLY.search(recorder.text) is not None
        self._grown: dict[int | None, int] = {}
        self._limited: set[str] = set()
        self._sessions: set[str] = set()

    def call(self, call: ast.Call, flow: Flow) -> None:
        """Note what one call does."""
        path = self._names.path(call.func)
        self._option(call)
        if path in _ENVIRON:
            self._environ(path, call, flow)
        elif path in _SHELLS:
            for match in _EXPORT.finditer(self._names.text(argument(call, 0, "args")) or ""):
                self._recorder.aside(Aside(call.lineno, match[1], match[2], in_shell=True))
        elif path == "importlib.import_module" or (isinstance(call.func, ast.Name) and call.func.id == "__import__"):
            if IMPORTS_TENSORFLOW.match(self._names.text(argument(call, 0, "name")) or ""):
                self._recorder.reach(Moment.IMPORT, call.lineno)
        elif path.startswith(_CONFIG):
            self._config(path.removeprefix(_CONFIG), call, flow)
        elif path.startswith(("tensorflow.", "keras.")):
            self._other(path.rpartition(".")[2], call, flow)
        self._moments(path, call)

    def _option(self, call: ast.Call) -> None:
        """Keep the default of an option: ``parser.add_argument("--gpu", default="0")``, ``flags.DEFINE_string(…)``."""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name == "add_argument":
            long = [text for text in map(self._names.text, call.args) if text and text.startswith("--")]
            option, default = (long[0] if long else None), argument(call, 99, "default")
            option = self._names.text(argument(call, 99, "dest")) or option
        elif name.startswith("DEFINE_"):
            option, default = self._names.text(argument(call, 0, "name")), argument(call, 1, "default")
        else:
            return
        known = self._names.text(default)
        if option and known is not None:
            self._names.defaults[option.lstrip("-").replace("-", "_")] = known

    def _set(self, name: str | None, value: ast.expr | None, line: int, flow: Flow) -> None:
        """Note a variable that is set; what an option is by default is a value that may be another."""
        known = self._names.text(value)
        if known is None and self._names.default(value) is not None:
            known, flow = self._names.default(value), replace(flow, certain="default")
        self._recorder.variable(name, known, line, flow)

    def _other(self, name: str, call: ast.Call, flow: Flow) -> None:
        names, note = self._names, self._recorder.remark
        if name == "ConfigProto":
            counted = names.pairs(argument(call, 0, "device_count"))
            if any(key.upper() == "GPU" and names.value(value) == 0 for key, value in counted):
                note("session-without-gpu", call.lineno, {"certain": flow.certain})
        elif name == "GPUOptions":
            listed = argument(call, 99, "visible_device_list")
            self._recorder.narrowed = self._recorder.narrowed or bool(names.text(listed))
            share = names.text(argument(call, 99, "per_process_gpu_memory_fraction"))
            if share is not None:
                note("memory-limit", call.lineno, {"share": share, "certain": flow.certain})
        elif name.endswith("Strategy"):
            given = argument(call, 0, "devices") or argument(call, 0, "device")
            items = given.elts if isinstance(given, (ast.List, ast.Tuple)) else [given]
            named = [names.named_device(item) for item in items]
            if named and all(item is not None and item.kind == "CPU" for item in named):
                fields = {"device": "CPU:0", "share": "whole", "certain": flow.certain}
                note("cpu-device", call.lineno, fields)
        elif name == "multi_gpu_model":
            note("removed-api", call.lineno, {"name": name, "certain": flow.certain})
        elif name in {"Session", "InteractiveSession"}:
            config = argument(call, 2, "config")
            self._sessions |= {config.id} if isinstance(config, ast.Name) else set()

    def _moments(self, path: str, call: ast.Call) -> None:
        function = call.func
        method = function.attr if isinstance(function, ast.Attribute) and not path else ""
        graph = self._graph and not path.endswith("Session")
        if DRIVER_CALLS.fullmatch(path):
            self._recorder.reach(Moment.DRIVER, call.lineno)
        elif CONTEXT_CALLS.fullmatch(path) and not graph:
            self._recorder.reach(Moment.CONTEXT, call.lineno)
        elif method in CONTEXT_METHODS and self._recorder.progress.at(Moment.IMPORT):
            # `fit` of scikit-learn has the same name: it does nothing to the GPU.
            owner = function.value if isinstance(function, ast.Attribute) else None
            if isinstance(owner, ast.Name) and owner.id in self._names.models:
                self._recorder.reach(Moment.CONTEXT, call.lineno)

    def _environ(self, path: str, call: ast.Call, flow: Flow) -> None:
        names = self._names
        if path == "os.environ.update":
            given = [(item.arg, item.value) for item in call.keywords if item.arg]
            for name, value in [*names.pairs(argument(call, 0, "")), *given]:
                self._set(name, value, call.lineno, flow)
            return
        unset = path in {"os.environ.pop", "os.unsetenv"}
        key = names.text(argument(call, 0, "key"))
        if unset:
            self._recorder.variable(key, None, call.lineno, flow, unset=True)
        else:
            self._set(key, argument(call, 1, "value"), call.lineno, flow)

    def _config(self, name: str, call: ast.Call, flow: Flow) -> None:
        started = self._recorder.after(Moment.CONTEXT)
        if name == "set_visible_devices":
            self._visible(call, flow, started)
        elif name == "set_memory_growth" or name in _LIMITS:
            self._growth(name, call, {"call": name, "certain": flow.certain, **started}, started=bool(started))

    def _growth(self, name: str, call: ast.Call, fields: Mapping[str, str | None], *, started: bool) -> None:
        device = argument(call, 0, "device")
        shown = ast.dump(device) if device is not None else ""
        if name == "set_memory_growth" and self._names.value(argument(call, 1, "enable")) is False:
            return
        if started:
            self._recorder.remark("growth-late", call.lineno, fields, late=True)
        elif name in _LIMITS:
            self._limited.add(shown)
        elif shown in self._limited:
            self._recorder.remark("growth-with-limit", call.lineno, fields)
        else:
            found = self._names.device_list(device)
            self._grown.setdefault(found.index if found else None, call.lineno)

    def _visible(self, call: ast.Call, flow: Flow, after: Mapping[str, str | None]) -> None:
        devices = argument(call, 0, "devices")
        kind = (self._names.text(argument(call, 1, "device_type")) or "").upper()
        known, value = self._names.device_list(devices), self._names.value(devices)
        hides = kind in {"", "GPU"} and (value == [] or (not kind and known is not None and known.kind == "CPU"))
        self._recorder.narrowed = self._recorder.narrowed or kind == "GPU"
        if hides or after:
            fields = {"certain": flow.certain, "hides": "yes" if hides else None, **after}
            self._recorder.remark("visible-devices-call", call.lineno, fields, late=bool(after))

    def set_attribute(self, target: ast.Attribute, value: ast.expr, flow: Flow) -> None:
        """Note what is set in a session's configuration: ``config.gpu_options.allow_growth = True``."""
        options = target.value
        if not (isinstance(options, ast.Attribute) and options.attr == "gpu_options"):
            return
        owner, text = options.value, self._names.text(value)
        if isinstance(owner, ast.Name) and owner.id in self._sessions:
            fields = {"call": target.attr, "certain": flow.certain, "after": "the session was made before"}
            self._recorder.remark("growth-late", target.lineno, fields, late=True)
        elif target.attr == "per_process_gpu_memory_fraction" and text is not None:
            self._recorder.remark("memory-limit", target.lineno, {"share": text, "certain": flow.certain})

    def set_item(self, target: ast.Subscript, value: ast.expr, flow: Flow) -> None:
        """Note ``os.environ[…] = …`` and ``config.device_count["GPU"] = 0``."""
        key = self._names.text(target.slice)
        if self._names.path(target.value) == "os.environ":
            self._set(key, value, target.lineno, flow)
        elif (
            isinstance(target.value, ast.Attribute)
            and target.value.attr == "device_count"
            and (key or "").upper() == "GPU"
            and self._names.value(value) == 0
        ):
            self._recorder.remark("session-without-gpu", target.lineno, {"certain": flow.certain})

    def finish(self) -> None:
        """Remark on what only the whole file shows: memory growth for some GPUs only."""
        places = sorted(index for index in self._grown if index is not None)
        if places and None not in self._grown and not self._recorder.narrowed:
            fields = {"devices": ",".join(str(index) for index in places), "certain": "yes"}
            self._recorder.remark("growth-unequal", min(self._grown.values()), fields)

"""Variables that an environment sets for whoever activates or starts it: scripts, conda's state, site files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from provision.model.environment import EnvRef
from provision.system import System

_LIMIT = 1 << 20
_WATCHED = re.compile(r"(?:CUDA|TF|XLA|NVIDIA|LD|KERAS)_[A-Z0-9_]+|PYTHONPATH|PYTHONNOUSERSITE")
_SHELL = re.compile(
    r"^\s*(?:export\s+|declare\s+-x\s+|setenv\s+|set\s+-\w*x\w*\s+)?([A-Za-z_]\w*)(?:=|\s+)(\"[^\"]*\"|'[^']*'|[^\s;#]*)"
)
_SCRIPTS = ("bin/activate", "bin/activate.fish", "bin/activate.csh", "bin/postactivate")


def set_on_activation(system: System, env: EnvRef) -> tuple[tuple[str, str, str], ...]:
    """Return (file, variable, value) for variables that bear on the GPU, in the order in which files are read.

    Values stand as they are written, with references to other variables. Read are the activation scripts of a venv
    (``postactivate`` is virtualenvwrapper's) and of conda (``etc/conda/activate.d``), what ``conda env config vars
    set`` keeps, and ``sitecustomize.py`` and ``.pth`` files, which every start of the interpreter runs.
    """
    return tuple(dict.fromkeys((*_scripts(system, env), *_conda(system, env), *_site(system, env))))


def _read(system: System, path: str) -> str:
    try:
        return system.read_text(path, _LIMIT) if system.path(path).is_file() else ""
    except (OSError, ValueError):
        return ""


def _scripts(system: System, env: EnvRef) -> Iterator[tuple[str, str, str]]:
    folder = f"{env.prefix}/etc/conda/activate.d"
    of_conda = [path for path in system.glob(folder, "*") if path.endswith((".sh", ".fish", ".csh"))]
    for path in (*(f"{env.prefix}/{name}" for name in _SCRIPTS), *of_conda):
        for line in _read(system, path).splitlines():
            match = _SHELL.match(line)
            if match and _WATCHED.fullmatch(match[1]):
                yield path, match[1], match[2].strip("\"'")


def _conda(system: System, env: EnvRef) -> Iterator[tuple[str, str, str]]:
    states = [f"{env.prefix}/conda-meta/state", *system.glob(f"{env.prefix}/etc/conda/env_vars.d", "*.json")]
    for path in states:
        try:
            data = json.loads(_read(system, path) or "{}")
        except (ValueError, RecursionError):
            continue
        if not isinstance(data, dict):
            continue
        values = data.get("env_vars") if path.endswith("/state") else data
        for name, value in values.items() if isinstance(values, dict) else ():
            # conda keeps a variable that was unset under a mark of its own.
            if isinstance(value, str) and _WATCHED.fullmatch(name) and value != "***unset***":
                yield path, name, value


def _site(system: System, env: EnvRef) -> Iterator[tuple[str, str, str]]:
    site = str(env.site_packages)
    for path in (*system.glob(site, "*.pth"), f"{site}/sitecustomize.py", f"{site}/usercustomize.py"):
        text = _read(system, path)
        if "CUDA_VISIBLE_DEVICES" not in text:
            continue
        if path.endswith(".pth"):
            # Only lines that begin so are code; the others are folders.
            text = "\n".join(line for line in text.splitlines() if line.startswith(("import ", "import\t")))
        from provision.snapshot.script_source import python_pieces  # noqa: PLC0415 - few environments have such a file
        from provision.snapshot.script_walk import remarks_of  # noqa: PLC0415 - the same

        for remark in remarks_of(python_pieces(text.encode()), path):
            value = remark.fields.get("value")
            if remark.kind == "visible-devices-env" and value is not None and remark.fields.get("certain") == "yes":
                yield path, "CUDA_VISIBLE_DEVICES", value

"""Jupyter kernels and editors that name a Python, and the variables that they set. Read, never run."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from provision.model.environment import EnvRef
from provision.model.environment_facts import Pointer
from provision.snapshot.activation import set_on_activation
from provision.system import System

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

MAX_KERNELS = 200
_LIMIT = 4 << 20
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*w?\Z")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
_SETTINGS = ("python.defaultInterpreterPath", "python.pythonPath")
_INTERPRETERS = ("bin/python", "bin/python3")
_MAX_VARIABLES = 50


def read_pointers(
    system: System, env: EnvRef | None, folder: Path
) -> tuple[tuple[Pointer, ...], tuple[tuple[str, str, str], ...]]:
    """Return what names a Python, and what activation sets as (file, variable, value).

    Args:
        system: the door; JUPYTER_PATH, JUPYTER_DATA_DIR, XDG_DATA_HOME and HOME say where kernels are.
        env: the environment that is looked at; None where there is none, then no pointer is the same.
        folder: of the project, in which editors keep their settings.

    Kernels of other languages, and those that leave it to the running Jupyter which Python they use, are left out;
    so is every file that cannot be read or understood. Sources: jupyter_client's kernel specifications, VS Code's
    settings reference, and the files that PyCharm writes.
    """
    found = (*_kernels(system, env), *_vscode(system, env, folder), *_pycharm(system, env, folder))
    return found, set_on_activation(system, env) if env else ()


@dataclass(frozen=True)
class _Source:
    """Where a Python is named: the kind of program, its file, and what the place in it is called."""

    kind: str
    file: str
    name: str


def _pointer(
    system: System, env: EnvRef | None, source: _Source, python: str, variables: Mapping[str, str] | None = None
) -> Pointer:
    exists = system.exists(python)
    if exists and system.path(python).is_dir():
        inside = next((f"{python}/{part}" for part in _INTERPRETERS if system.exists(f"{python}/{part}")), None)
        python, exists = inside or python, inside is not None
    same = env is not None and _same(system, env, PurePosixPath(python))
    return Pointer(source.kind, source.file, source.name, python, exists, same, variables or {})


def _same(system: System, env: EnvRef, python: PurePosixPath) -> bool:
    """Whether a Python is the environment's: by its folder, since all venvs of one Python link to the same file."""
    try:
        if system.path(str(python.parent.parent)).resolve() == system.path(str(env.prefix)).resolve():
            return True
        own = env.kind == "system" and system.path(str(env.python)).resolve()
        return own == system.path(str(python)).resolve()
    except (OSError, ValueError, RuntimeError):
        return False


def _text(system: System, path: str) -> str | None:
    try:
        # Pipes and devices are not opened: reading them may never end.
        plain = stat.S_ISREG(system.path(path).stat().st_mode)
        return system.read_text(path, _LIMIT) if plain else None
    except (OSError, ValueError):
        return None


def _json(system: System, path: str, *, comments: bool = False) -> Mapping[str, object]:
    text = _text(system, path)
    if text is None:
        return {}
    if comments:
        for pattern in (_COMMENT, _TRAILING):
            text = pattern.sub(lambda match: match[1] or "", text)
    try:
        data = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _variables(value: object) -> Mapping[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return dict(islice(((str(name), str(text)) for name, text in items if text is not None), _MAX_VARIABLES))


def _kernel_folders(system: System, env: EnvRef | None) -> Iterator[str]:
    environ = system.environ
    home = environ.get("HOME", "")
    shared = environ.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    data = environ.get("JUPYTER_DATA_DIR") or (f"{shared}/jupyter" if shared else "")
    yield from (part for part in environ.get("JUPYTER_PATH", "").split(":") if part.startswith("/"))
    if data:
        yield data
    if env:
        yield f"{env.prefix}/share/jupyter"
    yield from ("/usr/local/share/jupyter", "/usr/share/jupyter")


def _kernels(system: System, env: EnvRef | None) -> Iterator[Pointer]:
    files = (
        file
        for folder in dict.fromkeys(_kernel_folders(system, env))
        for file in system.glob(f"{folder}/kernels", "*/kernel.json")
    )
    for file in islice(dict.fromkeys(files), MAX_KERNELS):
        data = _json(system, file)
        argv = data.get("argv")
        words = [word for word in argv if isinstance(word, str)] if isinstance(argv, list) else []
        python = next((word for word in words if _PYTHON.match(word.rpartition("/")[2])), "")
        # A bare name is the Python that the running Jupyter itself uses.
        if not python.startswith("/") or str(data.get("language") or "python").lower() != "python":
            continue
        shown = f"{PurePosixPath(file).parent.name} ({data.get('display_name') or 'no display name'})"
        yield _pointer(system, env, _Source("jupyter", file, shown), python, _variables(data.get("env")))


def _vscode(system: System, env: EnvRef | None, folder: Path) -> Iterator[Pointer]:
    settings = f"{folder.absolute()}/.vscode/settings.json"
    data = _json(system, settings, comments=True)
    variables = _variables(data.get("terminal.integrated.env.linux"))
    for name in _SETTINGS:
        python = _placed(system, data.get(name), folder)
        if python:
            yield _pointer(system, env, _Source("vscode", settings, name), python, variables)
    launch = f"{folder.absolute()}/.vscode/launch.json"
    runs = _json(system, launch, comments=True).get("configurations")
    for run in islice(runs if isinstance(runs, list) else (), MAX_KERNELS):
        if not isinstance(run, dict):
            continue
        named = run.get("python")
        python = _placed(system, named[0] if isinstance(named, list) and named else named, folder)
        given = _variables(run.get("env"))
        if python or given:
            source = _Source("vscode", launch, f"launch configuration {run.get('name')!r}")
            # Without a Python of its own it runs with the one that is chosen, which is taken for this one.
            yield _pointer(system, env, source, python or (str(env.python) if env else ""), given)


def _placed(system: System, value: object, folder: Path) -> str:
    """Return the absolute path that a setting names, empty where it is a bare name or holds an unknown variable."""
    if not isinstance(value, str):
        return ""
    text = re.sub(r"\$\{(?:workspaceFolder|workspaceRoot)(?::[^}]*)?\}", str(folder.absolute()), value)
    text = re.sub(r"\$\{userHome\}|\A~(?=/)", system.environ.get("HOME", "~"), text)
    text = re.sub(r"\$\{env:(\w+)\}", lambda match: system.environ.get(match[1], match[0]), text)
    if "${" in text or "/" not in text or "\0" in text:
        return ""
    return text if text.startswith("/") else str(PurePosixPath(folder.absolute(), text))


def _pycharm(system: System, env: EnvRef | None, folder: Path) -> Iterator[Pointer]:
    file = f"{folder.absolute()}/.idea/misc.xml"
    names = [
        item.get("project-jdk-name") or ""
        for item in _elements(system, file, "component")
        if item.get("name") == "ProjectRootManager"
    ]
    for name in filter(None, names[:1]):
        python = _placed(system, name, folder) or _interpreter_of(system, name)
        if python:
            yield _pointer(system, env, _Source("pycharm", file, name), python)


def _interpreter_of(system: System, name: str) -> str:
    """Return the Python that PyCharm knows under a name, from its table of interpreters; empty where it has none."""
    home = system.environ.get("HOME", "")
    if not home:
        return ""
    for table in reversed(system.glob(f"{home}/.config/JetBrains", "*/options/jdk.table.xml")):
        for item in _elements(system, table, "jdk"):
            called, path = item.find("name"), item.find("homePath")
            if called is not None and path is not None and called.get("value") == name:
                return (path.get("value") or "").replace("$USER_HOME$", home)
    return ""


def _elements(system: System, path: str, tag: str) -> list[ET.Element]:
    text = _text(system, path)
    # Editors write no document types; entities that grow without end need one.
    if text is None or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return []
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - few projects have such a file

    try:
        return list(ET.fromstring(text).iter(tag))  # noqa: S314 - entities are refused above
    except (ET.ParseError, ValueError, RecursionError):
        return []

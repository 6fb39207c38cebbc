"""Python interpreters of this machine, each asked once what it is.

1. what PATH finds as ``python3``, ``python3.N`` and ``python``; 2. pyenv's versions; 3. conda's base and environments;
4. what uv installed. A link, and the Python of a virtual environment, counts as the interpreter behind it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from provision.host import paths
from provision.model.host import Interpreter
from provision.model.versions import PythonVersion
from provision.system import System
from provision.system.parallel import each

_ASK = """
import sys, os
flags = getattr(sys, "abiflags", "")
multiarch = getattr(sys.implementation, "_multiarch", "")
kind = sys.implementation.name
if "t" in flags: kind += "-freethreading"
elif "d" in flags: kind += "-debug"
elif "musl" in multiarch: kind += "-musl"
machine = os.uname()[4] if sys.maxsize > 2**32 else "i686"
print('{"version": "%d.%d.%d", "kind": "%s", "machine": "%s"}' % (sys.version_info[:3] + (kind, machine)))
"""
_TIME_LIMIT = 5.0
_LIMIT = 64
_NAME = re.compile(r"python(?:3(?:\.\d{1,2})?)?\Z")
_SERIES = re.compile(r"python(3\.\d{1,2})\Z")
_CONDA_HOMES = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "miniconda", "anaconda", ".conda")


def find_interpreters(system: System, series: Collection[str] = ()) -> tuple[Interpreter, ...]:
    """Return every Python 3 that answers, newest first; of one version the first found comes first.

    With ``series`` (``3.11``), those whose file name says another one are asked only where no other answers as one of
    these: starting each takes its time, and a refusal has to name what there is.

    ``implementation`` is ``cpython`` only for what TensorFlow's wheels fit: free-threaded, debug and musl builds are
    named ``cpython-freethreading`` and so on.
    """
    places = _Places(system)
    real: dict[str, str] = {}
    for path in places.executables():
        resolved = _resolve(path)
        if resolved and len(real) < _LIMIT:
            real.setdefault(resolved, places.source_of(resolved))
    first = {path: source for path, source in real.items() if _may_be(path, series)}
    found = _answering(system, first)
    if len(first) < len(real) and not any(python.version.series.text in series for python in found):
        found += _answering(system, {path: source for path, source in real.items() if path not in first})
    return tuple(sorted(found, key=lambda python: python.version.parts, reverse=True))


def _answering(system: System, real: dict[str, str]) -> list[Interpreter]:
    answers = each(lambda path: _ask(system, path), real)
    return [
        Interpreter(path, answer[0], source, answer[1], answer[2])
        for (path, source), answer in zip(real.items(), answers, strict=True)
        if answer
    ]


class _Places:
    """Where interpreters are kept on this machine."""

    def __init__(self, system: System) -> None:
        environ = system.environ
        self._path = [Path(entry) for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry]
        home = Path(environ["HOME"]) if environ.get("HOME") else None
        data = environ.get("XDG_DATA_HOME") or (str(home / ".local" / "share") if home else "")
        self._pyenv = Path(environ.get("PYENV_ROOT") or (home / ".pyenv" if home else "/nonexistent"))
        self._uv = Path(
            environ.get("UV_PYTHON_INSTALL_DIR") or (Path(data) / "uv" / "python" if data else "/nonexistent")
        )
        bases = [system.path("/opt/conda")]
        if home:
            bases += [home / name for name in _CONDA_HOMES]
        for name in ("CONDA_PREFIX", "MAMBA_ROOT_PREFIX"):
            if environ.get(name):
                bases.append(Path(environ[name]))
        if environ.get("CONDA_EXE"):
            bases.append(Path(environ["CONDA_EXE"]).parent.parent)
        self._conda = [*bases, *(env for base in bases for env in paths.glob(base, "envs/*")), *_registered(home)]

    def executables(self) -> Iterator[Path]:
        """Yield candidates, PATH first."""
        for folder in self._path:
            if folder.name != "shims":  # pyenv's shims are scripts that start what is listed below
                yield from (path for path in paths.glob(folder, "python*") if _NAME.match(path.name))
        for folder in (*paths.glob(self._pyenv, "versions/*"), *paths.glob(self._uv, "*"), *self._conda):
            yield folder / "bin" / "python3"

    def source_of(self, executable: str) -> str:
        """Return ``pyenv``, ``uv``, ``conda`` or ``path`` by where the interpreter really is."""
        path = Path(executable)
        for root, source in ((self._pyenv, "pyenv"), (self._uv, "uv")):
            if path.is_relative_to(root) or path.is_relative_to(os.path.realpath(root)):
                return source
        return "conda" if paths.is_folder(path.parent.parent / "conda-meta") else "path"


def _registered(home: Path | None) -> list[Path]:
    """Return the environments that conda wrote into its list."""
    if home is None:
        return []
    try:
        with (home / ".conda" / "environments.txt").open(encoding="utf-8", errors="replace") as stream:
            lines = stream.read(1 << 16).splitlines()
    except OSError:
        return []
    return [Path(line.strip()) for line in lines if line.strip().startswith("/")]


def _resolve(path: Path) -> str | None:
    """Return the real executable, None for what is not there or may not be run."""
    resolved = paths.resolve(path)
    return str(resolved) if resolved and paths.is_file(resolved) and os.access(resolved, os.X_OK) else None


def _may_be(executable: str, series: Collection[str]) -> bool:
    said = _SERIES.match(Path(executable).name)
    return not series or said is None or said[1] in series


def _ask(system: System, path: str) -> tuple[PythonVersion, str, str] | None:
    """Ask one interpreter, isolated from the user's settings; None where it does not answer as a Python 3 does."""
    environ = {name: value for name, value in system.environ.items() if not name.startswith("PYTHON")}
    completed = system.run([path, "-I", "-S", "-c", _ASK], timeout=_TIME_LIMIT, env=environ)
    try:
        answer = json.loads(completed.stdout) if completed.ok else None
        return (PythonVersion(answer["version"]), str(answer["kind"]), str(answer["machine"])) if answer else None
    except (ValueError, KeyError, TypeError):
        return None

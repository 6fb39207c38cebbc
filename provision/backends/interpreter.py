"""The Python that an environment is made with: found on the machine, else fetched by uv."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from provision.backends.uv import Uv
from provision.errors import ToolFailedError, UsageError
from provision.model.host import Interpreter
from provision.model.versions import PythonVersion
from provision.system import System

_ASK = (
    "import json,platform,struct,sys;"
    "print(json.dumps([platform.python_implementation().lower(),'%d.%d.%d'%sys.version_info[:3],"
    "platform.machine(),struct.calcsize('P')*8,sys.executable,getattr(sys,'abiflags',''),"
    "getattr(sys,'base_prefix',sys.prefix)==sys.prefix]))"
)
_SECONDS = 30.0
_ORDER = ("given", "uv", "pyenv", "path", "conda")
"""A Python of uv or pyenv survives the operating system's updates; one of conda changes with its environment."""


def ask(system: System, path: str) -> Interpreter | str:
    """Run a Python and return what it is, or why it cannot be used, in one line."""
    done = system.run([path, "-I", "-S", "-c", _ASK], timeout=_SECONDS)
    if not done.ok:
        return "it does not run" if not done.timed_out else "it hangs"
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        kind, version, machine, bits, executable, flags, base = answer
        read = PythonVersion(str(version))
    except (ValueError, IndexError):
        return "it does not answer like a Python"
    if kind != "cpython":
        return f"it is {kind}; TensorFlow has wheels for CPython only"
    if machine not in ("x86_64", "AMD64") or bits != 64:  # noqa: PLR2004 - bits of a pointer
        return f"it is a {bits}-bit Python for {machine}; the wheels are for x86_64"
    if "t" in flags or "d" in flags:
        return "it is a free-threaded or debug build, for which TensorFlow has no wheels"
    return Interpreter(str(executable or path), read, "base" if base else "venv", str(kind), str(machine))


def given(system: System, path: Path) -> Interpreter:
    """Return the Python that the user names by its path; raises UsageError, code ``python-unusable``."""
    answer = ask(system, str(path.absolute()))
    if isinstance(answer, str):
        raise UsageError(
            "the Python that was given cannot be used",
            code="python-unusable",
            why=(f"{path}: {answer}",),
            hint="give a CPython for x86_64, or only its version: `--python 3.10`",
        )
    return Interpreter(answer.path, answer.version, "given", answer.implementation, answer.machine)


def choose(found: Sequence[Interpreter], wanted: PythonVersion) -> tuple[Interpreter | None, tuple[str, ...]]:
    """Return the best interpreter of a version, and one line for each that has the version and does not serve.

    Args:
        found: every interpreter of the machine that answered.
        wanted: a series (``3.8``) or an exact version (``3.8.18``).
    """
    exact = wanted.text.count(".") > 1
    fitting = [item for item in found if (item.version == wanted if exact else item.version.series == wanted.series)]
    fitting.sort(key=lambda item: item.version.parts, reverse=True)
    fitting.sort(key=lambda item: _ORDER.index(item.source) if item.source in _ORDER else len(_ORDER))
    looked: list[str] = []
    for item in fitting:
        if item.implementation != "cpython":
            looked.append(f"{item.path}: it is {item.implementation}; TensorFlow has wheels for plain CPython only")
        elif item.machine not in ("", "x86_64"):
            looked.append(f"{item.path}: it is for {item.machine}; the wheels are for x86_64")
        else:
            return item, tuple(looked)
    return None, tuple(looked)


def fetch(
    system: System, uv: Uv, wanted: PythonVersion, found: Sequence[Interpreter], looked: tuple[str, ...]
) -> Interpreter:
    """Have uv fetch a Python.

    Raises:
        ToolFailedError: code ``python-not-found``, naming what was looked at and the commands that would help.
    """
    done = None
    path = uv.find_python(wanted.text)
    if path is None and not uv.offline:
        done = uv.install_python(wanted.text)
        path = uv.find_python(wanted.text) if done.ok else None
    answer = ask(system, path) if path else ""
    if path and isinstance(answer, Interpreter):
        return Interpreter(path, answer.version, "uv", answer.implementation, answer.machine)
    others = sorted({item.version.series.text for item in found}, key=lambda text: PythonVersion(text).parts)
    if done is not None:
        cause = next((line.strip() for line in done.stderr.splitlines() if "error" in line or "cause:" in line), "")
        tried = f"uv could not fetch one: {cause.removeprefix('error: ')}"
    else:
        tried = "uv has none, and --offline forbids fetching one"
    raise ToolFailedError(
        f"no Python {wanted} for this TensorFlow",
        code="python-not-found",
        why=(
            "looked at: PATH, pyenv, conda, Pythons of uv",
            f"found: {', '.join(others)}" if others else "found: none",
            *looked,
            tried,
        ),
        hint=f"`uv python install {wanted.series}` or `pyenv install {wanted.series}`, or `--python PATH`",
    )

"""Which environment is meant, and what its interpreter says about itself."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from provision.errors import UsageError
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.versions import GlibcVersion, PythonVersion
from provision.probes.hygiene import guest_environ
from provision.probes.launcher import ProbeAnswer, run_probe
from provision.system import System

_TIMEOUT = 30.0
_INTERPRETERS = ("bin/python", "bin/python3")
_PYTHON = re.compile("python|pypy")
_ERROR = re.compile(r"\w*Error\b|\berror\b")
_HINT = "give the folder of a venv or conda environment, or its Python, for example path/to/.venv"


@dataclass(frozen=True)
class Installed:
    """A distribution as its folder name says; ``name`` is normalised."""

    name: str
    version: str
    folder: str


@dataclass(frozen=True)
class Inventory:
    """What an interpreter sees.

    Attributes:
        env: the environment.
        python: exact version of the interpreter.
        implementation: ``cpython``.
        machine: ``x86_64`` …
        glibc: of the system as the interpreter sees it, None where it does not say.
        distributions: everything on its path, first found first.
        tensorflow: each ``tensorflow`` package or module on its path; the first one is imported.
        user_site: the same in the user's own site folder, which probes and isolated programs leave out.
        path: ``sys.path``, in its order.
        platform: ``linux`` … (``sys.platform``).
        abiflags: ``t`` in it for a free-threaded build, ``d`` for a debug build.
        user_folder: the user's own site folder, empty where there is none or this Python never looks there.
    """

    env: EnvRef
    python: PythonVersion
    implementation: str
    machine: str
    glibc: GlibcVersion | None
    distributions: tuple[Installed, ...]
    tensorflow: tuple[PurePosixPath, ...]
    user_site: tuple[PurePosixPath, ...] = ()
    path: tuple[str, ...] = ()
    platform: str = ""
    abiflags: str = ""
    user_folder: str = ""

    def installed(self, name: str) -> Installed | None:
        """Return the distribution of that normalised name."""
        return next((item for item in self.distributions if item.name == name), None)

    @property
    def tensorflow_distributions(self) -> tuple[Installed, ...]:
        """Every distribution that brings a ``tensorflow`` package, the CPU ones included."""
        return tuple(item for item in self.distributions if item.name in TENSORFLOW_DISTRIBUTIONS)

    @property
    def versions(self) -> Mapping[str, str]:
        """Normalised name to version, first found first."""
        found: dict[str, str] = {}
        for item in self.distributions:
            found.setdefault(item.name, item.version)
        return found


TENSORFLOW_DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-gpu",
    "tensorflow-cpu",
    "tf-nightly",
    "tf-nightly-cpu",
    "tf-nightly-gpu",
    "intel-tensorflow",
    "tensorflow-intel",
    "tensorflow-cpu-aws",
    "tensorflow-rocm",
    "tensorflow-macos",
    "tensorflow-aarch64",
    "intel-tensorflow-avx512",
)


def locate(system: System, target: str | Path | None) -> EnvRef:
    """Return the environment that ``target`` names.

    Args:
        system: the door.
        target: a venv or conda folder, a Python executable, or None: ``.venv`` in this folder, else the active
            ``$VIRTUAL_ENV``, else the active ``$CONDA_PREFIX``.

    Raises UsageError (codes ``no-environment``, ``not-an-environment``, ``no-rights``, ``broken-interpreter``).
    """
    return inspect(system, target).env


def inspect(system: System, target: str | Path | EnvRef | None) -> Inventory:
    """Return what the interpreter of ``target`` sees; raises UsageError as `locate` does."""
    python = Path(target.python) if isinstance(target, EnvRef) else _interpreter(system, target)
    answer = run_probe(
        system, python, "interpreter", timeout=_TIMEOUT, environ=guest_environ(system.environ).values, flags=("-s",)
    )
    if answer.data is None:
        raise _broken(python, answer)
    return _inventory(answer.data)


def inspect_as_user(system: System, env: EnvRef, variables: Mapping[str, str]) -> Inventory | str:
    """Return what the interpreter sees under the user's own variables and with the user site, or why it does not run.

    ``PYTHONPATH``, ``PYTHONHOME`` and the user's site folder put other packages before those of the environment;
    `inspect` leaves them out.
    """
    answer = run_probe(system, Path(env.python), "interpreter", timeout=_TIMEOUT, environ=variables, flags=())
    if answer.data is None:
        said = [line.strip() for line in (answer.completed.stderr or answer.completed.stdout).splitlines()]
        return next((line for line in reversed(said) if _ERROR.search(line)), answer.failure or "no answer")
    return _inventory(answer.data)


def _interpreter(system: System, target: str | Path | None) -> Path:
    if target is None:
        return _of_folder(_default_folder(system))
    if not str(target):
        raise UsageError("an empty path names no environment", code="not-an-environment", hint=_HINT)
    path = Path(target).expanduser()
    try:
        mode = path.stat().st_mode
        return _of_folder(path) if stat.S_ISDIR(mode) else _of_file(path)
    except (FileNotFoundError, NotADirectoryError):
        # A name that is on PATH but is no Python (`env`, `test`) is not what was meant.
        named = str(target) == path.name and _PYTHON.search(path.name)
        found = system.which(str(target)) if named else None
    except PermissionError as error:
        raise UsageError(f"no rights to look at {path}", code="no-rights", why=(str(error),), hint=_HINT) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{str(path)!r} cannot be an environment", code="not-an-environment", why=(str(error),), hint=_HINT
        ) from error
    if found:
        return Path(found)
    raise UsageError(f"there is no environment at {path}", code="no-environment", hint=_HINT)


def _default_folder(system: System) -> Path:
    candidates = [(".venv in this folder", Path(".venv"))]
    candidates += [
        (f"${name}", Path(system.environ[name])) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if system.environ.get(name)
    ]
    for _, folder in candidates:
        if folder.is_dir():
            return folder
    raise UsageError(
        "no environment was named and none is active",
        code="no-environment",
        why=(f"looked at: {', '.join(f'{name} ({folder})' for name, folder in candidates)}",),
        hint=_HINT,
    )


def _of_folder(folder: Path) -> Path:
    for name in _INTERPRETERS:
        python = folder / name
        if python.is_symlink() or python.exists():
            # Not resolved: a venv knows itself by the path of the link.
            return python.absolute()
    try:
        next(iter(folder.iterdir()), None)
    except PermissionError as error:
        raise UsageError(f"no rights to look into {folder}", code="no-rights", why=(str(error),), hint=_HINT) from error
    raise UsageError(
        f"{folder} is a folder, but not an environment",
        code="not-an-environment",
        why=(f"neither {' nor '.join(_INTERPRETERS)} is in it",),
        hint=_HINT,
    )


def _of_file(path: Path) -> Path:
    if not os.access(path, os.X_OK) or not _PYTHON.search(path.name):
        raise UsageError(
            f"{path} is a file, but not a Python interpreter",
            code="not-an-environment",
            why=("an environment is a folder with bin/python in it",),
            hint=_HINT,
        )
    return path.absolute()


def _broken(python: Path, answer: ProbeAnswer) -> UsageError:
    said = (answer.completed.stderr or answer.completed.stdout).strip().splitlines()
    target = Path(python).readlink() if python.is_symlink() else None
    why = [f"{python}: {answer.failure or 'no answer'}", *(f"it said: {line}" for line in said[-3:])]
    if target is not None and not python.exists():
        why.append(f"it is a link to {target}, which is gone")
    return UsageError(
        "the environment's Python does not run",
        code="broken-interpreter",
        why=tuple(why),
        hint="create the environment again; a venv breaks when the Python it was made from is moved or removed",
    )


def _inventory(data: Mapping[str, Any]) -> Inventory:
    prefix = PurePosixPath(data["prefix"])
    kind = "conda" if data["conda"] else "venv" if data["prefix"] != data["base_prefix"] else "system"
    env = EnvRef(
        prefix=prefix,
        python=PurePosixPath(data["executable"]),
        site_packages=PurePosixPath(data["purelib"]),
        kind=kind,
        managed=(Path(prefix) / RECORD_FOLDER / "environment.json").is_file(),
    )
    libc = data.get("libc") or ["", ""]
    return Inventory(
        env=env,
        python=PythonVersion(data["version"]),
        implementation=data["implementation"],
        machine=data["machine"],
        glibc=GlibcVersion.parse(libc[1]) if libc[0] == "glibc" else None,
        distributions=tuple(Installed(item["name"], item["version"], item["folder"]) for item in data["distributions"]),
        tensorflow=tuple(PurePosixPath(item) for item in data["tensorflow"]),
        user_site=tuple(PurePosixPath(item) for item in data["user_site_tensorflow"]),
        path=tuple(str(item) for item in data["path"]),
        platform=str(data["platform"]),
        abiflags=str(data["abiflags"]),
        user_folder=str(data["user_folder"]),
    )

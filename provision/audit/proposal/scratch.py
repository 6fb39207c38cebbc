"""Install a release in a scratch environment and import it there: the constraints without which it does not.

The environment lies in a temporary folder, holds no NVIDIA library, and is deleted whatever happens. It imports, takes
a matrix product and fits a small model on the CPU, as ``verify`` has it done.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.audit.contents.strings import installed_knows_nvcc
from provision.backends.interpreter import choose, fetch
from provision.backends.layout import site_packages_of
from provision.backends.uv import Sources, Target, Uv, failed
from provision.errors import ProvisionError
from provision.host import find_interpreters
from provision.model.versions import PythonVersion
from provision.probes import run_probe
from provision.system import System

NOT_TRIED = "not tried"
_IMPORT_SECONDS = 300.0
_LINE = 160
_MOST_TRIES = 6


@dataclass(frozen=True)
class Tried:
    """An import that was tried.

    Attributes:
        python: series.
        constraints: names of the constraints with which it worked.
        failure: why it did not, in one line; empty where it did. It begins with `NOT_TRIED` where uv failed.
        packages: what was installed, ``name==version``.
        xla: whether a library that was installed holds the path of the nvcc wheel.
        seconds: that it took.
    """

    python: str
    constraints: tuple[str, ...] = ()
    failure: str = ""
    packages: tuple[str, ...] = ()
    xla: bool | None = None
    seconds: float = 0.0


def try_import(
    system: System,
    requirement: str,
    python: str,
    constraints: Mapping[str, str],
    *,
    sources: Sequence[str] = (),
    seconds: float = 1200.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Tried:
    """Return whether a release imports on a Python, with the fewest constraints of those that are known.

    Args:
        system: the door.
        requirement: ``tensorflow==2.21.0``.
        python: series; uv fetches it where the machine has none.
        constraints: name to requirement, of those that may help; the likeliest first.
        sources: names of packages that may be built from source.
        seconds: after which no further attempt is begun.
        tell: told what is done.
    """
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="tfgpu-audit-import-"))
    try:
        uv = Uv(system)
        wanted = PythonVersion(python)
        found = find_interpreters(system, {python})
        interpreter, looked = choose(found, wanted)
        interpreter = interpreter or fetch(system, uv, wanted, found, looked)
        failure = ""
        for attempt, names in enumerate(itertools.islice(_attempts(tuple(constraints)), _MOST_TRIES)):
            if attempt and time.monotonic() - start > seconds:
                failure += f" (no further attempt after {seconds:.0f} s)"
                break
            bounds = tuple(constraints[name] for name in names)
            tell(f"Python {python}: {' '.join((requirement, *bounds))}")
            env = folder / f"env{attempt}"
            lock = _lock(uv, interpreter.path, (requirement, *bounds), sources)
            made = uv.make_venv(env, interpreter.path, "audit")
            if not made.ok:
                raise failed(made, "making a scratch environment")
            done = uv.install(lock, env, Sources(tuple(sources)), offline=False, build_constraints=None)
            if not done.ok:
                raise failed(done, "installing")
            why = _import(system, env)
            if not why:
                packages = tuple(sorted(line.split(" ")[0] for line in lock.splitlines() if "==" in line[:80]))
                xla = installed_knows_nvcc(site_packages_of(env))
                return Tried(python, names, "", packages, xla, time.monotonic() - start)
            failure = failure or why
            shutil.rmtree(env, ignore_errors=True)
        return Tried(python, (), failure, seconds=time.monotonic() - start)
    except ProvisionError as error:
        why = f"{NOT_TRIED}: {error.what}{f' ({error.why[-1]})' if error.why else ''}"
        return Tried(python, (), why, seconds=time.monotonic() - start)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _attempts(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield no constraint, each alone, then all together."""
    yield ()
    yield from ((name,) for name in names)
    if len(names) > 1:
        yield names


def _lock(uv: Uv, interpreter: str, requirements: Sequence[str], sources: Sequence[str]) -> str:
    done = uv.resolve("\n".join(requirements) + "\n", Target(interpreter), Sources(tuple(sources)), None)
    if not done.ok:
        raise failed(done, "resolving")
    return done.stdout


def _import(system: System, env: Path) -> str:
    """Import what an environment holds, and return why that went wrong; empty where it went well."""
    home = env / "home"
    home.mkdir()
    answer = run_probe(
        system,
        str(env / "bin" / "python"),
        "import_check",
        {"fit": True},
        timeout=_IMPORT_SECONDS,
        environ={"HOME": str(home), "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "LC_ALL": "C"},
    )
    said: Mapping[str, Any] = answer.data or {}
    if said.get("step") == "done":
        return ""
    error = said.get("error") or answer.failure or "it ended"
    return f"it fails at {said.get('step', 'the start')}: {_shown(error)}"


def _shown(error: Any) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"

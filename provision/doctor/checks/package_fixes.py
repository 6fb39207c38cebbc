"""What to type to install, exchange and remove packages in the environment at hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from provision.model.doctor import Fix
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import Matrix, Row
from provision.model.versions import PythonVersion, TfVersion

_EXTRA_SINCE = TfVersion("2.14")
"""From here on TensorFlow has the extra ``and-cuda``."""
_NO_EXTRA = frozenset({TfVersion("2.15.0")})
"""Releases whose extra does not resolve (matrix.yaml, fault extra-2.15.0)."""


def python_of(seen: EnvironmentFacts) -> str:
    """Return the environment's interpreter, quoted."""
    return shlex.quote(str(seen.env.python) if seen.env else f"{seen.path}/bin/python")


def folder_of(seen: EnvironmentFacts) -> str:
    """Return the environment's folder, quoted."""
    return shlex.quote(str(seen.env.prefix) if seen.env else seen.path)


def install(seen: EnvironmentFacts, *requirements: str, again: bool = False, alone: bool = False) -> str:
    """Return the command that installs requirements there: with its own pip, else with uv.

    Args:
        seen: the environment.
        requirements: what to install.
        again: also where that version is there already.
        alone: without what they need.
    """
    wanted = " ".join(shlex.quote(item) for item in requirements)
    flags = [*(["--no-deps"] if alone else []), *([_again(seen)] if again else [])]
    return " ".join([_pip(seen, "install"), *flags, wanted])


def uninstall(seen: EnvironmentFacts, names: Iterable[str]) -> str:
    """Return the command that removes distributions."""
    yes = ["-y"] if seen.package("pip") else []
    return " ".join([_pip(seen, "uninstall"), *yes, *(shlex.quote(name) for name in names)])


def exchange(seen: EnvironmentFacts, requirement: str, name: str) -> tuple[Fix, ...]:
    """Return how one package is brought to a version that fits: by the lock of ours, by conda, or by pip."""
    package = seen.package(name)
    if package is not None and package.installer == "conda":
        command = f"conda install -p {folder_of(seen)} {shlex.quote(requirement)}"
        return (Fix(f"Install a {name} that fits", (command,)),)
    return (
        *resync(seen),
        Fix(f"Install a {name} that fits", (install(seen, requirement),)),
    )


def resync(seen: EnvironmentFacts) -> tuple[Fix, ...]:
    """Return how an environment of ours is brought back to its lock, nothing for others."""
    if seen.env is None or not seen.env.managed:
        return ()
    return (Fix("Bring the environment back to its lock", (f"tfgpu-provision sync {folder_of(seen)}",)),)


def install_tensorflow(seen: EnvironmentFacts, row: Row) -> tuple[str, ...]:
    """Return how a release comes into an environment that has none: with CUDA, with what it needs, and visible."""
    limits = (constraint.requirement for constraint in row.constraints)
    return (
        install(seen, tensorflow_requirement(row.release.text), *limits),
        f"tfgpu-provision wire {folder_of(seen)}",
    )


def restore_tensorflow(seen: EnvironmentFacts, release: str, name: str = "tensorflow") -> tuple[str, ...]:
    """Return how the files of a release come back where what it needs is there; that is left as it is."""
    commands = [install(seen, f"{name}=={release}", again=True, alone=True)]
    wanted = tensorflow_requirement(release)
    if "[" in wanted and not any(item.name.startswith("nvidia-") for item in seen.packages):
        commands.append(install(seen, wanted))
    if seen.wiring or "[" not in wanted:
        commands.append(f"tfgpu-provision wire {folder_of(seen)}")
    return tuple(commands)


def tensorflow_requirement(release: str, *, extra: bool = True) -> str:
    """Return ``tensorflow[and-cuda]==2.16.1``, without the extra where the release has none that resolves."""
    try:
        version = TfVersion(release)
    except ValueError:
        return f"tensorflow=={release}"
    with_extra = extra and version >= _EXTRA_SINCE and version not in _NO_EXTRA
    return f"tensorflow{'[and-cuda]' if with_extra else ''}=={release}"


def newest_row(matrix: Matrix, python: PythonVersion | None) -> Row | None:
    """Return the newest release with a wheel for a Python that NVIDIA's wheels serve, None where there is none."""
    fitting = [row for row in matrix.rows if row.sets and (python is None or python.series in row.pythons)]
    return max(fitting, key=lambda row: row.release.release, default=None)


def create_anew(seen: EnvironmentFacts, release: str = "") -> Fix:
    """Return how an environment is made that works: in the place of this one, which stays until the new one does."""
    wanted = f" --tf {shlex.quote(release)}" if release else ""
    return Fix(
        "Make the environment anew; this one gives way only when the new one works",
        (f"tfgpu-provision create {folder_of(seen)}{wanted} --replace",),
    )


def _pip(seen: EnvironmentFacts, verb: str) -> str:
    if seen.package("pip"):
        return f"{python_of(seen)} -m pip {verb}"
    return f"uv pip {verb} --python {python_of(seen)}"


def _again(seen: EnvironmentFacts) -> str:
    return "--force-reinstall" if seen.package("pip") else "--reinstall"

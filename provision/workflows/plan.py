"""``plan``: what create would do on a machine and why, touching nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import UsageError
from provision.host import find_interpreters
from provision.model.host import HostFacts
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal, Request
from provision.model.versions import PythonVersion
from provision.plan import decide
from provision.system import System
from provision.workflows.common import host_for, load_matrix
from provision.workflows.settings import Settings, load_settings

_SHOWN = 60
_PYTHON_3 = 3
_BACKENDS = ("venv", "conda")


@dataclass(frozen=True)
class Planned:
    """A decision, with everything it was made from."""

    decision: Plan | Refusal
    host: HostFacts
    matrix: Matrix


def plan(
    system: System,
    folder: Path,
    *,
    tf: str | None = None,
    python: str | None = None,
    for_: Sequence[str] = (),
    requirements: Sequence[str] = (),
    matrix_file: Path | None = None,
    backend: str | None = None,
    conda: Sequence[str] = (),
) -> Planned:
    """Read machine and matrix, and decide; what is not given comes from ``[tool.tfgpu]`` of the project in ``folder``.

    Raises:
        UsageError: ``bad-tf-spec``, ``bad-python``, ``bad-requirement``, ``bad-backend``, ``bad-for``.
        InvalidFileError: a matrix, project file or captured machine that is wrong.
    """
    settings = load_settings(folder)
    request = make_request(settings, tf=tf, python=python, requirements=requirements, backend=backend, conda=conda)
    matrix = load_matrix(matrix_file, settings)
    host = host_for(system, for_)
    if not host.described and request.python is None:
        host = dataclasses.replace(host, pythons=tuple(find_interpreters(system)))
    return Planned(decide(request, host, matrix), host, matrix)


def make_request(
    settings: Settings,
    *,
    tf: str | None,
    python: str | None,
    requirements: Sequence[str] = (),
    backend: str | None = None,
    conda: Sequence[str] = (),
) -> Request:
    """Return the request out of options and settings; options win, packages add up.

    Raises:
        UsageError: ``bad-python``, ``bad-requirement`` or ``bad-backend``. The TensorFlow spec is read by ``decide``.
    """
    chosen = _backend(backend if backend is not None else settings.text("backend"), conda)
    texts = (*settings.strings("requirements"), *requirements)
    return Request(
        tf=(tf if tf is not None else settings.text("tf")) or "",
        python=_python(python if python is not None else settings.text("python")),
        requirements=tuple(_requirement(text) for text in texts),
        backend=chosen,
        conda=(*settings.strings("conda"), *conda) if chosen == "conda" else (),
    )


def _backend(text: str | None, conda: Sequence[str]) -> str:
    backend = text or "venv"
    if backend not in _BACKENDS:
        raise UsageError(
            f"{backend[:_SHOWN]!a} is not a backend",
            code="bad-backend",
            hint="venv takes CUDA from NVIDIA's wheels, conda from the packages of a conda channel",
        )
    if conda and backend != "conda":
        raise UsageError(
            "conda packages were asked for without the conda backend",
            code="bad-backend",
            hint="add --backend conda, or ask for the package with --with",
        )
    return backend


def _python(text: str | None) -> PythonVersion | None:
    if not text:
        return None
    version = PythonVersion.parse(text.strip().lower().removeprefix("python"))
    if version is None or version.major != _PYTHON_3 or "." not in version.text:
        raise UsageError(
            f"{text[:_SHOWN]!a} is not a Python version",
            code="bad-python",
            hint="write a series such as 3.11, or leave it out for the best one",
        )
    return version


def _requirement(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - only who asks for packages pays

    try:
        return str(Requirement(text.strip()))
    except InvalidRequirement as error:
        raise UsageError(
            f"{text[:_SHOWN]!a} is not a package requirement",
            code="bad-requirement",
            why=(str(error).splitlines()[0][:200],),
            hint="write a name, with a version if you like: --with 'pandas>=2'",
        ) from error

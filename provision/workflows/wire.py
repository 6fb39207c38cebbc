"""``wire``: make the CUDA libraries of an environment visible that pip, uv, conda or a hand has filled; or undo it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision import wiring
from provision.model.created import Denial
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.probes.environment import Inventory, inspect
from provision.snapshot.premises import conda_versions, find_row, find_set
from provision.system import System
from provision.verify.libraries import is_version
from provision.wiring.result import WireResult
from provision.workflows.common import load_matrix
from provision.workflows.settings import load_settings


def wire_environment(
    system: System, folder: Path, target: str | None, *, undo: bool = False, matrix_file: Path | None = None
) -> WireResult:
    """Wire an environment, or take its wiring away.

    Args:
        system: the door.
        folder: where one stands, for ``[tool.tfgpu] matrix``.
        target: the environment, its folder or its Python; None looks for ``.venv`` here or the active one.
        undo: take the wiring away.
        matrix_file: use this matrix.

    Raises:
        UsageError: the target is no environment.
        InvalidFileError: a wrong matrix, or a wiring record that cannot be read.
        ToolFailedError: the disk refused.
    """
    seen = inspect(system, target)
    path = str(seen.env.prefix)
    if undo:
        return WireResult(path, report=wiring.unwire(seen.env), undone=True)
    if seen.env.kind == "system":
        return WireResult(path, denial=_system_python(path))
    matrix = load_matrix(matrix_file, load_settings(folder))
    row = find_row(seen, matrix)
    if row is None:
        return WireResult(path, denial=_no_row(seen, matrix))
    library_set, mixture = meant_set(row, {**conda_versions(seen), **seen.versions})
    name = f"{row.distribution} {row.release}"
    if library_set is None:
        return WireResult(path, name, denial=_no_libraries(path, row, conda=seen.env.kind == "conda"))
    return WireResult(path, name, library_set.ident, mixture, wiring.wire(seen.env, row, library_set))


def meant_set(row: Row, versions: Mapping[str, str]) -> tuple[LibrarySet | None, tuple[str, ...]]:
    """Return the set of the row that an environment holds, or comes nearest to, and where it differs from it.

    Args:
        row: of the installed release.
        versions: normalised name to version of what is installed, conda packages among them (`conda_versions`).

    None where nothing of any set is installed. A set of conda packages pins a version or its beginning (``8.6.*``).
    """
    exact = find_set(row, versions)
    if exact is not None:
        return exact, ()

    def nearness(library_set: LibrarySet) -> tuple[int, int]:
        wanted = _wanted(library_set)
        same = sum(is_version(versions.get(name), version) for name, version in wanted.items())
        return same, sum(name in versions for name in wanted)

    near = max((*row.sets, *row.conda_sets), key=nearness, default=None)
    if near is None or nearness(near) == (0, 0):
        return None, ()
    return near, tuple(
        f"{name} {versions.get(name, 'is not installed')}, the set {near.ident} has {version}"
        for name, version in _wanted(near).items()
        if not is_version(versions.get(name), version)
    )


def _wanted(library_set: LibrarySet) -> Mapping[str, str]:
    """Return what a set is made of; a TensorFlow that it brings tells nothing about the libraries."""
    wheels = {pin.name: pin.version for pin in library_set.pins}
    return wheels | {package.name: package.version for package in library_set.conda if package.name != "tensorflow"}


def _system_python(path: str) -> Denial:
    return Denial(
        "system-python",
        f"{path} is a Python of this machine, not an environment",
        ("what is wired there would be wired for every program of this machine",),
        "make an environment: `tfgpu-provision create`, or `python -m venv` and `pip install`, and wire that",
    )


def _no_row(seen: Inventory, matrix: Matrix) -> Denial:
    installed = [f"{item.name} {item.version}" for item in seen.tensorflow_distributions]
    if not installed:
        return Denial(
            "no-tensorflow",
            f"{seen.env.prefix} has no TensorFlow",
            (f"searched {seen.env.site_packages}",),
            "install it first, for example from a lock: `pip install --require-hashes -r tfgpu-lock.txt`",
        )
    return Denial(
        "row-unknown",
        f"the matrix has no row for {', '.join(installed)}",
        (f"it has {matrix.rows[0].release} to {matrix.rows[-1].release}" if matrix.rows else "it has no rows",),
        "install a release that `tfgpu-provision matrix list` shows",
    )


def _no_libraries(path: str, row: Row, *, conda: bool) -> Denial:
    sets = (*row.conda_sets, *row.sets) if conda else row.sets
    what = f"{path} has none of NVIDIA's packages for {row.distribution} {row.release}"
    if not sets:
        why = "no set of wheels serves this release"
        return Denial("no-libraries", what, (why,), "make another environment")
    first = sets[0]
    packages = " ".join([pin.requirement for pin in first.pins] or [f"'{pin.requirement}'" for pin in first.conda])
    install = f"{path}/bin/python -m pip install" if first.pins else f"conda install -p {path} -c {first.channel}"
    return Denial(
        "no-libraries", what, (f"the set {first.ident} has {packages}",), f"install them first: `{install} {packages}`"
    )

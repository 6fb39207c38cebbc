"""``wire``: make the CUDA libraries of an environment visible that pip, uv, conda or a hand has filled; or undo it."""

from __future__ import annotations

from pathlib import Path

from provision import wiring
from provision.model.created import Denial
from provision.model.matrix import Matrix, Row
from provision.probes.environment import Inventory, inspect
from provision.snapshot.premises import conda_versions, find_row, meant_set
from provision.system import System
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

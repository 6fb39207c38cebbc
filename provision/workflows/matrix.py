"""``matrix``: every release against a machine, one release with its evidence, the format of the file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import Version

from provision.errors import InvalidFileError, UsageError
from provision.host import find_interpreters
from provision.matrix import canonical, load
from provision.model.host import HostFacts
from provision.model.judged import Judged, MatrixList, MatrixShow
from provision.model.matrix import Matrix, Unserved
from provision.plan import judge, parse_spec, unserved
from provision.plan.spec import SpecKind
from provision.system import System, write_atomic
from provision.workflows.common import host_for, load_matrix
from provision.workflows.settings import load_settings

_SHOWN = 60


def list_matrix(
    system: System, folder: Path, *, for_: Sequence[str] = (), matrix_file: Path | None = None
) -> MatrixList:
    """Judge every row of the matrix in force against a machine.

    Raises:
        UsageError: ``bad-for``.
        InvalidFileError: a matrix, project file or captured machine that is wrong.
    """
    matrix, host = _premises(system, folder, for_, matrix_file)
    releases = tuple(Judged(row, judge(row, host, matrix)) for row in reversed(matrix.rows))
    return MatrixList(matrix, host, releases)


def matrix_in_force(folder: Path, matrix_file: Path | None = None) -> Matrix:
    """Return the matrix in force; raises InvalidFileError for one, or a project file, that is wrong."""
    return load_matrix(matrix_file, load_settings(folder))


def show_matrix(
    system: System, folder: Path, text: str, *, for_: Sequence[str] = (), matrix_file: Path | None = None
) -> MatrixShow:
    """Return one release: exactly the one named, or the newest good patch of a minor or range.

    Raises:
        UsageError: ``bad-tf-spec`` for words that are no release, ``unknown-release`` for one nobody knows.
        InvalidFileError: a matrix, project file or captured machine that is wrong.
    """
    matrix, host = _premises(system, folder, for_, matrix_file)
    named = next((entry for entry in matrix.unserved if entry.ident == text.strip().lower()), None)
    if named is not None:
        return MatrixShow(matrix, host, named)
    spec = parse_spec(text, matrix)
    rows = [row for row in matrix.rows if spec.admits(row)]
    if not rows:
        return MatrixShow(matrix, host, _no_row(text, matrix))
    good = [row for row in rows if not any(fault.avoid for fault in row.faults)] or rows
    row = good[-1]
    others = () if spec.kind is SpecKind.NEWEST else tuple(other.release for other in rows if other is not row)
    return MatrixShow(matrix, host, Judged(row, judge(row, host, matrix)), others)


def _same_minor(version: Version | None, matrix: Matrix) -> Iterator[str]:
    """Yield one line with the releases of the minor that was asked for, where there are any."""
    alike = [
        row.release.text for row in matrix.rows if version and row.release.release.release[:2] == version.release[:2]
    ]
    if alike:
        yield f"of this minor: {', '.join(alike)}"


def _no_row(text: str, matrix: Matrix) -> Unserved:
    """Return why words that no row answers to are not served, where the matrix says so."""
    spec = parse_spec(text, matrix)
    version = spec.version or _first_version(f"{spec.specifier}")
    found = unserved.of_release(matrix, version, spec.distribution) if version else None
    if found is None and spec.distribution != "tensorflow":
        found = unserved.of_distribution(matrix, spec.distribution)
    if found is None:
        newest = matrix.rows[-1].release if matrix.rows else "none"
        raise UsageError(
            f"the matrix has no row for {text[:_SHOWN]!a}",
            code="unknown-release",
            why=(f"it holds {len(matrix.rows)} releases, the newest is {newest}", *_same_minor(version, matrix)),
            hint="`tfgpu-provision matrix list` shows them all",
        )
    return found


def _first_version(specifier: str) -> Version | None:
    """Return the first version named in a specifier: 1.15 for ``==1.15.*``."""
    numbers = re.search(r"\d+(?:\.\d+)*", specifier)
    return Version(numbers[0]) if numbers else None


def format_matrix(path: Path, *, check: bool) -> bool:
    """Write a matrix file in its canonical form; return whether it was already.

    With ``check`` nothing is written. The file is read as a matrix afterwards, so that its errors come to light.

    Raises:
        InvalidFileError: code ``invalid-matrix``.
        OSError: it cannot be written.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        load(path)
        raise InvalidFileError("the matrix cannot be read", code="invalid-matrix", why=(str(path),)) from None
    wanted = canonical(text)
    if wanted != text and not check:
        write_atomic(path, wanted)
    load(path)
    return wanted == text


def _premises(system: System, folder: Path, for_: Sequence[str], matrix_file: Path | None) -> tuple[Matrix, HostFacts]:
    settings = load_settings(folder)
    matrix = load_matrix(matrix_file, settings)
    host = host_for(system, for_)
    if not host.described:
        host = dataclasses.replace(host, pythons=tuple(find_interpreters(system)))
    return matrix, host

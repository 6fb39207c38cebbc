"""``audit matrix``: every claim of the rows that are named, or of all, held against the wheels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from provision.audit.matrix import audit_matrix as hold
from provision.audit.reading.reader import Reader
from provision.errors import UsageError
from provision.model.audit import MatrixAudit
from provision.model.matrix import Matrix, Row
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.settings import load_settings

_SHOWN = 40


def audit_matrix(
    system: System,
    folder: Path,
    names: Sequence[str] = (),
    *,
    matrix_file: Path | None = None,
    download: bool = False,
    fresh: bool = False,
    deep: bool = False,
    tell: Callable[[str], None] | None = None,
) -> MatrixAudit:
    """Return every claim of some rows of the matrix in force, each with a verdict.

    Args:
        system: the door.
        folder: whose project file names a matrix.
        names: ``2.21.0``, ``2.21`` for all its patches, ``tensorflow==2.21.0``; none for all rows.
        matrix_file: the matrix to take instead.
        download: whether a server without ranges may be asked for whole wheels.
        fresh: whether the index is asked in any case.
        deep: whether GPU code is read too; that means reading whole wheels.
        tell: told the requirement whose wheel was just read.

    Raises:
        UsageError: code ``unknown-release``: the matrix has no such row.
        InvalidFileError: the matrix or the project file is wrong.
        ToolFailedError: the index cannot be read.
    """
    matrix = load_matrix(matrix_file, load_settings(folder))
    wanted = {row.requirement for name in names for row in _named(name, matrix)}
    rows = tuple(row for row in matrix.rows if not names or row.requirement in wanted)
    with Reader(system, download=download, fresh=fresh) as reader:
        return hold(reader, matrix, rows, tell or (lambda _: None), deep=deep)


def _named(name: str, matrix: Matrix) -> Sequence[Row]:
    """Return the rows that a word names, by distribution and release, by release, or by minor series."""
    wanted = name.strip()
    found = [
        row for row in matrix.rows if wanted in {row.requirement, row.release.text, row.release.release.public}
    ] or [row for row in matrix.rows if row.release.minor_series == wanted]
    if not found:
        raise UsageError(
            f"the matrix has no row {wanted[:_SHOWN]!a}",
            code="unknown-release",
            why=(f"it holds {len(matrix.rows)} releases, the newest is {matrix.rows[-1].release}",)
            if matrix.rows
            else (),
            hint="`tfgpu-provision matrix list` shows them all",
        )
    return found

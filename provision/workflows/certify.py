"""``matrix certify``: receipts held against the rows of a matrix, and attached to it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from provision.audit.receipts.held import LIMIT, certify
from provision.errors import InvalidFileError, UsageError
from provision.matrix.attach import attach
from provision.matrix.loading import read
from provision.matrix.tree import Problems
from provision.model.certified import Certification, Certified
from provision.model.measurement import Measurement
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.own_matrix import check_own, write_matrix
from provision.workflows.settings import load_settings


def certify_receipts(
    system: System, folder: Path, files: Sequence[Path], *, matrix_file: Path | None = None, write: bool = False
) -> Certification:
    """Return which receipts prove a row, and the matrix with them; written only where that was asked for.

    Receipts that are refused leave the others as they are.

    Args:
        system: the door; its clock says what lies in the future.
        folder: whose project file names a matrix.
        files: of receipts.
        matrix_file: the matrix to take instead.
        write: whether the file is changed.

    Raises:
        UsageError: code ``receipt-unreadable``, or ``matrix-not-yours``: it is the one that is installed with us.
        InvalidFileError: the matrix or the project file is wrong.
        ToolFailedError: code ``matrix-not-written``.
    """
    matrix = load_matrix(matrix_file, load_settings(folder))
    path = Path(matrix.path)
    if write:
        check_own(path)
    certified: list[Certified] = []
    measured: dict[str, list[Measurement]] = {}
    known = {item.sha256 for row in matrix.rows for item in row.measurements}
    for file in files:
        found = certify(str(file), _bytes(file), matrix, system.now())
        certified.append(found)
        for item in found.measurements:
            if item.sha256 not in known:
                measured.setdefault(found.release, []).append(item)
        known |= {item.sha256 for item in found.measurements}
    before = _text(path)
    after = attach(before, measured) if measured else before
    problems = Problems(str(path))
    if read(after.encode(), str(path), problems) is None:
        raise InvalidFileError(
            "the matrix would be wrong with these receipts", code="invalid-matrix", why=problems.lines
        )
    if write and after != before:
        write_matrix(path, after)
    return Certification(
        str(path), tuple(certified), _diff(path.name, before, after), written=write and after != before
    )


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"the receipt {file} cannot be read",
            code="receipt-unreadable",
            why=(error.strerror or str(error),),
            hint="`tfgpu-provision verify ENV --receipt FILE` writes one",
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFileError("the matrix cannot be read", code="invalid-matrix", why=(str(path),)) from error


def _diff(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", n=2, lineterm="")
    return "\n".join(lines)

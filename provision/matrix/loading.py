"""matrix.yaml → `provision.model.matrix.Matrix`, or every error of the file at once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import InvalidFileError
from provision.matrix import kept
from provision.model.matrix import Matrix

if TYPE_CHECKING:
    from provision.matrix.tree import Problems

_MOST_SHOWN = 200


def default_path() -> Path:
    """Return where this installation keeps its matrix: in the wheel's data, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_data" / "matrix.yaml"
    return shipped if shipped.is_file() else package.parent / "matrix.yaml"


def load(path: Path | None = None) -> Matrix:
    """Read a matrix file, ours by default.

    Raises:
        InvalidFileError: with code ``invalid-matrix``; ``why`` holds every error as ``file:line: message``.
    """
    if path is not None:
        from provision.matrix.tree import LIMIT_BYTES  # noqa: PLC0415 - see read

        return _checked(path, _bytes(path, LIMIT_BYTES + 1))
    where = default_path()
    data = _bytes(where)
    place = kept.place_of(where, data)
    known = kept.recall(place)
    if known is None:
        known = _checked(where, data)
        kept.keep(place, known)
    return known


def _bytes(where: Path, limit: int = -1) -> bytes:
    try:
        with where.open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise InvalidFileError(
            f"the matrix {where} cannot be read",
            code="invalid-matrix",
            why=(f"{where}: {error.strerror or error}",),
            hint="give a file with --matrix FILE, or leave the option out to use the one that is built in",
        ) from error


def _checked(where: Path, data: bytes) -> Matrix:
    from provision.matrix.tree import Problems  # noqa: PLC0415 - see read

    problems = Problems(str(where))
    matrix = read(data, str(where), problems)
    if matrix is None:
        raise _invalid(where, problems)
    return matrix


def read(data: bytes, name: str, problems: Problems) -> Matrix | None:
    """Return the matrix in ``data``, or None with every problem noted; touches nothing outside."""
    # Loaded late: most runs take what was kept.
    from provision.matrix.build import Builder  # noqa: PLC0415
    from provision.matrix.reader import Reader, keep_sound  # noqa: PLC0415
    from provision.matrix.shape import MATRIX  # noqa: PLC0415
    from provision.matrix.tree import parse  # noqa: PLC0415

    node = parse(data, problems)
    if node is None:
        return None
    reader = Reader(problems)
    root = reader.read(node, MATRIX, "")
    if root is None:
        return None
    reader.resolve(root)
    if problems:
        keep_sound(root)
    return Builder(root, problems).matrix(name, hashlib.sha256(data).hexdigest())


def _invalid(where: Path, problems: Problems) -> InvalidFileError:
    lines = problems.lines
    shown = lines[:_MOST_SHOWN]
    if len(lines) > len(shown):
        shown = (*shown, f"and {len(lines) - len(shown)} more")
    count = "one error" if len(lines) == 1 else f"{len(lines)} errors"
    return InvalidFileError(
        f"the matrix {where.name} has {count}",
        code="invalid-matrix",
        why=shown,
        hint="docs/matrix.md describes the format; `tfgpu-provision matrix schema` prints it for editors",
    )

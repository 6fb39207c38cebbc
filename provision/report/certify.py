"""What came of receipts, and which rows of a matrix are measured, as a person reads it or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.certified import Certification
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.facts import Certainty
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.measurement import Measurement
from provision.report.words import printable
from provision.verify.row_digest import row_digest

_HEAD = ("TensorFlow", "known as", "GPU", "CC", "driver", "level", "set", "date")


def certify_exit_code(result: Certification) -> ExitCode:
    """Return 3 where a receipt was refused, else 0."""
    return ExitCode.REFUSED if result.refused else ExitCode.DONE


def certify_document(result: Certification) -> dict[str, Any]:
    """Return the JSON document of ``matrix certify``."""
    return {"schema": SCHEMA_VERSION, **jsonable(result), "exit_code": int(certify_exit_code(result))}


def certify_text(result: Certification) -> str:
    """Return each receipt with what it proves or why it is refused, then the diff of the matrix."""
    return "\n".join(_certify_lines(result))


def _certify_lines(result: Certification) -> Iterator[str]:
    for receipt in result.receipts:
        file = printable(receipt.file)
        if receipt.objections:
            yield f"REFUSED {file}{f' ({printable(receipt.release)})' if receipt.release else ''}"
            yield from (f"  {item.code}: {printable(item.what)}" for item in receipt.objections)
            continue
        yield f"{file}: {'the matrix has it already' if receipt.known else 'proves a row'}"
        yield from (f"  {receipt.release} on {_measured(item)}" for item in receipt.measurements)
    if result.diff:
        yield ""
        yield result.diff if not result.written else f"written into {printable(result.matrix)}"
        if not result.written:
            yield ""
            yield "nothing is written: --write does"


def _measured(item: Measurement) -> str:
    return (
        f"{item.gpu} (compute capability {item.compute_capability}), driver {item.driver}: "
        f"level {item.level.value}, set {item.library_set}, {item.date}"
    )


def holds(row: Row, item: Measurement) -> bool:
    """Whether a measurement is of what the row and the set say today."""
    return any(found.ident == item.library_set and row_digest(row, found) == item.row for found in _sets(row))


def _sets(row: Row) -> tuple[LibrarySet, ...]:
    return (*row.sets, *row.conda_sets)


def known_as(row: Row) -> str:
    """Return ``measured``, ``outdated`` where all receipts are of earlier forms of the row, else ``derived``.

    That a release computes on a GPU follows from what is read out of wheels and tables; it is derived until it has.
    """
    if any(holds(row, item) for item in row.measurements):
        return "measured"
    return "outdated" if row.measurements else Certainty.DERIVED.value


def receipts_document(matrix: Matrix) -> dict[str, Any]:
    """Return the JSON document of ``matrix list --receipts``."""
    return {
        "schema": SCHEMA_VERSION,
        "matrix": {"path": matrix.path, "sha256": matrix.digest},
        "releases": [
            {
                "release": row.release.text,
                "distribution": row.distribution,
                "known": known_as(row),
                "receipts": [{**jsonable(item), "holds": holds(row, item)} for item in row.measurements],
            }
            for row in reversed(matrix.rows)
        ],
    }


def receipts_text(matrix: Matrix) -> str:
    """Return every release, newest first, with what it was measured on."""
    return "\n".join(_receipt_lines(matrix))


def _receipt_lines(matrix: Matrix) -> Iterator[str]:
    lines: list[tuple[str, ...]] = [_HEAD]
    for row in reversed(matrix.rows):
        name = row.release.text if row.distribution == "tensorflow" else f"{row.distribution} {row.release}"
        if not row.measurements:
            lines.append((name, known_as(row), *[""] * (len(_HEAD) - 2)))
        for item in row.measurements:
            lines.append(
                (
                    name,
                    "measured" if holds(row, item) else "outdated",
                    item.gpu,
                    item.compute_capability.text,
                    item.driver.text,
                    item.level.value,
                    item.library_set,
                    item.date,
                )
            )
            name = ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    words = [known_as(row) for row in matrix.rows]
    counts = ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words), key=lambda w: (w != "measured", w)))
    yield ""
    yield f"{len(words)} releases: {counts or 'none'}"
    if "measured" not in words:
        how = "`tfgpu-provision verify ENV --receipt FILE`, then `tfgpu-provision matrix certify FILE`"
        yield f"no row was measured on a GPU yet: {how}"

"""What came of receipts that were to be attached to a matrix."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.measurement import Measurement


@dataclass(frozen=True)
class Objection:
    """Why a receipt is no proof of a row: a stable code, and one line."""

    code: str
    what: str


@dataclass(frozen=True)
class Certified:
    """One receipt.

    Attributes:
        file: as it was given.
        release: requirement of the row that it is of, empty where it is of none.
        measurements: one for each model of GPU that computed; empty where it is refused.
        objections: why it is refused, every reason; empty where it is not.
        known: whether the matrix has it already.
    """

    file: str
    release: str = ""
    measurements: tuple[Measurement, ...] = ()
    objections: tuple[Objection, ...] = ()
    known: bool = False


@dataclass(frozen=True)
class Certification:
    """Every receipt, and what becomes of the matrix.

    Attributes:
        matrix: the file.
        receipts: in the order given.
        diff: unified, empty where nothing changes.
        written: whether the file was changed.
    """

    matrix: str
    receipts: tuple[Certified, ...]
    diff: str = ""
    written: bool = False

    @property
    def refused(self) -> tuple[Certified, ...]:
        """Those that are no proof."""
        return tuple(item for item in self.receipts if item.objections)

"""What a receipt of verify is to the matrix: a release that was proved on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.level import Level
from provision.model.versions import ComputeCapability, DriverVersion, PythonVersion


@dataclass(frozen=True)
class Measurement:
    """One model of GPU on which one release was proved with one set.

    Attributes:
        ident: its key in the ``receipts`` table of matrix.yaml.
        library_set: the set whose libraries were mapped.
        gpu: as TensorFlow or the driver calls it.
        level: the highest level of verify that passed, ``compute`` at least.
        date: ISO date, UTC.
        tool: version of the program that measured.
        row: digest of the row and the set as they were then (`provision.verify.row_digest`).
        sha256: of the receipt, as canonical JSON.
    """

    ident: str
    library_set: str
    gpu: str
    compute_capability: ComputeCapability
    driver: DriverVersion
    level: Level
    date: str
    python: PythonVersion
    tool: str
    row: str
    sha256: str

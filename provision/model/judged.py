"""Rows of the matrix held against a machine: what ``matrix list`` and ``matrix show`` find."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.host import HostFacts
from provision.model.matrix import Matrix, Row, Unserved
from provision.model.plan import Plan, Refusal
from provision.model.versions import TfVersion


@dataclass(frozen=True)
class Judged:
    """One row and what the planner says of it on the machine in question."""

    row: Row
    answer: Plan | Refusal


@dataclass(frozen=True)
class MatrixList:
    """Every row, newest first, and what is not served at all."""

    matrix: Matrix
    host: HostFacts
    releases: tuple[Judged, ...]


@dataclass(frozen=True)
class MatrixShow:
    """One release: its row judged, or why there is none; ``others`` are further releases that the words admit."""

    matrix: Matrix
    host: HostFacts
    found: Judged | Unserved
    others: tuple[TfVersion, ...] = ()

"""What audit says about the claims of the matrix, and what it proposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from provision.model.artifact import Cost
from provision.model.wheel import WheelFacts


class ClaimVerdict(str, Enum):
    """What an artifact says about a claim."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNDECIDABLE = "undecidable"
    """No artifact can decide it; its evidence is named."""
    NOT_READ = "not-read"
    """It could be decided, and what decides it was not read."""


@dataclass(frozen=True)
class Claim:
    """One claim of the matrix held against what was found.

    Attributes:
        row: ``tensorflow==2.21.0``, or the name of a set.
        kind: ``python``, ``platform``, ``glibc``, ``cuda``, ``cudnn``, ``gate``, ``search``, ``sets`` …
        claimed: what the matrix says, in words.
        found: what the artifact says, in words; empty where nothing was read.
        verdict: of the comparison.
        evidence: file name of the wheel, or the evidence entry of the matrix where no artifact decides.
        note: what a reader should know besides.
    """

    row: str
    kind: str
    claimed: str
    found: str
    verdict: ClaimVerdict
    evidence: str = ""
    note: str = ""


@dataclass(frozen=True)
class MatrixAudit:
    """Every claim of the rows that were asked for.

    ``wheel_bytes`` is what downloading every wheel that was looked at would have cost.
    """

    rows: tuple[str, ...]
    claims: tuple[Claim, ...]
    cost: Cost
    wheel_bytes: int = 0

    def count(self, verdict: ClaimVerdict) -> int:
        """How many claims have this verdict."""
        return sum(claim.verdict is verdict for claim in self.claims)


@dataclass(frozen=True)
class Proposal:
    """A row for a release, in the canonical form of matrix.yaml.

    Attributes:
        row: ``tensorflow==2.21.0``.
        text: matrix.yaml with the row in it.
        diff: unified, against the file that was given.
        facts: what was read of the wheel.
        notes: faults found, differences, what a person has to decide.
        imported: Python series to empty (imports) or what happened.
        breaking: what is otherwise than in the nearest release that is known.
        problems: ``file:line: message`` of what keeps the text from being a matrix; empty where it is one.
        claims: the row held against the wheels; empty where the text is no matrix.
        written: whether the text was written.
    """

    row: str
    text: str
    diff: str
    facts: WheelFacts
    notes: tuple[str, ...] = ()
    imported: Mapping[str, str] = field(default_factory=dict)
    breaking: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    written: bool = False
    cost: Cost = field(default_factory=Cost)

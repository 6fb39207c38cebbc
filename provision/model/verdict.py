"""What verify found: per stage and in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from provision.model.level import Level as Level  # noqa: PLC0414 - re-exported


class StageStatus(str, Enum):
    """The four answers a stage can give."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True)
class Stage:
    """One level's outcome.

    Attributes:
        level: which one.
        status: one of four.
        summary: one line for people.
        cause: stable code of the failure or of why it cannot be told, empty where passed.
        details: further lines: which library, searched where, expected and found.
        data: the measured values, JSON-ready.
        seconds: wall time.
    """

    level: Level
    status: StageStatus
    summary: str
    cause: str = ""
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Outcome(str, Enum):
    """The verdict over all stages."""

    PROVED = "proved"
    """Every stage asked for passed, `compute` among them: this environment used a GPU."""
    PASSED = "passed"
    """Every stage asked for passed, but none of them needs a GPU (levels gate and import)."""
    FAILED = "failed"
    CANNOT_TELL = "cannot-tell"
    """Nothing failed, but the machine has no usable GPU to prove it on."""


@dataclass(frozen=True)
class Verdict:
    """All stages of one run of verify."""

    outcome: Outcome
    level: Level
    stages: tuple[Stage, ...]
    summary: str
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def proved(self) -> bool:
        """Whether a GPU was proved to do the work."""
        return self.outcome is Outcome.PROVED

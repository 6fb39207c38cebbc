"""How far a verification goes; apart from the verdict, because the command line names it before anything runs."""

from __future__ import annotations

from enum import Enum


class Level(str, Enum):
    """How far verification goes; each level includes those before it."""

    GATE = "gate"
    IMPORT = "import"
    DEVICE = "device"
    COMPUTE = "compute"
    TRAIN = "train"
    PERF = "perf"

    @property
    def upto(self) -> tuple[Level, ...]:
        """Every level up to and including this one, in order."""
        levels = tuple(Level)
        return levels[: levels.index(self) + 1]

"""What a proposed row is made of, all of it read before anything is decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.version import Version

from provision.model.artifact import Release
from provision.model.matrix import Matrix, Row
from provision.model.wheel import WheelFacts


@dataclass(frozen=True)
class Material:
    """Everything that a row is made of.

    Attributes:
        matrix: what is known so far.
        tables: the same as it is written.
        release: every wheel of the release that the index has.
        facts: of the wheel that was opened, with its search path.
        resolved: the NVIDIA wheels that its extra resolves to, with their names.
        oldest: the same at the lower ends of its ranges.
        unmet: requirement to the Python series on which no wheel meets it.
        today: ISO date.
        xla: whether XLA knows the folder of the nvcc wheel; None where nobody looked.
        constraints: names of the constraints with which it imports; None where nobody tried.
    """

    matrix: Matrix
    tables: Mapping[str, Any]
    release: Release
    facts: WheelFacts
    resolved: tuple[WheelFacts, ...] = ()
    oldest: tuple[WheelFacts, ...] = ()
    unmet: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    today: str = "1970-01-01"
    xla: bool | None = None
    constraints: tuple[str, ...] | None = None

    @property
    def requirement(self) -> str:
        """``tensorflow==2.21.0``."""
        return f"{self.release.distribution}=={self.release.version}"

    @property
    def without(self) -> Mapping[str, tuple[str, ...]]:
        """Python series to the requirements that a wheel meets on other series only; an extra's do not count."""
        metadata, pythons = self.facts.metadata, self.release.pythons()
        found: dict[str, list[str]] = {}
        for text in metadata.requires_dist if metadata else ():
            series = self.unmet.get(text, ())
            if not set(series) >= set(pythons):
                for python in series:
                    found.setdefault(python, []).append(text)
        return {python: tuple(texts) for python, texts in found.items()}

    @property
    def pythons(self) -> tuple[str, ...]:
        """Python series on which its requirements can be met, oldest first."""
        return tuple(series for series in self.release.pythons() if series not in self.without)

    @property
    def near(self) -> Row:
        """The nearest release that is known."""
        return nearest(self.matrix, self.release.version)


def nearest(matrix: Matrix, version: str) -> Row:
    """Return the known release nearest to one: of the same minor before others, older ones before newer ones."""
    wanted = Version(version)
    rows = sorted((row for row in matrix.rows if row.distribution != "tf-nightly"), key=lambda row: row.release.release)
    alike = [row for row in rows if row.release.release.release[:2] == wanted.release[:2]] or rows
    older = [row for row in alike if row.release.release < wanted]
    return older[-1] if older else alike[0]

"""A fact brings its source; unknown is a value with the attempts that failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Certainty(str, Enum):
    """How a claim of the matrix is known."""

    ARTIFACT = "artifact"
    """Read out of the wheel itself."""
    VENDOR = "vendor"
    """A table or page of NVIDIA or TensorFlow."""
    RECEIPT = "receipt"
    """Measured on real hardware."""
    REPORTED = "reported"
    """Reported by users or third parties; not seen by us."""
    DERIVED = "derived"
    """Follows from other claims; not tried on hardware. Shown as derived wherever it decides something."""


@dataclass(frozen=True)
class Evidence:
    """Where a claim comes from.

    Attributes:
        ident: its key in the ``evidence`` table of matrix.yaml.
        certainty: how it is known.
        source: an address or the name of what was read.
        date: ISO date on which it was read.
        how: how to read it again.
    """

    ident: str
    certainty: Certainty
    source: str
    date: str
    how: str = ""


@dataclass(frozen=True)
class Attempt:
    """One way that was tried to learn a fact.

    Attributes:
        source: what was asked, for example ``nvml`` or ``/proc/driver/nvidia/version``.
        outcome: one of ``ok``, ``absent``, ``failed``, ``denied``, ``timeout``, ``unreadable``.
        detail: the message or code that came back.
    """

    source: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A value with the source it came from and every attempt that was made; ``value`` None is unknown."""

    value: T | None
    source: str = "unknown"
    attempts: tuple[Attempt, ...] = ()

    @property
    def known(self) -> bool:
        """Whether some source answered."""
        return self.value is not None

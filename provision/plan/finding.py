"""What a rule says: nothing, obstacles, caveats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from provision.model.plan import Caveat, Obstacle

Finding: TypeAlias = Obstacle | Caveat
Findings: TypeAlias = Iterator[Finding]


def obstacles(findings: Iterable[Finding]) -> tuple[Obstacle, ...]:
    """Return what stands in the way, each thing once, in the order of the rules."""
    return tuple(dict.fromkeys(item for item in findings if isinstance(item, Obstacle)))


def caveats(findings: Iterable[Finding]) -> tuple[Caveat, ...]:
    """Return what the user should know, each thing once, what changes the outcome first."""
    found = dict.fromkeys(item for item in findings if isinstance(item, Caveat))
    return tuple(sorted(found, key=lambda caveat: not caveat.notable))

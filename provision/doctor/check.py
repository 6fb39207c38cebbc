"""What a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provision.model.doctor import Finding
from provision.model.snapshot import Snapshot


@dataclass(frozen=True)
class Check:
    """A question put to a snapshot.

    Attributes:
        codes: every cause that it can find.
        run: yields findings with evidence; yields nothing where all is well and where the snapshot does not say.
    """

    codes: tuple[str, ...]
    run: Callable[[Snapshot], Iterator[Finding]]

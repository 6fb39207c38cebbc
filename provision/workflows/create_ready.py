"""The small interface between one create and the backends that build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from provision.model.verdict import Verdict


class Builder(Protocol):
    """What a backend makes in the staging folder, as far as every backend does it alike."""

    def verify(self) -> Verdict:
        """Prove the environment where it was built."""

    def check_movable(self) -> None:
        """Make sure that nothing in it names the staging folder."""


@dataclass(frozen=True)
class Ready:
    """A build with everything resolved: what will be in it, and its two steps."""

    build: Builder
    packages: tuple[str, ...]
    python: str
    install: Callable[[], None]
    wire: Callable[[], None]
    remarks: Callable[[], tuple[str, ...]] = tuple


@dataclass(frozen=True)
class Foreseen:
    """What a dry run tells."""

    packages: tuple[str, ...]
    python: str
    remarks: tuple[str, ...]

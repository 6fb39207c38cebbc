"""What a workflow tells while it works; the command line decides how that looks."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Receives progress; every call returns at once and never raises."""

    def step(self, text: str) -> None:
        """A new stage begins, for example ``resolving tensorflow 2.4.1``."""

    def detail(self, text: str) -> None:
        """Something within the stage, for example ``downloading nvidia-cudnn-cu11 (704 MiB)``."""

    def transfer(self, done_bytes: int, total_bytes: int | None) -> None:
        """How much of the stage's download is there; total None where unknown."""


class Silent:
    """An observer that shows nothing."""

    def step(self, text: str) -> None:
        """Ignore it."""

    def detail(self, text: str) -> None:
        """Ignore it."""

    def transfer(self, done_bytes: int, total_bytes: int | None) -> None:
        """Ignore it."""

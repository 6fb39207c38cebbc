"""How much a run tries: the gate takes a sample of what is long, ``TFGPU_EVERY_ROW=1`` takes all of it (hours)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

EVERY_ROW = bool(os.environ.get("TFGPU_EVERY_ROW"))


def moments(everything: int) -> int:
    """Return at how many moments something is killed: all that were asked for, or a fifth of them."""
    return everything if EVERY_ROW else everything // 5


def sample(everything: Sequence[T], *places: int) -> Sequence[T]:
    """Return all, or those at these places; every second one where no place is named."""
    if EVERY_ROW:
        return everything
    return [everything[place] for place in places] if places else everything[::2]

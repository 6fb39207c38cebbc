"""How much a run tries: the gate takes a sample of what is long, ``TFGPU_EVERY_ROW=1`` takes all of it (hours)."""

from __future__ import annotations

import os

EVERY_ROW = bool(os.environ.get("TFGPU_EVERY_ROW"))


def moments(everything: int) -> int:
    """Return at how many moments something is killed: all that were asked for, or a fifth of them."""
    return everything if EVERY_ROW else everything // 5

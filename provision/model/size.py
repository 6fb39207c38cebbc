"""Sizes in words."""

from __future__ import annotations


def in_words(size: int) -> str:
    """Return a size in bytes as people read it: ``704 MiB``, ``1.2 GiB``."""
    if size >= 1 << 30:
        return f"{size / (1 << 30):.1f} GiB"
    return f"{size / (1 << 20):.0f} MiB" if size >= 1 << 20 else f"{size / (1 << 10):.0f} KiB"

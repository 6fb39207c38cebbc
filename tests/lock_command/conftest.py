"""The small world of create, for lock."""

from create.world import wheels, world

__all__ = ["wheels", "world"]

"""The small world of create, for what uses a lock."""

from create.world import wheels, world

__all__ = ["wheels", "world"]

"""The small world for every test of this folder; other folders import it from the same place."""

from create.world import Ended, World, wheels, world

__all__ = ["Ended", "World", "wheels", "world"]

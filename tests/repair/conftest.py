"""The small world of create serves repair as well."""

from create.conftest import World, wheels, world

__all__ = ["World", "wheels", "world"]

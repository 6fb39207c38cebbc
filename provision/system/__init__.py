"""The one door to the world: processes, files, the environment, the clock.

It is passed in as an argument, never imported as a global, so that every rule above it can be tried on literal text.
"""

from provision.system.door import System
from provision.system.files import remove_tree, sync_directory, write_atomic
from provision.system.process import Completed, interrupts_wait, start_thread

__all__ = ["Completed", "System", "interrupts_wait", "remove_tree", "start_thread", "sync_directory", "write_atomic"]

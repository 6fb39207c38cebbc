"""Whole repairs of a small environment in a child process, which dies or fails at a chosen step."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from repair.trees import stage_of

from provision.errors import NotRolledBackError, ToolFailedError
from provision.model.repair import EntryState, PackageChange
from provision.repair.files.patch import difference
from provision.repair.history.journal import hold, unfinished

_CHANGING = frozenset(
    {
        "os.link",
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.rmdir",
        "os.symlink",
        "os.chmod",
        "os.truncate",
        "shutil.move",
    }
)
_WRITING = os.O_WRONLY | os.O_RDWR
COUNTED = """
import os, signal
from provision.repair.files import settle
left = {left}
def counted(step):
    def run(*words):
        global left
        for half in (0, 1):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if not half:
                said = step(*words)
        return said
    return run
for name in ("_clear", "_make", "_close", "_take_away", "_secure"):
    setattr(settle.Settling, name, counted(getattr(settle.Settling, name)))
"""
"""Lines of Python for the start of a process: it dies at a step of bringing a path into place, or right after one."""
DONE, ROLLED_BACK, NOT_ROLLED_BACK, UNTOUCHED, BROKEN = 0, 6, 7, 5, 99


def steps_into(act: Callable[[], None]) -> None:
    """Call ``act`` before every step of this process that changes a disk; it stays for the life of the process."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        flags = arguments[2] if event == "open" else 0
        if event in _CHANGING or (isinstance(flags, int) and flags & _WRITING):
            act()

    sys.addaudithook(hook)


def in_child(work: Callable[[], int], act: Callable[[], None] | None = None) -> int:
    """Return a child's exit code, negative for a signal; ``act`` as in `steps_into`."""
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            if act is not None:
                steps_into(act)
            code = work()
        except BaseException:  # noqa: BLE001 - a child must not go on with the tests of its parent
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def counted(file: Path) -> Callable[[], None]:
    """Return an ``act`` that counts: the file gets one byte for each step."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    return lambda: void(os.write(descriptor, b"."))


def void(_value: object) -> None:
    """Forget a value."""


def killed_at(step: int) -> Callable[[], None]:
    """Return an ``act`` that kills before a step, the first being 0."""
    return _at(step, lambda: os.kill(os.getpid(), signal.SIGKILL))


def failing_at(step: int, code: int, *, for_ever: bool = False) -> Callable[[], None]:
    """Return an ``act`` that lets a step fail with an errno, and those after it as well with ``for_ever``."""

    def fail() -> None:
        raise OSError(code, os.strerror(code))

    return _at(step, fail, for_ever=for_ever)


def _at(step: int, what: Callable[[], None], *, for_ever: bool = False) -> Callable[[], None]:
    passed = [0]

    def act() -> None:
        passed[0] += 1
        if passed[0] - 1 == step or (for_ever and passed[0] > step):
            what()

    return act


def repair(prefix: Path, *, better: bool = True) -> int:
    """Repair as the command does, with a proof that holds or does not; return an exit code."""
    with hold(prefix) as held:
        journal = held.begin(())
        try:
            stage_of(prefix, journal.stage)
            journal.ready(difference(prefix, journal.stage), (PackageChange("p", "1", "2"),))
        except (OSError, ToolFailedError):
            traceback.print_exc()
            journal.discard()
            return UNTOUCHED
        try:
            journal.go_forward()
            if better:
                journal.advance(EntryState.DONE)
                return DONE
        except (OSError, ToolFailedError):
            pass
        try:
            journal.walk_back()
        except (OSError, ToolFailedError):
            return NOT_ROLLED_BACK
        return ROLLED_BACK


def recover(prefix: Path, *, finish: bool) -> int:
    """Go on as the next command does."""
    with hold(prefix) as held:
        entry = unfinished(prefix)
        if entry is not None:
            try:
                held.recover(entry, finish=finish)
            except NotRolledBackError:
                traceback.print_exc()
                return NOT_ROLLED_BACK
        return DONE


FAULTS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES)

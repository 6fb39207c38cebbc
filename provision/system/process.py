"""What every child of ours has in common: how it starts, how it is heard, how it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_OUTPUT_LIMIT = 64 * 1024 * 1024
_LINE_LIMIT = 1 << 20
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Completed:
    """A program that ended, or was ended.

    ``returncode`` follows the shell: 127 not found, 126 not executable, negative for a signal. ``timed_out`` says
    that the time limit ended it.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    timed_out: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.returncode == 0 and not self.timed_out


@contextlib.contextmanager
def interrupts_wait() -> Iterator[set[signal.Signals]]:
    """Hold back Ctrl-C and its like for the length of a block, and deliver it at the block's end.

    For steps that an interrupt must not fall into: one that comes while Python forks is swallowed (it is raised in a
    callback whose errors are only printed), and what is half made has nobody yet to clean it up. Other threads must
    come from `start_thread`. Yields the signals that were blocked before.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield {signal.Signals(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_thread(function: Callable[..., object], *arguments: object) -> threading.Thread:
    """Start a daemon thread to which the kernel never hands Ctrl-C and its like: they are the main thread's."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    with interrupts_wait():
        thread.start()
    return thread


def before_exec(blocked: set[signal.Signals]) -> Callable[[], None]:
    """Return what a child does before it becomes the program.

    It takes back the signals that were only held back for the fork, and on Linux asks to be killed when this process
    is, so that no orphan goes on writing.
    """
    prctl = None
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415 - most commands start no child

        prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def drain(pipe: IO[bytes], into: list[bytes], on_line: Callable[[str], None] | None) -> None:
    """Collect what a child says, up to a limit, and pass each line on."""
    size = 0
    for line in iter(lambda: pipe.readline(_LINE_LIMIT), b""):
        size += len(line)
        if size <= _OUTPUT_LIMIT:
            into.append(line)
        if on_line is not None:
            on_line(line.decode("utf-8", "replace").rstrip("\n"))


def await_end(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Return when a child has ended or its time is up; it is not reaped.

    ``Popen.wait`` with a time limit looks every 50 ms only; Linux says it at once.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, timeout) * 1000)
    finally:
        os.close(descriptor)


def kill_group(pid: int) -> None:
    """Kill a child that was started in a session of its own, with its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)

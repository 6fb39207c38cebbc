"""A program that stays and answers one line for each line it is told."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.system.process import (
    NOT_EXECUTABLE,
    Completed,
    await_end,
    before_exec,
    drain,
    interrupts_wait,
    kill_group,
    start_thread,
)

if TYPE_CHECKING:
    from typing_extensions import Self

_PATIENCE = 5.0


class Conversation:
    """One child: started with the first question, ended by `close`, by a failure, or with this process.

    One question at a time: it is not for several threads.

    Args:
        argv: the program and its arguments; no shell.
        env: its complete environment.
        on_line: called with each line of its standard error as it comes.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], on_line: Callable[[str], None] | None = None
    ) -> None:
        self._argv = tuple(argv)
        self._env = dict(env)
        self._on_line = on_line
        self._process: subprocess.Popen[bytes] | None = None
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._errors: list[bytes] = []
        self._listening: threading.Thread

    def start(self) -> None:
        """Start the child now, so that it is ready when it is asked; raises OSError where that is not possible."""
        if self._process is not None:
            return
        self._said, self._errors = queue.SimpleQueue(), []
        try:
            with interrupts_wait() as blocked:
                process = self._process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=self._env,
                    cwd=Path("/"),
                    start_new_session=True,
                    preexec_fn=before_exec(blocked),  # noqa: PLW1509 - it calls two functions loaded beforehand
                )
                start_thread(self._listen, process, self._said)
                self._listening = start_thread(drain, process.stderr, self._errors, self._on_line)
        except BaseException:  # an interrupt that was held back meanwhile
            self.close()
            raise

    def ask(self, line: str, *, timeout: float) -> Completed:
        """Say one line and return the one that answers it.

        ``returncode`` is 0 where it answered; else it has ended, of itself or killed after ``timeout`` seconds, and
        the next question starts another one. Never raises for what the program does; an interrupt ends it.
        """
        began = time.monotonic()
        try:
            self.start()
        except OSError as error:
            return Completed(self._argv, NOT_EXECUTABLE, "", str(error))
        heard = len(self._errors)
        answer, timed_out = b"", False
        try:
            # In a thread: a child that does not read must not keep us past the limit.
            start_thread(_tell, self._process, line.encode() + b"\n")
            answer = self._said.get(timeout=timeout)
        except queue.Empty:
            timed_out = True
        except BaseException:  # an interrupt: nobody waits for the answer any more
            self._end()
            raise
        code = 0
        if not answer:
            code = self._end(0.0 if timed_out else 1.0)
            self._listening.join(timeout=_PATIENCE)
        errors = b"".join(self._errors[heard:]).decode("utf-8", "replace")
        seconds = time.monotonic() - began
        return Completed(self._argv, code, answer.decode("utf-8", "replace"), errors, timed_out, seconds)

    def close(self) -> None:
        """End the child, if there is one."""
        if self._process is not None:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    @staticmethod
    def _listen(process: subprocess.Popen[bytes], said: queue.SimpleQueue[bytes]) -> None:
        """Pass on each line of standard output; an empty one is its end."""
        if process.stdout is not None:
            for line in process.stdout:
                said.put(line)
        said.put(b"")

    def _end(self, patience: float = 0.0) -> int:
        """End the child, which has ``patience`` seconds to end by itself, and return how it ended."""
        process, self._process = self._process, None
        if process is None:
            return -signal.SIGKILL
        with interrupts_wait(), contextlib.suppress(subprocess.TimeoutExpired):
            try:
                process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                kill_group(process.pid)
                await_end(process, _PATIENCE)
                process.wait(timeout=_PATIENCE)
        return -signal.SIGKILL if process.returncode is None else process.returncode


def _tell(process: subprocess.Popen[bytes], line: bytes) -> None:
    # A child that is gone is noticed where its answer is awaited.
    with contextlib.suppress(OSError, ValueError):
        if process.stdin is not None:
            process.stdin.write(line)
            process.stdin.flush()

"""Run a program, read a file under a root, look at the environment and the clock."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from provision.system.conversation import Conversation

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_OUTPUT_LIMIT = 64 * 1024 * 1024
_LINE_LIMIT = 1 << 20
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_KILL_PATIENCE = 5.0


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


def _await_end(process: subprocess.Popen[bytes], timeout: float) -> None:
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
        poll.poll(timeout * 1000)
    finally:
        os.close(descriptor)


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


@dataclass(frozen=True)
class System:
    """This machine.

    Attributes:
        environ: the environment that rules look at and children inherit.
        root: every absolute path that is *read* is taken below it; tests point it at a folder of their own.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    root: Path = Path("/")

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a program without a shell and wait for it; never raises for what the program does.

        Args:
            argv: the program and its arguments.
            timeout: seconds after which its whole process group is killed.
            env: its complete environment, ours by default.
            cwd: where it runs.
            stdin: text for its standard input, otherwise empty.
            on_line: called with each line of its standard error as it comes, for progress.
        """
        start = time.monotonic()
        out: list[bytes] = []
        err: list[bytes] = []
        process: subprocess.Popen[bytes] | None = None
        timed_out = False
        try:
            with interrupts_wait() as blocked:
                process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=dict(self.environ if env is None else env),
                    cwd=cwd,
                    start_new_session=True,
                    preexec_fn=before_exec(blocked),  # noqa: PLW1509 - it calls two functions loaded beforehand
                )
                # All three in threads: a child that does not read must not keep us past the limit either.
                threads = [
                    start_thread(_feed, process.stdin, (stdin or "").encode()),
                    start_thread(drain, process.stdout, out, None),
                    start_thread(drain, process.stderr, err, on_line),
                ]
            _await_end(process, timeout)
            process.wait(timeout=max(0.0, timeout - (time.monotonic() - start)))
        except subprocess.TimeoutExpired:
            timed_out = True
        except FileNotFoundError as error:
            return Completed(tuple(argv), NOT_FOUND, "", str(error))
        except OSError as error:
            return Completed(tuple(argv), NOT_EXECUTABLE, "", str(error))
        finally:
            # A grandchild that keeps the pipes open must not keep us: the whole group goes.
            if process is not None and (process.poll() is None or timed_out):
                kill_group(process.pid)
                # A child that hangs inside a kernel driver does not even die of SIGKILL; it is left behind.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_KILL_PATIENCE)
        for thread in threads:
            thread.join(timeout=2.0)
        returncode = None if process is None else process.returncode
        with interrupts_wait():
            # An interrupt that falls into the clean-up of these would be swallowed just as one that falls into a fork.
            del process, threads, thread
        return Completed(
            tuple(argv),
            -signal.SIGKILL if returncode is None else returncode,
            b"".join(out).decode("utf-8", "replace"),
            b"".join(err).decode("utf-8", "replace"),
            timed_out,
            time.monotonic() - start,
        )

    def converse(
        self, argv: Sequence[str], *, env: Mapping[str, str], on_line: Callable[[str], None] | None = None
    ) -> Conversation:
        """Return a program that will answer line by line, see `provision.system.conversation`."""
        from provision.system.conversation import Conversation  # noqa: PLC0415 - most commands have none

        return Conversation(argv, env=env, on_line=on_line)

    def path(self, path: str | Path) -> Path:
        """Return where an absolute path is read, below the root."""
        text = os.fspath(path)
        return self.root / text.lstrip("/") if text.startswith("/") else Path(text)

    def read_text(self, path: str | Path, limit: int = 1 << 20) -> str:
        """Read at most ``limit`` bytes of a text file; raises OSError as open does."""
        with self.path(path).open("rb") as stream:
            return stream.read(limit).decode("utf-8", "replace")

    def exists(self, path: str | Path) -> bool:
        """Whether the path is there; False also where looking is not allowed."""
        try:
            return self.path(path).exists()
        except OSError:
            return False

    def glob(self, folder: str | Path, pattern: str) -> tuple[str, ...]:
        """Return absolute paths matching ``pattern`` below ``folder``, sorted; empty where it is not readable."""
        base = self.path(folder)
        try:
            found = sorted(base.glob(pattern))
        except OSError:
            return ()
        return tuple("/" + str(item.relative_to(self.root)) for item in found)

    def which(self, program: str) -> str | None:
        """Return the first executable of that name on PATH."""
        return shutil.which(program, path=self.environ.get("PATH", os.defpath))

    def free_mib(self, path: Path) -> int | None:
        """Return free space in MiB where ``path`` is or would be, None where nobody can say."""
        here = path.absolute()
        while not here.exists() and here != here.parent:
            here = here.parent
        try:
            return shutil.disk_usage(here).free >> 20
        except OSError:
            return None

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(timezone.utc)


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError):
        pipe.write(data)
    with contextlib.suppress(OSError):
        pipe.close()


def drain(pipe: IO[bytes], into: list[bytes], on_line: Callable[[str], None] | None) -> None:
    """Collect what a child says, up to a limit, and pass each line on."""
    size = 0
    for line in iter(lambda: pipe.readline(_LINE_LIMIT), b""):
        size += len(line)
        if size <= _OUTPUT_LIMIT:
            into.append(line)
        if on_line is not None:
            on_line(line.decode("utf-8", "replace").rstrip("\n"))


def kill_group(pid: int) -> None:
    """Kill a child that was started in a session of its own, with its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)

"""Run a program, read a file under a root, look at the environment and the clock."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from provision.system.conversation import Conversation
from provision.system.process import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    Completed,
    await_end,
    before_exec,
    drain,
    interrupts_wait,
    kill_group,
    start_thread,
)

_KILL_PATIENCE = 5.0


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
        meanwhile: Callable[[], object] | None = None,
    ) -> Completed:
        """Run a program without a shell and wait for it; never raises for what the program does.

        Args:
            argv: the program and its arguments.
            timeout: seconds after which its whole process group is killed.
            env: its complete environment, ours by default.
            cwd: where it runs.
            stdin: text for its standard input, otherwise empty.
            on_line: called with each line of its standard error as it comes, for progress.
            meanwhile: called once when it runs, for what costs no time beside it; must not raise.
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
            if meanwhile is not None:
                meanwhile()
            await_end(process, timeout - (time.monotonic() - start))
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

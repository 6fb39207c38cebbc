"""Progress of a long command: a live line on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from provision.model.progress import Observer, Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self


class Plain:
    """One line per stage and per large download; no cursor movement, nothing that fills a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def step(self, text: str) -> None:
        """Write the stage with the seconds since the start."""
        self._write(f"[{time.monotonic() - self._start:5.1f}s] {text}")

    def detail(self, text: str) -> None:
        """Write it, indented."""
        self._write(f"         {text}")

    def transfer(self, done_bytes: int, total_bytes: int | None) -> None:
        """Say nothing: every file that came is a line of its own."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is drawn that would be in the way of a question."""
        yield

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError, UnicodeEncodeError):
            # Whoever listened has gone, or cannot read it; the work goes on.
            return


class Live:
    """A spinner, the stage, and a bar with what is left while something is downloaded (rich)."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - loaded only where it is drawn
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            DownloadColumn(binary_units=True),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the drawing away."""
        self._progress.stop()

    def step(self, text: str) -> None:
        """Show a new stage; the one before it becomes a finished line."""
        from rich.markup import escape  # noqa: PLC0415

        if self._task is not None:
            self._progress.remove_task(self._task)
            self._progress.console.print(f"[green]✓[/] {escape(self._stage)}", highlight=False)
        self._stage = text
        self._task = self._progress.add_task(escape(text), total=None)

    def detail(self, text: str) -> None:
        """Show it beside the stage."""
        from rich.markup import escape  # noqa: PLC0415

        if self._task is not None:
            self._progress.update(self._task, description=f"{escape(self._stage)} [dim]{escape(text)}[/]")

    def transfer(self, done_bytes: int, total_bytes: int | None) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=done_bytes, total=total_bytes)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the drawing away for the length of a block, in which somebody is asked."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


class Quiet(Silent):
    """Silent, as a context."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is drawn."""
        yield


Shown = Live | Plain | Quiet
"""What `progress_for` returns; an `Observer`, as a context."""


def progress_for(*, quiet: bool) -> Shown:
    """Return the observer that fits: none, a live display, or plain lines; use it in a ``with`` block."""
    if quiet:
        return Quiet()
    if sys.stderr.isatty():
        return Live()
    return Plain(sys.stderr)


def _check(observer: Shown) -> Observer:
    """Hold the three to the protocol (for the type checker)."""
    return observer

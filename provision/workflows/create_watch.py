"""uv's lines as progress: what is downloaded, how much is left."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provision.backends.uv_talk import Event, Kind, read_event
from provision.model.progress import Observer
from provision.model.size import in_words
from provision.system import start_thread

__all__ = ["UvWatch", "in_words", "unpacked_since"]

_UNPACKED_PER_DOWNLOADED = 1.9
"""uv unpacks while it downloads; 3.44 GB of wheels of 2.21.0 are 6.49 GB unpacked (measured 2026-11-21)."""
_EVERY = 1.0
"""Seconds between two looks at what has been unpacked."""


class UvWatch:
    """Turns each line of uv into what an observer shows; uv downloads many files at once.

    The total grows while uv announces downloads, which it does within the first second. Files under about 1 MiB are
    not announced and not counted.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._sizes: dict[str, int] = {}
        self._fetched: set[str] = set()
        self._shown = 0
        self._lock = threading.Lock()

    def __call__(self, line: str) -> None:
        """Take one line of standard error."""
        event = read_event(line)
        if event is not None:
            with self._lock:
                self._take(event)

    @contextmanager
    def measuring(self, cache: Path) -> Iterator[None]:
        """While the block runs, look at what grows in uv's cache; uv is silent within a file."""
        since = time.time()
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(_EVERY):
                growing = unpacked_since(cache, since)
                with self._lock:
                    self._move(int(growing / _UNPACKED_PER_DOWNLOADED))

        thread = start_thread(look)
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _take(self, event: Event) -> None:
        if event.kind is Kind.DOWNLOADING:
            self._sizes[event.name] = event.size
            self._observer.detail(f"downloading {event.name} ({in_words(event.size)})")
        elif event.kind is Kind.BUILDING:
            self._observer.detail(f"building {event.name} from its source archive")
        elif event.kind is Kind.FETCHED:
            self._fetched.add(event.name)
            self._observer.detail(f"have {event.name}")
        elif event.kind is Kind.INSTALLED:
            self._observer.detail(f"installed {event.count} packages")
        if event.kind in (Kind.DOWNLOADING, Kind.FETCHED):
            self._move(0)

    def _move(self, under_way: int) -> None:
        """Show how much is there: whole files, and an estimate of those under way that never goes back or too far."""
        total = sum(self._sizes.values())
        if not total:
            return
        done = sum(size for name, size in self._sizes.items() if name in self._fetched)
        self._shown = max(done, min(done + under_way, total - 1), min(self._shown, total))
        self._observer.transfer(self._shown, total)


def unpacked_since(cache: Path, since: float) -> int:
    """Return the bytes in the temporary folders that uv has made in its cache since a moment (seconds, epoch)."""
    total = 0
    with suppress(OSError):
        for entry in list(os.scandir(cache)):
            if entry.name.startswith(".tmp") and entry.is_dir() and entry.stat().st_ctime >= since:
                total += _bytes_below(entry.path)
    return total


def _bytes_below(folder: str) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):  # uv moves the folder away when it is complete
                total += (Path(parent) / name).lstat().st_size
    return total

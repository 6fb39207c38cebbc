"""The bytes of a wheel, wherever they are: a local file, or a server that is asked for ranges."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from provision.audit.reading.cache import Kept
from provision.audit.reading.net import Meter, Net, NoRangesError
from provision.errors import InvalidFileError, ToolFailedError, UsageError

CHUNK = 4 << 20
"""A range that is asked for at a time; several are under way."""
TAIL = 1 << 16
"""Read first: the end of a wheel has its directory's end, as a rule the last hundreds of names."""
_AHEAD = 4
_WHEEL_LIMIT = 8 << 30


class Source(Protocol):
    """Something of which ranges can be read; safe for several threads."""

    size: int
    meter: Meter

    def read(self, start: int, end: int) -> bytes:
        """Return exactly the bytes from ``start`` up to ``end``."""
        ...

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the same in pieces, in order."""
        ...

    def forget(self, start: int, end: int) -> None:
        """Drop what was kept of a range that was streamed: it is done with, or damaged."""
        ...


class LocalSource:
    """A file on this machine."""

    def __init__(self, path: Path, *, counted: bool = True) -> None:
        """Take a file; what is read of it costs nothing unless it is ``counted``. Raises InvalidFileError."""
        self.path = path
        self._counted = counted
        self.meter = Meter()
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error

    def read(self, start: int, end: int) -> bytes:
        """Read a range."""
        return b"".join(self.stream(start, end))

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Read a range in pieces."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                left = end - start
                while left > 0:
                    piece = stream.read(min(left, CHUNK))
                    if not piece:
                        raise InvalidFileError(
                            f"{self.path.name} ends too early", code="hostile-wheel", hint="download it again"
                        )
                    self.meter.add(len(piece) if self._counted else 0)
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def forget(self, start: int, end: int) -> None:
        """Nothing is kept of a file that is here."""


class RemoteSource:
    """A file on a server that does ranges; what was read is kept with the wheel (`Kept`)."""

    def __init__(self, net: Net, address: str, kept: Kept, size: int = 0) -> None:
        """Learn its size by reading its end, unless it is known from an earlier time.

        Raises:
            NoRangesError: the server does not do ranges.
            ToolFailedError: code ``wheel-not-readable``.
        """
        self._net, self._address, self._kept = net, address, kept
        self.meter = Meter()
        self._tail: tuple[int, bytes] | None = None
        self._mark = ""
        self.size = size or kept.size
        if not self.size:
            part = net.tail(address, TAIL, self.meter)
            self.size, self._mark = part.total, part.mark
            self._tail = (part.start, part.data)
            kept.keep_facts("size", {"size": part.total})
            kept.keep_range(part.start, part.total, part.data)

    def read(self, start: int, end: int) -> bytes:
        """Read a range: from memory, from what is kept, or from the server."""
        if self._tail and start >= self._tail[0]:
            low, tail = self._tail
            return tail[start - low : end - low]
        data = self._kept.range(start, end)
        if data is None:
            data = self._fetched(self._net.later(self._address, start, end, self.meter, self.size))
            self._kept.keep_range(start, end, data)
        return data

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Read a range in chunks, some of them ahead."""
        places = deque(_chunks(start, end))
        running: deque[tuple[int, int, Future[bytes] | bytes]] = deque()
        try:
            while places or running:
                while places and len(running) < _AHEAD:
                    low, high = places.popleft()
                    found = self._kept.range(low, high)
                    running.append(
                        (low, high, found or self._net.later(self._address, low, high, self.meter, self.size))
                    )
                low, high, result = running.popleft()
                if isinstance(result, Future):
                    data = self._fetched(result)
                    self._kept.keep_range(low, high, data)
                else:
                    data = result
                yield data
        finally:
            for _, _, result in running:
                if isinstance(result, Future):
                    result.cancel()

    def forget(self, start: int, end: int) -> None:
        """Drop the chunks of a range."""
        for low, high in _chunks(start, end):
            self._kept.forget_range(low, high)

    @staticmethod
    def _fetched(future: Future[bytes]) -> bytes:
        try:
            return future.result()
        except NoRangesError:
            raise ToolFailedError(
                "the server of a wheel no longer answers with ranges",
                code="wheel-not-readable",
                hint="try again, or add --download",
            ) from None


def _chunks(start: int, end: int) -> Iterator[tuple[int, int]]:
    for low in range(start, end, CHUNK):
        yield low, min(low + CHUNK, end)


def open_source(net: Net, address: str, kept: Kept, *, filename: str, sha256: str, download: bool) -> Source:
    """Return the bytes of a wheel on a server.

    Args:
        net: the session.
        address: of the wheel.
        kept: what is kept of it.
        filename: for messages.
        sha256: that the whole file must have where it is downloaded, empty where nobody states one.
        download: whether a server without ranges may be asked for the whole file.

    Raises:
        UsageError: code ``no-ranges``: the server has no ranges and ``download`` is not set.
        ToolFailedError: code ``wheel-not-readable`` or ``hash-mismatch``.
    """
    if kept.folder is not None and (kept.folder / "wheel.whl").is_file():
        return LocalSource(kept.folder / "wheel.whl", counted=False)
    try:
        return RemoteSource(net, address, kept)
    except NoRangesError:
        if not download:
            raise UsageError(
                f"the server of {filename} gives whole files only",
                code="no-ranges",
                why=("reading it means downloading all of it",),
                hint="add --download to download it, or give a local file",
            ) from None
    return _Downloaded(net, address, kept, filename, sha256)


class _Downloaded(LocalSource):
    """A wheel that was downloaded whole; kept with what is kept of it, else for as long as this object lives."""

    def __init__(self, net: Net, address: str, kept: Kept, filename: str, sha256: str) -> None:
        self._folder = None if kept.folder else tempfile.TemporaryDirectory(prefix="tfgpu-audit-")
        folder = kept.folder or Path(self._folder.name if self._folder else "")
        folder.mkdir(parents=True, exist_ok=True)
        path, partial = folder / "wheel.whl", folder / "wheel.part"
        meter, digest = Meter(), hashlib.sha256()
        try:
            with partial.open("wb") as stream:
                for piece in net.whole(address, meter, _WHEEL_LIMIT):
                    digest.update(piece)
                    stream.write(piece)
            _hold(filename, digest.hexdigest(), sha256)
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        super().__init__(path, counted=False)
        self.meter = meter


def _hold(filename: str, found: str, stated: str) -> None:
    if stated and found != stated:
        raise ToolFailedError(
            f"{filename} is not the file that the index names",
            code="hash-mismatch",
            why=(f"its sha256 is {found}, stated is {stated}",),
            hint="do not use it; try another index or mirror",
        )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal; raises InvalidFileError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> InvalidFileError:
    return InvalidFileError(
        f"{path.name} cannot be read",
        code="unreadable-wheel",
        why=(error.strerror or str(error),),
        hint="check the path",
    )

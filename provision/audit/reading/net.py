"""HTTP as audit uses it: few connections, retries with growing pauses, ranges, and every byte counted.

What requests understands of the environment (proxies, certificates, ``.netrc``) holds here too. No address is ever
part of a message: it may carry a name and a password, and it is not what identifies a wheel.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import Self
from urllib3.util import Retry

from provision import __version__
from provision.errors import InvalidFileError, ToolFailedError
from provision.model.artifact import Cost

CONNECTIONS = 6
"""At a time, to one server."""
_ATTEMPTS = 5
_CONNECTS = 2
_PAUSE = 0.5
_TIMEOUT = (15.0, 60.0)
_AGAIN = (408, 429, 500, 502, 503, 504)
_PIECE = 1 << 16
_PARTIAL = 206
_NO_SUFFIX = (400, 416, 501)
"""What servers answer that know ranges from the front only."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
_TRANSIENT = (
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.Timeout,
)


class NoRangesError(Exception):
    """The server answers a request for a part with the whole file."""


class _NoSuffixError(Exception):
    """The server does not know ranges that are counted from the end."""


@dataclass
class Meter:
    """Counts what was read; used by several threads."""

    bytes_read: int = 0
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, size: int = 0, requests: int = 0) -> None:
        """Count bytes and requests."""
        with self._lock:
            self.bytes_read += size
            self.requests += requests

    def cost(self, seconds: float = 0.0) -> Cost:
        """Return what was counted; nothing at all is what the cache gives."""
        return Cost(self.bytes_read, self.requests, seconds, cached=not self.requests and not self.bytes_read)


@dataclass(frozen=True)
class Part:
    """Bytes of a file on a server: ``data`` begins at ``start``; the whole has ``total``; ``mark`` is its ETag."""

    start: int
    data: bytes
    total: int
    mark: str


class Net:
    """One session. Use as a context manager; several threads may share it."""

    def __init__(self, *, connections: int = CONNECTIONS, pause: float = _PAUSE) -> None:
        """Make a session with a limit of connections to one server and a first pause (seconds) between attempts."""
        self.session = requests.Session()
        self.session.headers["User-Agent"] = f"tfgpu-provision/{__version__}"
        # A wheel is compressed already, and a range of a compressed answer is a range of something else.
        self.session.headers["Accept-Encoding"] = "identity"
        certificates = next(
            filter(None, map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE"))), ""
        )
        if certificates:
            self.session.verify = certificates
        self.pause = pause
        retry = Retry(
            total=_ATTEMPTS,
            connect=_CONNECTS,
            backoff_factor=pause,
            status_forcelist=_AGAIN,
            allowed_methods=("GET", "HEAD"),
            redirect=8,
        )
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections, max_retries=retry, pool_block=True)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)
        self.pool = ThreadPoolExecutor(connections, thread_name_prefix="audit")
        self.meter = Meter()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.session.close()

    def later(self, address: str, start: int, end: int, meter: Meter, total: int) -> Future[bytes]:
        """Begin to read a range of a file of ``total`` bytes; several at once share the connections."""
        return self.pool.submit(lambda: self.part(address, start, end, meter, total).data)

    def tail(self, address: str, length: int, meter: Meter) -> Part:
        """Read the last ``length`` bytes of a file, or all of it where it is shorter.

        Raises:
            NoRangesError: the server does not do ranges; nothing of the file was read.
            ToolFailedError: code ``wheel-not-readable``.
        """
        try:
            part = self._again(lambda: self._fetch(address, f"bytes=-{length}", length, meter, bytearray()))
        except _NoSuffixError:
            size = self._size(address, meter)
            part = self.part(address, max(0, size - length), size, meter, size)
        if part.start + len(part.data) != part.total:
            raise _lying()
        return part

    def part(self, address: str, start: int, end: int, meter: Meter, total: int = 0) -> Part:
        """Read the bytes from ``start`` up to ``end``; a connection that breaks is taken up where it broke.

        Raises:
            NoRangesError: as above.
            ToolFailedError: code ``wheel-not-readable``.
        """
        data, mark = bytearray(), ""

        def go_on() -> Part:
            nonlocal mark
            begin = start + len(data)
            part = self._fetch(address, f"bytes={begin}-{end - 1}", end - begin, meter, data)
            if part.start != begin or mark not in {"", part.mark} or total not in {0, part.total}:
                raise _lying()
            mark = part.mark
            return part

        part = self._again(go_on)
        if len(data) != end - start:
            raise _lying()
        return Part(start, bytes(data), part.total, mark)

    def _again(self, read: Callable[[], Part]) -> Part:
        """Read, again where a connection breaks under an answer; making one has been tried again by urllib3."""
        for attempt in range(_ATTEMPTS):
            try:
                return read()
            except _TRANSIENT as error:  # noqa: PERF203 - each attempt fails on its own
                if attempt == _ATTEMPTS - 1:
                    raise unreachable(error) from error
                self._stop.wait(self.pause * 2**attempt)
        raise _lying()

    def whole(self, address: str, meter: Meter, limit: int) -> Iterator[bytes]:
        """Read a whole file in pieces.

        Raises:
            ToolFailedError: code ``wheel-not-readable``.
            InvalidFileError: it is longer than ``limit`` bytes.
        """
        size = 0
        try:
            with self.session.get(address, stream=True, timeout=_TIMEOUT) as answer:
                meter.add(requests=1)
                answer.raise_for_status()
                for piece in answer.iter_content(_PIECE):
                    meter.add(len(piece))
                    size += len(piece)
                    if size > limit:
                        raise InvalidFileError(
                            "the wheel is larger than any that is read",
                            code="hostile-wheel",
                            why=(f"more than {limit} bytes",),
                        )
                    yield piece
        except requests.RequestException as error:
            raise unreachable(error) from error

    def _fetch(self, address: str, wanted: str, limit: int, meter: Meter, data: bytearray) -> Part:
        """Ask for one range and read no more than ``limit`` bytes, into ``data`` as far as they come."""
        try:
            answer = self.session.get(address, stream=True, timeout=_TIMEOUT, headers={"Range": wanted})
            meter.add(requests=1)
        except requests.RequestException as error:
            raise unreachable(error) from error
        with answer:
            if answer.status_code in _NO_SUFFIX and wanted.startswith("bytes=-"):
                raise _NoSuffixError
            try:
                answer.raise_for_status()
            except requests.RequestException as error:
                raise unreachable(error) from error
            start, total = self._place(answer)
            left = limit
            for piece in answer.iter_content(_PIECE):
                meter.add(len(piece))
                left -= len(piece)
                if left < 0:
                    raise _lying()
                data += piece
                if self._stop.is_set():
                    raise ToolFailedError("reading was stopped", code="wheel-not-readable")
            return Part(start, bytes(data), total, answer.headers.get("ETag", ""))

    def _size(self, address: str, meter: Meter) -> int:
        try:
            answer = self.session.head(address, timeout=_TIMEOUT, allow_redirects=True)
            meter.add(requests=1)
            answer.raise_for_status()
            return int(answer.headers["Content-Length"])
        except requests.RequestException as error:
            raise unreachable(error) from error
        except (KeyError, ValueError):
            raise NoRangesError from None

    @staticmethod
    def _place(answer: Any) -> tuple[int, int]:
        if answer.status_code != _PARTIAL:
            raise NoRangesError
        match = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        if match is None or not int(match[1]) <= int(match[2]) < int(match[3]):
            raise _lying()
        return int(match[1]), int(match[3])


def unreachable(error: Exception) -> ToolFailedError:
    """Return a failure of the network in words, without the address."""
    answer = getattr(error, "response", None)
    why = f"it answers {answer.status_code} {answer.reason}" if answer is not None else _kind(error)
    return ToolFailedError(
        "a wheel cannot be read from its server",
        code="wheel-not-readable",
        why=(why,),
        hint="try again later; what was read is kept",
    )


def _kind(error: Exception) -> str:
    kinds = {
        requests.exceptions.SSLError: "its certificate is not trusted here",
        requests.exceptions.ProxyError: "the proxy does not let it through",
        requests.exceptions.Timeout: "it does not answer in time",
        requests.exceptions.RetryError: "it goes on failing",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), "the connection cannot be made")


def _lying() -> ToolFailedError:
    return ToolFailedError(
        "the server of a wheel answers something else than was asked",
        code="wheel-not-readable",
        why=("the range, the size or the file itself changed between two requests",),
        hint="try again, or read the wheel from a local file",
    )

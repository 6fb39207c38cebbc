"""Unpack the end of a deflated stream without what comes before it.

A deflate stream is a chain of blocks, each of which begins with its own tables (RFC 1951) and may refer to the 32 KiB
before it. So unpacking can begin at any block once one is found, and what refers to bytes that were never read is
unknown. What is unknown is found by unpacking twice, with two different histories: bytes that came out the same do not
depend on the history. The stream ends where the member ends, so counting from its end tells where each byte belongs.
"""

from __future__ import annotations

import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

_WINDOW = 1 << 15
_HISTORIES = (b"\x00" * _WINDOW, b"\xff" * _WINDOW)
_SEARCHED = 1 << 19
_STEP = 1 << 15
_TRIED = 1 << 17
_PIECE = 1 << 20
# A block with tables of its own that is not the last one: its first three bits are 0 0 1 from the lowest; then there
# are at most 29 more than 257 lengths, and at most 29 more than one distance.
_FIRST = bytes(value for value in range(256) if value & 7 == 4 and value >> 3 <= 29)  # noqa: PLR2004 - RFC 1951, 3.2.7
_SECOND = bytes(value for value in range(256) if value & 31 <= 29)  # noqa: PLR2004 - the same
_TABLES = re.compile(b"(?=[" + re.escape(_FIRST) + b"][" + re.escape(_SECOND) + b"])", re.DOTALL)

_STORED = b"\x00"
"""The head of a block that is not packed, up to its length: 0 0 0 and what fills the byte."""
_MOST_TRIES = 4


@dataclass(frozen=True)
class End:
    """The end of what a stream unpacks to: the last ``size`` bytes, of which all from ``known`` on are certain.

    They lie in ``file``, because they may be hundreds of megabytes.
    """

    file: IO[bytes]
    size: int
    known: int

    @property
    def certain(self) -> int:
        """How many bytes of the end are certain."""
        return self.size - self.known


def unpack_end(packed: bytes, limit: int) -> End | None:
    """Unpack the end of a deflated stream.

    Args:
        packed: the last bytes of the stream, up to exactly its end.
        limit: bytes that it may unpack to; more is an error of the stream.

    Returns:
        None where no block is found from which everything up to the end can be unpacked.
    """
    for at, bit in islice(_blocks(packed), _MOST_TRIES):
        end = _unpacked(_pieces(packed, at, bit), limit)
        if end is not None:
            return end
    return None


def _blocks(packed: bytes) -> Iterator[tuple[int, int]]:
    """Yield byte and bit at which a block seems to begin, the first ones first; bit -1 before a length (`_lengths`)."""
    for low in range(0, min(len(packed), _SEARCHED), _STEP):
        piece = packed[low : low + _STEP + _TRIED]
        shifted = [memoryview(_shifted(piece, bit)) for bit in range(8)]
        places = [(match.start(), bit) for bit in range(8) for match in _TABLES.finditer(shifted[bit], 0, _STEP)]
        for at, bit in sorted(places + [(at, -1) for at in _lengths(piece)]):
            # Noise passes for tables now and then, and for blocks one after the other hardly ever.
            head = shifted[bit][at : at + _TRIED] if bit >= 0 else _STORED + piece[at : at + _TRIED]
            try:
                zlib.decompressobj(-zlib.MAX_WBITS, zdict=_HISTORIES[0]).decompress(head)
            except zlib.error:
                continue
            yield low + at, bit


def _pieces(packed: bytes, at: int, bit: int) -> Iterator[bytes]:
    """Yield the stream from a place on as whole bytes, in pieces."""
    if bit < 0:
        yield _STORED
    for low in range(at, len(packed), _PIECE):
        piece = packed[low : low + _PIECE]
        if bit <= 0:
            yield piece
        else:
            following = packed[low + _PIECE : low + _PIECE + 1]
            yield _shifted(piece + following, bit)[: len(piece)]


def _lengths(piece: bytes) -> Iterator[int]:
    """Yield where a length and its complement stand one after the other, as at the head of a block without tables."""
    number = int.from_bytes(piece, "little")
    found = (number ^ (number >> 16)).to_bytes(len(piece), "little")
    at = found.find(b"\xff\xff", 0, _STEP)
    while at >= 0:
        yield at
        at = found.find(b"\xff\xff", at + 1, _STEP)


def _shifted(data: bytes, bits: int) -> bytes:
    """Return the data from this bit of its first byte on."""
    return data if not bits else (int.from_bytes(data, "little") >> bits).to_bytes(len(data), "little")


def _unpacked(pieces: Iterator[bytes], limit: int) -> End | None:
    """Unpack into a file, None where the stream is damaged, too long or ends elsewhere."""
    file: IO[bytes] = tempfile.TemporaryFile(prefix="tfgpu-audit-")  # noqa: SIM115 - it goes with what is returned
    size = known = 0
    try:
        for mine, theirs in _side_by_side(pieces):
            if mine != theirs:
                known = size + _alike_from(mine, theirs)
            size += len(mine)
            if size > limit:
                break
            file.write(mine)
        else:
            return End(file, size, known)
    except zlib.error:
        pass
    file.close()
    return None


def _side_by_side(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield what comes out with one history and with the other; how long it is does not depend on them.

    Raises zlib.error where the stream is damaged or does not end where the pieces end.
    """
    one, other = (zlib.decompressobj(-zlib.MAX_WBITS, zdict=history) for history in _HISTORIES)
    for piece in pieces:
        left = piece
        while left and not one.eof:
            yield one.decompress(left, _PIECE), other.decompress(left, _PIECE)
            left = one.unconsumed_tail
        if one.eof:
            break
    # Shifting may have left a byte of zeros behind the end.
    if not one.eof or len(one.unused_data) + sum(map(len, pieces)) > 1:
        raise zlib.error


def _alike_from(one: bytes, other: bytes) -> int:
    """Return the place from which on both are the same up to the end."""
    left, right = memoryview(one), memoryview(other)
    low, high = 0, len(one)
    if left[high - 1 :] != right[high - 1 :]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if left[middle:] == right[middle:]:
            high = middle
        else:
            low = middle
    return high

"""Where a library's sections lie, from its first bytes and its last ones: its table of them stands at its end."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

_KEPT = 1 << 20
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_MOST_SECTIONS = 4096
_LONGEST_NAMES = 1 << 18
_LONGEST_NAME = 64


@dataclass
class Ends:
    """Takes a library piece by piece and keeps its two ends."""

    _head: bytes = field(default=b"", repr=False)
    _tail: deque[bytes] = field(default_factory=deque, repr=False)
    _kept: int = 0
    size: int = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        if len(self._head) < _HEADER.size:
            self._head += piece[: _HEADER.size - len(self._head)]
        self._tail.append(piece)
        self._kept += len(piece)
        self.size += len(piece)
        while self._kept - len(self._tail[0]) > _KEPT:
            self._kept -= len(self._tail.popleft())

    def sections(self) -> Mapping[str, tuple[int, int]]:
        """Return name to first and last place of each section; nothing where the end does not say."""
        if len(self._head) < _HEADER.size or self._head[:6] != b"\x7fELF\x02\x01":
            return {}
        table, entry, count, names = (_HEADER.unpack(self._head)[place] for place in (6, 11, 12, 13))
        tail = b"".join(self._tail)
        rows = self._part(tail, table, entry * count)
        if entry != _SECTION.size or not names < count <= _MOST_SECTIONS or len(rows) < entry * count:
            return {}
        raw = [_SECTION.unpack_from(rows, entry * place) for place in range(count)]
        texts = self._part(tail, raw[names][4], min(raw[names][5], _LONGEST_NAMES))
        return {
            texts[row[0] : row[0] + _LONGEST_NAME].partition(b"\0")[0].decode("latin-1"): (row[4], row[4] + row[5])
            for row in raw
        }

    def _part(self, tail: bytes, place: int, length: int) -> bytes:
        first = place - (self.size - len(tail))
        return tail[first : first + length] if first >= 0 else b""

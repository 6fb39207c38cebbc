"""Where one section of a library lies, while the library streams by.

The table of sections stands at the end, and says of each where its name stands, which may be long before the table. So
the places of the name are remembered as they pass, and the last bytes are kept.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

_KEPT = 1 << 20
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_MOST_SECTIONS = 4096
_MOST_PLACES = 1000


@dataclass
class SectionScan:
    """Takes a library piece by piece and looks for the section of this name."""

    name: bytes
    _head: bytes = field(default=b"", repr=False)
    _tail: deque[bytes] = field(default_factory=deque, repr=False)
    _kept: int = 0
    _size: int = 0
    _rest: bytes = field(default=b"", repr=False)
    _places: set[int] = field(default_factory=set, repr=False)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        if len(self._head) < _HEADER.size:
            self._head += piece[: _HEADER.size - len(self._head)]
        self._look(piece)
        self._tail.append(piece)
        self._kept += len(piece)
        self._size += len(piece)
        while self._kept - len(self._tail[0]) > _KEPT:
            self._kept -= len(self._tail.popleft())

    def _look(self, piece: bytes) -> None:
        wanted = b"\0" + self.name + b"\0"
        data = self._rest + piece
        at = data.find(wanted)
        while at >= 0 and len(self._places) < _MOST_PLACES:
            self._places.add(self._size - len(self._rest) + at + 1)
            at = data.find(wanted, at + 1)
        self._rest = data[1 - len(wanted) :]

    def extent(self) -> tuple[int, int]:
        """Return first and last place of the section; twice 0 where there is none, or where the end does not say."""
        if len(self._head) < _HEADER.size or self._head[:6] != b"\x7fELF\x02\x01":
            return 0, 0
        table, entry, count, names = (_HEADER.unpack(self._head)[place] for place in (6, 11, 12, 13))
        tail = b"".join(self._tail)
        first = table - (self._size - len(tail))
        if entry != _SECTION.size or not names < count <= _MOST_SECTIONS or not 0 <= first <= len(tail) - entry * count:
            return 0, 0
        rows = [_SECTION.unpack_from(tail, first + entry * place) for place in range(count)]
        texts = rows[names][4]
        return next(((row[4], row[4] + row[5]) for row in rows if texts + row[0] in self._places), (0, 0))

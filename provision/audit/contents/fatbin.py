"""GPU code in a library: the headers of its fatbins, read while the library streams by.

NVIDIA documents no format. What is read here was measured on the output of CUDA 10 to 13 and held against
``cuobjdump``: a fatbin is 16 bytes (mark, version 1, header size, size of what follows) and then entries, each a header
of 64 bytes or more (kind, its own size, size of the code, PTX version, architecture, flags) and the code, often packed.
All code but its first bytes is passed over. A field out of range ends a fatbin: it counts as damaged, and what it held
as nothing.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.audit.contents.lz4 import unpack_beginning

MARK = struct.pack("<IHH", 0xBA55ED50, 1, 16)
_SIZE = struct.Struct("<Q")
_HEAD = len(MARK) + _SIZE.size
ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")
"""Kind, version, size of this header, size of the code, packed size, place of the options, minor and major version,
architecture, two numbers of names, flags, nothing, unpacked size."""
PTX, SASS = 1, 2
LZ4, ZSTD = 0x2000, 0x8000
SPECIFIC, FAMILY = 0x100000, 0x200000
"""Flags of CUDA 12.8 and later: code for one architecture (``a``) or one family (``f``)."""
_LONGEST_HEADER = 4096
_ARCHITECTURES = range(10, 1000)
_BEGINNING, _ELF_HEADER = 2048, 64
_ELF_FLAGS, _ELF_ABI = 48, 8
_FIRST_ABI, _ELF_SPECIFIC = 7, 0x800
"""Up to this ABI the flag of a cubin's ELF header says ``a``; later ones have it in the header of the entry."""
_VERSION = re.compile(rb"^\s*\.version\s+(\d{1,3}\.\d{1,3})", re.MULTILINE)
_TARGET = re.compile(rb"^\s*\.target\s+sm_(\d{1,3})([af]?)", re.MULTILINE)
_MOST_FATBINS = 500_000
_MOST_ENTRIES = 5_000_000
_MOST_TARGETS = 1_000


class TooMuchCodeError(Exception):
    """More than any library has: who goes on reading wastes time and memory."""


@dataclass(frozen=True)
class Piece:
    """One entry: machine code (``isa`` empty) or PTX for ``9.0``, ``9.0a``, and so on."""

    target: str
    isa: str = ""


@dataclass(frozen=True)
class Found:
    """What a library holds.

    Attributes:
        fatbins: whole fatbins.
        damaged: fatbins with a field out of range.
        shapes: the entries of a fatbin in order, and how many fatbins have exactly these.
        ptx_alone: place in the file and entries of each fatbin without machine code; they are in ``shapes`` as well.
    """

    fatbins: int
    damaged: int
    shapes: Mapping[tuple[Piece, ...], int]
    ptx_alone: tuple[tuple[int, tuple[Piece, ...]], ...]


@dataclass
class FatbinScan:
    """Takes a library piece by piece, of any length, and keeps no more of it than the header at hand.

    ``size`` is how long the library is: a fatbin that would be longer is damaged.
    """

    size: int
    _data: bytes = field(default=b"", repr=False)
    _base: int = 0
    _at: int = 0
    _stop: int | None = None
    _start: int = 0
    _pieces: list[Piece] = field(default_factory=list, repr=False)
    _known: dict[tuple[object, ...], Piece] = field(default_factory=dict, repr=False)
    _shapes: Counter[tuple[Piece, ...]] = field(default_factory=Counter, repr=False)
    _alone: list[tuple[int, tuple[Piece, ...]]] = field(default_factory=list, repr=False)
    _fatbins: int = 0
    _damaged: int = 0
    _entries: int = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; raises TooMuchCodeError."""
        self._data += piece
        while self._at <= self._base + len(self._data) and self._step():
            pass
        passed = min(self._at - self._base, len(self._data))
        self._data = self._data[passed:]
        self._base += passed

    def found(self) -> Found:
        """Return what was found, after the last bytes."""
        damaged = self._damaged + (self._stop is not None and self._at != self._stop)
        if self._stop is not None and self._at == self._stop:
            self._close()
        return Found(self._fatbins, damaged, dict(self._shapes), tuple(self._alone))

    def _step(self) -> bool:
        """Get on by a mark or an entry; return False where more bytes are needed."""
        if self._stop is None:
            return self._open()
        if self._at == self._stop:
            self._close()
            return True
        return self._entry(self._stop - self._at)

    def _open(self) -> bool:
        place = self._data.find(MARK, self._at - self._base)
        if place < 0:
            self._at = max(self._at, self._base + len(self._data) - len(MARK) + 1)
            return False
        self._at = self._base + place
        if len(self._data) - place < _HEAD:
            return False
        if self._fatbins + self._damaged >= _MOST_FATBINS:
            raise TooMuchCodeError
        (length,) = _SIZE.unpack_from(self._data, place + len(MARK))
        if length > self.size - self._at - _HEAD:
            self._damaged += 1
            self._at += len(MARK)
            return True
        self._start, self._pieces = self._at, []
        self._at += _HEAD
        self._stop = self._at + length
        return True

    def _entry(self, left: int) -> bool:
        place = self._at - self._base
        if left < ENTRY.size:
            return self._spoilt()
        if len(self._data) - place < ENTRY.size:
            return False
        kind, _, header, length, packed, _, minor, major, architecture, _, _, flags, *_ = ENTRY.unpack_from(
            self._data, place
        )
        if not ENTRY.size <= header <= _LONGEST_HEADER or length > left - header or architecture not in _ARCHITECTURES:
            return self._spoilt()
        wanted = min(length, _BEGINNING)
        if len(self._data) - place - header < wanted:
            return False
        self._entries += 1
        if self._entries > _MOST_ENTRIES:
            raise TooMuchCodeError
        if kind in {PTX, SASS}:
            code = self._data[place + header : place + header + wanted]
            # What the entry says of the packed code ends where the code does.
            self._pieces.append(self._piece(kind, architecture, f"{major}.{minor}", flags, code[: packed or wanted]))
        self._at += header + length
        return True

    def _piece(self, kind: int, architecture: int, isa: str, flags: int, code: bytes) -> Piece:
        suffix = "f" if flags & FAMILY else "a" if flags & SPECIFIC else ""
        if not suffix or kind == PTX:
            beginning = _unpacked(code, flags, _BEGINNING if kind == PTX else _ELF_HEADER)
            if kind == SASS:
                suffix = suffix or _suffix_of_elf(beginning)
            else:
                # The driver compiles by the text: builds of 2.5 to 2.8 have PTX for 7.5 under headers that say 8.0.
                target, version = _TARGET.search(beginning), _VERSION.search(beginning)
                isa = version[1].decode() if version else isa
                architecture, suffix = (int(target[1]), target[2].decode()) if target else (architecture, suffix)
        key = (architecture, suffix, isa if kind == PTX else "")
        if key not in self._known:
            if len(self._known) >= _MOST_TARGETS:
                raise TooMuchCodeError
            self._known[key] = Piece(f"{architecture // 10}.{architecture % 10}{suffix}", str(key[2]))
        return self._known[key]

    def _spoilt(self) -> bool:
        """Give up this fatbin, and look for the next one from here on."""
        self._damaged += 1
        self._stop = None
        return True

    def _close(self) -> None:
        shape = tuple(self._pieces)
        self._fatbins += 1
        self._shapes[shape] += 1
        if shape and all(piece.isa for piece in shape):
            self._alone.append((self._start, shape))
        self._stop = None


def _unpacked(code: bytes, flags: int, length: int) -> bytes:
    """Return the first bytes of code; nothing for zstd, of whose time are the flags that say the suffix."""
    if flags & LZ4:
        return unpack_beginning(code, length)
    return b"" if flags & ZSTD else code[:length]


def _suffix_of_elf(header: bytes) -> str:
    if len(header) < _ELF_FLAGS + 4 or header[:4] != b"\x7fELF" or header[_ELF_ABI] > _FIRST_ABI:
        return ""
    return "a" if int.from_bytes(header[_ELF_FLAGS : _ELF_FLAGS + 4], "little") & _ELF_SPECIFIC else ""

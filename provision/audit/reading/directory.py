"""The names in a wheel, read from both ends of its directory, as far as is needed.

The directory of a TensorFlow wheel is up to 3 MiB long, and nine tenths of it are headers for C++. What audit looks for
stands near one of its ends: `.dist-info` first or last, the Python modules early or late. `zipfile` parses each piece.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from zipfile import ZipInfo

from provision.audit.reading.source import TAIL, Source
from provision.errors import InvalidFileError

_END = struct.Struct("<4s4H2LH")
_ENTRY_SIZES = struct.Struct("<3H")
_ENTRY_LENGTH, _ENTRY_NAMES = 46, 28
_ENTRY_MARK = b"PK\x01\x02"
_LOCAL_LENGTH = 30
_ZIP64 = 0xFFFFFFFF
_ENCRYPTED = 0x1
_METHODS = {0, 8}
"""Stored and deflated (PEP 427 asks for no other)."""
_STEP = 256 << 10
_LIMIT = 16 << 20
_MEMBER_LIMIT = 6 << 30
_RATIO_LIMIT = 1040
"""Nothing unpacks to more than 1032 times itself (zlib's own figure), so more is a lie; what is read has its limits."""
_BAD_NAME = re.compile(r"\A/|\\|\0|(\A|/)\.\.?(/|\Z)|\A[A-Za-z]:")
_SHOWN = 100


class Directory:
    """The names of a wheel; not for several threads while it is being read."""

    def __init__(self, source: Source, filename: str) -> None:
        """Read the end of the file.

        Raises:
            InvalidFileError: code ``hostile-wheel``: it is no archive, or one that lies about itself.
            ToolFailedError: it cannot be read.
        """
        self._source = source
        self._filename = filename
        self._members: dict[str, ZipInfo] = {}
        start = max(0, source.size - TAIL)
        tail = source.read(start, source.size)
        place = tail.rfind(b"PK\x05\x06")
        if place < 0 or len(tail) - place < _END.size:
            raise self._hostile("it has no directory: it is no wheel, or one that was cut short")
        _, disk, first, here, entries, size, offset, comment = _END.unpack_from(tail, place)
        if _ZIP64 in {offset, size}:
            raise self._hostile("it is larger than 4 GiB, which is not read")
        if disk or first or here != entries or place + _END.size + comment != len(tail):
            raise self._hostile("the end of its directory is not whole")
        if offset + size != start + place:
            raise self._hostile("its directory is not where it says")
        if size > _LIMIT:
            raise self._hostile(f"its directory is {size} bytes long")
        self.begin = int(offset)
        self._count, self._end = entries, tail[place : place + _END.size]
        # Parsed up to `_front` and from `_back` on; the bytes beside them were read and have no whole entry yet.
        self._front, self._back = self.begin, start + place
        self._after, self._before = b"", b""
        self._step, self._from_front = _STEP, True
        self._backwards(tail[max(0, offset - start) : place])

    @property
    def complete(self) -> bool:
        """Whether every name is known."""
        return self._front >= self._back

    def member(self, path: str) -> ZipInfo | None:
        """Return a member by its exact path, reading on until it is found or every name is known."""
        while path not in self._members and not self.complete:
            self._read_on()
        return self._members.get(path)

    def matching(self, pattern: str) -> ZipInfo | None:
        """Return a member whose whole path matches a regular expression, as above; the first in the wheel of several.

        Others may stand in what was not read.
        """
        wanted = re.compile(pattern)
        while True:
            found = [info for name, info in self._members.items() if wanted.fullmatch(name)]
            if found:
                return min(found, key=lambda info: info.header_offset)
            if self.complete:
                return None
            self._read_on()

    def all(self) -> Mapping[str, ZipInfo]:
        """Return all members, path to what the directory says of each; folders are left out.

        Raises:
            InvalidFileError: code ``hostile-wheel``, as above.
        """
        if not self.complete:
            self._close(self._source.read(self._front + len(self._after), self._back - len(self._before)))
        return {name: info for name, info in self._members.items() if not name.endswith("/")}

    def _read_on(self) -> None:
        low, high = self._front + len(self._after), self._back - len(self._before)
        if high - low <= self._step:
            self._close(self._source.read(low, high))
        elif self._from_front:
            self._forwards(self._source.read(low, low + self._step))
        else:
            self._backwards(self._source.read(high - self._step, high))
            self._step *= 2
        self._from_front = not self._from_front

    def _close(self, gap: bytes) -> None:
        """Take in the last bytes that were missing between the two ends."""
        data = self._after + gap + self._before
        if self._chain(data, 0) != len(data):
            raise self._hostile("its directory is not whole")
        self._front = self._back
        self._add(data)
        if len(self._members) != self._count:
            raise self._hostile(f"its directory says {self._count} members and has {len(self._members)}")

    def _forwards(self, read: bytes) -> None:
        data = self._after + read
        whole = self._chain(data, 0)
        self._front += whole
        self._after = data[whole:]
        self._add(data[:whole])

    def _backwards(self, read: bytes) -> None:
        """Parse from the first place from which entry follows entry up to exactly what is known."""
        data = read + self._before
        if self._back - len(data) <= self._front:
            self._after, self._before = b"", data
            self._close(b"")
            return
        place = data.find(_ENTRY_MARK)
        while place >= 0 and self._chain(data, place) != len(data):
            place = data.find(_ENTRY_MARK, place + 1)
        place = len(data) if place < 0 else place
        self._back -= len(data) - place
        self._before = data[:place]
        self._add(data[place:])

    @staticmethod
    def _chain(data: bytes, at: int) -> int:
        """Return where the last whole entry ends, when each begins where the one before it ended."""
        while data[at : at + 4] == _ENTRY_MARK and len(data) - at >= _ENTRY_LENGTH:
            after = at + _ENTRY_LENGTH + sum(_ENTRY_SIZES.unpack_from(data, at + _ENTRY_NAMES))
            if after > len(data):
                break
            at = after
        return at

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        end = bytearray(self._end)
        struct.pack_into("<2LH", end, 12, len(piece), 0, 0)
        try:
            with zipfile.ZipFile(io.BytesIO(piece + bytes(end))) as found:
                infos = found.infolist()
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError) as error:
            raise self._hostile(f"its directory cannot be read ({type(error).__name__})") from error
        for info in infos:
            self._check(info)
            if info.filename in self._members:
                raise self._hostile(f"two members are called {shown(info.filename)}")
            self._members[info.filename] = info

    def _check(self, info: ZipInfo) -> None:
        name = shown(info.filename)
        if _BAD_NAME.search(info.orig_filename):
            raise self._hostile(f"a member is called {name}")
        if not 0 <= info.header_offset <= self.begin - _LOCAL_LENGTH - info.compress_size:
            raise self._hostile(f"{name} lies outside of the file")
        if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
            raise self._hostile(f"{name} is packed in a way that wheels are not")
        if info.file_size > _MEMBER_LIMIT:
            raise self._hostile(f"{name} says it is {info.file_size} bytes long")
        if info.file_size > _RATIO_LIMIT * info.compress_size:
            raise self._hostile(f"{name} says it is {info.file_size} bytes long, packed into {info.compress_size}")

    def _hostile(self, why: str) -> InvalidFileError:
        return hostile(self._filename, why)


def hostile(filename: str, why: str) -> InvalidFileError:
    """Return the error for a wheel that is not what it claims."""
    return InvalidFileError(
        f"{filename} cannot be trusted as a wheel", code="hostile-wheel", why=(why,), hint="do not install it"
    )


def shown(name: str) -> str:
    """Return a member's name for a message."""
    return f"{name[:_SHOWN]!a}"

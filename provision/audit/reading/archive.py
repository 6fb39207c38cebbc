"""The members of a wheel: held against CRC and RECORD, within limits, several of them at once."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from zipfile import ZipInfo

from provision.audit.reading.directory import Directory, hostile, shown
from provision.audit.reading.source import Source
from provision.errors import InvalidFileError

_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
_UTF8 = 0x800
_DEFLATED = 8
_KEEP = 2 << 20
"""Compressed bytes up to which the ranges of a member stay in the cache after it was read; of others the facts stay."""
_EXTRA = 64
_PIECE = 1 << 20
_TEXT_LIMIT = 16 << 20


class Archive:
    """The members of one wheel. Several threads may read different members."""

    def __init__(self, source: Source, filename: str) -> None:
        """Read the end of its directory; raises as `Directory` does."""
        self.source = source
        self.filename = filename
        self.names = Directory(source, filename)

    def read(self, path: str, limit: int = _TEXT_LIMIT) -> bytes | None:
        """Return a whole member, None where there is none of this path; held against CRC and RECORD.

        Raises:
            InvalidFileError: code ``hostile-wheel``: it is longer than ``limit`` bytes, or damaged.
        """
        info = self.names.member(path)
        if info is None:
            return None
        if info.file_size > limit:
            raise hostile(self.filename, f"{shown(path)} is {info.file_size} bytes long")
        return b"".join(self.stream(info))

    def stream(self, info: ZipInfo, *, recorded: bool = True) -> Iterator[bytes]:
        """Yield a member unpacked, in pieces of at most 1 MiB; after the last one it has been held against its CRC.

        With ``recorded`` against RECORD as well, so that what was yielded must not be believed before the end.

        Raises:
            InvalidFileError: code ``hostile-wheel``.
        """
        recorded = recorded and not info.filename.endswith((".dist-info/RECORD", ".dist-info/RECORD.jws"))
        expected = self.record.get(info.filename) if recorded else None
        if recorded and expected is None:
            raise hostile(self.filename, f"RECORD does not name {shown(info.filename)}")
        start, end = self.extent(info)
        crc, size, digest = 0, 0, hashlib.sha256()
        try:
            for piece in self._unpacked(info, self.source.stream(start, end)):
                crc = zlib.crc32(piece, crc)
                size += len(piece)
                if expected:
                    digest.update(piece)
                yield piece
            if size != info.file_size or crc != info.CRC:
                raise hostile(self.filename, f"{shown(info.filename)} is not what the directory says of it")
            if expected and digest.digest() != expected:
                raise hostile(self.filename, f"{shown(info.filename)} is not what RECORD says of it")
        except InvalidFileError:
            self.source.forget(start, end)
            raise
        if info.compress_size > _KEEP:
            self.source.forget(start, end)

    def extent(self, info: ZipInfo) -> tuple[int, int]:
        """Return where the packed bytes of a member, its header included, lie in the file."""
        longest = _LOCAL.size + len(info.filename.encode()) + len(info.extra) + _EXTRA
        return info.header_offset, min(info.header_offset + longest + info.compress_size, self.names.begin)

    def data_start(self, info: ZipInfo, header: bytes) -> int:
        """Return where the packed data begins behind the member's header; ``header`` begins with that."""
        if len(header) < _LOCAL.size:
            raise hostile(self.filename, f"{shown(info.filename)} has no header")
        mark, _, flags, method, *_, names, extra = _LOCAL.unpack_from(header)
        name = header[_LOCAL.size : _LOCAL.size + names]
        known = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", "replace")
        if mark != b"PK\x03\x04" or method != info.compress_type or flags & _ENCRYPTED or name != known:
            raise hostile(self.filename, f"the header of {shown(info.filename)} is not what the directory says of it")
        return int(_LOCAL.size + names + extra)

    def _unpacked(self, info: ZipInfo, packed: Iterator[bytes]) -> Iterator[bytes]:
        first = next(packed, b"")
        place = self.data_start(info, first)
        left = info.compress_size
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == _DEFLATED else None
        room = info.file_size
        for piece in _joined(first[place:], packed):
            taken = piece[:left]
            left -= len(taken)
            for out in _inflated(inflate, taken, self):
                room -= len(out)
                if room < 0:
                    raise hostile(self.filename, f"{shown(info.filename)} is longer than the directory says")
                yield out
            if not left:
                break
        if left or (inflate and not inflate.eof):
            raise hostile(self.filename, f"{shown(info.filename)} is cut short")

    @cached_property
    def _record(self) -> tuple[Mapping[str, bytes], Mapping[str, int]]:
        info = self.names.matching(r"[^/]+\.dist-info/RECORD")
        data = self.read(info.filename) if info else None
        if data is None:
            raise hostile(self.filename, "it has no RECORD")
        hashes: dict[str, bytes] = {}
        sizes: dict[str, int] = {}
        try:
            for row in csv.reader(io.StringIO(data.decode("utf-8"))):
                path, (kind, _, value), size = row[0], row[1].partition("="), row[2]
                sizes[path] = int(size or 0)
                if kind == "sha256":
                    hashes[path] = base64.urlsafe_b64decode(value + "==")
        except (ValueError, IndexError, csv.Error) as error:
            raise hostile(self.filename, f"its RECORD cannot be read ({type(error).__name__})") from error
        return hashes, sizes

    @property
    def record(self) -> Mapping[str, bytes]:
        """Path to sha256 of each member, as RECORD has them."""
        return self._record[0]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path to size in bytes of each member, as RECORD has them; what it gives no size counts as 0."""
        return self._record[1]


def _inflated(inflate: zlib._Decompress | None, data: bytes, archive: Archive) -> Iterator[bytes]:
    """Yield data unpacked, never more than a piece at a time."""
    if inflate is None:
        yield from (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
        return
    try:
        while data and not inflate.eof:
            yield inflate.decompress(data, _PIECE)
            data = inflate.unconsumed_tail
    except zlib.error as error:
        raise hostile(archive.filename, f"a member cannot be unpacked ({error})") from error


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest

"""Write a shared library out of a wheel without its GPU kernels, which are most of its bytes and need not be read.

The framework library of 2.16 and later holds kernels of up to two thirds of its size, between the parts that the loader
needs. Its beginning is unpacked up to the kernels; its end is unpacked from behind them on (`midstream`); between the
two the file has a hole. It loads and runs as before, as long as no kernel is launched. What is read this way cannot be
held against CRC and RECORD, which are those of the whole: the facts say so.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import ZipInfo

from provision.audit.reading.archive import Archive
from provision.audit.reading.midstream import End, unpack_end

WORTH_IT = 24 << 20
"""Packed bytes from which on a library is read in parts."""
_KERNELS = {b".nv_fatbin", b"__nv_relfatbin", b"__nv_module_id"}
_LEAST_HOLE = 8 << 20
_FIRST_END = 4 << 20
_STEP = 2 << 20
_ROUNDS = 6
_CODE_PACKED = 0.47
"""How much machine code of a CPU packs to, measured on 2.17 to 2.21; the first guess of how far back to read."""
_SLACK = 512 << 10
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_ALLOCATED = 2
_MOST_SECTIONS = 4096


@dataclass(frozen=True)
class _Section:
    name: bytes
    offset: int
    size: int
    loaded: bool


def write_without_kernels(archive: Archive, info: ZipInfo, file: Path) -> bool:
    """Write a library whose kernels are a hole; return False, nothing of use being written, where that is not possible.

    It is not where the library is small or holds few kernels, or where its form is another than expected.

    Raises:
        InvalidFileError: code ``hostile-wheel``.
        ToolFailedError: it cannot be read.
    """
    if info.compress_size < WORTH_IT or info.compress_type != zlib.DEFLATED:
        return False
    start, _ = archive.extent(info)
    head = archive.source.read(start, min(start + (1 << 16), archive.names.begin))
    begin = start + archive.data_start(info, head)
    end = _End(archive, begin, begin + info.compress_size, info.file_size)
    written = _write(archive, info, file, end, head[begin - start :])
    end.forget()
    return written


def _write(archive: Archive, info: ZipInfo, file: Path, end: _End, head: bytes) -> bool:
    first = _inflate_up_to(head, _HEADER.size)
    if not end.reach(info.file_size - 1) or len(first) < _HEADER.size:
        return False
    hole = _kernels(end, first)
    if hole is None or hole[0] < _HEADER.size or hole[1] - hole[0] < _LEAST_HOLE or not end.reach(hole[1]):
        return False
    with file.open("wb") as stream:
        if not _write_beginning(archive, end.begin, end.start, hole[0], stream):
            return False
        stream.seek(end.certain_from)
        end.copy_to(stream)
        stream.truncate(info.file_size)
    return True


class _End:
    """The end of a packed member, read further back as it is needed."""

    def __init__(self, archive: Archive, begin: int, stop: int, size: int) -> None:
        self._archive, self.begin, self._stop, self._size = archive, begin, stop, size
        self.start = stop
        self._packed = b""
        self._end: End | None = None
        self._ranges: list[tuple[int, int]] = []

    @property
    def certain_from(self) -> int:
        """From which byte of the library on its end is known."""
        return self._size - (self._end.certain if self._end else 0)

    def reach(self, place: int) -> bool:
        """Read back until the library is known from ``place`` on; whether that went well."""
        for _ in range(_ROUNDS):
            if self.certain_from <= place:
                return True
            missing = int((self.certain_from - place) * _CODE_PACKED) + _SLACK
            start = max(self.begin, self.start - max(_FIRST_END if not self._packed else 0, missing))
            if start == self.start:
                return False
            self._packed = b"".join(self._archive.source.stream(start, self.start)) + self._packed
            self._ranges.append((start, self.start))
            self.start = start
            found = unpack_end(self._packed, self._size)
            if found is None:
                return False
            if self._end:
                self._end.file.close()
            self._end = found
        return self.certain_from <= place

    def forget(self) -> None:
        """Drop the packed bytes from the cache: they have served."""
        for start, stop in self._ranges:
            self._archive.source.forget(start, stop)

    def read(self, place: int, length: int) -> bytes:
        """Return bytes of the library, as far as they are known."""
        if self._end is None or place < self.certain_from:
            return b""
        self._end.file.seek(place - (self._size - self._end.size))
        return self._end.file.read(length)

    def copy_to(self, stream: IO[bytes]) -> None:
        """Write everything that is known."""
        if self._end:
            self._end.file.seek(self._end.known)
            shutil.copyfileobj(self._end.file, stream, _STEP)


def _kernels(end: _End, first: bytes) -> tuple[int, int] | None:
    """Return the longest stretch of the file that holds kernels and nothing else; None where there is none."""
    mark, *_, table, _, _, _, _, entry, count, names = _HEADER.unpack_from(first)
    if mark[:6] != b"\x7fELF\x02\x01" or entry != _SECTION.size or not names < count <= _MOST_SECTIONS:
        return None
    rows = end.read(table, entry * count) if end.reach(table) else b""
    if len(rows) < entry * count:
        return None
    raw = [_SECTION.unpack_from(rows, entry * place) for place in range(count)]
    place, size = raw[names][4], raw[names][5]
    texts = end.read(place, size) if size < 1 << 20 and end.reach(place) else b""
    sections = sorted(
        (_Section(texts[row[0] : texts.find(b"\0", row[0])], row[4], row[5], bool(row[2] & _ALLOCATED)) for row in raw),
        key=lambda section: section.offset,
    )
    best: tuple[int, int] | None = None
    here: tuple[int, int] | None = None
    for section in sections:
        if not section.loaded or not section.size:
            continue
        if section.name in _KERNELS:
            here = (here[0] if here else section.offset, section.offset + section.size)
            best = here if best is None or here[1] - here[0] > best[1] - best[0] else best
        else:
            here = None
    return best


def _write_beginning(archive: Archive, begin: int, stop: int, length: int, stream: IO[bytes]) -> bool:
    """Write the first ``length`` bytes of a library; whether the packed bytes up to ``stop`` give them."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    for low in range(begin, stop, _STEP):
        try:
            stream.write(inflate.decompress(archive.source.read(low, min(low + _STEP, stop)), length - stream.tell()))
        except zlib.error:
            return False
        if stream.tell() >= length:
            for read in range(begin, low + 1, _STEP):
                archive.source.forget(read, min(read + _STEP, stop))
            return True
    return False


def _inflate_up_to(packed: bytes, length: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, length)
    except zlib.error:
        return b""

"""Which instruction sets TensorFlow refuses to run without, read out of the code that refuses.

When it is loaded, ``CPUFeatureGuard`` (tensorflow/core/platform/cpu_feature_guard.cc) checks each set that the build
was compiled with, and ends the process where the CPU lacks one. In the library that is one function, whose place the
symbol table says, and each check is ``mov edi, NUMBER; call CHECK``. Nothing of it is run.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from provision.audit.contents.dynamic import DAMAGED, bounded_elf
from provision.model.wheel import GuardFacts

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

INITIALISER = b"_GLOBAL__sub_I_cpu_feature_guard.cc"
_SETS: Mapping[int, str] = {
    1: "SSE",
    2: "SSE2",
    3: "SSE3",
    5: "SSE4.1",
    6: "SSE4.2",
    12: "AVX",
    14: "AVX2",
    15: "FMA",
    27: "AVX512F",
}
"""Numbers of ``CPUFeature`` in TensorFlow's cpu_info.h, which never change, of every set that the guard may check."""
_LADDER = ("SSE", "SSE2", "SSE3", "SSE4.1", "SSE4.2", "AVX", "AVX2", "AVX512F")
"""Sets of which each has all before it: a compiler that may use one may use those too, and the guard checks all."""
_CHECK = re.compile(rb"\xbf(?=(.{4})\xe8(.{4}))", re.DOTALL)
"""``mov edi, imm32`` and ``call rel32``; looked for at every byte."""
_TEXT = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](?=(.{4}))", re.DOTALL)
"""``lea register, [rip + disp32]``: how GCC names the set that it checks; clang writes short names into the code."""
_LEA, _AFTER_CALL = 7, 10
_LONGEST = max(map(len, _SETS.values())) + 1
_SYMBOL = struct.Struct("<IBBHQQ")
_FUNCTION = 2
_PIECE = _SYMBOL.size << 16
_MOST_CODE = 1 << 14
"""Bytes; it has some 500."""
_MOST_SYMBOLS = 48 << 20
"""Bytes; the largest symbol table of a release has 5 MB, the largest table of its names 19 MB (2.21.0)."""
_MOST_NAMES = 128 << 20
_MOST_HITS = 16
_MOST_PARTS = 4096
_MOST_LOADED = 64


class _UnknownError(Exception):
    """Why it cannot be told."""


def read_guard(path: Path) -> GuardFacts:
    """Return what a framework library checks of the CPU; that it cannot be told is a fact too, and no error."""
    try:
        with path.open("rb") as stream:
            return GuardFacts(_features(stream))
    except _UnknownError as error:
        return GuardFacts(None, str(error))
    except OSError as error:
        return GuardFacts(None, f"it cannot be read ({error.strerror or error})")
    except DAMAGED as error:
        return GuardFacts(None, f"it is not a whole ELF library ({type(error).__name__})")


def _features(stream: BinaryIO) -> tuple[str, ...]:
    file = bounded_elf(stream)
    if file.elfclass != 64 or not file.little_endian or file["e_machine"] != "EM_X86_64":  # noqa: PLR2004 - bits
        raise _UnknownError("it is no library for x86-64")
    if max(file.num_segments(), file.num_sections()) > _MOST_PARTS:
        raise _UnknownError("its tables are too long")
    image = _Image(stream, file)
    place, size = _initialiser(stream, file)
    if not 0 < size <= _MOST_CODE:
        raise _UnknownError("its check of the CPU is of another size than any")
    code = image.read(place, size)
    if len(code) < size:
        raise _UnknownError("its check of the CPU lies outside of it")
    return _checked(code, _named(code, place, image))


def _checked(code: bytes, named: Collection[str]) -> tuple[str, ...]:
    """Return what the calls of a function check, in their order, as /proc/cpuinfo writes it (but ``sse3``).

    Args:
        code: of the function.
        named: texts that it loads; each names a set of which the check must have been found.
    """
    calls = [(match.start(), *struct.unpack("<Ii", match[1] + match[2])) for match in _CHECK.finditer(code)]
    numbers = list(dict.fromkeys(number for _, number, _ in calls))
    # One function answers all of them; another one with a number for its argument would be something else.
    if not numbers or len({start + _AFTER_CALL + distance for start, _, distance in calls}) > 1:
        raise _UnknownError("its check of the CPU has another form")
    strange = [str(number) for number in numbers if number not in _SETS]
    if strange:
        raise _UnknownError(f"it checks instruction sets whose numbers are not known: {' '.join(strange[:_MOST_HITS])}")
    found = [_SETS[number] for number in numbers]
    rungs = [name for name in _LADDER if name in found]
    if rungs != list(_LADDER[: len(rungs)]):
        raise _UnknownError(f"it checks {' '.join(found)}, and not all that belongs to these")
    unseen = sorted(set(named) - set(found))
    if unseen:
        raise _UnknownError(f"it names {' '.join(unseen)}, and no check of that was found")
    return tuple(name.lower().replace(".", "_") for name in found)


def _named(code: bytes, place: int, image: _Image) -> frozenset[str]:
    """Return the names of instruction sets that a function at this address loads."""
    found = set()
    for match in _TEXT.finditer(code):
        (distance,) = struct.unpack("<i", match[1])
        text = image.read(place + match.start() + _LEA + distance, _LONGEST).partition(b"\0")[0]
        found.add(text.decode("latin-1"))
    return frozenset(found.intersection(_SETS.values()))


class _Image:
    """A library as it lies in memory."""

    def __init__(self, stream: BinaryIO, file: ELFFile) -> None:
        self._stream = stream
        # Address, size and place in the file of what is loaded.
        self._loaded = [
            (int(segment["p_vaddr"]), int(segment["p_filesz"]), int(segment["p_offset"]))
            for segment in islice(file.iter_segments(type="PT_LOAD"), _MOST_LOADED)
        ]

    def read(self, address: int, size: int) -> bytes:
        """Return what the file has from an address on: up to ``size`` bytes, none outside of what is loaded."""
        for first, length, place in self._loaded:
            if first <= address < first + length:
                self._stream.seek(place + address - first)
                return self._stream.read(min(size, first + length - address))
        return b""


def _initialiser(stream: BinaryIO, file: ELFFile) -> tuple[int, int]:
    """Return address and size of the function that checks."""
    for table in islice(file.iter_sections(type="SHT_SYMTAB"), _MOST_HITS):
        texts = file.get_section(table["sh_link"])
        if table["sh_size"] > _MOST_SYMBOLS or texts["sh_size"] > _MOST_NAMES:
            raise _UnknownError("its symbol table is longer than any")
        names = _places(_pieces(stream, texts))
        for piece in _pieces(stream, table) if names else ():
            for name, info, _, _, address, size in _SYMBOL.iter_unpack(piece):
                if name in names and info & 0xF == _FUNCTION:
                    return address, size
    raise _UnknownError("its symbol table does not say where it checks the CPU")


def _places(pieces: Iterator[bytes]) -> frozenset[int]:
    """Return where in a table of names that of the initialiser stands."""
    wanted = INITIALISER + b"\0"
    found: list[int] = []
    rest, passed = b"", 0
    for piece in pieces:
        data = rest + piece
        at = data.find(wanted)
        while at >= 0 and len(found) < _MOST_HITS:
            found.append(passed - len(rest) + at)
            at = data.find(wanted, at + 1)
        rest, passed = data[1 - len(wanted) :], passed + len(piece)
    return frozenset(found)


def _pieces(stream: BinaryIO, section: Any) -> Iterator[bytes]:
    """Yield the bytes of a section; raises ValueError where the file ends before it."""
    stream.seek(section["sh_offset"])
    left = int(section["sh_size"])
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            msg = "the file ends too early"
            raise ValueError(msg)
        left -= len(piece)
        yield piece

"""The dynamic section and the symbol versions of a shared library, by pyelftools and within limits."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from provision.errors import InvalidFileError
from provision.model.wheel import DynamicFacts

_BUDGET = 24 << 20
"""Bytes that the parser may read; it reads hash tables too (2 MiB in a nightly), and endless strings are longer."""
_MOST_SEGMENTS = 4096
_MOST_TAGS = 10_000
_MOST_VERSIONS = 10_000
_MOST_SYMBOLS = 200_000
DAMAGED = (
    ELFError,
    struct.error,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    ArithmeticError,
)
"""How the parser fails on a damaged file; each means the same to us."""


class _Bounded(io.BufferedIOBase):
    """A file of which only so much can be read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _BUDGET

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= self._left:
            msg = "it wants too much read"
            raise ValueError(msg)
        self._left -= max(size, 1)
        return self._stream.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()


def bounded_elf(stream: BinaryIO) -> ELFFile:
    """Return a library whose parser reads only so much of it; what it raises of a damaged one is in `DAMAGED`."""
    return ELFFile(cast("BinaryIO", _Bounded(stream)))


def read_dynamic_facts(path: Path) -> DynamicFacts:
    """Return what the dynamic linker reads of a library.

    Raises:
        InvalidFileError: code ``unreadable-library``: it is no shared library, a truncated or a hostile one.
    """
    try:
        with path.open("rb") as stream:
            file = bounded_elf(stream)
            if file.num_segments() > _MOST_SEGMENTS or file.num_sections() > 1 << 16:
                raise _unreadable(path, "its tables are too long")
            segment = next((item for item in file.iter_segments() if isinstance(item, DynamicSegment)), None)
            if segment is None:
                raise _unreadable(path, "it has no dynamic section")
            tags = list(islice(segment.iter_tags(), _MOST_TAGS))
            versions: dict[str, tuple[str, ...]] = {}
            for section in islice(file.iter_sections(), 1 << 16):
                if isinstance(section, GNUVerNeedSection):
                    versions.update(_versions(section))
            return _facts(tags, versions)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except DAMAGED as error:
        raise _unreadable(path, f"it is not a whole ELF library ({type(error).__name__})") from error


def read_exports(path: Path) -> frozenset[str]:
    """Return the names that a library gives to others.

    Raises:
        InvalidFileError: code ``unreadable-library``, as above.
    """
    try:
        with path.open("rb") as stream:
            file = bounded_elf(stream)
            if file.num_segments() > _MOST_SEGMENTS:
                raise _unreadable(path, "its tables are too long")
            segment = next((item for item in file.iter_segments() if isinstance(item, DynamicSegment)), None)
            if segment is None:
                raise _unreadable(path, "it has no dynamic section")
            symbols = islice(segment.iter_symbols(), _MOST_SYMBOLS)
            return frozenset(str(symbol.name) for symbol in symbols if symbol["st_shndx"] != "SHN_UNDEF")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except DAMAGED as error:
        raise _unreadable(path, f"it is not a whole ELF library ({type(error).__name__})") from error


def _facts(tags: list[Any], versions: dict[str, tuple[str, ...]]) -> DynamicFacts:
    found: dict[str, list[str]] = {"soname": [], "needed": [], "rpath": [], "runpath": []}
    for tag in tags:
        name = str(tag.entry.d_tag).removeprefix("DT_").lower()
        if name in found:
            found[name].append(str(getattr(tag, name)))
    # Where both are there, RPATH is ignored (ld.so(8)).
    kind = "RUNPATH" if found["runpath"] else "RPATH" if found["rpath"] else ""
    entries = [entry for text in found["runpath"] or found["rpath"] for entry in text.split(":") if entry]
    return DynamicFacts(
        soname=next(iter(found["soname"]), ""),
        needed=tuple(found["needed"]),
        kind=kind,
        search=tuple(dict.fromkeys(entries)),
        versions=dict(sorted(versions.items())),
    )


def _versions(section: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    left = _MOST_VERSIONS
    for library, names in islice(section.iter_versions(), _MOST_VERSIONS):
        found = [str(item.name) for item in islice(names, left)]
        left -= len(found)
        yield str(library.name), tuple(sorted(set(found)))


def _unreadable(path: Path, why: str) -> InvalidFileError:
    return InvalidFileError(
        f"{path.name} cannot be read as a shared library", code="unreadable-library", why=(f"{path.name}: {why}",)
    )

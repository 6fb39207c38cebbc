"""The CUDA names that TensorFlow looks up, and those of them that the libraries of a set lack.

TensorFlow reaches CUDA through stubs of its own: each has a table of names, and looks them up by ``dlsym`` when they
are first called. So the names stand in its libraries as strings. From 2.14 on the tables list the whole API of the CUDA
that it was built with, so that a name that no library has is a gap only where something calls it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from provision.model.wheel import SymbolFacts

FAMILIES = ("cublas", "cudnn", "cufft", "cupti", "curand", "cusolver", "cusparse")
"""Beginning of a name, and ``lib`` before it that of the libraries that have it."""
_NAME = re.compile(rb"\0(cu(?:blas|dnn|fft|pti|rand|solver|sparse)[A-Z]\w{2,120})(?=\0)")
_LONGEST = 160
_MOST_NAMES = 50_000


class TooManyNamesError(Exception):
    """More names than there are in all of CUDA."""


@dataclass
class NameScan:
    """Takes a library piece by piece and collects the CUDA names that stand in it as whole strings."""

    names: set[str] = field(default_factory=set)
    _rest: bytes = field(default=b"", repr=False)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; raises TooManyNamesError."""
        data = self._rest + piece
        self.names.update(match.decode() for match in _NAME.findall(data))
        if len(self.names) > _MOST_NAMES:
            raise TooManyNamesError
        # A name that is cut in two is found the next time.
        self._rest = data[-_LONGEST:]


def cover(names: Collection[str], exports: Mapping[str, Collection[str]], wheels: Iterable[str]) -> SymbolFacts:
    """Hold the names that are looked up against those that the libraries of a set give. Pure.

    Args:
        names: what TensorFlow looks up.
        exports: file name of a library (``libcublasLt.so.12``) to the names that it gives.
        wheels: what the libraries are of, for the reader.
    """
    missing: dict[str, tuple[str, ...]] = {}
    unpinned: dict[str, int] = {}
    for family in FAMILIES:
        mine = sorted(name for name in names if name.startswith(family))
        given = [found for library, found in exports.items() if library.startswith(f"lib{family}")]
        if mine and not given:
            unpinned[family] = len(mine)
            continue
        lacking = tuple(name for name in mine if not any(name in found for found in given))
        if lacking:
            missing[family] = lacking
    return SymbolFacts(len(names), missing, wheels=tuple(wheels), unpinned=unpinned)

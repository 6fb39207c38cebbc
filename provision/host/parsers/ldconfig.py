"""What the loader's cache knows: ``ldconfig -p``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^\s*(\S+)\s+\(([^()]{0,200})\)\s+=>\s+(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class CachedLibrary:
    """One entry of the cache.

    Attributes:
        soname: what a program asks for.
        flags: ``libc6,x86-64`` and the like; 32-bit entries say ``libc6`` alone.
        path: the file that answers.
    """

    soname: str
    flags: tuple[str, ...]
    path: str

    def serves(self, machine: str) -> bool:
        """Whether a program of that architecture can load it."""
        words = {"x86_64": "x86-64", "aarch64": "AArch64"}
        return words.get(machine, machine) in self.flags


def parse_ldconfig(text: str) -> tuple[CachedLibrary, ...]:
    """Return the entries in the cache's order, which is the loader's; lines of any other form are passed over."""
    return tuple(
        CachedLibrary(soname, tuple(flag.strip() for flag in flags.split(",")), path)
        for soname, flags, path in _LINE.findall(text)
    )

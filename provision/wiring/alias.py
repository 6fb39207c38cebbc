"""Make a shared library of a few hundred bytes that is nothing but another name for a library.

glibc answers a request by a library that is already loaded only where the name is that library's SONAME. A link does
not change a SONAME, so ``libnvrtc.so``, a link to ``libnvrtc.so.11.2``, is looked for again each time, on
LD_LIBRARY_PATH first. A library whose SONAME is the other name and that needs the real one answers it for good:
dlsym(3) on it finds the symbols of what it needs. It holds no code and no symbol of its own.

Layout after the System V ABI, chapters 4 and 5, and its AMD64 supplement.
"""

from __future__ import annotations

import struct

_EHDR, _PHDR = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_ET_DYN, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK = 1, 2, 0x6474E551
_READ_WRITE = 6  # glibc writes into the dynamic section; nothing here is ever executed, the stack neither
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 1, 4, 5, 6, 10, 11, 14
_SYMBOL_SIZE = 24
_PAGE = 0x1000


def alias_library(name: str, real: str) -> bytes:
    """Return an x86-64 shared library with SONAME ``name`` that needs ``real`` and has nothing else."""
    strings = b"\0" + name.encode() + b"\0" + real.encode() + b"\0"
    at_hash = _EHDR.size + 3 * _PHDR.size
    hash_table = struct.pack("<4I", 1, 1, 0, 0)  # one bucket, one symbol: the null symbol that every table begins with
    at_symbols = at_hash + len(hash_table)
    at_dynamic = at_symbols + _SYMBOL_SIZE
    entries = (
        (_DT_SONAME, 1),
        (_DT_NEEDED, 1 + len(name.encode()) + 1),
        (_DT_HASH, at_hash),
        (_DT_SYMTAB, at_symbols),
        (_DT_SYMENT, _SYMBOL_SIZE),
        (_DT_STRTAB, at_dynamic + 16 * 8),
        (_DT_STRSZ, len(strings)),
        (0, 0),
    )
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in entries)
    size = at_dynamic + len(dynamic) + len(strings)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = _EHDR.pack(identity, _ET_DYN, _EM_X86_64, 1, 0, _EHDR.size, 0, 0, _EHDR.size, _PHDR.size, 3, 0, 0, 0)
    segments = (
        _PHDR.pack(_PT_LOAD, _READ_WRITE, 0, 0, 0, size, size, _PAGE),
        _PHDR.pack(_PT_DYNAMIC, _READ_WRITE, at_dynamic, at_dynamic, at_dynamic, len(dynamic), len(dynamic), 8),
        _PHDR.pack(_PT_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16),
    )
    return header + b"".join(segments) + hash_table + bytes(_SYMBOL_SIZE) + dynamic + strings

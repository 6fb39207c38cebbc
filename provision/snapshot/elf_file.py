"""Is a file a whole shared library for this machine? Read of its headers, nothing is mapped.

pyelftools answers the same in 5 ms a file and 0.1 s for its own import; over the hundred libraries of an environment
that is longer than all the rest of doctor. What is needed here are three tables of fixed form (ELF-64, System V ABI).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<4sBBBB8xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOAD = 1
_ELF64, _LITTLE = 2, 1
_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183, "ppc64le": 21}
_NAMES = {3: "i386", 21: "ppc64", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}
_SCRIPTS = (b"/*", b"INPUT", b"GROUP", b"OUTPUT_FORMAT")
"""How a linker script begins, which development packages install under the name of a library."""
_MAX_SEGMENTS = 4096


@dataclass(frozen=True)
class ElfFault:
    """What is wrong: ``kind`` as in `provision.model.environment_facts.FileFault`, what should be there and what is."""

    kind: str
    wanted: str
    found: str


def elf_fault(path: str | Path, machine: str) -> ElfFault | None:
    """Return what is wrong with a library for a machine (``x86_64`` …), None where it is whole or a linker script."""
    try:
        with Path(path).open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            return _fault(stream.read(1 << 16), size, machine)
    except OSError as error:
        return ElfFault("unreadable", "a file that can be read", error.strerror or str(error))


def _fault(head: bytes, size: int, machine: str) -> ElfFault | None:
    if head.startswith(_SCRIPTS):
        return None
    if len(head) < _HEADER.size and (not head or head.startswith(b"\x7fELF")):
        return ElfFault("truncated", "an ELF library", f"{size} bytes")
    if not head.startswith(b"\x7fELF"):
        return ElfFault("not-elf", "an ELF library", f"a file that begins with {head[:4]!r}")
    fields = _HEADER.unpack_from(head)
    bits, order, kind = fields[1], fields[2], fields[6]
    wanted = _MACHINES.get(machine.lower())
    if bits != _ELF64 or order != _LITTLE or (wanted is not None and kind != wanted):
        name = _NAMES.get(kind, f"machine {kind}")
        shown = f"{name}, {'64' if bits == _ELF64 else '32'} bits"
        return ElfFault("architecture", f"{machine}, 64 bits", shown)
    return _extent(head, size, fields)


def _extent(head: bytes, size: int, fields: tuple[int, ...]) -> ElfFault | None:
    """Compare the end of the last segment, and of the table of sections, with the size of the file."""
    segments_at, sections_at = fields[9], fields[10]
    segment_size, segments, section_size, sections = fields[13], fields[14], fields[15], fields[16]
    end = sections_at + section_size * sections if sections_at else 0
    loads = 0
    if segment_size < _SEGMENT.size or not 0 < segments <= _MAX_SEGMENTS:
        return ElfFault("not-elf", "an ELF library", "a header without a table of segments")
    for place in range(segments):
        start = segments_at + place * segment_size
        if start + _SEGMENT.size > len(head):
            if start + _SEGMENT.size > size:
                return ElfFault("truncated", f"at least {start + _SEGMENT.size} bytes", f"{size} bytes")
            break  # a table far from the header: none of the libraries that matter here, and no sign of damage
        kind, _, offset, _, _, length, _, _ = _SEGMENT.unpack_from(head, start)
        loads += kind == _LOAD
        # Core notes and the like may lie anywhere; what the loader maps is what counts.
        end = max(end, offset + length) if kind == _LOAD else end
    else:
        if not loads:
            return ElfFault("not-elf", "an ELF library", "a file without anything to load")
    if end > size:
        return ElfFault("truncated", f"{end} bytes by its headers", f"{size} bytes")
    return None

"""Fatbins made by hand, and a library around them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from provision.audit.contents.fatbin import ENTRY, LZ4, MARK, PTX, SASS


def fatbin(*entries: bytes, size: int | None = None) -> bytes:
    """A fatbin of these entries; ``size`` is what its header says instead of the truth."""
    body = b"".join(entries)
    return MARK + struct.pack("<Q", len(body) if size is None else size) + body


def entry(
    kind: int,
    architecture: int,
    code: bytes,
    *,
    isa: tuple[int, int] = (1, 7),
    flags: int = 0x11,
    header: int = 64,
    length: int | None = None,
) -> bytes:
    """One entry; ``length`` is what its header says of the code instead of the truth."""
    said = len(code) if length is None else length
    packed = len(code) if flags & LZ4 else 0
    fields = (kind, 0x101, header, said, packed, 0, isa[1], isa[0], architecture, 0, 0, flags, 0, 0)
    return ENTRY.pack(*fields) + bytes(header - ENTRY.size) + code


def sass(architecture: int, elf_flags: int = 0, *, abi: int = 7, flags: int = 0x11) -> bytes:
    """Machine code: the ELF header of a cubin, and noise."""
    header = b"\x7fELF\x02\x01\x01\x33" + bytes([abi]) + bytes(39) + struct.pack("<I", elf_flags) + bytes(12)
    return entry(SASS, architecture, header + b"\x90" * 200, flags=flags)


def ptx(
    architecture: int, isa: tuple[int, int], *, suffix: str = "", flags: int = 0x11, said: tuple[int, int] | None = None
) -> bytes:
    """PTX; ``said`` is the version in the header instead of that of the text."""
    text = f"\n\n.version {isa[0]}.{isa[1]}\n.target sm_{architecture}{suffix}\n.address_size 64\n" + "add.f32;\n" * 20
    data = literal(text.encode()) if flags & LZ4 else text.encode()
    return entry(PTX, architecture, data, isa=said or isa, flags=flags, header=80)


def literal(data: bytes) -> bytes:
    """LZ4 that repeats nothing."""
    rest = len(data) - 15
    return b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + data


NAMES = ("cublasSgemm_v2", "cublasLtMatmul", "cudnnCreate", "curandGenerateBinomial")

HOLDER = """
__asm__(".section .nv_fatbin,\\"a\\",@progbits\\n.incbin \\"{plain}\\"\\n.previous\\n");
__asm__(".section __nv_relfatbin,\\"a\\",@progbits\\n.incbin \\"{linked}\\"\\n.previous\\n");
const char *looked_up[] = {{{names}}};
"""


def library_with_code(
    compile_library: Callable[..., Path], folder: Path, plain: bytes, linked: bytes, names: tuple[str, ...] = NAMES
) -> Path:
    """A real library with this code in its sections, which looks up these names."""
    (folder / "plain").write_bytes(plain)
    (folder / "linked").write_bytes(linked)
    words = ", ".join(f'"{name}"' for name in names)
    code = HOLDER.format(plain=folder / "plain", linked=folder / "linked", names=words)
    return compile_library(code, "libkernels.so", "-O0")


SAMPLE = fatbin(sass(60), sass(90, 0x800), ptx(90, (8, 3), suffix="a", flags=0x2011))
"""A fatbin as TensorFlow 2.17 has them."""

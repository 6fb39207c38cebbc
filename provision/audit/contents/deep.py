"""What only whole libraries say: GPU code for which architectures, CUDA names that are looked up, names that are given.

Every library of a wheel is unpacked as it is downloaded, and passes through; nothing of it is kept but what was found.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipInfo

from provision.audit.contents.dynamic import read_exports
from provision.audit.contents.fatbin import FatbinScan, Found, Piece, TooMuchCodeError
from provision.audit.contents.metadata import installed
from provision.audit.contents.section import SectionScan
from provision.audit.contents.symbols import FAMILIES, NameScan, TooManyNamesError
from provision.audit.contents.without_kernels import write_without_kernels
from provision.audit.reading.archive import Archive
from provision.audit.reading.directory import hostile, shown
from provision.model.wheel import CodeCount, CodeFacts

_LIBRARY = re.compile(r"\.so(\.\d+)*\Z")
_GIVES = re.compile(r"/lib(cublas|cublasLt|cudnn|cufft|cupti|curand|cusolver|cusparse)\.so\.[\d.]+\Z")
"""The libraries that TensorFlow opens by name; what stands behind them (``libcudnn_ops.so.9``) it does not."""
_LINKED = b"__nv_relfatbin"
"""Section of the code that separate compilation links; the result of that stands in ``.nv_fatbin``."""
_AT_ONCE = 2
_MOST_BYTES = 16 << 30
_MOST_LIBRARIES = 20_000


@dataclass(frozen=True)
class Code:
    """Libraries with GPU code, by their paths, and the CUDA names that any library looks up, sorted."""

    libraries: tuple[CodeFacts, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exports:
    """File name of each library of CUDA that is opened by name to the names that it gives, sorted."""

    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_code(archive: Archive) -> Code:
    """Return the code and the looked-up names of every library of a wheel; all of them are read.

    Raises:
        InvalidFileError: code ``hostile-wheel``: it is not what it claims, or is larger than any wheel.
        ToolFailedError: it cannot be read.
    """
    libraries = [info for path, info in sorted(archive.names.all().items()) if _LIBRARY.search(path)]
    if sum(info.file_size for info in libraries) > _MOST_BYTES or len(libraries) > _MOST_LIBRARIES:
        raise hostile(archive.filename, "its libraries are larger than those of any wheel")
    _ = archive.record  # read before the threads want it all at once
    libraries.sort(key=lambda info: -info.file_size)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit-code") as pool:
        read = list(pool.map(lambda info: _read_library(archive, info), libraries))
    names = {name for _, found in read for name in found}
    code = (facts for facts, _ in read if facts.modules or facts.damaged)
    return Code(tuple(sorted(code, key=lambda facts: facts.path)), tuple(sorted(names)))


def _read_library(archive: Archive, info: ZipInfo) -> tuple[CodeFacts, set[str]]:
    path = installed(info.filename)
    try:
        read = scan_library(archive.stream(info), info.file_size, path)
    except TooMuchCodeError:
        raise hostile(archive.filename, f"{shown(path)} has more GPU code than any library") from None
    except TooManyNamesError:
        raise hostile(archive.filename, f"{shown(path)} has more names than all of CUDA") from None
    archive.source.forget(*archive.extent(info))
    return read


def scan_library(pieces: Iterable[bytes], size: int, path: str) -> tuple[CodeFacts, set[str]]:
    """Return the code of a library that streams by, and the CUDA names in it.

    Args:
        pieces: its bytes.
        size: how many these are.
        path: for the facts.

    Raises:
        TooMuchCodeError: more than any library has.
        TooManyNamesError: likewise.
    """
    code, names, linked = FatbinScan(size), NameScan(), SectionScan(_LINKED)
    for piece in pieces:
        code.feed(piece)
        names.feed(piece)
        linked.feed(piece)
    return code_facts(path, code.found(), linked.extent()), names.names


def code_facts(path: str, found: Found, linked: tuple[int, int]) -> CodeFacts:
    """Return the facts of what was found; ``linked`` is where the section of linked code begins and ends. Pure."""
    aside = Counter(shape for place, shape in found.ptx_alone if linked[0] <= place < linked[1])
    sass: Counter[str] = Counter()
    ptx: Counter[Piece] = Counter()
    native: dict[Piece, frozenset[str]] = {}
    for shape, times in found.shapes.items():
        machine = frozenset(piece.target for piece in shape if not piece.isa)
        kept = times - aside[shape]
        for piece in shape:
            if not piece.isa:
                sass[piece.target] += times
            elif kept:
                ptx[piece] += kept
                # A GPU is served without this PTX only where every one of the modules has machine code for it.
                native[piece] = native.get(piece, machine) & machine
    return CodeFacts(
        path=path,
        modules=found.fatbins,
        sass=tuple(CodeCount(target, sass[target]) for target in _ordered(sass)),
        ptx=tuple(
            CodeCount(piece.target, ptx[piece], piece.isa, _ordered(native[piece]))
            for piece in sorted(ptx, key=lambda piece: (*_number(piece.target), *_number(piece.isa)))
        ),
        linked=aside.total(),
        damaged=found.damaged,
    )


def _ordered(targets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(targets, key=_number))


def _number(target: str) -> tuple[int, int, str]:
    number = target.rstrip("af")
    major, _, minor = number.partition(".")
    return int(major), int(minor), target[len(number) :]


def read_given(archive: Archive) -> Exports:
    """Return the names that the CUDA libraries of a wheel give; kernels are left out where that is possible.

    Raises:
        InvalidFileError: code ``hostile-wheel`` or ``unreadable-library``.
        ToolFailedError: it cannot be read.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(archive.sizes):
        info = archive.names.member(path) if _GIVES.search(path) else None
        if info is not None:
            names = _exports(archive, info)
            found[path.rsplit("/", 1)[-1]] = tuple(sorted(name for name in names if name.startswith(FAMILIES)))
    return Exports(found)


def _exports(archive: Archive, info: ZipInfo) -> frozenset[str]:
    if info.file_size > _MOST_BYTES >> 2:
        raise hostile(archive.filename, f"{shown(info.filename)} says it is {info.file_size} bytes long")
    with tempfile.TemporaryDirectory(prefix="tfgpu-audit-") as folder:
        file = Path(folder) / info.filename.rsplit("/", 1)[-1]
        if not write_without_kernels(archive, info, file):
            with file.open("wb") as stream:
                stream.writelines(_pieces(archive, info))
        return read_exports(file)


def _pieces(archive: Archive, info: ZipInfo) -> Iterator[bytes]:
    yield from archive.stream(info)
    archive.source.forget(*archive.extent(info))

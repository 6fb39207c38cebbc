"""Whether XLA inside a wheel knows the folder of the nvcc wheel, from which it takes ptxas and libdevice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provision.audit.contents.metadata import installed
from provision.audit.contents.wheel import OpenWheel
from provision.audit.reading.archive import Archive

_LIBRARIES = re.compile(
    r"tensorflow(_core)?/(libtensorflow_(framework|cc)\.so\.\d+|python/_pywrap_tensorflow_internal\.so)\Z"
)
"""Where it stands: in the framework library of 2.14, in libtensorflow_cc of 2.21."""
_PATH = b"nvidia/cuda_nvcc"
_PIECE = 4 << 20


@dataclass(frozen=True)
class _Strings:
    nvcc: bool


def knows_nvcc(wheel: OpenWheel) -> bool:
    """Return whether a library of a wheel holds the path; those that may are read whole, once, and held against RECORD.

    Raises:
        InvalidFileError: code ``hostile-wheel``.
        ToolFailedError: it cannot be read.
    """
    return wheel.section("strings", _Strings, _read).nvcc


def _read(archive: Archive) -> _Strings:
    found = False
    for path, info in sorted(archive.names.all().items()):
        if _LIBRARIES.match(installed(path)) and not found:
            found = _within(archive.stream(info))
    return _Strings(found)


def _within(pieces: Iterable[bytes]) -> bool:
    """Whether the path stands in what comes in pieces; every piece is taken, so that the whole was checked."""
    found, tail = False, b""
    for piece in pieces:
        found = found or _PATH in tail + piece
        tail = piece[-len(_PATH) :]
    return found


def installed_knows_nvcc(site_packages: Path) -> bool | None:
    """Return the same of an installed TensorFlow, None where it has none of the libraries."""
    files = [path for path in sorted(site_packages.glob("tensorflow*/**/*.so*")) if path.is_file()]
    named = [path for path in files if _LIBRARIES.match(path.relative_to(site_packages).as_posix())]
    if not named:
        return None
    return any(_within(_pieces(path)) for path in named)


def _pieces(path: Path) -> Iterable[bytes]:
    with path.open("rb") as stream:
        yield from iter(lambda: stream.read(_PIECE), b"")

"""What our own matrix came to, kept from one run to the next as Python keeps bytecode.

Reading and checking matrix.yaml takes longer than all the rest of a plan. What it came to lies in the ``__pycache__``
beside this file: whoever can write there could as well change the program. Its name is made of everything it depends
on: the bytes of the file and its place, the code that reads it (by size and time, as Python judges its own), Python
and packaging. So nothing stale is ever taken, and what cannot be read is made anew. Where Python may not write
bytecode, nothing is kept either.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import time
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import packaging

from provision.model.matrix import Matrix

_CODE = ("matrix", "model")
"""Rooms whose code decides what a matrix file comes to."""
_AT_REST = 60.0
"""Seconds. Before, this process may be half of an older version, whose matrix a newer one must not find."""


def place_of(where: Path, data: bytes) -> Path:
    """Return where the matrix of a file is kept; ``data`` is what stands in it."""
    digest = hashlib.sha256(data)
    digest.update(f"{where} {sys.version} {packaging.__version__}".encode())
    for name, stat in _code():
        digest.update(f" {name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return Path(cache_from_source(__file__)).with_suffix(f".{digest.hexdigest()[:32]}.pickle")


def recall(place: Path) -> Matrix | None:
    """Return the matrix that is kept at a place, None where there is none."""
    try:
        found = pickle.loads(place.read_bytes())  # noqa: S301 - see the head of this file
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it can be made anew
        return None
    return found if isinstance(found, Matrix) else None


def keep(place: Path, matrix: Matrix) -> None:
    """Keep a matrix in place of older ones, where that is possible and allowed."""
    if sys.dont_write_bytecode or time.time() - max(stat.st_ctime for _, stat in _code()) < _AT_REST:
        return
    from provision.system import write_atomic  # noqa: PLC0415 - once in the life of an installation

    with contextlib.suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        write_atomic(place, pickle.dumps(matrix))
        for old in place.parent.glob(f"{place.name.partition('.')[0]}.{sys.implementation.cache_tag}.*.pickle"):
            if old != place:
                old.unlink()


def _code() -> Iterator[tuple[str, os.stat_result]]:
    for room in _CODE:
        with os.scandir(Path(__file__).parents[1] / room) as entries:
            yield from sorted((entry.name, entry.stat()) for entry in entries if entry.name.endswith(".py"))

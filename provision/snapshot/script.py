"""User code that is read and never run: a file or a folder → what in it bears on the GPU."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from provision.errors import UsageError
from provision.model.script import Remark, ScriptFacts
from provision.snapshot.script_source import Piece, notebook_pieces, python_pieces, soften
from provision.snapshot.script_text import remarks_of_text
from provision.snapshot.script_walk import remarks_of

MAX_FILES = 2000
MAX_FILE = 2 << 20
MAX_NOTEBOOK = 32 << 20
MAX_BYTES = 128 << 20
MAX_DEPTH = 12
MAX_ENTRIES = 50_000
_SUFFIXES = (".py", ".pyw", ".ipynb")
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages", "build", "dist"})
_OF_INTEREST = re.compile(rb"tensorflow|keras|CUDA_|LD_LIBRARY_PATH|LD_PRELOAD|NVIDIA_VISIBLE|\bTF_")


def read_script(path: Path) -> ScriptFacts:
    """Return what user code says, without running it.

    A file is taken as a notebook where it ends in ``.ipynb`` and as Python otherwise. Of a folder every Python file
    and notebook is read, without hidden folders, environments, and links to folders; what is too much (`MAX_FILES`,
    `MAX_BYTES`, `MAX_DEPTH`) is left out, with a remark of kind ``left-out``. A file that is no Python of today is a
    remark of kind ``unparsable``; what single lines of it say is there all the same.

    Raises UsageError (code ``script-not-readable``): there is no such file or folder, or it may not be read, or it is
    a device or a pipe.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _not_readable(path, getattr(error, "strerror", None) or str(error)) from error
    if stat.S_ISREG(mode):
        data = _read(path)
        if data is None:
            raise _not_readable(path, "it cannot be read")
        return ScriptFacts(str(path), 1, _remarks(data, path.name))
    if not stat.S_ISDIR(mode):
        raise _not_readable(path, "it is neither a file nor a folder")
    return _folder(path)


def _not_readable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{str(path)!r} is no script to be read",
        code="script-not-readable",
        why=(why,),
        hint="give a Python file, a notebook, or a folder with them: `--script train.py`",
    )


def _folder(root: Path) -> ScriptFacts:
    remarks: list[Remark] = []
    files = size = 0
    for path in _files(root):
        if files >= MAX_FILES or size >= MAX_BYTES:
            remarks.append(Remark("left-out", ".", 1, "", {"reason": f"more than {files} files or {size} bytes"}))
            break
        data = _read(path)
        if data is None:
            continue
        files += 1
        size += len(data)
        remarks += _remarks(data, os.path.relpath(path, root))
    return ScriptFacts(str(root), files, tuple(remarks))


def _files(root: Path) -> Iterator[Path]:
    """Yield candidates in a stable order; links to folders are not followed, so that none goes round."""
    seen = 0
    for here, folders, names in os.walk(root):
        depth = len(Path(here).relative_to(root).parts)
        folders[:] = sorted(
            name
            for name in folders
            if depth < MAX_DEPTH
            and not name.startswith(".")
            and name not in _LEFT_OUT
            and not any(Path(here, name, mark).exists() for mark in ("pyvenv.cfg", "conda-meta"))
        )
        seen += len(folders) + len(names)
        if seen > MAX_ENTRIES:
            return
        yield from (Path(here, name) for name in sorted(names) if name.endswith(_SUFFIXES))


def _read(path: Path) -> bytes | None:
    """Return the bytes of a plain file up to one more than is read of it, None for anything else."""
    limit = MAX_NOTEBOOK if path.suffix == ".ipynb" else MAX_FILE
    try:
        # Not blocking: a pipe may have taken the place of the file since it was looked at.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(limit + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):
        return None


def _remarks(data: bytes, name: str) -> tuple[Remark, ...]:
    notebook = name.endswith(".ipynb")
    if not _OF_INTEREST.search(data):
        return ()
    if len(data) > (MAX_NOTEBOOK if notebook else MAX_FILE):
        return (Remark("unparsable", name, 1, "", {"reason": "too large to be read"}),)
    if notebook:
        return remarks_of(notebook_pieces(data), name)
    pieces: tuple[Piece, ...] = python_pieces(data)
    if pieces[0].tree is not None:
        return remarks_of(pieces, name)
    softer = soften(pieces[0])
    if softer is not None:
        return remarks_of((softer,), name)
    return (*remarks_of(pieces, name), *remarks_of_text(pieces[0].lines, name))

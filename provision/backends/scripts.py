"""Scripts that an installer wrote for one folder, made to serve in another, with the packages' RECORD kept true."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from provision.system import write_atomic

_HEAD = 1 << 12
"""Bytes in which a script names its interpreter."""
_TEXT_LIMIT = 1 << 20
"""Bytes of a script or start file; larger ones are programs."""
_LIMIT = 1 << 22
_LINE = 127
"""Bytes of a first line that every kernel takes; where it would be longer, installers go through a shell."""
_THROUGH_SHELL = re.compile(rb"""\A#!/bin/sh\n'''exec' '?(?P<python>/[^'"\s]+)'? "\$0" "\$@"\n' '''\n""")


def naming(paths: Iterable[Path], mark: str) -> tuple[Path, ...]:
    """Return those of some files that name a folder; what is larger than a text is a program, and is passed over."""
    wanted = os.fsencode(mark)
    return tuple(
        path for path in paths if path.is_file() and path.stat().st_size < _TEXT_LIMIT and wanted in path.read_bytes()
    )


def settle_scripts(prefix: Path, site_packages: Path, final: Path) -> tuple[str, ...]:
    """Let every script in ``bin`` that names ``prefix`` name ``final``; return their names.

    Files are replaced, never written to: they may be hardlinks into a cache. Raises OSError.

    Args:
        prefix: where the environment is built.
        site_packages: of it, whose RECORD files are corrected.
        final: where it will stand.
    """
    marks = {os.fsencode(prefix): os.fsencode(final), _in_shell(prefix): _in_shell(final)}
    changed: dict[str, bytes] = {}
    for path in sorted((prefix / "bin").iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            if not head.startswith(b"#!") or not any(mark in head for mark in marks):
                continue
            settled = head + stream.read(_LIMIT)
        for mark, place in marks.items():
            settled = settled.replace(mark, place)
        settled = _THROUGH_SHELL.sub(_directly, settled, count=1)
        write_atomic(path, settled, mode=path.stat().st_mode & 0o777)
        changed[os.path.relpath(path, site_packages)] = settled
    correct_records(site_packages, changed)
    return tuple(Path(name).name for name in changed)


def correct_records(site_packages: Path, changed: Mapping[str, bytes]) -> None:
    """Let the RECORD files of packages name size and hash of what was rewritten; raises OSError.

    Args:
        site_packages: whose packages.
        changed: path relative to ``site_packages``, normalised, to the new content.
    """
    for record in sorted(site_packages.glob("*.dist-info/RECORD")) if changed else ():
        _correct(record, changed)


def _in_shell(path: Path) -> bytes:
    """Return a path as it stands between single quotes of a shell script."""
    return os.fsencode(path).replace(b"'", b"'\"'\"'")


def _directly(found: re.Match[bytes]) -> bytes:
    """Return a first line that names the interpreter, where the kernel takes it: the folder of building was longer."""
    line = b"#!" + found["python"] + b"\n"
    return line if len(line) <= _LINE else found[0]


def _correct(record: Path, changed: Mapping[str, bytes]) -> None:
    text = record.read_bytes().decode("utf-8")
    if not any(name in text for name in changed):
        return
    rows = list(csv.reader(io.StringIO(text, newline="")))
    for row in rows:
        content = changed.get(os.path.normpath(row[0])) if row else None
        if content is not None:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            row[1:3] = [f"sha256={digest}", str(len(content))]
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(rows)
    write_atomic(record, written.getvalue().encode(), mode=record.stat().st_mode & 0o777)

"""An environment that was moved on disk: let its texts and links name the folder where it stands now.

What names the folder in a venv or virtualenv: the first lines of scripts, activation scripts, the command that made
it in ``pyvenv.cfg``, ``.pth`` files and finders of editable installs, Jupyter kernels inside, absolute links. In a
conda environment also what its packages' records say (`provision.repair.steps.relocate_conda`).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from provision.backends.scripts import correct_records
from provision.errors import ToolFailedError
from provision.repair.context import StageContext
from provision.repair.steps.relocate_conda import (
    AFTER,
    BEFORE,
    correct_metadata,
    placed_files,
    replaced_in_binary,
    too_long,
)
from provision.system import write_atomic

_LIMIT = 4 << 20


def relocate(context: StageContext, former: str) -> tuple[str, ...]:
    """Rewrite what names ``former`` in the copy; return the paths that changed, relative.

    Files are replaced, and the RECORD of the packages that installed them is kept true.

    Raises:
        ToolFailedError: code ``relocate-impossible``: a script of a shell cannot hold the new path.
        OSError: the disk refused.
    """
    old, new = os.path.normpath(former), str(context.prefix)
    if not old.startswith("/") or old in ("/", new):
        return ()
    site_packages = Path(context.env.site_packages)
    changed = dict(_rewritten(context, old, new, site_packages))
    correct_records(
        site_packages, {os.path.relpath(context.stage / name, site_packages): data for name, data in changed.items()}
    )
    correct_metadata(context.stage, changed)
    return (*changed, *_relink(context.stage, old, new))


def _rewritten(context: StageContext, old: str, new: str, site_packages: Path) -> Iterator[tuple[str, bytes]]:
    """Rewrite files of the copy; yield each path, relative, with its new content."""
    stage = context.stage
    replaced = _replacer(old, new)
    for item in tuple(placed_files(stage)):
        path = stage / item.path
        if item.binary and path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found = replaced_in_binary(content, os.fsencode(old), os.fsencode(new), item.placeholder)
            if found is None:
                raise too_long(context.prefix, item.path)
            if found != content:
                write_atomic(path, found, mode=path.stat().st_mode & 0o7777)
                yield item.path, found
    of_conda = {stage / item.path for item in placed_files(stage) if not item.binary}
    for path in dict.fromkeys((*_texts(stage, site_packages), *sorted(of_conda))):
        text = _read(path)
        if text is None:
            continue
        rewritten = replaced(text, path.name.startswith("activate") or text.startswith(b"#!/bin/sh"))
        if rewritten == text:
            continue
        if not re.fullmatch(r"[\w./+@:,~ -]+", new):
            raise _impossible(context, path)
        rewritten = _startable(rewritten)
        write_atomic(path, rewritten, mode=path.stat().st_mode & 0o7777)
        yield str(path.relative_to(stage)), rewritten


def _replacer(old: str, new: str) -> Callable[[bytes, bool], bytes]:
    pattern = re.compile(BEFORE + re.escape(os.fsencode(old)) + AFTER + rb"(?P<rest>[^\s'\"`;:)]*)")
    plain = shlex.quote(new) == new

    def replaced(content: bytes, shell: bool) -> bytes:  # noqa: FBT001 - called with the result of a test
        def put(match: re.Match[bytes]) -> bytes:
            bare = content[match.start() - 1 : match.start()] not in (b"'", b'"', b"!")
            place = new + os.fsdecode(match["rest"])
            return os.fsencode(shlex.quote(place) if shell and bare and not plain else place)

        return pattern.sub(put, content)

    return replaced


def _texts(stage: Path, site_packages: Path) -> Iterator[Path]:
    """Yield the files that installers write for one folder."""
    yield from sorted((stage / "bin").iterdir())
    yield stage / "pyvenv.cfg"
    for pattern in ("*.pth", "*.egg-link", "__editable__*"):
        yield from sorted(site_packages.glob(pattern))
    yield from sorted(stage.glob("share/jupyter/kernels/*/kernel.json"))
    for folder in ("activate.d", "deactivate.d", "env_vars.d"):
        yield from sorted(stage.glob(f"etc/conda/{folder}/*"))


def _read(path: Path) -> bytes | None:
    """Return the content of a text, None for links, programs and what is too large to be a text."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LIMIT:
        return None
    content = path.read_bytes()
    return None if b"\0" in content else content


_SHEBANG = re.compile(rb"#!(?P<python>/[^\n]*/bin/python[\d.]*)\n")
_LONGEST = 127
"""Bytes of a first line that every kernel reads, the two of ``#!`` included."""


def _startable(content: bytes) -> bytes:
    """Return a script whose first line the kernel can follow: a path that is long or has blanks is given to a shell.

    As pip and uv write it (distlib): the second line is a string for Python and a command for the shell.
    """
    first = _SHEBANG.match(content)
    if first is None or (len(first[0]) <= _LONGEST and b" " not in first["python"]):
        return content
    shell = b"#!/bin/sh\n'''exec' \"" + first["python"] + b'" "$0" "$@"\n\' \'\'\'\n'
    return shell + content[first.end() :]


def _relink(stage: Path, old: str, new: str) -> Iterator[str]:
    """Let absolute links that led into the former folder lead into the new one."""
    for folder, folders, files in os.walk(stage):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not path.is_symlink():
                continue
            target = str(path.readlink())
            if target == old or target.startswith(f"{old}/"):
                beside = path.with_name(f".{path.name}.tfgpu-link")
                beside.symlink_to(f"{new}{target[len(old) :]}")
                beside.replace(path)
                yield str(path.relative_to(stage))


def _impossible(context: StageContext, path: Path) -> ToolFailedError:
    return ToolFailedError(
        "the scripts of this environment cannot name the folder where it stands",
        code="relocate-impossible",
        why=(f"{path.relative_to(context.stage)} would have to hold {str(context.prefix)!r}",),
        hint="move the environment to a folder without quotes and other special characters",
    )

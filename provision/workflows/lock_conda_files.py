"""The files of a conda lock: ``conda-lock.yml`` with those that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.backends.resolve import lock_platform, pylock_of
from provision.backends.uv import Sources, Target, Uv, any_python
from provision.backends.uv_pylock import addresses
from provision.errors import InvalidFileError
from provision.lock.files import render
from provision.model.lock import Lock, LockFormat

_OURS = b"# Written by tfgpu-provision"


def conda_texts(uv: Uv, lock: Lock, kind: LockFormat, scratch: Path) -> tuple[str, Mapping[str, str]]:
    """Return the text of a conda lock, and file name → text of what belongs beside it.

    Args:
        uv: is asked where the distributions of the package index are, because conda-lock's format says it.
        lock: with its conda packages.
        kind: ``conda-lock`` or ``explicit``.
        scratch: folder for files that uv reads and writes.

    Raises:
        ToolFailedError: ``lock-format``, ``extra-missing``, ``conda-lock-failed``, or what uv failed with.
        UsageError: ``credentials-in-lock``.
    """
    if kind is LockFormat.EXPLICIT:
        return render(lock, kind), {}
    # conda-lock and all it brings are loaded for its format alone.
    from provision.backends.conda.content_hash import content_hash  # noqa: PLC0415
    from provision.lock.conda_lock import Artifact  # noqa: PLC0415
    from provision.lock.conda_sources import companions, sources_of  # noqa: PLC0415

    said = sources_of(lock)
    beside = companions(lock, said)
    digest = content_hash(beside[said.environment_name], beside[said.virtual_packages_name])
    artifacts = {}
    if lock.packages:
        series, glibc = lock.contract.python.series, lock.contract.glibc
        target = Target(any_python(), series.text, lock_platform(glibc))
        text = pylock_of(uv, lock.packages, target, Sources(lock.source_only), scratch)
        artifacts = {name: Artifact(*found) for name, found in addresses(text, series, glibc).items()}
    return render(lock, kind, content_hash=digest, artifacts=artifacts, sources=said), beside


def beside_files(path: Path, texts: Mapping[str, str]) -> dict[Path, bytes]:
    """Return those of the files beside a lock that are not there yet, or not like this.

    Raises:
        InvalidFileError: ``file-in-the-way``, where a file of that name is not ours; it is left alone.
    """
    found = {}
    for name, text in texts.items():
        place = path.parent / name
        there = place.read_bytes() if place.is_file() else None
        if there is not None and not there.startswith(_OURS):
            raise InvalidFileError(
                f"{name} stands where the conda lock needs a file of that name",
                code="file-in-the-way",
                why=(f"{place} was not written by this program, and is left alone",),
                hint='put the lock into a folder of its own: `-o locks/`, or [tool.tfgpu] lock = "locks/"',
            )
        if there != text.encode():
            found[place] = text.encode()
    return found

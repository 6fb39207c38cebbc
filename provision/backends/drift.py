"""What is installed in an environment, held against a lock: packages by name and version, files by their RECORD."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from provision.backends.installed_files import InstalledFile, digest_of, installed_files
from provision.model.lock import Locked, normalised
from provision.model.status import Drift, DriftKind

SEEDS = frozenset({"pip", "setuptools", "wheel"})
"""What ``python -m venv`` and old virtualenvs put into an environment by themselves."""
_INFO = re.compile(r"(?P<name>[A-Za-z0-9._]+?)-(?P<version>[^-]+)\.dist-info\Z")
_SHOWN = 10


@dataclass(frozen=True)
class Distribution:
    """One installed distribution: normalised name, version, and its dist-info folder."""

    name: str
    version: str
    info: Path


def distributions(site_packages: Path) -> tuple[Distribution, ...]:
    """Return what is installed, by the names of the dist-info folders, sorted."""
    found = []
    for info in sorted(site_packages.glob("*.dist-info")):
        match = _INFO.match(info.name)
        if match:
            found.append(Distribution(normalised(match["name"]), match["version"], info))
    return tuple(found)


def package_drifts(
    locked: Sequence[Locked], installed: Sequence[Distribution], *, ignored: frozenset[str] = frozenset()
) -> Iterator[Drift]:
    """Yield what is missing, of another version, or there without being locked.

    Args:
        locked: what should be there.
        installed: what is.
        ignored: normalised names that may be there without being locked.
    """
    versions: Mapping[str, list[str]] = defaultdict(list)
    for item in installed:
        versions[item.name].append(item.version)
    for wanted in locked:
        found = versions.get(wanted.name, [])
        if not found:
            yield Drift(DriftKind.MISSING, wanted.name, wanted.version)
        elif len(found) > 1 or not same_version(found[0], wanted.version):
            yield Drift(DriftKind.VERSION, wanted.name, wanted.version, " and ".join(sorted(found)))
    known = {item.name for item in locked} | ignored
    for name in sorted(set(versions) - known):
        yield Drift(DriftKind.EXTRA, name, found=" and ".join(sorted(versions[name])))


def same_version(one: str, other: str) -> bool:
    """Whether two versions are equal as PEP 440 sees them (``1.0-1`` is written ``1.0_1`` in a folder's name)."""
    if one == other:
        return True
    try:
        return Version(one.replace("_", "-")) == Version(other.replace("_", "-"))
    except InvalidVersion:
        return False


def file_drifts(prefix: Path, installed: Sequence[Distribution], *, deep: bool) -> tuple[tuple[Drift, ...], int]:
    """Hold every file against the RECORD that its installer wrote; return the differences and how many were looked at.

    A file counts as changed where it is gone, is no regular file, or has another size; with ``deep`` also where its
    sha256 is another. Byte code is made and thrown away by Python and does not count.
    """
    wrong: dict[Distribution, list[str]] = defaultdict(list)
    to_hash: list[tuple[int, Distribution, str, str]] = []
    looked = 0
    root = os.path.realpath(prefix)
    for item in installed:
        files = installed_files(item.info)
        if files is None:
            wrong[item].append(f"{item.info.name}/RECORD: gone or unreadable")
            continue
        base = os.path.realpath(item.info.parent)
        for file in files:
            path = os.path.normpath(os.path.join(base, file.path))  # noqa: PTH118 - 25,000 times, and `..` is resolved
            if not path.startswith(root + os.sep):
                continue  # a RECORD may not send us to other places
            looked += 1
            complaint, size = _look(path, file)
            if complaint:
                wrong[item].append(f"{path[len(root) + 1 :]}: {complaint}")
            elif deep and file.digest:
                to_hash.append((size, item, path, file.digest))
    # The largest first, so that no thread is left alone with one at the end.
    to_hash.sort(key=lambda entry: entry[0], reverse=True)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for (_, item, path, digest), found in zip(to_hash, pool.map(digest_of, (e[2] for e in to_hash)), strict=True):
            if found != digest:
                complaint = "cannot be read" if found is None else "other content"
                wrong[item].append(f"{path[len(root) + 1 :]}: {complaint}")
    return tuple(
        Drift(DriftKind.FILES, item.name, item.version, f"{len(lines)} files", _some(lines))
        for item, lines in sorted(wrong.items(), key=lambda entry: entry[0].name)
    ), looked


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    more = (f"… and {len(lines) - _SHOWN} more",) if len(lines) > _SHOWN else ()
    return (*sorted(lines)[:_SHOWN], *more)


def _look(path: str, file: InstalledFile) -> tuple[str, int]:
    """Return what is wrong with a file at a glance, empty for nothing, and its size."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return ("gone" if isinstance(error, FileNotFoundError | NotADirectoryError) else "cannot be looked at"), 0
    if stat.S_ISLNK(status.st_mode) and file.digest:
        # conda and some build tools install links; what they lead to counts.
        try:
            status = os.stat(path)  # noqa: PTH116 - see above
        except OSError:
            return "a link that leads nowhere", 0
    if file.digest and not stat.S_ISREG(status.st_mode):
        return "no regular file", 0
    if file.size is not None and status.st_size != file.size:
        return f"{status.st_size} bytes, should be {file.size}", status.st_size
    return "", status.st_size

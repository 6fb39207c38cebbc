"""The worker's installing, and the checks that rattler leaves out. Imported by the worker only.

rattler checks the sha256 of what it downloads. What it does not check, and what is checked here:

* an artifact of a ``file://`` channel: hashed before it is unpacked (remembered by size, time and inode);
* a package in the cache of which files are missing, have another size or were changed after they were unpacked: every
  file that is younger than its package is hashed; where one differs, the package is fetched again. rattler 0.28 looks
  for the package's index only, and fails in the middle of linking.

A change to the cache that keeps the size and puts the time of the file back is not found.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rattler import Config, MatchSpec, RepoDataRecord
from rattler import install as rattler_install
from rattler.networking import Client
from rattler.package_cache import PackageCache

from provision.backends.conda.worker_solve import path_of, record_of, sha256_of

_MEMORY = "verified.json"
_EVERY = 0.2
"""Seconds between two words on one download."""
_FROM_PACKAGE = (
    "build_number",
    "noarch",
    "license",
    "license_family",
    "timestamp",
    "features",
    "track_features",
    "constrains",
)


async def install(request: dict[str, Any], client: Client, config: Config) -> dict[str, Any]:
    """Fill the prefix, or exchange packages of it, and say what rattler keeps quiet about.

    With ``changed``, a list of names, the other packages are there already and are left as they are.
    """
    cache = Path(request["cache"]) / "pkgs"
    cache.mkdir(parents=True, exist_ok=True)
    records = [record_of(item) for item in sorted(request["packages"], key=lambda item: str(item["name"]))]
    names = {record.name.normalized for record in records}
    changed = names if request["changed"] is None else set(request["changed"])
    fetched = [record for record in records if record.name.normalized in changed]
    _check_artifacts(fetched, cache)
    _mend_cache(fetched, cache)
    if request["offline"]:
        index = await PackageCache(cache).index()
        for record in fetched:
            if path_of(str(record.url)) is None and not index.contains_record(record):
                raise LookupError(f"{record.file_name} is not in the cache")
    # rattler 0.28 wants its inner objects here: a MatchSpec is a TypeError.
    requested: Any = [MatchSpec(text, strict=False)._match_spec for text in request["requested"]]  # noqa: SLF001
    prefix = Path(request["prefix"])
    others = {path: path.read_text(encoding="utf-8") for path in _records(prefix) if _name_of(path) not in changed}
    await rattler_install(
        records,
        prefix,
        cache_dir=cache,
        client=client,
        config=config,
        requested_specs=requested,
        reporter=Reporter(len(fetched)),
        # Scripts of packages are programs of strangers.
        execute_link_scripts=False,
        alternative_target_prefix=request["final"],
        reinstall_packages=None if request["changed"] is None else changed,
        ignored_packages=names - changed,
    )
    for path, text in others.items():
        # rattler writes into every record what was asked for this time.
        if path.exists() and path.read_text(encoding="utf-8") != text:
            _write(path, text)
    metadata = _records(prefix)
    for path in metadata:
        if _name_of(path) in changed:
            _complete(path)
    if len(metadata) != len(names):
        raise RuntimeError(f"{len(metadata)} packages were installed instead of {len(names)}")
    scripts = sorted(str(path.relative_to(prefix)) for path in (prefix / "bin").glob(".*-post-link.sh"))
    return {"ok": True, "clobbered": _clobbered(prefix), "scripts": scripts}


def _records(prefix: Path) -> list[Path]:
    return sorted((prefix / "conda-meta").glob("*.json"))


def _name_of(path: Path) -> str:
    """Return whose record it is; neither version nor build has a hyphen."""
    return path.stem.rsplit("-", 2)[0]


def _check_artifacts(records: list[RepoDataRecord], cache: Path) -> None:
    memory = _memory(cache)
    unknown: dict[str, list[Any]] = {}
    for record in records:
        path = path_of(str(record.url))
        if path is None or not Path(path).exists():
            continue
        expected = record.sha256.hex() if record.sha256 else ""
        stat = Path(path).stat()
        seen = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, expected]
        if memory.get(path) != seen:
            unknown[path] = seen
    if not unknown:
        return
    # hashlib lets other threads run; the largest first, so that none is left to the end alone.
    paths = sorted(unknown, key=lambda path: -int(unknown[path][0]))
    with ThreadPoolExecutor() as threads:
        for path, found in zip(paths, threads.map(sha256_of, paths), strict=True):
            expected = unknown[path][-1]
            if found != expected:
                raise ValueError(f"{path} is not what the lock says\nexpected sha256 {expected}\nfound sha256 {found}")
    _write(cache / _MEMORY, json.dumps({**memory, **unknown}, sort_keys=True))


def _memory(cache: Path) -> dict[str, Any]:
    try:
        content = json.loads((cache / _MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, text: str) -> None:
    """Write a file through a new name: what stood there may be a hardlink into the cache."""
    descriptor, name = tempfile.mkstemp(prefix=".tfgpu-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _mend_cache(records: list[RepoDataRecord], cache: Path) -> None:
    """Throw out what was changed after it was unpacked, so that rattler fetches it again."""
    stems = tuple(record.file_name.removesuffix(".conda").removesuffix(".tar.bz2") for record in records)
    for folder in sorted(path for path in cache.iterdir() if path.name.startswith(stems)):
        if (folder / "info").is_dir() and _changed(folder):
            gone = Path(tempfile.mkdtemp(prefix=".tfgpu-gone-", dir=cache))
            # Renamed first: another process sees it whole or not at all, as rattler does it when it unpacks.
            folder.rename(gone / folder.name)
            shutil.rmtree(gone)


def _changed(folder: Path) -> bool:
    """Whether a file is missing, has another size, or is younger than its package and has another hash."""
    if not (folder / "info" / "paths.json").exists() and (folder / "info" / "files").exists():
        return False  # packages from before 2016 carry no hashes of their files
    try:
        unpacked = (folder / "info").stat().st_mtime_ns
        paths = json.loads((folder / "info" / "paths.json").read_text(encoding="utf-8"))["paths"]
        for item in paths:
            if item.get("path_type") != "hardlink":
                continue
            path = f"{folder}/{item['_path']}"
            stat = os.lstat(path)
            size, expected = item.get("size_in_bytes"), item.get("sha256")
            if size is not None and stat.st_size != size:
                return True
            if stat.st_mtime_ns > unpacked and expected and sha256_of(path) != expected:
                return True
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return False


def _complete(path: Path) -> None:
    """Put into a record of conda-meta what a lock does not carry, from the package itself."""
    record = json.loads(path.read_text(encoding="utf-8"))
    try:
        index = json.loads((Path(record["extracted_package_dir"]) / "info" / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return
    more = {key: index[key] for key in _FROM_PACKAGE if index.get(key) not in (None, "", [], ())}
    _write(path, json.dumps({**record, **more}, sort_keys=True) + "\n")


def _clobbered(prefix: Path) -> list[str]:
    """Return what two packages both bring; rattler keeps the losers in a folder of their own."""
    base = prefix / "__clobbers__"
    if not base.is_dir():
        return []
    owners: dict[str, str] = {}
    for path in _records(prefix):
        record = json.loads(path.read_text(encoding="utf-8"))
        for name in record.get("files", ()):
            owners.setdefault(name, record["name"])
    found = []
    for folder in sorted(base.iterdir()):
        for path in sorted(item for item in folder.rglob("*") if not item.is_dir()):
            name = str(path.relative_to(folder))
            found.append(f"{name}: kept from {owners.get(name, 'another package')}, not from {folder.name}")
    return found


class Reporter:
    """Tells how far it is, one JSON object a line on standard error."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._linked = 0
        self._names: dict[int, str] = {}
        self._said = 0.0

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        """Remember whose download begins."""
        self._names[operation] = package_name
        return operation

    def on_download_start(self, cache_entry: int) -> int:
        """Say that a download begins."""
        self._say(event="download", name=self._names.get(cache_entry, ""), done=0, total=None)
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        """Say how far a download is, now and then."""
        if time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            self._say(event="download", name=self._names.get(download_idx, ""), done=progress, total=total)

    def on_download_completed(self, download_idx: int) -> None:
        """Say that a download is complete."""
        self._say(event="downloaded", name=self._names.get(download_idx, ""))

    def on_link_start(self, operation: int, package_name: str) -> int:
        """Say that a package goes into the prefix."""
        self._linked += 1
        self._say(event="linked", name=package_name, count=self._linked, total=self._total, step=operation)
        return operation

    def __getattr__(self, name: str) -> Any:
        """Answer every other call of rattler's protocol with a token."""
        if name.startswith("on_"):
            return lambda *_: 0
        raise AttributeError(name)

    def _say(self, **event: Any) -> None:
        sys.stderr.write(json.dumps(event) + "\n")
        sys.stderr.flush()

"""Files that are not what their installer wrote: gone, of another size, cut short, for another machine.

Only those are looked at without which TensorFlow does not work: code and libraries, of TensorFlow, what it needs, and
NVIDIA's wheels. People remove tests and headers to make images small; that is no damage.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provision.backends.installed_files import InstalledFile, digest_of, installed_files
from provision.model.environment import EnvRef
from provision.model.environment_facts import FileFault
from provision.snapshot.elf_file import elf_fault

_LIBRARY = re.compile(r"\.so(\.\d+)*\Z")
_NVIDIA = re.compile(
    r"lib(cuda|cublas|cudnn|cufft|cupti|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink|nvshmem)\w*\.so[.\d]*\Z"
)
_TOOLS = frozenset({"ptxas", "libdevice.10.bc"})
_NEVER = (".h", ".hpp", ".inc", ".cc", ".proto", ".pyi", ".pyc", ".txt", ".json", ".js", ".png", ".npz", ".csv")
"""Endings that stand before most lines of a RECORD and matter to nobody here; only there to be quick."""
_TESTS = re.compile(r"(\A|/)(tests?|testing|examples|benchmarks)/|(_test|/conftest)\.py\Z")
_CONDA = re.compile(
    r"(tensorflow(-base|-gpu)?|libtensorflow\w*|cuda-?[\w-]+|cudnn|cudatoolkit|nccl|lib(cu|nv)[\w-]+)-[^-]+-[^-]+\Z"
)
_LATER = 5.0
"""Seconds after the RECORD was written from which on a file counts as changed by somebody else."""
_FEW = 64
_CHEAP = 64 << 20
"""So many changed files, and so many bytes of them, are hashed without ``deep``."""


@dataclass(frozen=True)
class Owned:
    """A distribution whose files are looked at: its normalised name, and its dist-info."""

    name: str
    info: Path


@dataclass(frozen=True)
class _Claim:
    """What one RECORD says about a file, and when that was written."""

    package: str
    file: InstalledFile
    written: float


def read_damage(
    env: EnvRef, owned: Sequence[Owned], machine: str, *, deep: bool = False
) -> tuple[tuple[FileFault, ...], int]:
    """Return every damaged file, and how many were looked at.

    Args:
        env: the environment; no file outside of it is looked at.
        owned: distributions that pip or uv installed; conda's are found by its own records.
        machine: what libraries have to be made for, ``x86_64``.
        deep: hash every file; otherwise only the few that were written after their RECORD.
    """
    claims = _claims(env, owned)
    faults: dict[str, FileFault] = {}
    hashed: list[tuple[int, str, tuple[_Claim, ...]]] = []
    for path, found in claims.items():
        fault, size, changed = _look(path, found)
        if fault:
            faults[path] = fault
        elif deep or changed:
            hashed.append((size, path, found))
    from_conda, counted = _conda_faults(env) if env.kind == "conda" else ((), 0)
    faults.update((fault.path, fault) for fault in from_conda)
    for fault in (*_content(hashed, deep=deep), *_libraries(env, claims, faults, machine)):
        faults[fault.path] = fault
    return tuple(faults[path] for path in sorted(faults)), len(claims) + counted


def _claims(env: EnvRef, owned: Sequence[Owned]) -> Mapping[str, tuple[_Claim, ...]]:
    """Return what RECORDs say of each file that matters; two packages may claim one file."""
    found: dict[str, list[_Claim]] = defaultdict(list)
    prefix = os.path.realpath(env.prefix) + os.sep
    for item in owned:
        base = os.path.realpath(item.info.parent)
        try:
            written = (item.info / "RECORD").stat().st_mtime
        except OSError:
            continue
        for file in installed_files(item.info, _matters) or ():
            path = f"{base}/{file.path}"
            if ".." in path:
                path = os.path.normpath(path)
            if path.startswith((base + os.sep, prefix)):  # a RECORD may not send us to other places
                found[path].append(_Claim(item.name, file, written))
    return {path: tuple(claims) for path, claims in found.items()}


def _matters(path: str) -> bool:
    if path.endswith(_NEVER) or path.startswith(("..", "/")):
        return False  # console scripts, which every installer writes anew; what lies outside
    if path.endswith(".py"):
        # NVIDIA's wheels share an empty nvidia/__init__.py, which goes with the first of them that is removed.
        return not _TESTS.search(path) and not path.startswith("nvidia/")
    return _LIBRARY.search(path) is not None or path.rpartition("/")[2] in _TOOLS


def _look(path: str, claims: tuple[_Claim, ...]) -> tuple[FileFault | None, int, bool]:
    """Return what is wrong with a file at a glance, its size, and whether it was written after every RECORD of it."""
    first = claims[0]
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            status = os.stat(path)  # noqa: PTH116 - 25,000 times
    except (FileNotFoundError, NotADirectoryError):
        return FileFault(path, first.package, "missing", "a file", "nothing"), 0, False
    except OSError as error:
        return FileFault(path, first.package, "unreadable", "a file", error.strerror or str(error)), 0, False
    if not stat.S_ISREG(status.st_mode):
        return FileFault(path, first.package, "size", "a file", "no regular file"), 0, False
    sizes = [claim.file.size for claim in claims if claim.file.size is not None]
    if sizes and status.st_size not in sizes:
        return FileFault(path, first.package, "size", f"{sizes[0]} bytes", f"{status.st_size} bytes"), 0, False
    return None, status.st_size, all(status.st_mtime > claim.written + _LATER for claim in claims)


def _content(hashed: list[tuple[int, str, tuple[_Claim, ...]]], *, deep: bool) -> Iterator[FileFault]:
    """Hash files; without ``deep`` only where few were changed, the small ones first, up to a limit."""
    hashed = [entry for entry in hashed if any(claim.file.digest for claim in entry[2])]
    hashed.sort(key=lambda entry: entry[0], reverse=deep)
    if not deep:
        if len(hashed) > _FEW:
            return  # the whole environment was copied: its times say nothing
        total, cheap = 0, []
        for entry in hashed:
            total += entry[0]
            if total <= _CHEAP:
                cheap.append(entry)
        hashed = cheap
    if not hashed:
        return
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        digests = pool.map(digest_of, (path for _, path, _ in hashed))
        for (_, path, claims), digest in zip(hashed, digests, strict=True):
            if digest is None:
                yield FileFault(path, claims[0].package, "unreadable", "a file that can be read", "an error")
            elif digest not in {claim.file.digest for claim in claims}:
                wanted = f"sha256 {claims[0].file.digest[:12]}…"
                yield FileFault(path, claims[0].package, "content", wanted, f"sha256 {digest[:12]}…")


def _libraries(
    env: EnvRef, claims: Mapping[str, tuple[_Claim, ...]], faults: Mapping[str, FileFault], machine: str
) -> Iterator[FileFault]:
    """Read the headers of NVIDIA's and TensorFlow's libraries, those that no RECORD names included."""
    site = os.path.realpath(env.site_packages)
    found = {path: of[0].package for path, of in claims.items() if _LIBRARY.search(path)}
    wanted = {path for path in found if path.startswith((f"{site}/nvidia/", f"{site}/tensorflow"))}
    folders = [*Path(site).glob("nvidia/*/lib")]
    if env.kind == "conda":
        folders.append(Path(env.prefix) / "lib")
    for folder in folders:
        for name in _names(folder):
            path = f"{folder}/{name}"
            if (_NVIDIA.match(name) or name.startswith("libtensorflow")) and not os.path.islink(path):  # noqa: PTH114 - thousands
                wanted.add(path)
    for path in sorted(wanted):
        known = faults.get(path)
        if known is not None and known.kind in ("missing", "unreadable"):
            continue
        fault = elf_fault(path, machine)
        if fault is not None:
            yield FileFault(path, found.get(path, ""), fault.kind, fault.wanted, fault.found)


def _names(folder: Path) -> Sequence[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if ".so" in path.name)
    except OSError:
        return ()


def _conda_faults(env: EnvRef) -> tuple[tuple[FileFault, ...], int]:
    """Return the damaged files of conda's CUDA and TensorFlow packages, and how many were looked at.

    Sizes in conda's records are those of the package; a file in which the prefix was replaced has another one.
    """
    faults: list[FileFault] = []
    counted = 0
    for meta in sorted((Path(env.prefix) / "conda-meta").glob("*.json")):
        if not _CONDA.match(meta.stem):
            continue
        try:
            paths = json.loads(meta.read_bytes())["paths_data"]["paths"]
            entries = [(str(item["_path"]), item) for item in paths]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        package = meta.stem.rsplit("-", 2)[0]
        for name, item in entries:
            if ".." in name or not _matters(name):
                continue
            replaced = item.get("prefix_placeholder") or item.get("path_type") != "hardlink"
            size = item.get("size_in_bytes")
            file = InstalledFile(name, size if isinstance(size, int) and not replaced else None, "")
            fault, _, _ = _look(f"{env.prefix}/{name}", (_Claim(package, file, 0.0),))
            counted += 1
            if fault:
                faults.append(fault)
    return tuple(faults), counted

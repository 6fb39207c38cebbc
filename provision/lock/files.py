"""The one entrance to lock files: which format a file has, its name, its text, and what is read out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from packaging.version import Version

from provision.errors import ToolFailedError
from provision.lock.contract import CONTRACT_MARK, TARGET_NAME
from provision.lock.refusing import bad, readable_text
from provision.model.lock import Lock, LockFormat

if TYPE_CHECKING:
    from provision.lock.conda_lock import Artifact
    from provision.lock.conda_sources import Sources

_T = TARGET_NAME.pattern.removesuffix(r"\Z")
_NAMES: tuple[tuple[LockFormat, re.Pattern[str]], ...] = (
    (LockFormat.REQUIREMENTS, re.compile(rf"tfgpu-lock(?:\.{_T})?\.txt\Z")),
    (LockFormat.PYLOCK, re.compile(rf"pylock(?:\.{_T})?\.toml\Z")),
    (LockFormat.CONDA_LOCK, re.compile(rf"(?:{_T}\.)?conda-lock\.ya?ml\Z")),
    (LockFormat.EXPLICIT, re.compile(rf"(?:{_T}\.)?conda-linux-64\.lock\Z")),
)
_SUFFIXES = {".toml": LockFormat.PYLOCK, ".yml": LockFormat.CONDA_LOCK, ".yaml": LockFormat.CONDA_LOCK}
_MODULES = {
    LockFormat.REQUIREMENTS: "requirements_lock",
    LockFormat.PYLOCK: "pylock",
    LockFormat.CONDA_LOCK: "conda_lock",
    LockFormat.EXPLICIT: "explicit",
}
_EXPLICIT = re.compile(r"^@EXPLICIT *$", re.MULTILINE)


def default_name(format: LockFormat, target: str = "") -> str:  # noqa: A002 - the word of the field
    """Return the file name of a lock; ``target`` is the name of the machine that is meant, empty for just one.

    Raises:
        ValueError: where ``target`` is no such name.
    """
    if target and not TARGET_NAME.match(target):
        raise ValueError(f"not the name of a target: {target[:50]!r}")
    if format is LockFormat.REQUIREMENTS:
        return f"tfgpu-lock.{target}.txt" if target else "tfgpu-lock.txt"
    if format is LockFormat.PYLOCK:
        return f"pylock.{target or 'tfgpu'}.toml"
    name = "conda-lock.yml" if format is LockFormat.CONDA_LOCK else "conda-linux-64.lock"
    return f"{target}.{name}" if target else name


def is_lock_name(name: str) -> LockFormat | None:
    """Return the format of a file that has the name of a lock, None for any other name."""
    return next((kind for kind, pattern in _NAMES if pattern.match(name)), None)


def prepare(format: LockFormat) -> None:  # noqa: A002 - the word of the field
    """Load what `render` needs for a format, where there is time for it beforehand."""
    import_module(f"provision.lock.{_MODULES[format]}")


def render(
    lock: Lock,
    format: LockFormat,  # noqa: A002 - the word of the field
    *,
    pylock: str = "",
    content_hash: Mapping[str, str] | None = None,
    artifacts: Mapping[str, Artifact] | None = None,
    sources: Sources | None = None,
) -> str:
    """Return the text of a lock file; the same lock gives the same text.

    Args:
        lock: what is locked.
        format: of the file.
        pylock: for that format, what uv wrote about the files, see `provision.lock.pylock.render`.
        content_hash: for conda-lock, see `provision.lock.conda_lock.render`.
        artifacts: likewise.
        sources: likewise.

    Raises:
        ToolFailedError: code ``lock-format``, where the format cannot hold the lock, or ``extra-missing``.
        UsageError: code ``credentials-in-lock``.
    """
    # What a format needs is loaded with it: a program that reads requirements never pays for YAML and TOML.
    if format is LockFormat.CONDA_LOCK:
        from provision.lock import conda_lock  # noqa: PLC0415

        return conda_lock.render(lock, content_hash or {}, artifacts, sources)
    if format is LockFormat.EXPLICIT:
        from provision.lock import explicit  # noqa: PLC0415

        return explicit.render(lock)
    if lock.conda:
        raise ToolFailedError(
            f"the format {format.value} cannot hold packages of conda",
            code="lock-format",
            why=(f"the lock has {len(lock.conda)} of them",),
            hint="`--format conda-lock` and `--format explicit` can",
        )
    if format is LockFormat.PYLOCK:
        from provision.lock import pylock as pylock_format  # noqa: PLC0415

        return pylock_format.render(lock, pylock)
    from provision.lock import requirements_lock  # noqa: PLC0415

    return requirements_lock.render(lock)


def parse(name: str, data: bytes, *, allow_urls: bool = False) -> Lock:
    """Read a lock file of any format.

    Args:
        name: of the file; with the content it says which format it is, and it stands in every message.
        data: its bytes.
        allow_urls: whether a requirements file may name an address for a package.

    Raises:
        InvalidFileError: code ``bad-lock``, with the reason and its place.
    """
    text = readable_text(name, data)
    found = format_of(name, text)
    if found is LockFormat.CONDA_LOCK:
        from provision.lock import conda_lock_reader  # noqa: PLC0415

        return conda_lock_reader.parse(text, name)
    if found is LockFormat.EXPLICIT:
        from provision.lock import explicit  # noqa: PLC0415

        return explicit.parse(text, name)
    if found is LockFormat.PYLOCK:
        from provision.lock import pylock  # noqa: PLC0415

        lock = pylock.parse(text, name)
    else:
        from provision.lock import requirements_lock  # noqa: PLC0415

        lock = requirements_lock.parse(text, name, allow_urls=allow_urls)
    _coherent(lock, name)
    return lock


def format_of(name: str, text: str) -> LockFormat:
    """Return which format a file has, by its name or else by what stands in it.

    Raises:
        InvalidFileError: code ``bad-lock``, where neither tells.
    """
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    found = is_lock_name(base) or next((kind for end, kind in _SUFFIXES.items() if base.endswith(end)), None)
    if found is not None and found is not LockFormat.REQUIREMENTS:
        return found
    if _EXPLICIT.search(text):
        return LockFormat.EXPLICIT
    if found is not None or base.endswith((".txt", ".in", ".lock")) or CONTRACT_MARK in text:
        return LockFormat.REQUIREMENTS
    raise bad(name, "neither its name nor its content is that of a lock")


def _coherent(lock: Lock, name: str) -> None:
    """Refuse a lock of the package index whose packages are not those that its contract speaks of."""
    contract = lock.contract
    packages = {item.name: item for item in lock.packages}
    framework = packages.get(contract.distribution)
    if contract.backend != "venv":
        raise bad(name, f"its contract is for {contract.backend}, and it holds no package of conda")
    if framework is None or (framework.version and Version(framework.version) != contract.release.release):
        there = framework.requirement if framework else "nothing of it"
        raise bad(name, f"its contract is for {contract.distribution} {contract.release}; it holds {there}")
    for built in lock.source_only:
        if built not in packages:
            raise bad(name, f"its contract says that {built} is built; it is not among the packages")

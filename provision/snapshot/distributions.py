"""Installed distributions as their metadata describes them: version, requirements that hold here, installer, tags.

Read from files, because the interpreter that looks is not the one that is looked at: markers are held against the
environment's Python, not ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from provision.model.environment_facts import Package
from provision.model.lock import normalised
from provision.probes.environment import Installed, Inventory

_LIMIT = 1 << 20
_EXTRA = re.compile(r";.*\bextra\s*==")
_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
_INFO = re.compile(r"(?P<name>[A-Za-z0-9._]+?)-(?P<version>[^-]+?)(\.dist-info|(-py[0-9.]+)?\.egg-info)\Z")


def info_folders(folder: Path) -> Mapping[tuple[str, str], Path]:
    """Return the metadata of each distribution in a folder by normalised name and version, as their names say."""
    found: dict[tuple[str, str], Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return found
    for entry in entries:
        match = _INFO.match(entry.name)
        if match:
            found.setdefault((normalised(match["name"]), match["version"]), entry)
    return found


def marker_environment(seen: Inventory) -> dict[str, str]:
    """Return what markers are held against: the environment's Python on this kernel, never our own."""
    full = seen.python.text
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(seen.implementation, seen.implementation)
    platform = seen.platform or "linux"
    return {
        "implementation_name": seen.implementation,
        "implementation_version": full,
        "os_name": "nt" if platform == "win32" else "posix",
        "platform_machine": seen.machine,
        "platform_python_implementation": name,
        "platform_release": "",
        "platform_system": _SYSTEMS.get(platform, platform),
        "platform_version": "",
        "python_full_version": full,
        "python_version": seen.python.series.text,
        "sys_platform": platform,
        "extra": "",
    }


def read_package(installed: Installed, info: Path | None, environment: Mapping[str, str]) -> Package:
    """Return a distribution with what its metadata says; its folder's name counts where there is none."""
    headers = tuple(_headers(info)) if info else ()
    version = next((value for name, value in headers if name == "version"), installed.version)
    asked = [value for name, value in headers if name == "requires-dist"]
    if info is not None and not asked and info.name.endswith(".egg-info"):
        asked = list(_egg_requirements(info))
    return Package(
        name=installed.name,
        version=version,
        folder=installed.folder,
        requires=tuple(_holding(asked, environment)),
        installer=_text(info / "INSTALLER").strip()[:40] if info else "",
        origin=_origin(info) if info else "",
    )


def _origin(info: Path) -> str:
    """Return what ``direct_url.json`` says (PEP 610); conda's builds write the place where they were built."""
    text = _text(info / "direct_url.json")
    if not text or _text(info / "INSTALLER").strip() == "conda":
        return ""
    try:
        said = json.loads(text)
        editable = bool(said.get("dir_info", {}).get("editable"))
        return f"{str(said['url'])[:300]}{' (editable)' if editable else ''}"
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return "a direct_url.json that cannot be read"


def wheel_tags(info: Path) -> tuple[str, ...]:
    """Return the tags of the wheel that a distribution was installed from, nothing where it was none."""
    lines = _text(info / "WHEEL").splitlines()
    return tuple(line.partition(":")[2].strip() for line in lines if line.lower().startswith("tag:"))


def has_metadata(info: Path) -> bool:
    """Whether the folder is that of an installed distribution, not what a halfway removal left of one."""
    return is_file(info) or is_file(info / "METADATA") or is_file(info / "PKG-INFO")


def is_file(path: Path) -> bool:
    """Whether a file is there; False also where looking is not allowed."""
    try:
        return path.is_file()
    except OSError:
        return False


def _headers(info: Path) -> Iterator[tuple[str, str]]:
    """Yield the headers as name and value; the description below them, most of the file, is never split."""
    text = _text(info) if is_file(info) else _text(info / "METADATA") or _text(info / "PKG-INFO")
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    for line in head.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line[:1].isspace():
            yield name.lower(), value.strip()


def _egg_requirements(info: Path) -> Iterator[str]:
    for line in _text(info / "requires.txt").splitlines():
        if line.startswith("["):
            return
        if line.strip():
            yield line.strip()


def _holding(asked: list[str], environment: Mapping[str, str]) -> Iterator[str]:
    for text in asked:
        if _EXTRA.search(text):
            continue
        try:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate(dict(environment)):
                continue
        except (InvalidRequirement, ValueError, KeyError):
            continue  # metadata from before PEP 440 and PEP 508; nothing can be held against it
        specifier = str(requirement.specifier)
        yield f"{normalised(requirement.name)}{specifier}"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""

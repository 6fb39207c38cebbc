"""What uv wrote as ``pylock.toml`` (PEP 751): the distributions, and what their files demand of a machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.errors import ToolFailedError
from provision.model.lock import Locked, normalised
from provision.model.versions import GlibcVersion, PythonVersion

if TYPE_CHECKING:
    from packaging.tags import Tag

_ANY = GlibcVersion("2.0")
_OLD_TAGS = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
"""The names from before PEP 600."""
_TAG = re.compile(r"(manylinux1|manylinux2010|manylinux2014|manylinux_(\d+)_(\d+))_x86_64\Z")


@dataclass(frozen=True)
class Compiled:
    """A resolution for one Python on one platform.

    Attributes:
        text: uv's document; it names addresses.
        locked: every distribution with the hashes of the files that this platform admits, sorted by name.
        glibc: the oldest one on which each distribution has a file.
        uploaded: name to ISO date of its newest file, where the index says it.
        built: names of those that have no wheel for the platform.
    """

    text: str
    locked: tuple[Locked, ...]
    glibc: GlibcVersion
    uploaded: Mapping[str, str]
    built: tuple[str, ...]


def read_compiled(text: str) -> Compiled:
    """Read uv's document.

    Raises:
        ToolFailedError: ``bad-resolution``, where it is not what a lock can be made of.
    """
    try:
        packages = _packages(text)
        locked = sorted((_locked(package) for package in packages), key=lambda item: item.name)
        floors = [_floor([file["name"] for file in _wheels(package)]) for package in packages]
        uploaded = {normalised(package["name"]): max(days) for package in packages if (days := list(_days(package)))}
        built = tuple(sorted(normalised(package["name"]) for package in packages if not package.get("wheels")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolFailedError(
            "the resolution cannot be made a lock",
            code="bad-resolution",
            why=(f"{type(error).__name__}: {error}"[:200],),
            hint="every package must come from an index, as a file with its sha256",
        ) from error
    return Compiled(text, tuple(locked), max(floors, default=_ANY, key=lambda version: version.parts), uploaded, built)


def preferences(locked: Sequence[Locked]) -> str:
    """Return a document out of which uv reads nothing but the versions to keep."""
    head = 'lock-version = "1.0"\ncreated-by = "tfgpu-provision"\n'
    if not locked:
        return f"{head}packages = []\n"
    return head + "".join(f'\n[[packages]]\nname = "{item.name}"\nversion = "{item.version}"\n' for item in locked)


def addresses(text: str, series: PythonVersion, glibc: GlibcVersion) -> dict[str, tuple[str, str]]:
    """Return name → address and sha256 of the one file that a machine takes: the best wheel, else the source archive.

    Args:
        text: uv's document.
        series: of the Python.
        glibc: of the machine.
    """
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415 - only conda's formats need an address

    tags = {tag: rank for rank, tag in enumerate(_tags(series, glibc))}
    found = {}
    for package in _packages(text):
        ranked = [
            (
                min((tags[tag] for tag in parse_wheel_filename(wheel["name"])[3] if tag in tags), default=len(tags)),
                wheel,
            )
            for wheel in _wheels(package)
        ]
        file = min(ranked, key=lambda item: (item[0], item[1]["name"]))[1] if ranked else package["sdist"]
        found[normalised(package["name"])] = (file["url"], file["hashes"]["sha256"])
    return found


def parser() -> Callable[[str], dict[str, Any]]:
    """Return what parses TOML; loaded here, because it is not needed before uv has answered."""
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415
    else:
        import tomli as tomllib  # noqa: PLC0415

    loads: Callable[[str], dict[str, Any]] = tomllib.loads
    return loads


def _packages(text: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = parser()(text).get("packages", [])
    return found


def _tags(series: PythonVersion, glibc: GlibcVersion) -> Iterator[Tag]:
    """Yield the tags of CPython on x86_64 Linux, best first (PEP 425, PEP 600)."""
    from packaging.tags import compatible_tags, cpython_tags  # noqa: PLC0415 - see above

    old = {minor: name for name, version in _OLD_TAGS.items() for minor in [GlibcVersion(version).minor]}
    platforms = []
    for minor in range(glibc.minor, 4, -1):
        platforms += [f"manylinux_2_{minor}_x86_64", *([f"{old[minor]}_x86_64"] if minor in old else [])]
    platforms.append("linux_x86_64")
    version = (series.major, series.minor)
    yield from cpython_tags(version, platforms=platforms)
    yield from compatible_tags(version, f"cp{series.major}{series.minor}", platforms)


def _locked(package: Mapping[str, Any]) -> Locked:
    hashes = [file["hashes"]["sha256"] for file in _files(package)]
    if not hashes:
        raise ValueError(f"{package['name']} has no file on the index")
    return Locked(normalised(package["name"]), package["version"], tuple(sorted(set(hashes))))


def _files(package: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from package.get("wheels", ())
    if "sdist" in package:
        yield package["sdist"]


def _wheels(package: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for file in package.get("wheels", ()):
        yield {**file, "name": file.get("name") or file["url"].rsplit("/", 1)[-1]}


def _days(package: Mapping[str, Any]) -> Iterator[str]:
    for file in _files(package):
        if "upload-time" in file:
            yield file["upload-time"].date().isoformat()


def _floor(names: Sequence[str]) -> GlibcVersion:
    """Return the oldest glibc that one of the wheels admits (PEP 600); what is built here admits any."""
    found = []
    for name in names:
        tags = name.removesuffix(".whl").rsplit("-", 1)[-1].split(".")
        matches = [match for tag in tags if (match := _TAG.match(tag))]
        versions = [GlibcVersion(_OLD_TAGS.get(match[1]) or f"{match[2]}.{match[3]}") for match in matches]
        found.append(min(versions, key=lambda version: version.parts) if versions else _ANY)
    return min(found, key=lambda version: version.parts) if found else _ANY

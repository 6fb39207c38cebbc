"""A wheel by its name and hash, a release by its wheels, and what reading has cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

_LEGACY_GLIBC = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
"""glibc of the names from before PEP 600, which has this table."""


@dataclass(frozen=True)
class Artifact:
    """One wheel. File name, version and sha256 are its identity; where it was found is nobody's business.

    Attributes:
        distribution: normalised name, ``tensorflow``.
        version: ``2.21.0``.
        filename: of the wheel.
        sha256: of the whole file, hexadecimal, as the index states it or as a local file has it; empty: not known.
        size: bytes; 0 where not known yet.
        yanked: whether the index says that it was withdrawn.
        uploaded: ISO date, empty where the index does not say.
        requires_python: as the index states it.
    """

    distribution: str
    version: str
    filename: str
    sha256: str = ""
    size: int = 0
    yanked: bool = False
    uploaded: str = ""
    requires_python: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """``cp310-cp310-manylinux_2_27_x86_64``, sorted; empty where the name is no wheel's."""
        try:
            return tuple(sorted(str(tag) for tag in parse_wheel_filename(self.filename)[3]))
        except (InvalidWheelFilename, InvalidVersion):
            return ()

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags as the file name has them, ``manylinux_2_17_x86_64 manylinux2014_x86_64``."""
        stem = self.filename.removesuffix(".whl")
        return tuple(stem.rsplit("-", 1)[-1].split(".")) if self.tags else ()

    @property
    def pythons(self) -> tuple[str, ...]:
        """CPython series of the tags, ``3.10``; empty where any Python 3 will do."""
        found = {tag.split("-")[0] for tag in self.tags}
        return tuple(sorted({f"{tag[2]}.{tag[3:]}" for tag in found if _is_cpython(tag)}, key=Version))

    @property
    def glibc(self) -> str:
        """Oldest glibc that a tag admits, ``2.17``; empty where the wheel is not for Linux with glibc."""
        found = [text for text in map(_glibc, self.platforms) if text]
        return min(found, key=Version) if found else ""

    def runs_on(self, machine: str) -> bool:
        """Whether the wheel is for Linux on this architecture (``x86_64``)."""
        return any(tag.startswith(("manylinux", "linux")) and tag.endswith(machine) for tag in self.platforms)


def _is_cpython(tag: str) -> bool:
    return tag.startswith("cp") and tag[2:].isdigit() and len(tag) > len("cp3")


def _glibc(platform: str) -> str:
    name, _, rest = platform.partition("_")
    if name in _LEGACY_GLIBC:
        return _LEGACY_GLIBC[name]
    parts = rest.split("_")
    return f"{parts[0]}.{parts[1]}" if name == "manylinux" and parts[0].isdigit() and parts[1].isdigit() else ""


@dataclass(frozen=True)
class Release:
    """Every wheel of one version that the index has, sorted by file name."""

    distribution: str
    version: str
    artifacts: tuple[Artifact, ...]

    def linux(self, machine: str = "x86_64") -> tuple[Artifact, ...]:
        """The wheels for Linux on one architecture."""
        return tuple(item for item in self.artifacts if item.runs_on(machine))

    def pythons(self, machine: str = "x86_64") -> tuple[str, ...]:
        """CPython series with a wheel for Linux, oldest first."""
        return tuple(sorted({series for item in self.linux(machine) for series in item.pythons}, key=Version))


@dataclass(frozen=True)
class Cost:
    """What reading has cost.

    Attributes:
        bytes_read: bytes that came over the network or out of a local wheel; what the cache gave is not counted.
        requests: HTTP requests.
        seconds: wall time.
        cached: whether the cache alone answered.
    """

    bytes_read: int = 0
    requests: int = 0
    seconds: float = 0.0
    cached: bool = False

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.bytes_read + other.bytes_read,
            self.requests + other.requests,
            self.seconds + other.seconds,
            self.cached and other.cached,
        )

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """Return the sum; of nothing, what the cache gives."""
        return sum(costs, cls(cached=True))

"""Version numbers of different things, as different types.

A driver, a CUDA toolkit and a cuDNN are all written as dotted numbers, and comparing one with another is a classic
mistake of this field. Here it does not type-check: every comparison takes `Self`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from typing_extensions import Self

_DOTTED = re.compile(r"\d+(?:\.\d+)*\Z", re.ASCII)
_MAX_LENGTH = 40


@dataclass(frozen=True, eq=False)
class Dotted:
    """A dotted number such as ``535.104.05``; compared by its parts, shown as it was written.

    ``12.5`` equals ``12.5.0``: missing parts count as zero.
    """

    text: str
    parts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.text) > _MAX_LENGTH or not _DOTTED.match(self.text):
            msg = f"not a {type(self).__name__}: {self.text[:_MAX_LENGTH]!r}"
            raise ValueError(msg)
        parts = tuple(int(part) for part in self.text.split("."))
        while len(parts) > 1 and parts[-1] == 0:
            parts = parts[:-1]
        object.__setattr__(self, "parts", parts)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash((type(self), self.parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dotted) and type(other) is type(self) and self.parts == other.parts

    def __lt__(self, other: Self) -> bool:
        return self.parts < self._same(other).parts

    def __le__(self, other: Self) -> bool:
        return self.parts <= self._same(other).parts

    def __gt__(self, other: Self) -> bool:
        return self.parts > self._same(other).parts

    def __ge__(self, other: Self) -> bool:
        return self.parts >= self._same(other).parts

    def _same(self, other: Self) -> Self:
        if type(other) is not type(self):
            msg = f"a {type(self).__name__} cannot be compared with a {type(other).__name__}"
            raise TypeError(msg)
        return other

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``text``, or return None where it is not such a number."""
        try:
            return cls(text.strip())
        except ValueError:
            return None

    @property
    def major(self) -> int:
        """The first part."""
        return self.parts[0]

    @property
    def minor(self) -> int:
        """The second part, 0 where there is none."""
        return self.parts[1] if len(self.parts) > 1 else 0


class DriverVersion(Dotted):
    """An NVIDIA driver, for example ``535.104.05``; on WSL and Windows the Windows number."""

    @property
    def branch(self) -> int:
        """The release branch, for example 535."""
        return self.major


class CudaVersion(Dotted):
    """A CUDA version: of a toolkit, of a build, or the highest one that a driver supports. Say which in the name."""

    @classmethod
    def from_driver_api(cls, number: int) -> CudaVersion | None:
        """Read the integer of ``cuDriverGetVersion`` (1000 × major + 10 × minor); 0 is unknown, not CUDA 0.0."""
        if number <= 0:
            return None
        return cls(f"{number // 1000}.{number % 1000 // 10}")


class CudnnVersion(Dotted):
    """A cuDNN version, for example ``8.6.0.163``."""


class GlibcVersion(Dotted):
    """A GNU C library version, for example ``2.27``."""


class PtxIsa(Dotted):
    """A PTX instruction set version, for example ``8.5``: what a driver must understand to compile PTX."""


class PythonVersion(Dotted):
    """A CPython version; a matrix row names ``3.8``, an interpreter is ``3.8.18``."""

    @property
    def series(self) -> PythonVersion:
        """Major and minor alone: ``3.8`` for ``3.8.18``."""
        return PythonVersion(f"{self.major}.{self.minor}")


class ComputeCapability(Dotted):
    """A GPU's compute capability, for example ``8.6``."""

    @classmethod
    def from_sm(cls, sm: str) -> ComputeCapability:
        """Read ``86`` or ``120`` as written after ``sm_``."""
        return cls(f"{sm[:-1]}.{sm[-1]}")

    @property
    def sm(self) -> str:
        """``86`` for 8.6."""
        return f"{self.major}{self.minor}"


@dataclass(frozen=True, eq=False)
class TfVersion:
    """A TensorFlow release, for example ``2.15.0.post1`` (PEP 440)."""

    text: str
    release: Version = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.text) > _MAX_LENGTH:
            msg = f"not a TfVersion: {self.text[:_MAX_LENGTH]!r}"
            raise ValueError(msg)
        try:
            object.__setattr__(self, "release", Version(self.text))
        except InvalidVersion as error:
            msg = f"not a TfVersion: {self.text!r}"
            raise ValueError(msg) from error

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.release)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TfVersion) and self.release == other.release

    def __lt__(self, other: TfVersion) -> bool:
        return self.release < other.release

    def __le__(self, other: TfVersion) -> bool:
        return self.release <= other.release

    def __gt__(self, other: TfVersion) -> bool:
        return self.release > other.release

    def __ge__(self, other: TfVersion) -> bool:
        return self.release >= other.release

    @property
    def minor_series(self) -> str:
        """``2.15`` for 2.15.0.post1."""
        return f"{self.release.major}.{self.release.minor}"

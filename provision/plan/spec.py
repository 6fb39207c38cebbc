"""The release a user asks for, read out of what was typed."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.version import Version

from provision.errors import UsageError
from provision.model.matrix import Matrix, Row

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_LIMIT = 200
_SHOWN = 40
_NAMED = re.compile(
    r"(?P<name>t(?:ensorflow|f)[A-Za-z0-9._-]*?)\s*(?:\[(?P<extra>[^\]]*)\])?\s*(?P<rest>(?:[<>=!~@].*)?)\Z",
    re.ASCII | re.IGNORECASE,
)
_MINOR = re.compile(r"v?(\d+)\.(\d+)\Z", re.ASCII)
_MAJOR = re.compile(r"v?(\d+)\Z", re.ASCII)
_OPERATORS = "<>=!~"
_NEWEST_WORDS = ("", "latest", "newest")
_NIGHTLY_WORDS = ("nightly", "dev")
DEFAULT = "tensorflow"
NIGHTLY = "tf-nightly"


class SpecKind(str, Enum):
    """What a spec leaves open."""

    EXACT = "exact"
    MINOR = "minor"
    RANGE = "range"
    NEWEST = "newest"


@dataclass(frozen=True)
class Spec:
    """A release, a minor, a range, or the newest that runs here.

    Attributes:
        text: as typed.
        distribution: ``tensorflow``, ``tensorflow-gpu``, ``tf-nightly`` …
        kind: what it leaves open.
        version: the release where it is exact.
        clauses: what releases must satisfy, as text; empty where one is named and for the newest.
        named: whether the distribution was written down, so that no other one is meant.
    """

    text: str
    distribution: str
    kind: SpecKind
    version: Version | None
    clauses: str = ""
    named: bool = False

    @cached_property
    def specifier(self) -> SpecifierSet:
        """The clauses, read."""
        from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - who names a release does not pay for ranges

        return SpecifierSet(self.clauses)

    @property
    def wanted(self) -> Version | None:
        """The release or minor that was named; None for ranges of more than one clause and for the newest."""
        if self.version is not None or not self.clauses:
            return self.version
        clauses = list(self.specifier)
        if len(clauses) != 1:
            return None
        return Version(clauses[0].version.removesuffix(".*"))

    def admits(self, row: Row) -> bool:
        """Whether a row is among what was asked for."""
        if row.distribution != self.distribution:
            return False
        return self.satisfied_by(row)

    def satisfied_by(self, row: Row) -> bool:
        """Whether the release of a row is among what was asked for, whatever the name of its distribution."""
        if self.version is not None:
            return row.release.release == self.version
        if not self.clauses:
            return not row.release.release.is_prerelease
        return self.specifier.contains(row.release.release, prereleases=False)


def parse_spec(text: str, matrix: Matrix, distribution: str = DEFAULT) -> Spec:
    """Read ``2.15.1``, ``2.15``, ``2.15.*``, ``~=2.15``, ``>=2.12,<2.16``, ``tensorflow==2.15.1``, ``latest``, nothing.

    A release that does not exist is no wrong spec: it is refused by ``decide`` with what is near.

    Raises:
        UsageError: code ``bad-tf-spec``, naming near matches.
    """
    typed = text.strip()
    if len(typed) > _LIMIT:
        raise _bad(typed, matrix)
    name, rest = distribution, typed
    named = _NAMED.match(typed)
    if named:
        from packaging.utils import canonicalize_name  # noqa: PLC0415 - most write the number alone

        name, rest = canonicalize_name(named["name"]), named["rest"].strip()
        name = DEFAULT if name == "tf" else name
    if typed.lower() in _NIGHTLY_WORDS:
        name, rest = NIGHTLY, ""
    if rest.lower() in _NEWEST_WORDS:
        return Spec(typed, name, SpecKind.NEWEST, None)
    try:
        return dataclasses.replace(_read(typed, name, rest), named=bool(named) or distribution != DEFAULT)
    except ValueError:  # of a version or of a specifier
        raise _bad(typed, matrix) from None


def _read(typed: str, name: str, rest: str) -> Spec:
    minor, major = _MINOR.match(rest), _MAJOR.match(rest)
    if minor:
        return Spec(typed, name, SpecKind.MINOR, None, f"=={minor[1]}.{minor[2]}.*")
    if major:
        return Spec(typed, name, SpecKind.RANGE, None, f"=={major[1]}.*")
    if rest[0] not in _OPERATORS:
        if not rest.endswith(".*"):
            return Spec(typed, name, SpecKind.EXACT, Version(rest))
        rest = f"=={rest}"
    spec = Spec(typed, name, SpecKind.RANGE, None, rest)
    clauses = list(spec.specifier)
    if len(clauses) == 1 and clauses[0].operator in ("==", "==="):
        clause = clauses[0].version
        if not clause.endswith(".*"):
            return Spec(typed, name, SpecKind.EXACT, Version(clause))
        if _MINOR.match(clause[:-2]):
            return dataclasses.replace(spec, kind=SpecKind.MINOR)
    return spec


def _bad(typed: str, matrix: Matrix) -> UsageError:
    import difflib  # noqa: PLC0415 - only a wrong spec pays for it

    shown = ascii(typed[:_SHOWN]) + ("…" if len(typed) > _SHOWN else "")
    known = [row.release.text for row in matrix.rows]
    digits = re.sub(r"[^0-9.]", "", typed[:_SHOWN])
    near = difflib.get_close_matches(
        digits, [*known, *dict.fromkeys(row.release.minor_series for row in matrix.rows)], 4
    )
    return UsageError(
        f"{shown} is not a TensorFlow version or range",
        code="bad-tf-spec",
        why=(f"near to it: {', '.join(near)}",) if near else (),
        hint="write 2.15.1, 2.15, 2.15.*, '~=2.15', '>=2.12,<2.16' or nothing for the newest that runs here",
    )

"""Which requirements of TensorFlow, and of what it needs, the installed packages do not meet.

A version above a requirement's upper bound often works: bounds are guesses about the future. What is known to break is
marked *hard*; the rest is *below* (older than asked for, or not there), or only outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.version import InvalidVersion, Version

from provision.model.doctor import Clue
from provision.model.environment_facts import IMPORTED_MODULES, EnvironmentFacts, Package
from provision.model.versions import TfVersion

_LAZY = frozenset(
    {
        "clang",
        "google-pasta",
        "keras-preprocessing",
        "libclang",
        "scipy",
        "setuptools",
        "tensorboard",
        "tensorflow-cpu-aws",
        "tensorflow-intel",
        "tensorflow-io-gcs-filesystem",
        "wheel",
    }
)
"""What TensorFlow names and imports without: for its headers, for Windows, or only when a function asks for it."""
_ONE = TfVersion("2.7")
"""The first release that works with the names that NumPy 1.24 left; seen with 2.4.1, 2.10.1 (docs/matrix.md)."""


@dataclass(frozen=True)
class Violation:
    """One requirement that is not met.

    Attributes:
        name: normalised, of what is required.
        requirer: who requires it, ``tensorflow 2.16.1`` or ``matrix 2.10.1``.
        requirement: as written.
        found: the installed version, None where it is not installed.
        folder: where it was found, empty where it was not.
        hard: whether this is known to break the import or the use of TensorFlow.
        below: whether it is missing or older than asked for, by something that TensorFlow's import needs.
        direct: whether TensorFlow, or the matrix, requires it.
        why: why it breaks, empty where that is not known.
    """

    name: str
    requirer: str
    requirement: str
    found: str | None
    folder: str = ""
    hard: bool = False
    below: bool = False
    direct: bool = False
    why: str = ""

    def clues(self) -> tuple[Clue, ...]:
        """Return what shows it."""
        said = Clue(self.requirer, f"requires {self.requirement}{f': {self.why}' if self.why else ''}"[:300])
        return said, Clue(self.folder or "installed packages", f"{self.name} {self.found or 'is not installed'}")


def violations(seen: EnvironmentFacts) -> tuple[Violation, ...]:
    """Return what is not met, TensorFlow's own requirements first; nothing where no TensorFlow is installed."""
    if seen.distribution is None:
        return ()
    return tuple(_violations(seen))


def wanted_of(seen: EnvironmentFacts, name: str, also: Iterable[str] = ()) -> str:
    """Return one requirement that meets everybody who needs ``name`` for TensorFlow, ``numpy<2,>=1.26``.

    Args:
        seen: the environment.
        name: normalised.
        also: further requirements of the same name.
    """
    asked = [item.requirement for item in _requirements(seen) if item.requirement.name == name]
    asked += [found for text in also if (found := _requirement(text)) is not None]
    specifiers = list(dict.fromkeys(spec for requirement in asked for spec in requirement.specifier))
    kept = []
    for operators, best in ((("<", "<="), min), ((">=", ">"), max)):
        bounds = [spec for spec in specifiers if spec.operator in operators]
        kept += [best(bounds, key=lambda spec: Version(spec.version))] if bounds else []
    kept += [spec for spec in specifiers if spec.operator not in ("<", "<=", ">=", ">")]
    return f"{name}{','.join(dict.fromkeys(str(spec) for spec in kept))}"


def _violations(seen: EnvironmentFacts) -> Iterator[Violation]:
    for asked in _requirements(seen):
        name = asked.requirement.name
        package = seen.package(name)
        needed = asked.importing and name not in _LAZY
        if package is None:
            # The matrix only limits, and conda splits packages differently than the index does.
            if asked.by is not None and seen.distribution and seen.distribution.installer != "conda":
                hard = needed and (asked.direct or name in IMPORTED_MODULES.values())
                yield Violation(name, asked.title, str(asked.requirement), None, "", hard, needed, asked.direct)
            continue
        found = _version(package.version)
        if found is None or asked.requirement.specifier.contains(found, prereleases=True):
            continue
        broken = [item for item in asked.requirement.specifier if not item.contains(found, prereleases=True)]
        hard = asked.direct and _known(seen, name, found, limited=asked.by is None)
        yield Violation(
            name,
            asked.title,
            str(asked.requirement),
            package.version,
            package.folder,
            hard=hard,
            below=needed and name != "keras" and any(_is_below(found, item) for item in broken),
            direct=asked.direct,
            why=asked.why,
        )


@dataclass(frozen=True)
class _Asked:
    """One requirement: by whom (None for the matrix), and whether TensorFlow's import gets there."""

    by: Package | None
    requirement: Requirement
    title: str
    direct: bool
    importing: bool
    why: str = ""


def _requirements(seen: EnvironmentFacts) -> Iterator[_Asked]:
    """Yield what the matrix, TensorFlow and everything that it needs require, nearest first."""
    if seen.distribution is None:
        return
    for constraint in seen.row.constraints if seen.row else ():
        title = f"matrix {seen.row.release}" if seen.row else "matrix"
        yield _Asked(None, Requirement(constraint.requirement), title, direct=True, importing=True, why=constraint.why)
    left = [(seen.distribution, True)]
    known = {seen.distribution.name}
    while left:
        by, importing = left.pop(0)
        for text in by.requires:
            requirement = _requirement(text)
            if requirement is None or requirement.name.startswith("nvidia-"):
                continue
            yield _Asked(by, requirement, f"{by.name} {by.version}", by is seen.distribution, importing)
            package = seen.package(requirement.name)
            found = _version(package.version) if package else None
            if found is not None and not requirement.specifier.contains(found, prereleases=True):
                continue  # what a wrong version needs is not what the right one needs
            if package is not None and package.name not in known:
                known.add(package.name)
                left.append((package, importing and package.name not in _LAZY))


def _known(seen: EnvironmentFacts, name: str, found: Version, *, limited: bool) -> bool:
    """Whether a version outside of what TensorFlow or the matrix admits is known to break it; all were tried."""
    if seen.distribution is None:
        return False
    try:
        release = TfVersion(seen.distribution.version)
    except ValueError:
        return False
    if name == "numpy":
        # NumPy 2 changed what extensions were compiled against; 1.24 removed names that early releases import.
        two, removed = Version("2.0.0a0"), Version("1.24.0a0")
        return (found >= two and release < TfVersion("2.18")) or (found >= removed and release < _ONE)
    if name == "keras":
        # From 2.6 to 2.15 tf.keras is the keras of the same minor; from 2.16 on it is Keras 3.
        return release < TfVersion("2.16") or found.major < 3  # noqa: PLR2004 - Keras 3
    return limited


def _is_below(found: Version, specifier: Specifier) -> bool:
    text = specifier.version.removesuffix(".*")
    bound = _version(text)
    return bound is not None and specifier.operator in (">=", ">", "==", "~=", "===") and found < bound


@lru_cache(maxsize=4096)
def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _version(text: str) -> Version | None:
    try:
        return Version(text.replace("_", "-"))
    except InvalidVersion:
        return None

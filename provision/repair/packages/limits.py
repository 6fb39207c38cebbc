"""What the packages that stay in an environment demand of those that change."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.lock import Locked, normalised


@dataclass(frozen=True)
class Limit:
    """One demand.

    Attributes:
        by: who makes it, ``torch 2.4.1``.
        requirement: ``nvidia-cudnn-cu12==9.1.0.70``.
        holds: whether it is met as things are.
    """

    by: str
    requirement: str
    holds: bool

    @property
    def name(self) -> str:
        """Of the package that it limits, normalised."""
        return _requirement(self).name


def own_packages(seen: EnvironmentFacts) -> Mapping[str, Package]:
    """Return what is installed in the environment itself, by normalised name; what is only seen from it is left out."""
    if seen.env is None:
        return {}
    root = os.path.realpath(seen.env.prefix) + os.sep
    inside = {folder for folder in {item.folder for item in seen.packages} if _real(folder).startswith(root)}
    found: dict[str, Package] = {}
    for item in seen.packages:
        if item.folder in inside:
            found.setdefault(item.name, item)
    return found


def needed_by(names: Iterable[str], packages: Mapping[str, Package]) -> frozenset[str]:
    """Return these names and everything that they need, as far as it is installed."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [item.name for item in demands(packages[name])] if name in packages else []
    return frozenset(found)


def demands(package: Package) -> Iterator[Requirement]:
    """Yield what a package needs, names normalised."""
    for text in package.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # from before PEP 508; nothing can be held against it
        requirement.name = normalised(requirement.name)
        yield requirement


def limits(by: Iterable[Package], versions: Mapping[str, str]) -> tuple[Limit, ...]:
    """Return what packages demand of others.

    Args:
        by: those that stay as they are.
        versions: what is installed, by normalised name.
    """
    return tuple(
        Limit(f"{item.name} {item.version}", f"{demand.name}{demand.specifier}", is_met(demand, versions))
        for item in by
        for demand in demands(item)
        if str(demand.specifier) and not any(clause.operator == "===" for clause in demand.specifier)
    )


def is_met(demand: Requirement, versions: Mapping[str, str]) -> bool:
    """Whether what is installed meets a demand; False where it is not installed."""
    found = versions.get(demand.name)
    if found is None:
        return False
    try:
        return demand.specifier.contains(Version(found), prereleases=True)
    except InvalidVersion:
        return True  # nothing can be said, so nothing is in the way


def unmet(held: Sequence[Limit], answer: Sequence[Locked]) -> tuple[Limit, ...]:
    """Return the demands that an answer does not meet, each once."""
    versions = {item.name: item.version for item in answer}
    asked = dict.fromkeys(limit for limit in held if limit.name in versions)
    return tuple(limit for limit in asked if not is_met(_requirement(limit), versions))


def newly_broken(
    packages: Mapping[str, Package], before: Mapping[str, str], after: Mapping[str, str], changed: Collection[str]
) -> tuple[Package, ...]:
    """Return the packages that stay as they are and whose demands would be met no longer."""
    return tuple(
        item
        for item in packages.values()
        if item.name in after and item.name not in changed
        if any(is_met(demand, before) and not is_met(demand, after) for demand in demands(item))
    )


def same_public(one: str, other: str) -> bool:
    """Whether two versions are equal but for their local part (``1.26.4+mkl``)."""
    try:
        return Version(one).public == Version(other).public
    except InvalidVersion:
        return one == other


def is_version(text: str) -> bool:
    """Whether uv reads it as a version; metadata from before PEP 440 holds others."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def named(requirements: Sequence[str]) -> tuple[str, ...]:
    """Return the normalised names of requirements."""
    return tuple(normalised(Requirement(text).name) for text in requirements)


def _requirement(limit: Limit) -> Requirement:
    requirement = Requirement(limit.requirement)
    requirement.name = normalised(requirement.name)
    return requirement


def _real(folder: str) -> str:
    return str(Path(os.path.realpath(folder))) + os.sep

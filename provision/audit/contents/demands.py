"""What a wheel demands, held against what there is: the pins of a set, the wheels of an index. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from provision.model.artifact import Artifact, Release

_NEWEST_GLIBC = 40
"""Minor number of the newest manylinux tag that is looked for."""
_LEGACY = ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64")


def pinned(demands: Iterable[str], pins: Iterable[tuple[str, str]]) -> Iterator[tuple[Requirement, str | None]]:
    """Yield each demand with the version that is pinned for it, None where none is; what is no requirement is left out.

    Args:
        demands: for example those of the extra ``and-cuda``.
        pins: name and version of each package of a set.
    """
    versions = {canonicalize_name(name): version for name, version in pins}
    for text in demands:
        try:
            demand = Requirement(text)
        except InvalidRequirement:
            continue
        yield demand, versions.get(canonicalize_name(demand.name))


def admits(demand: Requirement, version: str) -> bool:
    """Whether a demand admits a version, a preliminary one as well."""
    return demand.specifier.contains(version, prereleases=True)


def applies(requirement: str, python: str) -> Requirement | None:
    """Return a requirement, None where it is none or its marker leaves out this Python on Linux and x86_64."""
    try:
        demand = Requirement(requirement)
    except InvalidRequirement:
        return None
    here = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "extra": "",
    }
    return demand if demand.marker is None or demand.marker.evaluate(here) else None


def meeting(demand: Requirement, python: str, known: Mapping[Version, Release]) -> str | None:
    """Return the file name of the newest wheel that meets a requirement, None where none does.

    Args:
        demand: its specifier counts; its marker was looked at (`applies`).
        python: CPython series, ``3.8``.
        known: versions that the index has wheels of, with them.
    """
    for version in sorted(demand.specifier.filter(known), reverse=True):
        for artifact in known[version].artifacts:
            if not artifact.yanked and _runs(artifact, python):
                return artifact.filename
    return None


def _runs(artifact: Artifact, python: str) -> bool:
    try:
        if artifact.requires_python and not SpecifierSet(artifact.requires_python).contains(f"{python}.99"):
            return False
        return not parse_wheel_filename(artifact.filename)[3].isdisjoint(_tags(python))
    except (InvalidSpecifier, InvalidWheelFilename, InvalidVersion):
        return False


@cache
def _tags(python: str) -> frozenset[Tag]:
    series = tuple(map(int, python.split(".")))
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(_NEWEST_GLIBC, 4, -1)] + list(_LEGACY)
    interpreter = f"cp{''.join(map(str, series))}"
    abis = [interpreter, f"{interpreter}m"] if series < (3, 8) else [interpreter]
    return frozenset(
        (
            *cpython_tags(series, abis, platforms),
            *compatible_tags(series, interpreter, platforms),
        )
    )

"""The few packages that releases demand exactly and that never had a wheel (`Row.source_only`).

To learn what such a package depends on, uv would run its setup.py while resolving, even in a dry run. They are known
(termcolor 1.1.0, wrapt 1.12.1, clang 5.0: no dependencies), so the resolver is told to leave them out, and they enter
the lock from the matrix, with the one hash that was looked at. What leaves them out also silences what others demand of
them; that is checked here instead, before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.model.lock import Locked, normalised
from provision.model.matrix import SourceOnly
from provision.model.versions import PythonVersion

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_METADATA_LIMIT = 1 << 22


def overrides(exceptions: Sequence[SourceOnly]) -> str:
    """Return an overrides file that takes the exceptions out of a resolution: their marker is never true."""
    return "".join(f"{item.name} ; sys_platform == 'never'\n" for item in exceptions)


def locked_exceptions(exceptions: Sequence[SourceOnly]) -> tuple[Locked, ...]:
    """Return them as they stand in a lock: only the source archive of the matrix may be built."""
    return tuple(Locked(normalised(item.name), item.version, (item.sha256,)) for item in exceptions)


def contradicted(requirements: Sequence[str], exceptions: Sequence[SourceOnly]) -> tuple[tuple[str, SourceOnly], ...]:
    """Return each of the user's requirements that demands another version of an exception."""
    if not requirements or not exceptions:
        return ()
    from packaging.requirements import Requirement  # noqa: PLC0415 - most releases have no exception

    known = {normalised(item.name): item for item in exceptions}
    pairs = ((text, known.get(normalised(Requirement(text).name))) for text in requirements)
    return tuple(
        (text, item) for text, item in pairs if item and not _allows(Requirement(text).specifier, item.version)
    )


def unmet(site_packages: Path, exceptions: Sequence[SourceOnly], python: PythonVersion) -> Iterator[str]:
    """Yield what installed distributions demand of the exceptions and do not get, one line each.

    Args:
        site_packages: where the distributions are.
        exceptions: what was left out of the resolution.
        python: version of the interpreter, for the markers of the demands.
    """
    if not exceptions:
        return
    from email.parser import HeaderParser  # noqa: PLC0415 - most releases have no exception

    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    known = {normalised(item.name): item for item in exceptions}
    environment = {"python_version": python.series.text, "python_full_version": python.text, "extra": ""}
    for metadata in sorted(site_packages.glob("*.dist-info/METADATA")):
        with metadata.open(encoding="utf-8", errors="replace") as stream:
            headers = HeaderParser().parsestr(stream.read(_METADATA_LIMIT))
        for text in headers.get_all("Requires-Dist") or ():
            try:
                demand = Requirement(text)
            except InvalidRequirement:
                continue
            item = known.get(normalised(demand.name))
            if item is None or _allows(demand.specifier, item.version):
                continue
            if demand.marker is None or demand.marker.evaluate(environment):
                yield f"{headers['Name']} {headers['Version']} demands {demand.name}{demand.specifier}"


def _allows(specifier: SpecifierSet, version: str) -> bool:
    return specifier.contains(version, prereleases=True)

"""The conda packages of a set and the shared libraries that each of them brings."""

from __future__ import annotations

from collections.abc import Iterator

from provision.matrix.reader import Entry
from provision.matrix.tree import Problems
from provision.model.matrix import CondaPin


def conda_pins(where: str, entry: Entry, packages: Entry, problems: Problems) -> tuple[CondaPin, ...]:
    """Return the conda packages of a set; none for a set of wheels.

    What a package brings stands in ``conda_packages`` under its name, or under its name and the first parts of its
    version, of which the longest counts. A package that stands nowhere is noted.
    """
    made = []
    for name, (version, build) in entry.get("conda", {}).items():
        known = next((key for key in _keys(name, version) if key in packages), None)
        if known is None and not set(_keys(name, version)) & packages.lines.keys():
            problems.add(entry["conda"].lines[name], f"{where}.conda: conda_packages has no entry for {name} {version}")
        if known is not None:
            brings = packages[known]
            folder = brings.get("folder")
            paths = {soname: f"{folder}/{soname}" if folder else soname for soname in brings.get("libraries", ())}
            made.append(CondaPin(name, version, build, paths))
    return tuple(made)


def _keys(name: str, version: str) -> Iterator[str]:
    """Yield ``name 11.8.0``, ``name 11.8``, ``name 11``, ``name``."""
    parts = version.removesuffix(".*").split(".")
    for length in range(len(parts), 0, -1):
        yield f"{name} {'.'.join(parts[:length])}"
    yield name

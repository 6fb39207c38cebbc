"""What users ask for and no wheel serves here: looked up in the matrix, never written into a rule."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from provision.model.matrix import Matrix, Unserved
from provision.model.versions import ComputeCapability

_GPU_BUILDS = ("tensorflow", "tensorflow-gpu")


def covers(entry: Unserved, release: Version) -> bool:
    """Whether an entry speaks of a release; an entry without a specifier speaks of all of them."""
    if not entry.releases:
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - most plans need none

    try:
        return SpecifierSet(entry.releases).contains(release, prereleases=True)
    except InvalidSpecifier:
        return False


def of_release(matrix: Matrix, release: Version, distribution: str) -> Unserved | None:
    """Return why a release has no row, where the matrix says so.

    An entry for exactly this distribution wins over one for all of them.
    """
    found = [
        entry
        for entry in matrix.unserved
        if _only_releases(entry) and covers(entry, release) and _names(entry, distribution)
    ]
    return next(iter(sorted(found, key=lambda entry: entry.distribution == "")), None)


def of_distribution(matrix: Matrix, distribution: str) -> Unserved | None:
    """Return why a distribution name is not served, whatever the release (``tf-nightly``)."""
    return next(
        (entry for entry in matrix.unserved if _only_releases(entry) and entry.distribution == distribution), None
    )


def of_system(matrix: Matrix, release: Version, system: str) -> Unserved | None:
    """Return why a release is not served on an operating system."""
    return next((entry for entry in matrix.unserved if entry.system == system and covers(entry, release)), None)


def of_machine(matrix: Matrix, release: Version, machine: str) -> Unserved | None:
    """Return why a release is not served on an architecture under Linux."""
    for entry in matrix.unserved:
        if entry.machine == machine and entry.system in ("", "linux") and covers(entry, release):
            return entry
    return None


def of_gpu(matrix: Matrix, release: Version, capability: ComputeCapability) -> Iterator[Unserved]:
    """Yield why a release does not serve GPUs from a compute capability on."""
    for entry in matrix.unserved:
        if entry.min_cc is not None and entry.min_cc <= capability and covers(entry, release):
            yield entry


def _names(entry: Unserved, distribution: str) -> bool:
    """Whether an entry speaks of a distribution; without one it speaks of both names of the GPU build."""
    return entry.distribution == distribution or (not entry.distribution and distribution in _GPU_BUILDS)


def _only_releases(entry: Unserved) -> bool:
    return not entry.system and not entry.machine and entry.min_cc is None

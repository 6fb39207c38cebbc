"""How packages are installed, exchanged and brought back in the environment at hand, as steps and as fixes."""

from __future__ import annotations

import shlex

from provision.doctor.checks.typed import fix, folder_of
from provision.model.doctor import Fix
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import Matrix, Row
from provision.model.remedy import CondaInstall, Install, Step, Wire
from provision.model.versions import PythonVersion, TfVersion

_EXTRA_SINCE = TfVersion("2.14")
"""From here on TensorFlow has the extra ``and-cuda``."""
_NO_EXTRA = frozenset({TfVersion("2.15.0")})
"""Releases whose extra does not resolve (matrix.yaml, fault extra-2.15.0)."""


def exchange(seen: EnvironmentFacts, requirement: str, name: str) -> tuple[Fix, ...]:
    """Return how one package is brought to a version that fits: by the lock of ours, by conda, or by pip."""
    package = seen.package(name)
    if package is not None and package.installer == "conda":
        return (fix(seen, f"Install a {name} that fits", CondaInstall((requirement,), channel="")),)
    return (*resync(seen), fix(seen, f"Install a {name} that fits", Install((requirement,))))


def resync(seen: EnvironmentFacts) -> tuple[Fix, ...]:
    """Return how an environment of ours is brought back to its lock, nothing for others."""
    if seen.env is None or not seen.env.managed:
        return ()
    return (Fix("Bring the environment back to its lock", (f"tfgpu-provision sync {folder_of(seen)}",)),)


def install_tensorflow(seen: EnvironmentFacts, row: Row) -> tuple[Step, ...]:
    """Return how a release comes into an environment that has none: with CUDA, with what it needs, and visible."""
    limits = (constraint.requirement for constraint in row.constraints)
    wanted = tensorflow_requirement(row.release.text)
    return (Install((wanted, *limits, *_libraries(seen, row, wanted))), Wire())


def restore_tensorflow(seen: EnvironmentFacts, release: str, name: str = "tensorflow") -> tuple[Step, ...]:
    """Return how the files of a release come back where what it needs is there; that is left as it is."""
    steps: list[Step] = [Install((f"{name}=={release}",), again=True, alone=True)]
    wanted = tensorflow_requirement(release)
    if "[" in wanted and not _has_wheels(seen):
        steps.append(Install((wanted,)))
    elif libraries := _libraries(seen, seen.row, wanted):
        steps.append(Install(libraries))
    if seen.wiring or "[" not in wanted or _looks_elsewhere(seen.row):
        steps.append(Wire())
    return tuple(steps)


def _libraries(seen: EnvironmentFacts, row: Row | None, wanted: str) -> tuple[str, ...]:
    """Return NVIDIA's wheels for a release that has no extra for them, nothing where the environment has some."""
    if "[" in wanted or row is None or not row.sets or _has_wheels(seen) or seen.library_set or seen.conda:
        return ()
    return tuple(pin.requirement for pin in row.sets[0].pins)


def _looks_elsewhere(row: Row | None) -> bool:
    return row is not None and any(fault.code == "search-path" for fault in row.faults)


def _has_wheels(seen: EnvironmentFacts) -> bool:
    return any(item.name.startswith("nvidia-") for item in seen.packages)


def tensorflow_requirement(release: str, *, extra: bool = True) -> str:
    """Return ``tensorflow[and-cuda]==2.16.1``, without the extra where the release has none that resolves."""
    try:
        version = TfVersion(release)
    except ValueError:
        return f"tensorflow=={release}"
    with_extra = extra and version >= _EXTRA_SINCE and version not in _NO_EXTRA
    return f"tensorflow{'[and-cuda]' if with_extra else ''}=={release}"


def newest_row(matrix: Matrix, python: PythonVersion | None) -> Row | None:
    """Return the newest release with a wheel for a Python that NVIDIA's wheels serve, None where there is none."""
    fitting = [row for row in matrix.rows if row.sets and (python is None or python.series in row.pythons)]
    return max(fitting, key=lambda row: row.release.release, default=None)


def create_anew(seen: EnvironmentFacts, release: str = "") -> Fix:
    """Return how an environment is made that works: in the place of this one, which stays until the new one does."""
    wanted = f" --tf {shlex.quote(release)}" if release else ""
    return Fix(
        "Make the environment anew; this one gives way only when the new one works",
        (f"tfgpu-provision create {folder_of(seen)}{wanted} --replace",),
    )

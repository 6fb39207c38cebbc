"""Which Python: the one asked for, one that is on the machine, or the newest that the release has a wheel for."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.facts import Certainty
from provision.model.host import HostFacts, Interpreter
from provision.model.matrix import Row
from provision.model.plan import Caveat, Obstacle
from provision.model.versions import PythonVersion
from provision.plan.evidence import claim
from provision.plan.finding import Finding
from provision.plan.naming import release_name

_WHEEL_MACHINES = ("", "x86_64", "amd64")


@dataclass(frozen=True)
class PythonChoice:
    """The series to use, and what is to be said about it; the series is set even where an obstacle stands."""

    series: PythonVersion
    findings: tuple[Finding, ...]


def choose(row: Row, host: HostFacts, asked: PythonVersion | None, *, brought: bool = False) -> PythonChoice:
    """Return the Python for a release.

    Order: the one asked for; the newest on the machine that the release has a wheel for; the newest that it has a
    wheel for, which uv fetches. A described machine has the Pythons it was described with and no others, so that
    ``--for python=3.13`` asks what it says. With ``brought`` the environment brings its own Python (conda), and those
    of the machine do not matter.

    Source: ``cp`` tags of the wheels on the index.
    """
    newest = max(row.pythons)
    certainty, source = claim(row, "python")
    series = ", ".join(item.text for item in sorted(row.pythons))
    if asked is not None:
        wanted = asked.series
        if wanted in row.pythons:
            return PythonChoice(wanted, () if brought else _fetch(wanted, host))
        what = f"Python {wanted} was asked for; {release_name(row)} has wheels for {series}"
        return PythonChoice(newest, (Obstacle("python-unsupported", what, _one_of(series), certainty, source),))
    if brought:
        return PythonChoice(newest, ())
    usable = [python for python in host.pythons if _usable(python)]
    fitting = [python.version.series for python in usable if python.version.series in row.pythons]
    if fitting:
        return PythonChoice(max(fitting), ())
    given = sorted({python.version.series for python in usable})
    if host.described and given:
        has = ", ".join(item.text for item in given)
        what = f"the machine has Python {has}; {release_name(row)} has wheels for {series}"
        return PythonChoice(newest, (Obstacle("python-unsupported", what, _one_of(series), certainty, source),))
    return PythonChoice(newest, _fetch(newest, host))


def _usable(python: Interpreter) -> bool:
    return python.implementation == "cpython" and python.machine.lower() in _WHEEL_MACHINES


def _one_of(series: str) -> str:
    return f"one of Python {series}" if "," in series else f"Python {series}"


def _fetch(series: PythonVersion, host: HostFacts) -> tuple[Finding, ...]:
    """Say that a Python is not on the machine; one that was not looked for is not missing."""
    if host.described or any(python.version.series == series and _usable(python) for python in host.pythons):
        return ()
    return (
        Caveat(
            "python-fetched",
            f"Python {series} is not on this machine: it is fetched by uv",
            Certainty.REPORTED,
            "this machine",
            notable=False,
        ),
    )

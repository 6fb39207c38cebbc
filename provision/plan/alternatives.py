"""The nearest things that would work. Every one is tried by judging again, so that none is a promise."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections.abc import Callable, Iterator, Sequence

from packaging.version import Version

from provision.model.facts import Fact
from provision.model.host import HostFacts
from provision.model.matrix import Matrix, Row
from provision.model.plan import Alternative, Plan, Refusal, Request
from provision.model.versions import ComputeCapability, TfVersion
from provision.plan.backends import CONDA, VENV, options, other
from provision.plan.changes import CHANGERS, SUPPOSED, Change, Changer, Situation
from provision.plan.judging import judge_request
from provision.plan.machine import driver_reach
from provision.plan.naming import machine_name, release_name
from provision.plan.spec import DEFAULT, Spec

_TOOL = "tfgpu-provision"

_UNSERVED_CODES = (
    "gpu-unserved",
    "release-unserved",
    "macos-unsupported",
    "architecture-unsupported",
)
"""Obstacles for which the matrix names what would serve them outside this tool."""

_KINDS = ("system", "gpu", "driver", "python")
"""Kinds of change, the hardest first: several together count as the hardest of them."""

FORWARD_COMPAT_BRANCHES = (535, 570, 580, 590, 595, 610)
"""Driver branches on which NVIDIA supports a cuda-compat package (forward compatibility guide, table, edition r615)."""


def nearest(refusal: Refusal, matrix: Matrix, spec: Spec | None = None) -> tuple[Alternative, ...]:
    """Return what would work instead: the other backend, other releases here, then what this release would need."""
    found = [*_other_backend(refusal, matrix, spec), *_releases(refusal, matrix, spec)]
    if refusal.row is not None:
        found += _changes(refusal, refusal.row, matrix)
        found += _forward_compat(refusal, refusal.row, matrix)
    found += _instead(refusal)
    return tuple(dict.fromkeys(found))


def nearest_release(request: Request, host: HostFacts, matrix: Matrix, asked: Version | None) -> Plan | None:
    """Return the plan of the release nearest to one, itself among them, that runs on a machine; None where none does.

    Releases with a fault to be avoided come last, but for that one itself.
    """
    rows = sorted(
        (row for row in matrix.rows if row.distribution == DEFAULT), key=lambda row: row.release, reverse=True
    )
    if asked is not None:
        rows = sorted(rows, key=_distance(asked, matrix))
    rows = sorted(rows, key=lambda row: any(fault.avoid for fault in row.faults) and row.release.release != asked)
    return next(_plans(request, host, rows, matrix), None)


def create_command(row: Row, request: Request) -> str:
    """Return the command that creates an environment with a row, keeping what else was asked for."""
    name = row.release.text if row.distribution == DEFAULT else f"{row.distribution}=={row.release.text}"
    parts = [_TOOL, "create", "--tf", name]
    if request.python is not None:
        parts += ["--python", request.python.text]
    for requirement in request.requirements:
        parts += ["--with", shlex.quote(requirement)]
    return " ".join((*parts, *options(request)))


def _other_backend(refusal: Refusal, matrix: Matrix, spec: Spec | None) -> Iterator[Alternative]:
    """Yield the same release, or where there is none the newest of its minor, with the other backend."""
    asked = refusal.request
    if asked.conda:
        return  # conda packages were asked for: another backend would leave them out
    request = dataclasses.replace(asked, backend=other(asked.backend))
    rows = [refusal.row] if refusal.row else _of_minor(spec, matrix)
    plan = next(_plans(request, refusal.host, rows, matrix), None)
    if plan is not None:
        ways = {CONDA: "CUDA from conda packages", VENV: "CUDA from NVIDIA's wheels"}
        caveat = "" if plan.outcome == "ok" else ", with a caveat"
        what = f"with {ways[request.backend]}, {release_name(plan.row)} runs{caveat}"
        yield Alternative("backend", what, create_command(plan.row, request))


def _of_minor(spec: Spec | None, matrix: Matrix) -> list[Row]:
    """Return the rows of the minor that was named, newest first."""
    if spec is None or spec.wanted is None:
        return []
    minor = spec.wanted.release[:2]
    rows = (row for row in matrix.rows if row.release.release.release[:2] == minor)
    return sorted(rows, key=lambda row: row.release, reverse=True)


def _releases(refusal: Refusal, matrix: Matrix, spec: Spec | None) -> Iterator[Alternative]:
    """Yield the release nearest to what was asked for that runs on this machine, and the newest that does.

    Where none runs as asked, the Python and then the packages that were asked for are let go.
    """
    asked = refusal.request
    without_python = dataclasses.replace(asked, python=None)
    for request in dict.fromkeys((asked, without_python, dataclasses.replace(without_python, requirements=()))):
        found = dict.fromkeys(_nearest_and_newest(request, refusal, matrix, spec))
        for release, outcome in found:
            row = matrix.row(release)
            if row is not None:
                what = f"{machine_name(refusal.host)} can run {release}" + (
                    "" if outcome == "ok" else ", with a caveat"
                )
                yield Alternative("release", what, create_command(row, request))
        if found:
            return


def _nearest_and_newest(
    request: Request, refusal: Refusal, matrix: Matrix, spec: Spec | None
) -> Iterator[tuple[TfVersion, str]]:
    """Yield release and outcome of the plan nearest to what was asked for, and of the newest with fewest caveats."""
    rows = sorted(
        (row for row in matrix.rows if row.distribution == DEFAULT), key=lambda row: row.release, reverse=True
    )
    good = [row for row in rows if not any(fault.avoid for fault in row.faults)] or rows
    asked = refusal.row.release.release if refusal.row else spec.wanted if spec else None
    if asked is not None:
        nearest_first = sorted(good, key=_distance(asked, matrix))
        near = next(_plans(request, refusal.host, nearest_first, matrix), None)
        if near is None:
            return
        yield near.row.release, near.outcome
    fewest: Plan | None = None
    for plan in _plans(request, refusal.host, good, matrix):
        if fewest is None or _notable(plan) < _notable(fewest):
            fewest = plan
        if plan.outcome == "ok":
            break
    if fewest is not None:
        yield fewest.row.release, fewest.outcome


def _plans(request: Request, host: HostFacts, rows: Sequence[Row], matrix: Matrix) -> Iterator[Plan]:
    """Yield the plans for rows as they are asked for, in the order of the rows."""
    for row in rows:
        answer = judge_request(request, row, host, matrix)
        if isinstance(answer, Plan):
            yield answer


def _notable(plan: Plan) -> int:
    return sum(caveat.notable for caveat in plan.caveats)


def _distance(asked: Version, matrix: Matrix) -> Callable[[Row], tuple[bool, int]]:
    """Return how far a row is from what was asked for: itself, its minor, or the number of minors between."""
    minors = sorted({row.release.release.release[:2] for row in matrix.rows} | {asked.release[:2]})
    place = {minor: index for index, minor in enumerate(minors)}

    def distance(row: Row) -> tuple[bool, int]:
        release = row.release.release
        return release != asked, abs(place[release.release[:2]] - place[asked.release[:2]])

    return distance


def _changes(refusal: Refusal, row: Row, matrix: Matrix) -> Iterator[Alternative]:
    """Yield the system, Python, driver or GPU with which this release would run.

    Where no single change is enough, the smallest sum of changes that is gets offered.
    """
    codes = {obstacle.code for obstacle in refusal.reasons}
    possible = [[changer for wanted, changer in CHANGERS if code in wanted] for code in codes]
    needed = {changers[0] for changers in possible if len(changers) == 1}
    either = {changer for changers in possible if len(changers) > 1 for changer in changers} - needed
    order = [changer for _, changer in CHANGERS if changer in needed | either]
    situation = Situation(refusal.request, refusal.host)
    for size in range(len(either) + 1):
        found = []
        for some in itertools.combinations([changer for changer in order if changer in either], size):
            chosen = [changer for changer in order if changer in needed or changer in some]
            changes = _first_that_works(chosen, situation, row, matrix) if chosen else None
            if changes:
                found.append(_as_alternative(changes, row, refusal.request))
        yield from found
        if found:
            return


def _as_alternative(changes: Sequence[Change], row: Row, request: Request) -> Alternative:
    what = " and ".join(change.what for change in changes) + (changes[0].limit if len(changes) == 1 else "")
    kind = next(item for item in _KINDS if any(change.kind == item for change in changes))
    return Alternative(kind, f"with {what}, {release_name(row)} runs", _command(changes, row, request))


def _first_that_works(
    changers: Sequence[Changer], situation: Situation, row: Row, matrix: Matrix
) -> tuple[Change, ...] | None:
    """Return one change of each kind after which the release runs, in order; None where there is none."""
    if not changers:
        runs = isinstance(judge_request(situation.request, row, situation.host, matrix), Plan)
        return () if runs else None
    for change in changers[0](situation, row, matrix):
        rest = _first_that_works(changers[1:], change.then, row, matrix)
        if rest is not None:
            return (change, *rest)
    return None


def _command(changes: Sequence[Change], row: Row, request: Request) -> str:
    """Return what to type once the changes are made; another GPU cannot be typed, so the plan for it is shown."""
    then = changes[-1].then
    if any(change.kind == "gpu" for change in changes):
        name = row.release.text if row.distribution == DEFAULT else row.requirement
        backend = "".join(f" {part}" for part in options(request))
        return f"{_TOOL} plan --tf {name} --for {_described(then.host)}{backend}"
    python = then.request.python if any(change.kind == "python" for change in changes) else request.python
    return create_command(row, dataclasses.replace(request, python=python))


def _described(host: HostFacts) -> str:
    """Return driver, GPUs and kind of system as one ``--for`` takes them."""
    parts = ["os=wsl"] if host.wsl.value else []
    parts += [f"driver={host.driver.value}"] if host.driver.value else []
    parts += [f"gpu={gpu.compute_capability}" for gpu in host.gpus.value or () if gpu.compute_capability]
    return ",".join(parts)


def _forward_compat(refusal: Refusal, row: Row, matrix: Matrix) -> Iterator[Alternative]:
    """Yield NVIDIA's forward compatibility package where PTX is all that is in the way.

    It brings a newer user-space driver, so the PTX limit no longer holds; for data-center GPUs (compute capability
    9.0 is made for nothing else) on Linux, and only on the long-term branches.

    Source: NVIDIA, CUDA Compatibility, forward compatibility.
    """
    here = driver_reach(refusal.host, matrix)
    if {obstacle.code for obstacle in refusal.reasons} != {"driver-too-old-for-ptx"} or here.windows or not here.branch:
        return
    gpus = refusal.host.gpus.value or ()
    data_center = gpus and all(gpu.compute_capability == ComputeCapability("9.0") for gpu in gpus)
    if here.branch.branch not in FORWARD_COMPAT_BRANCHES or not data_center:
        return
    for branch in matrix.branches:
        if branch.max_cuda <= (here.cuda or branch.max_cuda):
            continue
        host = dataclasses.replace(refusal.host, driver_cuda=Fact(branch.max_cuda, SUPPOSED))
        if isinstance(judge_request(refusal.request, row, host, matrix), Plan):
            package = f"cuda-compat-{branch.max_cuda.major}-{branch.max_cuda.minor}"
            yield Alternative(
                "driver",
                f"with NVIDIA's {package} or newer beside this driver (for data-center GPUs), {release_name(row)} runs",
            )
            return


def _instead(refusal: Refusal) -> Iterator[Alternative]:
    """Yield what would serve something that no wheel serves, mostly outside this tool, as the matrix says it."""
    for obstacle in refusal.reasons:
        if obstacle.code in _UNSERVED_CODES and obstacle.needs:
            yield Alternative("system", f"otherwise: {obstacle.needs}")

"""Request, machine and matrix to a plan, or to a refusal with every reason: a pure function."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from packaging.version import Version

from provision.model.facts import Certainty
from provision.model.host import HostFacts
from provision.model.matrix import Matrix, Row
from provision.model.plan import Alternative, Obstacle, Plan, Refusal, Request
from provision.plan import unserved
from provision.plan.judging import judge_request
from provision.plan.spec import DEFAULT, Spec, SpecKind, parse_spec

GPU_BUILD = "tensorflow-gpu"
"""The name under which releases before 2.1 were built for GPUs."""

_OLDEST_PROBES = ("1.15.0", "2.0.0", "2.1.0", "2.2.0", "2.3.0")
"""Releases of before the first row, asked of the ``unserved`` entries when a range matches no row."""


def decide(request: Request, host: HostFacts, matrix: Matrix) -> Plan | Refusal:
    """Return what ``create`` would do for a request on a machine, or why nothing fits and what is near.

    Which release: exactly the one asked for; of a minor its newest good patch that runs; of a range or of nothing the
    newest that runs without a notable caveat, else the newest of those with the fewest. A patch with a fault to be
    avoided (2.16.1) is taken only when it is asked for exactly, or when nothing else of the range runs.

    Raises:
        UsageError: code ``bad-tf-spec``, for a spec that cannot be read. Nothing else, whatever host and matrix.
    """
    spec = parse_spec(request.tf, matrix, request.distribution)
    rows = _rows(spec, matrix)
    if not rows:
        return _no_such_release(request, spec, host, matrix)
    judged: list[tuple[Row, Plan | Refusal]] = []
    for row in rows:
        answer = judge_request(request, row, host, matrix)
        judged.append((row, answer))
        if isinstance(answer, Plan) and _settles(spec, answer):
            break  # no older release can be preferred to this one
    plans = [answer for _, answer in judged if isinstance(answer, Plan)]
    if not plans:
        refusal = _most_telling(spec, [answer for _, answer in judged if isinstance(answer, Refusal)])
        return dataclasses.replace(refusal, alternatives=_nearest(refusal, matrix))
    chosen = choose(spec, plans)
    newer = [(row.release.text, _codes(answer)) for row, answer in judged if row.release > chosen.row.release]
    return dataclasses.replace(chosen, passed_over=tuple(newer))


def _rows(spec: Spec, matrix: Matrix) -> list[Row]:
    """Return the rows that a spec admits, newest first.

    Where a release without a name has no row as tensorflow, its GPU build had a name of its own: 1.15 and 2.0 are
    tensorflow-gpu.
    """
    rows = [row for row in matrix.rows if spec.admits(row)]
    if not rows and not spec.named and spec.kind is not SpecKind.NEWEST:
        rows = [row for row in matrix.rows if row.distribution == GPU_BUILD and spec.satisfied_by(row)]
    return sorted(rows, key=lambda row: row.release, reverse=True)


def _settles(spec: Spec, plan: Plan) -> bool:
    """Whether a plan is the answer whatever older releases would give."""
    if _avoided(plan.row):
        return False
    return spec.kind in (SpecKind.EXACT, SpecKind.MINOR) or plan.outcome == "ok"


def choose(spec: Spec, plans: Sequence[Plan]) -> Plan:
    """Return the plan for a spec out of those that are possible, which come newest first."""
    good = [plan for plan in plans if not _avoided(plan.row)] or list(plans)
    if spec.kind in (SpecKind.EXACT, SpecKind.MINOR):
        return good[0]
    return min(good, key=notable_count)


def notable_count(plan: Plan) -> int:
    """Return how many caveats turn the outcome; ``min`` over plans newest first thus prefers the newest of equals."""
    return sum(caveat.notable for caveat in plan.caveats)


def _avoided(row: Row) -> bool:
    return any(fault.avoid for fault in row.faults)


def _codes(answer: Plan | Refusal) -> tuple[str, ...]:
    """Return why an answer was passed over: the obstacles of a refusal, the caveats of a plan."""
    if isinstance(answer, Refusal):
        return tuple(dict.fromkeys(obstacle.code for obstacle in answer.reasons))
    avoided = tuple(f"fault-{fault.code}" for fault in answer.row.faults if fault.avoid)
    return tuple(dict.fromkeys((*avoided, *(caveat.code for caveat in answer.caveats if caveat.notable))))


def _most_telling(spec: Spec, refusals: Sequence[Refusal]) -> Refusal:
    """Return the refusal that is nearest to working: fewest obstacles, the newest of equals.

    For one minor that is its newest good patch, which is the one the user would have got.
    """
    good = [item for item in refusals if item.row is not None and not _avoided(item.row)] or list(refusals)
    if spec.kind in (SpecKind.EXACT, SpecKind.MINOR):
        return good[0]
    return min(good, key=lambda item: len(item.reasons))


def _no_such_release(request: Request, spec: Spec, host: HostFacts, matrix: Matrix) -> Refusal:
    """Refuse what no row matches, with the reason that the matrix gives where it gives one."""
    refusal = Refusal(request, host, None, (_absence(spec, matrix),), (), matrix.digest)
    return dataclasses.replace(refusal, alternatives=_nearest(refusal, matrix, spec))


def _nearest(refusal: Refusal, matrix: Matrix, spec: Spec | None = None) -> tuple[Alternative, ...]:
    from provision.plan.alternatives import nearest  # noqa: PLC0415 - who is not refused does not pay for it

    return nearest(refusal, matrix, spec)


def _absence(spec: Spec, matrix: Matrix) -> Obstacle:
    entry = next(filter(None, (unserved.of_release(matrix, item, spec.distribution) for item in _probes(spec))), None)
    if entry is None and spec.distribution != DEFAULT:
        entry = unserved.of_distribution(matrix, spec.distribution)
    name = _asked_for(spec)
    if entry is not None:
        return Obstacle(
            "release-unserved", f"{name}: {entry.why}", entry.instead, entry.evidence.certainty, entry.evidence.source
        )
    return Obstacle(
        "release-unknown",
        _unknown(name, spec, matrix),
        "a release that `tfgpu-provision matrix list` shows",
        Certainty.ARTIFACT,
        "rows of matrix.yaml",
    )


def _unknown(name: str, spec: Spec, matrix: Matrix) -> str:
    """Return what there is instead of a release nobody knows: the others of its minor, or the two ends."""
    if spec.version is not None:
        minor = spec.version.release[:2]
        alike = [row.release for row in matrix.rows if row.release.release.release[:2] == minor]
        if alike:
            return f"the matrix has no {name}; of this minor it has {', '.join(item.text for item in sorted(alike))}"
    first, last = _ends(matrix)
    if spec.kind is SpecKind.RANGE and spec.distribution == DEFAULT:
        return f"no release is {spec.specifier}; those that are served are {first} to {last}"
    return f"{name} is not among the releases that are served, {first} to {last}"


def _probes(spec: Spec) -> tuple[Version, ...]:
    """Return releases to look up among what is not served: the one asked for, or what a range could have meant."""
    if spec.version is not None:
        return (spec.version,)
    if spec.kind is SpecKind.NEWEST:
        return ()
    texts = (*_OLDEST_PROBES, *(clause.version.removesuffix(".*") for clause in spec.specifier))
    return tuple(Version(text) for text in texts if spec.specifier.contains(text, prereleases=True))


def _asked_for(spec: Spec) -> str:
    """Return how to call what was asked for: ``TensorFlow 2.3``, ``tf-nightly``, ``tensorflow-gpu 2.12.0``."""
    which = spec.version or str(spec.specifier).removeprefix("==").removesuffix(".*")
    return f"{'TensorFlow' if spec.distribution == DEFAULT else spec.distribution} {which}".strip()


def _ends(matrix: Matrix) -> tuple[str, str]:
    texts = [row.release for row in matrix.rows]
    return (min(texts).text, max(texts).text) if texts else ("none", "none")

"""Which release each target of a lock gets: one for all where there is one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision.model.host import HostFacts
from provision.model.matrix import Matrix, Row
from provision.model.plan import Plan, Refusal, Request
from provision.model.versions import TfVersion
from provision.plan import decide
from provision.plan.decide import notable_count
from provision.plan.judging import judge_request
from provision.plan.spec import Spec, SpecKind, parse_spec

if TYPE_CHECKING:
    from provision.model.created import Denial

Answer = Plan | Refusal
"""What is decided for one target."""


def plans_for(
    request: Request, hosts: Sequence[HostFacts], matrix: Matrix, kept: Sequence[TfVersion | None]
) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """Return what each machine gets, and remarks.

    All get the same release where one serves all: the one that their locks have already, else, as for one machine, the
    newest with the fewest caveats. Where none serves all, each gets its own.

    Args:
        request: what is asked for.
        hosts: the machines.
        matrix: its rows are the releases to choose from.
        kept: the release that each machine's lock has, None where it has none or may change.

    Raises:
        UsageError: ``bad-tf-spec``.
    """
    spec = parse_spec(request.tf, matrix, request.distribution)
    if len(hosts) == 1:
        answer = _alone(request, spec, hosts[0], matrix, kept[0])
        return (answer,), _newer(answer, request, matrix) if kept[0] is not None else ()
    shared = _shared(request, spec, hosts, matrix, kept)
    if shared is not None:
        return shared, ()
    answers = tuple(_alone(request, spec, host, matrix, keep) for host, keep in zip(hosts, kept, strict=True))
    if any(isinstance(answer, Refusal) for answer in answers):
        return answers, ()
    return answers, ("no release serves every target, so each has its own",)


def released_by(matrix: Matrix, request: Request, day: str) -> Matrix | Denial:
    """Return the matrix with the releases of up to a day, or why there is nothing to choose from.

    Raises:
        UsageError: ``bad-tf-spec``.
    """
    spec = parse_spec(request.tf, matrix, request.distribution)
    asked = [row for row in matrix.rows if spec.admits(row)]
    rows = tuple(row for row in matrix.rows if row.released <= day)
    if asked and not any(row in rows for row in asked):
        from provision.model.created import Denial  # noqa: PLC0415 - most locks are not denied

        first = min(asked, key=lambda row: row.released)
        return Denial(
            "release-too-new",
            f"TensorFlow {first.release} did not exist on {day}",
            (f"it was released on {first.released}",),
            f"choose a later day, --as-of {first.released}, or an older release",
        )
    return dataclasses.replace(matrix, rows=rows)


def _alone(request: Request, spec: Spec, host: HostFacts, matrix: Matrix, keep: TfVersion | None) -> Answer:
    """Decide for one machine; the release that its lock has stays where it is asked for and runs."""
    row = _kept_row(spec, matrix, keep)
    if row is not None:
        answer = judge_request(request, row, host, matrix)
        if isinstance(answer, Plan):
            return answer
    return decide(request, host, matrix)


def _newer(answer: Answer, request: Request, matrix: Matrix) -> tuple[str, ...]:
    """Say that a newer release would be taken if the lock did not hold an older one."""
    if isinstance(answer, Refusal):
        return ()
    fresh = decide(request, answer.host, matrix)
    if isinstance(fresh, Refusal) or fresh.row.release == answer.row.release:
        return ()
    stays, newer = answer.row.release, fresh.row.release
    return (f"TensorFlow stays at {stays}; `tfgpu-provision lock --upgrade tensorflow` takes {newer}",)


def _shared(
    request: Request, spec: Spec, hosts: Sequence[HostFacts], matrix: Matrix, kept: Sequence[TfVersion | None]
) -> tuple[Plan, ...] | None:
    """Return a plan of one release for each machine; None where no release serves all."""
    found: list[tuple[Plan, ...]] = []
    for row in sorted((row for row in matrix.rows if spec.admits(row)), key=lambda row: row.release, reverse=True):
        plans = tuple(answer for host in hosts if isinstance(answer := judge_request(request, row, host, matrix), Plan))
        if len(plans) == len(hosts):
            found.append(plans)
    releases = set(kept) - {None}
    if len(releases) == 1:
        same = [plans for plans in found if plans[0].row.release in releases]
        if same:
            return same[0]
    good = [plans for plans in found if not any(fault.avoid for fault in plans[0].row.faults)] or found
    if not good:
        return None
    if spec.kind in (SpecKind.EXACT, SpecKind.MINOR):
        return good[0]
    return min(good, key=lambda plans: sum(notable_count(plan) for plan in plans))


def _kept_row(spec: Spec, matrix: Matrix, keep: TfVersion | None) -> Row | None:
    rows = (row for row in matrix.rows if keep is not None and row.release == keep and spec.admits(row))
    return next(rows, None)

"""``repair --into PATH``: where nothing inside can help, the nearest plan beside, with the user's other packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from provision.model.created import CreateOutcome, CreateResult, Denial
from provision.model.lock import normalised
from provision.model.repair import PackageChange, RepairOutcome, RepairResult
from provision.workflows.create import CreateOptions, create

if TYPE_CHECKING:
    from provision.workflows.repair import Confirm
    from provision.workflows.repair_work import RepairWork

_LOOSER = ("conflict", "package-not-found", "no-wheel")
"""Refusals that the versions of carried packages may be the reason of."""
_OUTCOMES = {
    CreateOutcome.CREATED: RepairOutcome.BUILT,
    CreateOutcome.EXISTS: RepairOutcome.BUILT,
    CreateOutcome.DRY_RUN: RepairOutcome.DRY_RUN,
    CreateOutcome.REFUSED: RepairOutcome.REFUSED,
}


def build_beside(work: RepairWork, into: str, confirm: Confirm | None) -> RepairResult:
    """Build another environment with what can work here, and leave this one as it is.

    Args:
        work: what was decided; its plan says which release, and what is carried over.
        into: where it goes.
        confirm: asks; None where there is nobody to ask.

    Raises as `provision.workflows.create.create` does.
    """
    plan, options = work.plan, work.options
    if not plan.beside:
        none = plan.denial or Denial(
            "no-release",
            "no release is known that would run here",
            tuple(item.summary for item in plan.by_hand),
            "`tfgpu-provision matrix list` shows every release against this machine",
        )
        return work.result(RepairOutcome.REFUSED, denial=none)
    planned = work.result(RepairOutcome.PLANNED, into=into)
    if not (options.yes or options.dry_run) and (confirm is None or not confirm(planned)):
        return planned
    made = _create(work, into, plan.carry)
    looser = tuple(Requirement(item).name for item in plan.carry)
    if made.denial is not None and made.denial.code in _LOOSER and looser != plan.carry:
        work.watch.step("trying the packages in the versions that fit")
        second = _create(work, into, looser)
        if second.outcome is not CreateOutcome.REFUSED:
            why = f"the packages do not fit in the versions they have here: {made.denial.what}"
            made = dataclasses.replace(second, remarks=(*second.remarks, why, *_moved(plan.carry, second.packages)))
    return work.result(
        _OUTCOMES[made.outcome],
        into="" if made.outcome is CreateOutcome.REFUSED else made.path,
        verdict=made.verdict,
        denial=made.denial or _refused(made),
        packages=tuple(_came(item) for item in made.packages),
        remarks=made.remarks,
    )


def _create(work: RepairWork, into: str, packages: Sequence[str]) -> CreateResult:
    options = CreateOptions(
        path=into,
        tf=work.plan.beside,
        with_=tuple(packages),
        matrix_file=work.options.matrix_file,
        dry_run=work.options.dry_run,
        offline=work.options.offline,
    )
    return create(work.system, work.folder, options, work.watch)


def _moved(wanted: Sequence[str], packages: Sequence[str]) -> tuple[str, ...]:
    """Return which of the packages came in another version."""
    got = {_name(item): Requirement(item).specifier for item in packages}
    return tuple(
        f"{item} became {got[_name(item)]}".replace("==", " ")
        for item in wanted
        if _name(item) in got and Requirement(item).specifier != got[_name(item)]
    )


def _came(pin: str) -> PackageChange:
    name, _, version = pin.partition("==")
    return PackageChange(name, "", version)


def _name(requirement: str) -> str:
    return normalised(Requirement(requirement).name)


def _refused(made: CreateResult) -> Denial | None:
    if made.refusal is None:
        return None
    reasons = tuple(f"{item.what} [{item.code}]" for item in made.refusal.reasons)
    commands = tuple(item.command for item in made.refusal.alternatives if item.command)
    hint = f"`{commands[0]}`" if commands else "`tfgpu-provision matrix list` shows every release against this machine"
    return Denial("no-plan", "nothing that could be built runs on this machine", reasons, hint)

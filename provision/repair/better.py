"""Is an environment better after a repair? What is not goes back.

Pure: two diagnoses and a verdict are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provision.doctor.checks.deep import DEVICE, IMPORT
from provision.model.doctor import Category, Certainty, Diagnosis, Effect, Finding
from provision.model.level import Level
from provision.model.remedy import PointKernel, Unset, Wire
from provision.model.repair import RepairPlan
from provision.model.verdict import Outcome, Stage, StageStatus, Verdict

_SEVERITY: Mapping[Effect, int] = {Effect.STOPS: 3, Effect.CPU: 2, Effect.DEGRADES: 1, Effect.NONE: 0}
_INSIDE = (Category.PYTHON, Category.PACKAGES, Category.CUDA, Category.CUDNN, Category.XLA)
"""Where a repair can do harm; drivers, memory and other people's processes change by themselves."""


def needed_level(plan: RepairPlan) -> Level:
    """Return how far verify has to go to prove a plan: where only links and scripts change, the loader gate says all.

    Whatever adds, takes away or moves Python's files may break an import, so TensorFlow is imported then.
    """
    outside_python = all(isinstance(step, Wire | Unset | PointKernel) for step in plan.steps)
    return Level.GATE if outside_python else Level.IMPORT


def complaint(before: Diagnosis, after: Diagnosis, verdict: Verdict | None, plan: RepairPlan) -> str:
    """Return why what was repaired is not better, empty where it is.

    Every cause that was repaired must be gone, as far as it lies inside; nothing inside may be wrong now that is as
    bad as what was repaired; and a level that was asked for may only fail through what was left to the user.

    Args:
        before: what doctor found before the repair.
        after: what it found afterwards, in fresh processes.
        verdict: of `verify` afterwards; None where it was not asked.
        plan: what was repaired, and what was left by hand.
    """
    found = (*_still(after, plan), *_new(before, after, plan), *_failed(before, after, verdict, plan))
    return found[0] if found else ""


def _still(after: Diagnosis, plan: RepairPlan) -> Iterator[str]:
    """Yield causes that were repaired and are there again, with something that a repair could do about them."""
    found = {item.code: item for item in after.findings}
    for code in dict.fromkeys(item.code for item in plan.repairs):
        finding = found.get(code)
        if finding is not None and (finding.is_fault or _planned_all_the_same(code)) and _repairable(finding):
            yield f"{finding.title or code} is still so: {finding.summary} [{code}]"


def _planned_all_the_same(code: str) -> bool:
    # What repair changes although doctor calls it only possible is gone afterwards, or it was not done.
    return code == "environment_moved"


def _repairable(finding: Finding) -> bool:
    """Whether something inside is left; the shell that repair was started from keeps its variables."""
    likely = [item for item in finding.parts if item.certainty is not Certainty.POSSIBLE]
    return any(fix.steps for item in likely or (finding,) for fix in item.fixes)


def _new(before: Diagnosis, after: Diagnosis, plan: RepairPlan) -> Iterator[str]:
    """Yield what was not there before and is as bad as what was repaired; less is what that had hidden."""
    faults = [item for item in before.findings if item.is_fault]
    known = {item.code for item in faults} | {code for item in faults for code in item.explains}
    repaired = {item.code for item in plan.repairs}
    worst = max((_SEVERITY[item.effect] for item in before.findings if item.code in repaired), default=0)
    for item in after.findings:
        if item.is_fault and item.code not in known and item.category in _INSIDE and _SEVERITY[item.effect] >= worst:
            yield f"{item.title or item.code} is new: {item.summary} [{item.code}]"


def _failed(before: Diagnosis, after: Diagnosis, verdict: Verdict | None, plan: RepairPlan) -> Iterator[str]:
    """Yield the stage of verify that failed, where nothing that was left to the user explains it."""
    if verdict is None or verdict.outcome is not Outcome.FAILED:
        return
    left = {item.code for item in plan.by_hand} | {code for item in plan.by_hand for code in item.explains}
    # With `--only` other causes were left as they are; what was wrong with them before is no harm of this repair.
    repaired = {item.code for item in plan.repairs}
    left |= {item.code for item in before.findings if item.code not in repaired and item.is_fault}
    still = {item.code: item for item in after.findings if item.is_fault}
    for stage in verdict.stages:
        if stage.status is not StageStatus.FAILED:
            continue
        code = _cause(stage)
        excused = code in left or any(_may_fail(still[name], stage) for name in left if name in still)
        if not excused:
            yield f"verify's {stage.level.value} stage fails: {stage.summary}" + (f" [{code}]" if code else "")
        return


def _cause(stage: Stage) -> str:
    """Return doctor's name of what made a stage fail, empty where it has none."""
    return IMPORT.get(stage.cause, DEVICE.get(stage.cause, ("",)))[0]


def _may_fail(finding: Finding, stage: Stage) -> bool:
    """Whether something that is still wrong can be why a stage fails."""
    if stage.level in (Level.GATE, Level.IMPORT):
        return finding.effect is Effect.STOPS or (stage.level is Level.GATE and finding.effect is Effect.CPU)
    return finding.effect is not Effect.NONE

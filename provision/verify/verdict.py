"""All stages → one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.model.verdict import Level, Outcome, Stage, StageStatus, Verdict

_NEEDS_NO_GPU = (Level.GATE, Level.IMPORT)


def conclude(level: Level, stages: tuple[Stage, ...], environment: Mapping[str, Any]) -> Verdict:
    """Return the verdict: proved only where `compute` passed and nothing failed.

    A skipped stage that no failure explains (a build without the loader) does not spoil the rest; without a GPU the
    answer is "cannot tell", never success.
    """
    failures = [stage for stage in stages if stage.status is StageStatus.FAILED]
    untold = [stage for stage in stages if stage.status is StageStatus.CANNOT_TELL]
    computed = any(stage.level is Level.COMPUTE and stage.status is StageStatus.PASSED for stage in stages)
    if failures:
        first = failures[0]
        outcome, why = Outcome.FAILED, f"no GPU was proved: {first.level.value} failed: {first.summary}"
        if computed:
            why = f"a GPU was proved to compute, but {first.level.value} failed: {first.summary}"
    elif untold:
        outcome, why = Outcome.CANNOT_TELL, f"no GPU was proved: {untold[0].summary}"
    elif computed:
        outcome, why = Outcome.PROVED, f"proved on a GPU: {_stage(stages, Level.COMPUTE).summary}"
    elif level in _NEEDS_NO_GPU:
        outcome, why = Outcome.PASSED, f"no GPU was proved: level {level.value} needs none; what it checks is in order"
    elif level is Level.DEVICE:
        outcome, why = (
            Outcome.PASSED,
            "no GPU was proved: TensorFlow lists it, which is weak proof; level compute proves",
        )
    else:
        outcome, why = Outcome.CANNOT_TELL, "no GPU was proved: the stage that proves one did not run"
    return Verdict(outcome, level, stages, why, environment)


def _stage(stages: tuple[Stage, ...], level: Level) -> Stage:
    return next(stage for stage in stages if stage.level is level)


def skipped(level: Level, why: str, cause: str) -> Stage:
    """Return a stage that did not run."""
    return Stage(level, StageStatus.SKIPPED, why, cause)

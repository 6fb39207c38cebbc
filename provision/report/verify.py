"""What verify found, as a person reads it."""

from __future__ import annotations

from provision.model.verdict import Stage, StageStatus, Verdict

_WORDS = {
    StageStatus.PASSED: "passed",
    StageStatus.FAILED: "FAILED",
    StageStatus.SKIPPED: "skipped",
    StageStatus.CANNOT_TELL: "cannot tell",
}


def verify_text(verdict: Verdict) -> str:
    """Return the environment, one line per stage with its facts indented, and last whether a GPU was proved."""
    where = verdict.environment
    tensorflow = f"{where['distribution']} {where['tensorflow']}" if where.get("tensorflow") else "no TensorFlow"
    lines = [f"{where['prefix']}: {where['kind']}, Python {where['python']}, {tensorflow}", ""]
    for stage in verdict.stages:
        lines += stage_lines(stage)
    return "\n".join([*lines, "", verdict.summary])


def stage_lines(stage: Stage) -> list[str]:
    """Return one stage: its outcome, then its facts indented."""
    code = f" [{stage.cause}]" if stage.cause and stage.status is not StageStatus.SKIPPED else ""
    head = f"{stage.level.value:<8} {_WORDS[stage.status]:<11} {stage.summary}{code}"
    return [head, *(f"{'':<20} {line}" for line in stage.details)]

"""``repair``: take what doctor found, remove the cause as one transaction, prove it, or put everything back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from provision.model.created import Denial
from provision.model.level import Level
from provision.model.progress import Observer, Silent
from provision.model.repair import Entry, RepairOutcome, RepairResult
from provision.probes.environment import locate
from provision.repair.history.journal import hold, unfinished
from provision.repair.planning.plan import plan_repair
from provision.repair.processes import running_in
from provision.system import System
from provision.workflows.common import how_cut_off
from provision.workflows.create_work import Stopwatch
from provision.workflows.doctor import DoctorResult, cause_of, doctor
from provision.workflows.repair_into import build_beside
from provision.workflows.repair_places import resume_command, undo_command
from provision.workflows.repair_work import RepairWork

Confirm = Callable[[RepairResult], bool]
"""Shows to somebody what is planned and returns whether it is to be carried out."""
Settle = Callable[[Entry], bool]
"""Tells somebody of a repair that was cut off and returns whether to finish it; else it is walked back."""


@dataclass(frozen=True)
class RepairOptions:
    """What the user typed; see ``tfgpu-provision repair --help`` for each."""

    environment: str | None = None
    dry_run: bool = False
    yes: bool = False
    only: tuple[str, ...] = ()
    level: Level | None = None
    kernels: bool = False
    deep: bool = False
    into: str | None = None
    offline: bool = False
    matrix_file: Path | None = None


def repair(
    system: System,
    folder: Path,
    options: RepairOptions,
    observer: Observer | None = None,
    confirm: Confirm | None = None,
    *,
    settle: Settle | None = None,
) -> RepairResult:
    """Repair an environment, or say why not.

    Args:
        system: the door.
        folder: where one stands.
        options: what the user typed.
        observer: told what happens.
        confirm: asks; None where there is nobody to ask, which without ``yes`` ends with the plan.
        settle: asks what becomes of a repair that was cut off; None walks it back.

    Raises:
        UsageError, InvalidFileError: a value or file that cannot be used; nothing was touched.
        ToolFailedError: another command works on the environment (``busy``); in a dry run also whatever else fails.
        RolledBackError: uv, the network or the disk failed at any step, or the proof did not hold; the environment is
            as it was.
        NotRolledBackError: it could not be put back completely; ``--undo`` goes on where that ended.
    """
    watch = observer or Silent()
    clock = Stopwatch()
    for code in options.only:
        cause_of(code)
    watch.step("looking at the environment")
    with clock.stage("diagnose"):
        seen = _look(system, folder, options)
    prefix = _prefix_of(system, seen)
    remarks: tuple[str, ...] = ()
    entry = unfinished(prefix)
    if entry is not None and options.dry_run:
        return RepairResult(RepairOutcome.REFUSED, str(prefix), denial=_cut_off(prefix, entry))
    if entry is not None:
        remarks = _settle(prefix, settle, watch)
        with clock.stage("diagnose"):
            seen = _look(system, folder, options)
    plan = plan_repair(
        seen.diagnosis,
        seen.snapshot,
        only=options.only,
        kernels=options.kernels,
        beside=options.into is not None,
    )
    work = RepairWork(system, folder, options, prefix, seen, plan, watch, clock, remarks)
    if options.into is not None:
        return build_beside(work, options.into, confirm)
    if plan.denial is not None:
        return work.result(RepairOutcome.REFUSED, denial=plan.denial)
    if not plan.repairs:
        return work.result(RepairOutcome.BY_HAND if plan.by_hand else RepairOutcome.SOUND)
    work = replace(work, remarks=(*remarks, *_running(system, prefix)))
    planned = work.result(RepairOutcome.PLANNED)
    if not (options.yes or options.dry_run) and (confirm is None or not confirm(planned)):
        return planned
    return work.dry_run() if options.dry_run else work.run()


def _look(system: System, folder: Path, options: RepairOptions) -> DoctorResult:
    return doctor(system, folder, options.environment, deep=options.deep, matrix_file=options.matrix_file)


def _prefix_of(system: System, seen: DoctorResult) -> Path:
    found = seen.snapshot.environment
    if found is None:
        # Says where it looked.
        return Path(locate(system, None).prefix)
    if found.env is not None:
        return Path(found.env.prefix)
    path = Path(found.path)
    return path if path.is_dir() else path.parent.parent


def _settle(prefix: Path, settle: Settle | None, watch: Observer) -> tuple[str, ...]:
    """Bring a repair that was cut off to one of its ends; return what was done."""
    with hold(prefix) as held:
        entry = unfinished(prefix)
        if entry is None:
            return ()
        finish = settle is not None and settle(entry)
        watch.step(f"{'finishing' if finish else 'walking back'} a repair that was cut off")
        return (held.recover(entry, finish=finish),)


def _cut_off(prefix: Path, entry: Entry) -> Denial:
    return Denial(
        "repair-cut-off",
        f"a repair of {prefix} was cut off",
        (how_cut_off(entry),),
        f"finish it with `{resume_command(prefix)}`, or walk back with `{undo_command(prefix)}`",
    )


def _running(system: System, prefix: Path) -> tuple[str, ...]:
    own = Path(sys.prefix).resolve() == prefix.resolve()
    ours = ("this tool is installed in this environment: its own packages may change under it",) if own else ()
    found = running_in(system, prefix)
    if not found:
        return ours
    what = "programs that use this environment now go on with what they have loaded, and may fail when they load more"
    return (*ours, f"{what}: {', '.join(found)}")

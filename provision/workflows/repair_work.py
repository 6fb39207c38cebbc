"""One repair with everything decided: change a copy, bring what differs into place, prove it, or walk back."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.backends.uv import Uv
from provision.errors import NotRolledBackError, ProvisionError, RolledBackError, ToolFailedError
from provision.host import detect
from provision.model.created import Denial
from provision.model.doctor import Diagnosis, Finding
from provision.model.level import Level
from provision.model.progress import Observer
from provision.model.remedy import Step
from provision.model.repair import EntryState, PackageChange, Patch, RepairOutcome, RepairPlan, RepairResult
from provision.model.verdict import StageStatus, Verdict
from provision.repair.better import complaint, needed_level
from provision.repair.files.patch import difference, with_outside
from provision.repair.history.journal import Held, hold
from provision.repair.history.journal_entry import Journal
from provision.repair.stage import StageContext, build_stage, carry_out, untouched
from provision.system import System
from provision.system.parallel import Pending
from provision.workflows.create_watch import UvWatch
from provision.workflows.create_work import Stopwatch
from provision.workflows.doctor import DoctorResult, doctor
from provision.workflows.repair_places import undo_command
from provision.workflows.verify import verify

if TYPE_CHECKING:
    from provision.workflows.repair import RepairOptions

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Changed:
    """What the steps made of the copy."""

    packages: tuple[PackageChange, ...]
    patch: Patch
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class RepairWork:
    """One repair with everything decided."""

    system: System
    folder: Path
    options: RepairOptions
    prefix: Path
    seen: DoctorResult
    plan: RepairPlan
    watch: Observer
    clock: Stopwatch
    remarks: tuple[str, ...] = ()

    def result(self, outcome: RepairOutcome, **more: Any) -> RepairResult:
        """Return an answer with what is known so far; ``remarks`` add up."""
        said = (*self.remarks, *more.pop("remarks", ()))
        known = {"plan": self.plan, "before": self.seen.diagnosis, "remarks": said, **more}
        return RepairResult(outcome, str(self.prefix), seconds=dict(self.clock.seconds), **known)

    def dry_run(self) -> RepairResult:
        """Do everything on a copy, and throw it away."""
        with hold(self.prefix) as held:
            journal, changed = self._build(held)
            with self.clock.stage("clean"):
                journal.discard()
        if isinstance(changed, Denial):
            return self.result(RepairOutcome.REFUSED, denial=changed)
        return self.result(RepairOutcome.DRY_RUN, **vars(changed))

    def run(self) -> RepairResult:
        """Change a copy, bring what differs into place, prove it; raises as `workflows.repair.repair` says."""
        with hold(self.prefix) as held:
            journal, changed = self._build(held)
            if isinstance(changed, Denial):
                journal.discard()
                return self.result(RepairOutcome.REFUSED, denial=changed)
            if not changed.patch.changes:
                journal.discard()
                remarks = (*changed.remarks, "the steps changed nothing")
                return self.result(RepairOutcome.BY_HAND, remarks=remarks)
            self._apply(journal, changed)
            try:
                after, verdict = self._prove()
                with self.clock.stage("keep"):
                    journal.advance(EntryState.DONE)
            except BaseException as error:
                self._walk_back(journal, error)
                raise
            entry = journal.entry
        outcome = RepairOutcome.BY_HAND if self._left(after) else RepairOutcome.REPAIRED
        return self.result(outcome, after=after, verdict=verdict, entry=entry, **vars(changed))

    def _build(self, held: Held) -> tuple[Journal, Changed | Denial]:
        """Return the open journal and what the steps made of the copy; on a failure nothing is left of it."""
        journal = None
        try:
            with self.clock.stage("copy"):
                shared = untouched(self.prefix, self._steps)
                journal = held.begin(self.plan.repairs, shared)
            return journal, self._staged(journal, shared)
        except BaseException as error:
            if journal is not None:
                with suppress(OSError):
                    journal.discard()
            failed = _failed(error, "the copy could not be made") if isinstance(error, OSError) else error
            if journal is not None and isinstance(failed, ToolFailedError) and not self.options.dry_run:
                raise self._rolled_back(failed) from error
            if failed is not error:
                raise failed from error
            raise

    @property
    def _steps(self) -> tuple[Step, ...]:
        return (*self.plan.steps, *(step for item in self.plan.repairs if item.outside for step in item.steps))

    def _staged(self, journal: Journal, shared: Sequence[Path]) -> Changed | Denial:
        self.watch.step("copying the environment, by links")
        with self.clock.stage("copy"):
            left_out = build_stage(self.prefix, journal.stage, shared)
        found = self.seen.snapshot.environment
        if found is None:
            raise AssertionError("a plan with repairs was made from an environment")
        uv = Uv(self.system, offline=self.options.offline, on_line=UvWatch(self.watch))
        context = StageContext(
            prefix=self.prefix,
            stage=journal.stage,
            seen=found,
            snapshot=self.seen.snapshot,
            matrix=self.seen.snapshot.matrix,
            uv=uv,
            watch=self.watch,
            offline=self.options.offline,
        )
        with self.clock.stage("change"):
            carried = carry_out(self.system, self._steps, context)
        if isinstance(carried, Denial):
            return carried
        self.watch.step("comparing")
        with self.clock.stage("compare"):
            patch = difference(self.prefix, journal.stage, left_out)
        patch = with_outside(patch, journal.stage, carried.outside)
        return Changed(carried.packages, patch, carried.remarks)

    def _apply(self, journal: Journal, changed: Changed) -> None:
        """Keep what is there, then change path by path; whatever goes wrong is walked back."""
        patch = changed.patch
        self.watch.step(f"changing {len(patch.changes)} paths")
        with self.clock.stage("apply"):
            try:
                journal.ready(patch, changed.packages)
            except BaseException as error:
                with suppress(OSError):
                    journal.discard()
                failed = _failed(error, "what is there could not be kept") if isinstance(error, OSError) else error
                if isinstance(failed, ToolFailedError):
                    raise self._rolled_back(failed) from error
                raise
            try:
                journal.go_forward()
            except BaseException as error:
                self._walk_back(journal, error)
                raise

    def _prove(self) -> tuple[Diagnosis, Verdict]:
        """Ask doctor and verify again, in fresh processes; raises RolledBackError where it is not better."""
        level = self.options.level
        # Both wait for children most of the time.
        looking = Pending(self.look)
        with self.clock.stage("verify"):
            verdict = self._verify(level or needed_level(self.plan))
            if level is None and any(item.status is StageStatus.SKIPPED for item in verdict.stages[:1]):
                # A build that links its CUDA libraries itself has no loader to ask.
                verdict = self._verify(Level.IMPORT)
        after = looking.result()
        said = complaint(self.seen.diagnosis, after, verdict, self.plan)
        if said:
            raise RolledBackError(
                "the repair did not make it better, and was walked back",
                code="not-better",
                why=(*said.splitlines(), f"{self.prefix} is as it was before"),
                hint="`tfgpu-provision doctor` names the other ways; what it says there can be typed by hand",
            )
        return after, verdict

    def _verify(self, level: Level) -> Verdict:
        matrix = self.seen.snapshot.matrix
        host = detect(self.system, wide=False) if level not in (Level.GATE, Level.IMPORT) else None
        return verify(self.system, str(self.prefix), level, matrix=matrix, host=host, observer=self.watch).verdict

    def look(self) -> Diagnosis:
        """Return what doctor says now."""
        self.watch.step("asking doctor again")
        with self.clock.stage("diagnose"):
            options = self.options
            return doctor(
                self.system, self.folder, str(self.prefix), deep=options.deep, matrix_file=options.matrix_file
            ).diagnosis

    def _left(self, after: Diagnosis) -> tuple[Finding, ...]:
        """Return what still does harm, of what was asked for."""
        wanted = self.options.only
        return tuple(item for item in after.findings if item.is_fault and (not wanted or item.code in wanted))

    def _walk_back(self, journal: Journal, error: BaseException) -> None:
        """Put everything back, and raise what tells of it; returns where ``error`` itself is to be raised on."""
        self.watch.step("walking back")
        walk_back(journal, error)
        if isinstance(error, RolledBackError) or not isinstance(error, (OSError, ProvisionError)):
            return
        if isinstance(error, OSError):
            error = _failed(error, "the environment could not be changed")
        raise self._rolled_back(error) from error

    def _rolled_back(self, error: ProvisionError) -> RolledBackError:
        return RolledBackError(
            f"{error.what}, and the repair was walked back",
            code=error.code,
            why=(*error.why, f"{self.prefix} is as it was before"),
            hint=error.hint,
        )


def walk_back(journal: Journal, error: BaseException | None = None) -> tuple[str, ...]:
    """Bring every path back to what it was; return a remark where something was in the way and was put aside.

    Raises:
        NotRolledBackError: that failed; the journal stays, and ``--undo`` goes on from there.
    """
    try:
        aside = journal.walk_back()
    except (OSError, ProvisionError) as problem:
        raise NotRolledBackError(
            "the environment could not be put back completely",
            code="not-rolled-back",
            why=(_words(problem), *([f"what failed first: {_words(error)}"] if error else [])),
            hint=f"when that is mended: `{undo_command(journal.prefix)}`",
        ) from (error or problem)
    return (f"what others had put there meanwhile is in {aside}",) if aside else ()


def _failed(error: OSError, what: str) -> ToolFailedError:
    return ToolFailedError(
        what,
        code="no-space" if error.errno in _FULL else "operating-system",
        why=(_words(error),),
        hint="check rights and free space there",
    )


def _words(error: BaseException) -> str:
    if isinstance(error, ProvisionError):
        return "; ".join((error.what, *error.why))
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}"
    return str(error) or type(error).__name__

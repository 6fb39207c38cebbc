"""What lock did, or found: a value per target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from provision.model.created import Denial
from provision.model.lock import Change, Lock, LockFormat
from provision.model.plan import Plan, Refusal


class LockOutcome(str, Enum):
    """The answers of lock for one target or one of its files; what failed is raised."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    """The file says just this already, and was not touched."""
    STALE = "stale"
    """Only with ``--check``: a lock made now would say something else, or there is none yet."""
    REFUSED = "refused"
    HELD = "held"
    """It could be made, and nothing was written because another target was refused."""


@dataclass(frozen=True)
class LockFile:
    """One file of a target.

    Attributes:
        path: relative to the project, absolute where it lies outside of it.
        missing: whether there was none before.
        changes: between what the file said and what it says now or should say.
    """

    path: str
    format: LockFormat
    outcome: LockOutcome
    missing: bool = False
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class LockedTarget:
    """One machine that was meant.

    Attributes:
        name: of the target, empty where there is just one without a name.
        machine: that machine in words, empty for this one.
        lock: what was locked; None where it was refused or held.
        refusal: why there is no plan for it.
        denial: why the plan's packages cannot be resolved.
        remarks: what is worth a line.
    """

    name: str
    machine: str
    outcome: LockOutcome
    plan: Plan | None = None
    lock: Lock | None = None
    files: tuple[LockFile, ...] = ()
    refusal: Refusal | None = None
    denial: Denial | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class LockResult:
    """The answer of lock.

    Attributes:
        check: whether nothing was to be written.
        folder: what the paths are relative to.
        targets: in the order in which they were named.
        remarks: what concerns all of them.
        command: what to type to bring stale locks up to date.
        seconds: wall time per stage.
    """

    check: bool
    folder: str
    targets: tuple[LockedTarget, ...]
    remarks: tuple[str, ...] = ()
    command: str = "tfgpu-provision lock"
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def outcome(self) -> LockOutcome:
        """The one that decides how the command ends: refused, then stale, then written, then unchanged."""
        found = {target.outcome for target in self.targets}
        order = (LockOutcome.REFUSED, LockOutcome.STALE, LockOutcome.WRITTEN)
        return next((outcome for outcome in order if outcome in found), LockOutcome.UNCHANGED)

"""What repair plans, what it changed, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from provision.model.created import Denial
from provision.model.doctor import Diagnosis, Finding
from provision.model.remedy import Step
from provision.model.verdict import Verdict


@dataclass(frozen=True)
class Repairing:
    """One cause that repair removes.

    Attributes:
        code: of the cause.
        why: the finding's summary.
        what: the fix, one sentence without a full stop.
        steps: in this order; of a kind that is inside the environment, unless ``outside``.
        outside: whether it changes a file outside of the environment (a Jupyter kernel).
    """

    code: str
    why: str
    what: str
    steps: tuple[Step, ...]
    outside: bool = False


@dataclass(frozen=True)
class RepairPlan:
    """What repair would do about a diagnosis, before anything is asked of an index.

    Attributes:
        repairs: the smallest set that removes the root cause and what else does harm; steps that stand in several are
            carried out once.
        by_hand: findings that do harm and that repair must not or cannot remove, each with its fixes: what to type.
        denial: why nothing can be done in this environment, with the way that works in its hint; None where it can.
        beside: the release that ``--into PATH`` would build (``2.21.0``) where nothing inside can help, else empty.
        carry: the user's other packages as requirements, for ``--into``.
        left_out: those that no index has, each as ``name version (where it came from)``.
    """

    repairs: tuple[Repairing, ...] = ()
    by_hand: tuple[Finding, ...] = ()
    denial: Denial | None = None
    beside: str = ""
    carry: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step inside the environment once, in order."""
        return tuple({step: None for item in self.repairs if not item.outside for step in item.steps})


@dataclass(frozen=True)
class PackageChange:
    """A distribution before and after; empty where it is not there; both equal where its files are replaced."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class PathState:
    """What stands at a path.

    Attributes:
        kind: ``file``, ``link``, ``folder`` or ``nothing``.
        mode: permission bits of a file or folder.
        size: bytes of a file.
        sha256: of a file's content, hexadecimal.
        target: of a link, as written in it.
    """

    kind: str
    mode: int = 0
    size: int = 0
    sha256: str = ""
    target: str = ""


NOTHING = PathState("nothing")


@dataclass(frozen=True)
class PathChange:
    """One path before and after; relative to the environment, absolute for a Jupyter kernel's file outside."""

    path: str
    before: PathState
    after: PathState


@dataclass(frozen=True)
class Patch:
    """Every path that a repair changes, sorted; byte code and the journal itself aside."""

    changes: tuple[PathChange, ...] = ()


class EntryState(str, Enum):
    """Where a repair stands. What is written is synced before the step that it announces."""

    BUILDING = "building"
    """A copy is being changed beside; the environment is as it was."""
    APPLYING = "applying"
    """The environment is being changed: some paths are new, some old."""
    APPLIED = "applied"
    """All paths are new; they are being proved."""
    DONE = "done"
    """Proved and kept."""
    UNDOING = "undoing"
    """Going back: some paths are new, some old."""
    UNDONE = "undone"
    """All paths are as they were."""


@dataclass(frozen=True)
class Entry:
    """One repair of an environment's history.

    Attributes:
        ident: eight hexadecimal digits.
        when: UTC, ISO 8601, to the second.
        version: of this tool.
        state: where it stands.
        repairs: ``(code, what)`` of each cause.
        packages: distributions that changed.
        patch: the paths.
        kept_bytes: what the files kept for undo take, those that are hardlinks counted too.
    """

    ident: str
    when: str
    version: str
    state: EntryState
    repairs: tuple[tuple[str, str], ...] = ()
    packages: tuple[PackageChange, ...] = ()
    patch: Patch = field(default_factory=Patch)
    kept_bytes: int = 0


class RepairOutcome(str, Enum):
    """The answers of repair; what failed is raised."""

    SOUND = "sound"
    """Nothing is wrong that a repair could remove."""
    PLANNED = "planned"
    """There was nobody to ask, or the answer was no: nothing was changed."""
    DRY_RUN = "dry-run"
    """Everything was done on a copy, which was thrown away."""
    REPAIRED = "repaired"
    """Everything that does harm and lies inside is gone."""
    BY_HAND = "by-hand"
    """What lies inside is repaired, or nothing lies inside; something is left for the user to do."""
    REFUSED = "refused"
    BUILT = "built"
    """Another environment was built beside (``--into``)."""
    UNDONE = "undone"
    FINISHED = "finished"
    """A repair that had been cut off was finished."""
    HISTORY = "history"


@dataclass(frozen=True)
class RepairResult:
    """The answer of repair.

    Attributes:
        outcome: one of them.
        path: the environment's absolute path.
        plan: what was or would be done; None for undo and history.
        before: doctor's diagnosis before; ``after`` the one afterwards.
        verdict: what verify found afterwards, None where it was not asked.
        packages: distributions that changed or would change.
        patch: the paths that changed or would change, for a dry run as well.
        denial: why it was refused.
        entry: the history's entry of this repair or undo.
        history: for ``--history``: all entries, the newest first.
        remarks: what an interrupted repair had left, running processes, a uv project that would take it back …
        into: the environment that was built beside, empty for none.
        seconds: wall time per stage.
    """

    outcome: RepairOutcome
    path: str
    plan: RepairPlan | None = None
    before: Diagnosis | None = None
    after: Diagnosis | None = None
    verdict: Verdict | None = None
    packages: tuple[PackageChange, ...] = ()
    patch: Patch = field(default_factory=Patch)
    denial: Denial | None = None
    entry: Entry | None = None
    history: tuple[Entry, ...] = ()
    remarks: tuple[str, ...] = ()
    into: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

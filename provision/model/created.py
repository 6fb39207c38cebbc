"""What create did, or why it did nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from provision.model.plan import Pin, Plan, Refusal
from provision.model.verdict import Outcome, Verdict


class CreateOutcome(str, Enum):
    """The four answers of create; what failed is raised."""

    CREATED = "created"
    EXISTS = "exists"
    """The environment that was asked for is there already."""
    DRY_RUN = "dry-run"
    REFUSED = "refused"


@dataclass(frozen=True)
class Denial:
    """Why create does not do it: an answer, not a failure.

    Attributes:
        code: ``conflict``, ``package-not-found``, ``no-wheel``, ``path-exists``.
        what: one sentence.
        why: further lines, in words for people.
        hint: what to type or change.
        asked: the user's requirements that take part in a conflict.
        pins: our pins that take part in it, each with its reason.
    """

    code: str
    what: str
    why: tuple[str, ...]
    hint: str
    asked: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()


@dataclass(frozen=True)
class LockUsed:
    """Which lock was used.

    Attributes:
        path: of the file; ``.tfgpu/lock.txt`` below the environment for its own.
        target: the machine for which it was made, empty where the lock names none.
        why: why this one, in words.
        sha256: of the file's bytes, hexadecimal.
    """

    path: str
    target: str = ""
    why: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class CreateResult:
    """The answer of create.

    Attributes:
        outcome: one of four.
        path: the environment's absolute path.
        plan: what was or would be built; None where there is no plan.
        refusal: why there is no plan.
        denial: why the plan was not carried out.
        packages: every distribution as ``name==version``.
        python: the interpreter it was made with; empty where uv would fetch one.
        verdict: what verify found, None where it was not asked.
        replaced: whether an environment gave way.
        remarks: what an earlier, interrupted create had left, and other things worth a line.
        seconds: wall time per stage.
        lock: which lock it was made from, None where it was resolved.
    """

    outcome: CreateOutcome
    path: str
    plan: Plan | None = None
    refusal: Refusal | None = None
    denial: Denial | None = None
    packages: tuple[str, ...] = ()
    python: str = ""
    verdict: Verdict | None = None
    replaced: bool = False
    remarks: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    lock: LockUsed | None = None

    @property
    def proved(self) -> bool:
        """Whether a GPU was proved to do the work, now."""
        return self.verdict is not None and self.verdict.proved

    @property
    def broken(self) -> bool:
        """Whether an environment that was there already failed its verification."""
        return self.verdict is not None and self.verdict.outcome is Outcome.FAILED

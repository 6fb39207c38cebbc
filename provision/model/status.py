"""An environment held against a lock, and what was done to bring the two together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from provision.model.created import Denial, LockUsed
from provision.model.plan import Refusal
from provision.model.verdict import Verdict


class DriftKind(str, Enum):
    """In what way an environment differs from its lock."""

    MISSING = "missing"
    """The lock names a package that is not installed."""
    EXTRA = "extra"
    """A package is installed that the lock does not name."""
    VERSION = "version"
    """Another version is installed, or two at once."""
    FILES = "files"
    """Files of a package are gone, or are not what its installer wrote."""
    PYTHON = "python"
    """Another series, or the interpreter does not run."""
    WIRING = "wiring"
    """TensorFlow does not find the CUDA libraries as it was made to."""
    RECORD = "record"
    """The environment's own record is gone or cannot be read."""


@dataclass(frozen=True)
class Drift:
    """One difference.

    Attributes:
        kind: of the difference.
        name: of the package; ``python``, ``wiring`` or ``record`` for the rest.
        wanted: what the lock says, as text; empty where it says nothing.
        found: what is there, empty for nothing.
        details: files and the like, relative to the environment.
    """

    kind: DriftKind
    name: str
    wanted: str = ""
    found: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatusResult:
    """The answer of status.

    Attributes:
        path: of the environment, absolute.
        managed: whether this tool made it.
        lock: what it was held against; None where no lock fits this machine (see ``denial`` and ``refusal``).
        drifts: every difference; empty where all is in order.
        packages: how many the lock names.
        files: how many were looked at.
        deep: whether their content was hashed.
        remarks: what is worth a line and is no difference.
        fix: what to type, empty where nothing differs.
        denial: why there is nothing to compare with.
        refusal: likewise, where the only lock does not fit this machine.
        seconds: wall time.
    """

    path: str
    managed: bool
    lock: LockUsed | None
    drifts: tuple[Drift, ...] = ()
    packages: int = 0
    files: int = 0
    deep: bool = False
    remarks: tuple[str, ...] = ()
    fix: str = ""
    denial: Denial | None = None
    refusal: Refusal | None = None
    seconds: float = 0.0

    @property
    def refused(self) -> bool:
        """Whether there was nothing to compare with."""
        return self.denial is not None or self.refusal is not None


class SyncOutcome(str, Enum):
    """The answers of sync; what failed is raised."""

    UNCHANGED = "unchanged"
    """The environment is what the lock says; nothing was touched."""
    SYNCED = "synced"
    DRY_RUN = "dry-run"
    REFUSED = "refused"


@dataclass(frozen=True)
class SyncResult:
    """The answer of sync.

    Attributes:
        outcome: one of four.
        status: the differences as they were found.
        removed: packages that were or would be taken away, as ``name version``.
        installed: packages that were or would be installed, as ``name==version``.
        rewired: whether the wiring was made anew.
        verdict: what verify found, None where it was not asked.
        denial: why it is not done.
        refusal: likewise, where this machine breaks the contract.
        remarks: what an earlier, interrupted run had left, and other things worth a line.
        seconds: wall time per stage.
    """

    outcome: SyncOutcome
    status: StatusResult
    removed: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    rewired: bool = False
    verdict: Verdict | None = None
    denial: Denial | None = None
    refusal: Refusal | None = None
    remarks: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

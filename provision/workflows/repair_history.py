"""The history of an environment's repairs: show it, take one back, or finish one that was cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provision.errors import UsageError
from provision.model.created import Denial
from provision.model.doctor import Diagnosis
from provision.model.environment import RECORD_FOLDER
from provision.model.level import Level
from provision.model.progress import Observer, Silent
from provision.model.repair import Entry, EntryState, RepairOutcome, RepairResult
from provision.model.verdict import Verdict
from provision.repair.files.patch import deviations
from provision.repair.history.journal import hold, read_history, unfinished
from provision.system import System
from provision.workflows.common import how_cut_off
from provision.workflows.create_work import Stopwatch
from provision.workflows.doctor import doctor
from provision.workflows.repair_places import prefix_of, undo_command
from provision.workflows.repair_work import walk_back
from provision.workflows.verify import verify

_IDENT = re.compile(r"[0-9a-f]{8}\Z")
_MOST = 12
"""Paths that a refusal names."""


@dataclass(frozen=True)
class Named:
    """An environment and one of its repairs, as typed: ``--undo [ENV] [ID]``."""

    environment: str | None = None
    ident: str = ""


def named(first: str | None, second: str | None) -> Named:
    """Tell the environment from the repair; a single word of eight hexadecimal digits that is no path is a repair.

    Raises:
        UsageError: ``bad-repair``.
    """
    if second is None and first is not None and _IDENT.match(first) and not Path(first).exists():
        return Named(None, first)
    if second is not None and not _IDENT.match(second):
        raise UsageError(
            f"{second[:60]!a} cannot be the name of a repair",
            code="bad-repair",
            why=("it has eight hexadecimal digits",),
            hint="`tfgpu-provision repair --history` names all of them",
        )
    return Named(first, second or "")


def history(system: System, target: str | None) -> RepairResult:
    """Return every repair of an environment, the newest first.

    Raises:
        UsageError: no environment.
        InvalidFileError: the history is not what it should be.
    """
    prefix = prefix_of(system, target)
    return RepairResult(RepairOutcome.HISTORY, str(prefix), history=read_history(prefix))


def undo(system: System, meant: Named, observer: Observer | None = None) -> RepairResult:
    """Take a repair back: the one that is named, else one that was cut off, else the newest. It needs no network.

    Raises:
        UsageError: no environment.
        InvalidFileError: the history is not what it should be.
        ToolFailedError: another command works on the environment (``busy``).
        NotRolledBackError: the disk refused; it can be tried again.
    """
    watch = observer or Silent()
    clock = Stopwatch()
    prefix = prefix_of(system, meant.environment)
    if not (prefix / RECORD_FOLDER / "repairs").is_dir():
        return _refused(prefix, _nothing(prefix))
    with hold(prefix) as held, clock.stage("undo"):
        cut = unfinished(prefix)
        if cut is not None and meant.ident in ("", cut.ident):
            watch.step("walking back a repair that was cut off")
            remarks: tuple[str, ...] = (held.recover(cut, finish=False),)
            undone = replace(cut, state=EntryState.UNDONE)
        elif cut is not None:
            return _refused(prefix, _in_between(prefix, cut))
        else:
            entries = read_history(prefix)
            entry = _chosen(prefix, entries, meant.ident)
            if isinstance(entry, Denial):
                return _refused(prefix, entry)
            watch.step(f"walking back repair {entry.ident}")
            if denial := _changed_since(prefix, entries, entry):
                return _refused(prefix, denial)
            journal = held.reopen(entry)
            remarks = walk_back(journal)
            undone = journal.entry
    return _ended(RepairOutcome.UNDONE, prefix, undone, clock, remarks=remarks)


def resume(
    system: System, folder: Path, target: str | None, level: Level | None, observer: Observer | None
) -> RepairResult:
    """Finish a repair that was cut off, and say what doctor and verify find then, by default up to the import.

    Raises as `undo` does.
    """
    watch = observer or Silent()
    clock = Stopwatch()
    prefix = prefix_of(system, target)
    if unfinished(prefix) is None:
        return _refused(prefix, _nothing_cut(prefix))
    with hold(prefix) as held, clock.stage("apply"):
        entry = unfinished(prefix)
        if entry is None:
            return _refused(prefix, _nothing_cut(prefix))
        watch.step("finishing a repair that was cut off")
        said = held.recover(entry, finish=True)
    with clock.stage("prove"):
        after, verdict = _look(system, folder, prefix, level or Level.IMPORT, watch)
    done = replace(entry, state=EntryState.DONE)
    return _ended(RepairOutcome.FINISHED, prefix, done, clock, after=after, verdict=verdict, remarks=(said,))


def _look(
    system: System, folder: Path, prefix: Path, level: Level, watch: Observer
) -> tuple[Diagnosis, Verdict | None]:
    watch.step("asking doctor")
    seen = doctor(system, folder, str(prefix))
    if seen.snapshot.environment is None or seen.snapshot.environment.env is None:
        return seen.diagnosis, None
    matrix = seen.snapshot.matrix
    return seen.diagnosis, verify(system, str(prefix), level, matrix=matrix, observer=watch).verdict


def _ended(outcome: RepairOutcome, prefix: Path, entry: Entry, clock: Stopwatch, **more: Any) -> RepairResult:
    return RepairResult(
        outcome,
        str(prefix),
        entry=entry,
        packages=entry.packages,
        patch=entry.patch,
        seconds=dict(clock.seconds),
        **more,
    )


def _chosen(prefix: Path, entries: Sequence[Entry], ident: str) -> Entry | Denial:
    if not ident:
        return next((item for item in entries if item.state is EntryState.DONE), None) or _nothing(prefix)
    entry = next((item for item in entries if item.ident == ident), None)
    if entry is None:
        known = ", ".join(f"{item.ident} ({item.when})" for item in entries[:_MOST])
        return Denial(
            "no-such-repair",
            f"{prefix} has no repair {ident}",
            (f"it has {known}",),
            f"`tfgpu-provision repair --history {prefix}` shows all of them",
        )
    if entry.state is not EntryState.DONE:
        return Denial(
            "already-undone",
            f"repair {ident} of {prefix} was taken back already",
            (f"it was made on {entry.when}",),
            f"`tfgpu-provision repair --history {prefix}` shows what can still be taken back",
        )
    return entry


def _changed_since(prefix: Path, entries: Sequence[Entry], entry: Entry) -> Denial | None:
    """Say why a repair cannot be taken back without losing what came after it; None where it can."""
    touched = {item.path for item in entry.patch.changes}
    later = entries[: [item.ident for item in entries].index(entry.ident)]
    for item in later:
        if item.state is EntryState.DONE and any(change.path in touched for change in item.patch.changes):
            said = f"repair {item.ident} of {item.when} came after it and changed the same files"
            return _since(prefix, entry, (said,), f"take that one back first: `{undo_command(prefix, item.ident)}`")
    changed = deviations(entry.patch, prefix, applied=True)
    if not changed:
        return None
    why = [f"changed since: {name}" for name in changed[:_MOST]]
    why += [f"and {len(changed) - _MOST} more"] if len(changed) > _MOST else []
    return _since(prefix, entry, tuple(why), "put those files back as they were, or leave the repair as it is")


def _since(prefix: Path, entry: Entry, why: tuple[str, ...], hint: str) -> Denial:
    what = f"repair {entry.ident} cannot be taken back: {prefix} was changed after it, and nothing was touched"
    return Denial("changed-since", what, why, hint)


def _in_between(prefix: Path, cut: Entry) -> Denial:
    return Denial(
        "repair-cut-off",
        f"another repair of {prefix} was cut off",
        (how_cut_off(cut),),
        f"walk that one back first: `{undo_command(prefix, cut.ident)}`",
    )


def _nothing(prefix: Path) -> Denial:
    return Denial(
        "nothing-to-undo",
        f"there is no repair of {prefix} to take back",
        ("no repair was made there, or every one was taken back",),
        f"`tfgpu-provision repair --history {prefix}` shows what was done",
    )


def _nothing_cut(prefix: Path) -> Denial:
    return Denial(
        "nothing-to-resume",
        f"no repair of {prefix} was cut off",
        (),
        f"`tfgpu-provision repair {prefix}` makes one",
    )


def _refused(prefix: Path, denial: Denial) -> RepairResult:
    return RepairResult(RepairOutcome.REFUSED, str(prefix), denial=denial)

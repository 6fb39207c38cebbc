"""A repair as a person reads it: the plan, what was done, what is left, and how to take it back."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from provision.doctor.causes import CAUSES
from provision.errors import ExitCode
from provision.model.doctor import Finding
from provision.model.repair import (
    Entry,
    EntryState,
    PackageChange,
    PathChange,
    Repairing,
    RepairOutcome,
    RepairPlan,
    RepairResult,
)
from provision.model.size import in_words
from provision.model.verdict import Outcome
from provision.report.create import denial_lines
from provision.report.repair_steps import step_words
from provision.report.verify import stage_lines
from provision.report.words import printable

_TEXT = 100
_MOST_PATHS = 12
_MOST_PACKAGES = 40
_CODES = {
    RepairOutcome.PLANNED: ExitCode.CHECK_FAILED,
    RepairOutcome.BY_HAND: ExitCode.CHECK_FAILED,
    RepairOutcome.REFUSED: ExitCode.REFUSED,
}
_STATES = {
    EntryState.BUILDING: "cut off before it changed anything",
    EntryState.APPLYING: "cut off while it changed files",
    EntryState.APPLIED: "cut off before it was proved",
    EntryState.DONE: "in force",
    EntryState.UNDOING: "cut off while it was taken back",
    EntryState.UNDONE: "taken back",
}


def repair_exit_code(result: RepairResult) -> ExitCode:
    """Return 0 repaired, sound, undone, built or shown; 1 only planned, or something is left to do; 3 refused."""
    if result.outcome is RepairOutcome.FINISHED and result.verdict and result.verdict.outcome is Outcome.FAILED:
        return ExitCode.CHECK_FAILED
    return _CODES.get(result.outcome, ExitCode.DONE)


def plan_text(planned: RepairResult) -> str:
    """Return what is to be done by hand, then each change with its reason and what it touches."""
    return "\n".join(_plan(planned))


def cut_off_text(entry: Entry) -> str:
    """Return what is known of a repair that was cut off."""
    head = f"a repair of {entry.when} [{entry.ident}] was {_STATES[entry.state]}:"
    return "\n".join([head, *(f"  {code}: {printable(what)}" for code, what in entry.repairs)])


def repair_text(result: RepairResult) -> str:
    """Return the answer in plain lines; the last ones say what to type next."""
    return "\n".join(_lines(result))


def _lines(result: RepairResult) -> Iterator[str]:
    outcome = result.outcome
    if outcome is RepairOutcome.REFUSED:
        yield from _refused(result)
    elif outcome is RepairOutcome.HISTORY:
        yield from _history(result)
    elif outcome is RepairOutcome.SOUND:
        yield from _remarks(result.remarks)
        yield f"{printable(result.path)}: nothing to repair"
        yield from _verdict_of_doctor(result)
    elif outcome is RepairOutcome.PLANNED:
        yield from (*_plan(result), "", _to_do_it(result))
    elif outcome is RepairOutcome.UNDONE:
        yield from _undone(result)
    elif outcome is RepairOutcome.BUILT or result.into:
        yield from _built(result)
    else:
        yield from _done(result)


def _plan(planned: RepairResult) -> Iterator[str]:
    plan, path, into = planned.plan or RepairPlan(), planned.path, planned.into
    yield printable(path)
    if plan.by_hand and not into:
        yield from ("", *_by_hand(plan.by_hand, path), *_or_beside(plan, path))
    if into:
        yield from ("", *_why_beside(planned), "")
        yield f"would build beside: {printable(into)} with TensorFlow {plan.beside}"
        yield from (f"  carries over {printable(item)}" for item in plan.carry)
        yield from (f"  no index has {printable(item)}: install it there yourself" for item in plan.left_out)
        return
    for number, item in enumerate(plan.repairs, 1):
        yield ""
        yield from _repairing(item, number, path)
    yield from ("", *_remarks(planned.remarks)) if planned.remarks else ()
    if plan.repairs:
        yield ""
        yield "every file that changes is kept in .tfgpu/repairs of the environment; `repair --undo` brings it back"


def _repairing(item: Repairing, number: int, path: str) -> Iterator[str]:
    cause = CAUSES.get(item.code)
    yield f"{number}. {cause.title if cause else item.code} [{item.code}]"
    yield from _wrapped(item.why, "   ")
    yield f"   repair: {printable(item.what)}"
    yield from (f"     {printable(step_words(step, path))}" for step in item.steps)


def _by_hand(findings: Iterable[Finding], path: str) -> Iterator[str]:
    yield "to be done by hand, because it lies outside of the environment or needs a choice:"
    for finding in findings:
        yield f"  {finding.title} [{finding.code}]"
        yield from _wrapped(finding.summary, "    ")
        for place, fix in enumerate(finding.fixes):
            root = " (needs root)" if fix.root else ""
            yield f"    {'what to do' if place == 0 else 'or'}: {printable(fix.what)}{root}"
            yield from (f"      {printable(command)}" for command in fix.commands)
    yield f"  then look again: `tfgpu-provision doctor {shlex.quote(path)}`"


def _or_beside(plan: RepairPlan, path: str) -> Iterator[str]:
    if plan.beside and not plan.denial:
        yield f"  or leave it: TensorFlow {plan.beside} runs here; another environment, with the same packages:"
        yield f"    tfgpu-provision repair {shlex.quote(path)} --into PATH"


def _why_beside(planned: RepairResult) -> Iterator[str]:
    """Yield why this environment is not repaired itself, where it cannot be."""
    denial = planned.plan.denial if planned.plan else None
    if denial is None:
        yield "this environment stays as it is"
        return
    yield f"{printable(denial.what)} [{denial.code}]"
    yield from (f"  {printable(line)}" for line in denial.why)


def _done(result: RepairResult) -> Iterator[str]:
    plan = result.plan
    left = _left(result)
    if left:
        yield from (*_by_hand(left, result.path), "")
    yield from _remarks(result.remarks)
    yield f"{_head(result)}: {printable(result.path)}{_seconds(result)}"
    if plan and (result.patch.changes or result.packages):
        yield from (f"  {item.code}: {printable(item.what)}" for item in plan.repairs)
    yield from _packages(result.packages)
    yield from _paths(result)
    if result.verdict is not None:
        yield from ("", *(f"  {line}" for stage in result.verdict.stages for line in stage_lines(stage)[:1]))
    yield from ("", *_verdict_of_doctor(result))
    if result.entry is not None and result.entry.state is EntryState.DONE:
        yield f"undo: `tfgpu-provision repair --undo {shlex.quote(result.path)} {result.entry.ident}`"
    if result.outcome is RepairOutcome.DRY_RUN:
        yield _to_do_it(result)


def _to_do_it(result: RepairResult) -> str:
    into = f" --into {shlex.quote(result.into)}" if result.into else ""
    return f"nothing was changed; to do it: `tfgpu-provision repair --yes{into} {shlex.quote(result.path)}`"


def _head(result: RepairResult) -> str:
    if result.outcome is RepairOutcome.DRY_RUN:
        return "would repair"
    if result.outcome is RepairOutcome.FINISHED:
        return "finished the repair that was cut off"
    if result.outcome is RepairOutcome.BY_HAND:
        return "repaired what lies inside" if result.patch.changes else "not repaired"
    return "repaired"


def _left(result: RepairResult) -> tuple[Finding, ...]:
    """Return what the user has to do: of the diagnosis afterwards where there is one."""
    if result.outcome is RepairOutcome.BY_HAND and result.after is not None:
        return tuple(item for item in result.after.findings if item.is_fault)
    return result.plan.by_hand if result.plan else ()


def _verdict_of_doctor(result: RepairResult) -> Iterator[str]:
    found = result.after or result.before
    if found is not None:
        yield f"doctor: {printable(found.summary)}"


def _packages(packages: Sequence[PackageChange]) -> Iterator[str]:
    if packages:
        yield f"  packages ({len(packages)}):"
    yield from (f"    {printable(package_words(item))}" for item in packages[:_MOST_PACKAGES])
    if len(packages) > _MOST_PACKAGES:
        yield f"    and {len(packages) - _MOST_PACKAGES} more, which --json shows"


def package_words(item: PackageChange) -> str:
    """Return what becomes of a distribution, in a line."""
    if not item.before:
        return f"+ {item.name} {item.after}"
    if not item.after:
        return f"- {item.name} {item.before}"
    if item.before == item.after:
        return f"= {item.name} {item.after}, its files anew"
    return f"~ {item.name} {item.before} -> {item.after}"


def _paths(result: RepairResult) -> Iterator[str]:
    changes = result.patch.changes
    if not changes:
        return
    kept = ""
    if result.entry is not None and result.entry.kept_bytes:
        kept = f", {in_words(result.entry.kept_bytes)} kept for undo, by links where the disk has them"
    yield f"  {len(changes)} paths{kept}"
    yield from (f"    {_path(item)}" for item in changes[:_MOST_PATHS])
    if len(changes) > _MOST_PATHS:
        yield f"    and {len(changes) - _MOST_PATHS} more, which --json shows"


def _path(item: PathChange) -> str:
    mark = "+" if item.before.kind == "nothing" else "-" if item.after.kind == "nothing" else "~"
    return f"{mark} {printable(item.path)}"


def _undone(result: RepairResult) -> Iterator[str]:
    yield from _remarks(result.remarks)
    entry = result.entry
    which = f" of {entry.when} [{entry.ident}]" if entry else ""
    yield f"taken back: the repair{which}; {printable(result.path)} is as it was before it"
    if entry is not None:
        yield from (f"  {code}: {printable(what)}" for code, what in entry.repairs)
    yield from _packages([PackageChange(item.name, item.after, item.before) for item in result.packages])


def _built(result: RepairResult) -> Iterator[str]:
    yield from _remarks(result.remarks)
    release = f" with TensorFlow {result.plan.beside}" if result.plan else ""
    what = f"{printable(result.into)}{release}, {len(result.packages)} packages"
    if result.outcome is RepairOutcome.DRY_RUN:
        yield f"would build beside: {what}"
        yield from (f"  {printable(item.name)} {printable(item.after)}" for item in result.packages)
        yield _to_do_it(result)
        return
    yield f"built beside: {what}; {printable(result.path)} is as it was"
    if result.verdict is not None:
        yield from (f"  {line}" for stage in result.verdict.stages for line in stage_lines(stage)[:1])
        yield from ("", result.verdict.summary)
    yield f"use it: `{shlex.quote(f'{result.into}/bin/python')} your_script.py`"


def _history(result: RepairResult) -> Iterator[str]:
    yield f"{printable(result.path)}: {len(result.history) or 'no'} repair{'' if len(result.history) == 1 else 's'}"
    for entry in result.history:
        yield f"  {entry.ident}  {entry.when}  {_STATES[entry.state]}; {_size(entry)}"
        yield from (f"    {code}: {printable(what)}" for code, what in entry.repairs)
    if any(entry.state is EntryState.DONE for entry in result.history):
        yield f"undo: `tfgpu-provision repair --undo {shlex.quote(result.path)} ID`"


def _size(entry: Entry) -> str:
    paths = len(entry.patch.changes)
    return f"{paths} paths, {len(entry.packages)} packages, {in_words(entry.kept_bytes)} kept"


def _refused(result: RepairResult) -> Iterator[str]:
    yield from _remarks(result.remarks)
    if result.denial is not None:
        yield from (printable(line) for line in denial_lines(result.denial))
    if result.plan and result.plan.by_hand:
        yield from ("", "what doctor found there:")
        yield from (f"  {printable(item.summary)} [{item.code}]" for item in result.plan.by_hand)


def _remarks(remarks: Sequence[str]) -> Iterator[str]:
    yield from (f"note: {printable(line)}" for line in remarks)


def _seconds(result: RepairResult) -> str:
    return f" ({sum(result.seconds.values()):.1f} s)" if result.seconds else ""


def _wrapped(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(printable(text), _TEXT, initial_indent=indent, subsequent_indent=indent)

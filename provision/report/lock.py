"""What lock did or found, as a person reads it, or as JSON; both drawn from the same value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.lock import Change, Contract
from provision.model.locked import LockedTarget, LockFile, LockOutcome, LockResult
from provision.report.create import denial_lines
from provision.report.plan import plan_document, plan_text

_MOST_CHANGES = 40
"""Changes of one file that are shown as text; JSON has them all."""
_EXITS = {LockOutcome.REFUSED: ExitCode.REFUSED, LockOutcome.STALE: ExitCode.CHECK_FAILED}


def exit_code(result: LockResult) -> ExitCode:
    """Return how the command ends: 0 written or up to date, 1 stale, 3 refused."""
    return _EXITS.get(result.outcome, ExitCode.DONE)


def lock_document(result: LockResult) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    return {
        "schema": SCHEMA_VERSION,
        "outcome": result.outcome.value,
        "check": result.check,
        "folder": result.folder,
        "targets": [_target_document(target) for target in result.targets],
        "remarks": list(result.remarks),
        "command": result.command,
        "seconds": jsonable(result.seconds),
        "exit_code": int(exit_code(result)),
    }


def _target_document(target: LockedTarget) -> dict[str, Any]:
    decision = target.plan or target.refusal
    lock = target.lock
    return {
        "name": target.name,
        "machine": target.machine,
        "outcome": target.outcome.value,
        "plan": plan_document(decision) if decision else None,
        "denial": jsonable(target.denial),
        "contract": jsonable(lock.contract) if lock else None,
        "packages": len(lock.packages) + len(lock.conda) if lock else 0,
        "distributions": [item.requirement for item in lock.packages] if lock else [],
        "conda": [item.requirement for item in lock.conda] if lock else [],
        "source_only": list(lock.source_only) if lock else [],
        "files": jsonable(target.files),
        "remarks": list(target.remarks),
    }


def lock_text(result: LockResult) -> str:
    """Return the answer in plain lines, refusals of all targets included; the last one says what came of it."""
    return "\n".join(_lines(result))


def _lines(result: LockResult) -> Iterator[str]:
    yield from (f"note: {remark}" for remark in result.remarks)
    for target in result.targets:
        if target.outcome is LockOutcome.REFUSED:
            yield from _refused(target)
        elif target.lock is not None:
            yield from _locked(target)
    yield from _end(result)


def _refused(target: LockedTarget) -> Iterator[str]:
    if target.name:
        yield f"target {target.name}{_machine(target)}:"
    if target.denial is not None:
        yield from denial_lines(target.denial)
    elif target.refusal is not None:
        yield plan_text(target.refusal)
    yield ""


def _locked(target: LockedTarget) -> Iterator[str]:
    if target.lock is None:
        return
    contract = target.lock.contract
    for file in target.files:
        yield f"{_head(file)}: {file.path}"
        yield from _changes(file)
    count = len(target.lock.packages) + len(target.lock.conda)
    yield (
        f"  {target.name + ': ' if target.name else ''}{contract.distribution} {contract.release}, "
        f"CUDA {contract.cuda}, cuDNN {contract.cudnn}, Python {contract.python}, {count} packages"
    )
    yield f"  serves {_serves(contract)}"
    yield from (f"  note: {remark}" for remark in target.remarks)


def _head(file: LockFile) -> str:
    if file.outcome is LockOutcome.STALE:
        return "missing" if file.missing else "stale"
    if file.outcome is LockOutcome.UNCHANGED:
        return "unchanged"
    return "written"


def _changes(file: LockFile) -> Iterator[str]:
    for change in file.changes[:_MOST_CHANGES]:
        yield f"  {change_line(change)}"
    if len(file.changes) > _MOST_CHANGES:
        yield f"  … and {len(file.changes) - _MOST_CHANGES} more changes"
    if not file.changes and not file.missing and file.outcome is not LockOutcome.UNCHANGED:
        yield "  * its text: it was edited, or written by another version of this program"


def change_line(change: Change) -> str:
    """Return one change as a line: ``+ added``, ``- removed``, ``~ changed``."""
    if change.kind == "added":
        return f"+ {change.name} {change.after}".rstrip()
    if change.kind == "removed":
        return f"- {change.name} {change.before}".rstrip()
    if change.kind == "files":
        return f"~ {change.name}: the same version, other files"
    return f"~ {change.name} {change.before or 'nothing'} -> {change.after or 'nothing'}"


def _serves(contract: Contract) -> str:
    """Return the range of GPUs with the drivers that they need: ``3.5 to 7.5 from driver 450.80.02, 8.6 from …``."""
    if not contract.gpus:
        return f"no GPU that the matrix knows, from driver {contract.driver_floor} on"
    groups: list[tuple[str, list[str]]] = []
    for floor in contract.gpus:
        if groups and groups[-1][0] == floor.driver.text:
            groups[-1][1].append(floor.compute_capability.text)
        else:
            groups.append((floor.driver.text, [floor.compute_capability.text]))
    parts = [
        f"{group[0]} to {group[-1]} from driver {driver}" if len(group) > 1 else f"{group[0]} from driver {driver}"
        for driver, group in groups
    ]
    return f"compute capability {', '.join(parts)}, glibc {contract.glibc} or newer"


def _machine(target: LockedTarget) -> str:
    return f" ({target.machine})" if target.machine else ""


def _end(result: LockResult) -> Iterator[str]:
    yield ""
    held = [target.name or "this machine" for target in result.targets if target.outcome is LockOutcome.HELD]
    if result.outcome is LockOutcome.REFUSED:
        others = f"; {', '.join(held)} could be locked" if held else ""
        yield f"nothing was written{others}"
    elif result.outcome is LockOutcome.STALE:
        yield f"stale: bring it up to date with `{result.command}`"
    elif result.check:
        yield "up to date"
    elif result.outcome is LockOutcome.WRITTEN:
        yield "locked; commit what was written"
    else:
        yield "unchanged"

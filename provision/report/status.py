"""What status and sync found and did, as a person reads it, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.created import Denial
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.plan import Refusal
from provision.model.status import Drift, DriftKind, StatusResult, SyncOutcome, SyncResult
from provision.report.create import denial_lines
from provision.report.plan import refusal_lines

_WORDS = {
    DriftKind.MISSING: "missing",
    DriftKind.EXTRA: "extra",
    DriftKind.VERSION: "other version",
    DriftKind.FILES: "files changed",
    DriftKind.PYTHON: "Python",
    DriftKind.WIRING: "wiring",
    DriftKind.RECORD: "record",
}
_HEADS = {
    SyncOutcome.UNCHANGED: "in order, nothing was touched",
    SyncOutcome.SYNCED: "brought to the lock",
    SyncOutcome.DRY_RUN: "would be brought to the lock",
}


def status_exit_code(result: StatusResult) -> ExitCode:
    """Return 0 in order, 1 differences, 3 nothing to compare with."""
    if result.refused:
        return ExitCode.REFUSED
    return ExitCode.CHECK_FAILED if result.drifts else ExitCode.DONE


def sync_exit_code(result: SyncResult) -> ExitCode:
    """Return 0 done, 3 refused."""
    return ExitCode.REFUSED if result.outcome is SyncOutcome.REFUSED else ExitCode.DONE


def status_document(result: StatusResult) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    return {
        "schema": SCHEMA_VERSION,
        "path": result.path,
        "managed": result.managed,
        "in_order": not result.drifts and not result.refused,
        "lock": jsonable(result.lock),
        "differences": jsonable(result.drifts),
        "packages": result.packages,
        "files": result.files,
        "deep": result.deep,
        "remarks": list(result.remarks),
        "fix": result.fix or None,
        "denial": jsonable(result.denial),
        "reasons": jsonable(result.refusal.reasons) if result.refusal else [],
        "alternatives": jsonable(result.refusal.alternatives) if result.refusal else [],
        "seconds": result.seconds,
        "exit_code": int(status_exit_code(result)),
    }


def sync_document(result: SyncResult) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    return {
        "schema": SCHEMA_VERSION,
        "outcome": result.outcome.value,
        "path": result.status.path,
        "lock": jsonable(result.status.lock),
        "differences": jsonable(result.status.drifts),
        "removed": list(result.removed),
        "installed": list(result.installed),
        "rewired": result.rewired,
        "verdict": jsonable(result.verdict),
        "denial": jsonable(result.denial),
        "reasons": jsonable(result.refusal.reasons) if result.refusal else [],
        "alternatives": jsonable(result.refusal.alternatives) if result.refusal else [],
        "remarks": list(result.remarks),
        "seconds": jsonable(result.seconds),
        "exit_code": int(sync_exit_code(result)),
    }


def status_text(result: StatusResult) -> str:
    """Return the answer in plain lines."""
    return "\n".join(_status_lines(result))


def sync_text(result: SyncResult) -> str:
    """Return the answer in plain lines."""
    return "\n".join(_sync_lines(result))


def _status_lines(result: StatusResult) -> Iterator[str]:
    yield from (f"note: {remark}" for remark in result.remarks)
    if result.refused:
        yield from _refused(result.denial, result.refusal)
        return
    yield f"{result.path}: {'in order' if not result.drifts else _count(len(result.drifts), 'difference')}"
    yield from _lock_line(result)
    how = "sha256 of each" if result.deep else "presence and size; --deep hashes them"
    yield f"  {result.packages} packages, {result.files} files looked at ({how}), {result.seconds:.1f} s"
    if result.drifts:
        yield ""
    for drift in result.drifts:
        yield from _drift(drift)
    if result.fix:
        yield from ("", f"hint: {result.fix}")


def _sync_lines(result: SyncResult) -> Iterator[str]:
    yield from (f"note: {remark}" for remark in result.remarks)
    if result.outcome is SyncOutcome.REFUSED:
        yield from _refused(result.denial, result.refusal)
        return
    yield f"{result.status.path}: {_HEADS[result.outcome]}"
    yield from _lock_line(result.status)
    for drift in result.status.drifts:
        yield from _drift(drift)
    would = "would be " if result.outcome is SyncOutcome.DRY_RUN else ""
    yield from (f"  {would}removed: {item}" for item in result.removed)
    yield from (f"  {would}installed: {item}" for item in result.installed)
    if result.outcome is SyncOutcome.SYNCED:
        if result.verdict is not None:
            yield from ("", result.verdict.summary)
        else:
            yield from ("", "not proved: verification was switched off")


def _lock_line(result: StatusResult) -> Iterator[str]:
    if result.lock:
        target = f" for {result.lock.target}" if result.lock.target else ""
        yield f"  lock: {result.lock.path}{target} ({result.lock.why})"


def _drift(drift: Drift) -> Iterator[str]:
    sides = {
        (True, True): f"is {drift.found}, the lock has {drift.wanted}",
        (True, False): f"the lock has {drift.wanted}",
        (False, True): drift.found,
        (False, False): "",
    }[bool(drift.wanted), bool(drift.found)]
    if drift.kind is DriftKind.FILES:
        sides = f"{drift.wanted}: {drift.found}"
    yield f"  {_WORDS[drift.kind]:<14} {drift.name}  {sides}".rstrip()
    yield from (f"{'':<17}{line}" for line in drift.details)


def _refused(denial: Denial | None, refusal: Refusal | None) -> Iterator[str]:
    if denial is not None:
        yield from denial_lines(denial)
    elif refusal is not None:
        yield from refusal_lines(refusal)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

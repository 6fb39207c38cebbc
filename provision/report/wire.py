"""What wire did, as a person reads it, or as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.report.create import denial_lines
from provision.wiring.result import WireResult


def wire_exit_code(result: WireResult) -> ExitCode:
    """Return 0 done, 1 something of the wiring is missing, 3 refused."""
    if result.report is None:
        return ExitCode.REFUSED
    return ExitCode.DONE if result.undone or result.report.ok else ExitCode.CHECK_FAILED


def wire_document(result: WireResult) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    report = jsonable(result.report) if result.report else None
    return {
        "schema": SCHEMA_VERSION,
        "path": result.path,
        "tensorflow": result.tensorflow or None,
        "library_set": result.library_set or None,
        "mixture": list(result.mixture),
        "undone": result.undone,
        "ok": result.report is not None and (result.undone or result.report.ok),
        "wiring": report,
        "denial": jsonable(result.denial),
        "exit_code": int(wire_exit_code(result)),
    }


def wire_text(result: WireResult) -> str:
    """Return the answer in plain lines."""
    return "\n".join(_lines(result))


def _lines(result: WireResult) -> Iterator[str]:
    report = result.report
    if report is None:
        if result.denial:
            yield from denial_lines(result.denial)
        return
    if result.undone:
        yield f"the wiring of {result.path} is taken away"
        yield from (f"  left, because somebody changed it: {name}" for name in report.changed)
        return
    yield f"{'wired' if report.ok else 'NOT wired completely'}: {result.path}"
    yield f"  {result.tensorflow}, library set {result.library_set}, {len(report.links)} links"
    yield from (f"  caveat: {line}" for line in result.mixture)
    for item in report.unfound:
        needed = "without it no GPU is used" if item.gate else "not needed for a GPU"
        yield f"  not found: {item.soname}, asked for by {item.asked_by} ({needed})"
    yield from (f"  in the way: {name} is not ours and was left alone" for name in report.foreign)
    yield from (f"  changed since it was wired, left alone: {name}" for name in report.changed)
    yield from (f"  damaged: {reason}" for reason in report.unreadable)
    yield ""
    yield f"next: `tfgpu-provision verify {shlex.quote(result.path)}`"

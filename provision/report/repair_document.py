"""A repair as JSON (``provision/report/repair.schema.json``)."""

from __future__ import annotations

from typing import Any

from provision.doctor.causes import CAUSES
from provision.model.doctor import Diagnosis
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.remedy import Step
from provision.model.repair import Entry, Repairing, RepairPlan, RepairResult
from provision.report.doctor import finding_document
from provision.report.repair import repair_exit_code
from provision.report.repair_steps import step_words

KIND = "tfgpu-repair"


def repair_document(result: RepairResult) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    return {
        "schema": SCHEMA_VERSION,
        "kind": KIND,
        "outcome": result.outcome.value,
        "path": result.path,
        "plan": _plan(result.plan, result.path) if result.plan else None,
        "denial": jsonable(result.denial),
        "before": _diagnosis(result.before),
        "after": _diagnosis(result.after),
        "verdict": jsonable(result.verdict),
        "packages": jsonable(result.packages),
        "paths": jsonable(result.patch.changes),
        "entry": _entry(result.entry) if result.entry else None,
        "history": [_entry(entry) for entry in result.history],
        "remarks": list(result.remarks),
        "into": result.into or None,
        "seconds": jsonable(result.seconds),
        "exit_code": int(repair_exit_code(result)),
    }


def _plan(plan: RepairPlan, path: str) -> dict[str, Any]:
    return {
        "repairs": [_repairing(item, path) for item in plan.repairs],
        "by_hand": [finding_document(item) for item in plan.by_hand],
        "beside": plan.beside or None,
        "carry": list(plan.carry),
        "left_out": list(plan.left_out),
    }


def _repairing(item: Repairing, path: str) -> dict[str, Any]:
    cause = CAUSES.get(item.code)
    return {
        "code": item.code,
        "title": cause.title if cause else item.code,
        "why": item.why,
        "what": item.what,
        "outside": item.outside,
        "steps": [_step(step, path) for step in item.steps],
    }


def _step(step: Step, path: str) -> dict[str, Any]:
    return {"kind": type(step).__name__, "what": step_words(step, path), **jsonable(step)}


def _diagnosis(found: Diagnosis | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "sound": found.sound,
        "summary": found.summary,
        "primary": found.primary.code if found.primary else None,
        "findings": [finding_document(item) for item in found.findings],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.ident,
        "when": entry.when,
        "version": entry.version,
        "state": entry.state.value,
        "repairs": [{"code": code, "what": what} for code, what in entry.repairs],
        "packages": jsonable(entry.packages),
        "paths": len(entry.patch.changes),
        "kept_bytes": entry.kept_bytes,
    }

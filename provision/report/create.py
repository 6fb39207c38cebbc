"""What create did, as a person reads it, or as JSON; both drawn from the same value."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.created import CreateOutcome, CreateResult, Denial
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.facts import Certainty
from provision.model.plan import Plan
from provision.model.verdict import StageStatus, Verdict
from provision.report.plan import plan_document, plan_text

_STATUS = {
    StageStatus.PASSED: "passed",
    StageStatus.FAILED: "FAILED",
    StageStatus.SKIPPED: "skipped",
    StageStatus.CANNOT_TELL: "cannot tell",
}
_HEADS = {
    CreateOutcome.CREATED: "created",
    CreateOutcome.EXISTS: "already there",
    CreateOutcome.DRY_RUN: "would create",
}


def exit_code(result: CreateResult, *, require_gpu: bool) -> ExitCode:
    """Return how the command ends.

    0 done (also where nothing proved the GPU), 1 an environment that was there already failed its verification,
    3 refused, 4 with ``--require-gpu`` where no GPU was proved.
    """
    if result.outcome is CreateOutcome.REFUSED:
        return ExitCode.REFUSED
    if result.broken:
        return ExitCode.CHECK_FAILED
    if require_gpu and not result.proved and result.outcome is not CreateOutcome.DRY_RUN:
        return ExitCode.CANNOT_TELL
    return ExitCode.DONE


def create_document(result: CreateResult, *, require_gpu: bool) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    decision = result.plan or result.refusal
    return {
        "schema": SCHEMA_VERSION,
        "outcome": result.outcome.value,
        "path": result.path,
        "proved": result.proved,
        "replaced": result.replaced,
        "plan": plan_document(decision) if decision else None,
        "lock": jsonable(result.lock),
        "denial": jsonable(result.denial),
        "packages": len(result.packages),
        "distributions": list(result.packages),
        "interpreter": result.python or None,
        "verdict": jsonable(result.verdict),
        "remarks": list(result.remarks),
        "seconds": jsonable(result.seconds),
        "exit_code": int(exit_code(result, require_gpu=require_gpu)),
    }


def create_text(result: CreateResult) -> str:
    """Return the answer in plain lines; the last one says whether a GPU was proved."""
    if result.outcome is CreateOutcome.REFUSED:
        return "\n".join(_refused(result))
    return "\n".join(_done(result))


def _refused(result: CreateResult) -> Iterator[str]:
    yield from _remarks(result)
    if result.denial is not None:
        yield from denial_lines(result.denial)
    elif result.refusal is not None:
        yield plan_text(result.refusal)


def denial_lines(denial: Denial) -> Iterator[str]:
    """Yield ``error: …``, the reasons indented, and the hint after an empty line."""
    yield f"error: {denial.what} [{denial.code}]"
    yield from (f"  {line}" for line in denial.why)
    yield ""
    yield f"hint: {denial.hint}"


def _done(result: CreateResult) -> Iterator[str]:
    plan = result.plan
    if plan is None:
        return
    libraries = plan.library_set
    total = sum(result.seconds.values())
    yield from _remarks(result)
    yield f"{_HEADS[result.outcome]}: {result.path}" + (" (the old environment is gone)" if result.replaced else "")
    yield (
        f"  {plan.row.distribution} {plan.row.release}, CUDA {libraries.cuda}, cuDNN {libraries.cudnn}, "
        f"Python {plan.python}, {len(result.packages)} packages, {total:.1f} s"
    )
    for served in plan.gpus:
        yield f"  {served.gpu.name}: {served.why}"
    yield from _caveats(plan)
    if result.outcome is CreateOutcome.DRY_RUN:
        yield from _dry_run(result)
        return
    if result.verdict is not None:
        yield from _verdict(result.verdict)
    yield from _how_to_use(result.path, conda=result.plan is not None and result.plan.request.backend == "conda")
    yield ""
    yield _last_line(result)


def _remarks(result: CreateResult) -> Iterator[str]:
    for remark in result.remarks:
        yield f"note: {remark}"


def _caveats(plan: Plan) -> Iterator[str]:
    for caveat in plan.caveats:
        derived = " (derived, not tried on hardware)" if caveat.certainty is Certainty.DERIVED else ""
        yield f"  {'caveat' if caveat.notable else 'note'}: {caveat.what}{derived} [{caveat.code}]"


def _dry_run(result: CreateResult) -> Iterator[str]:
    yield ""
    yield "packages:"
    yield from (f"  {package}" for package in result.packages)
    yield ""
    yield "dry run: nothing was touched"


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield ""
    for stage in verdict.stages:
        code = f" [{stage.cause}]" if stage.cause and stage.status is not StageStatus.SKIPPED else ""
        yield f"  {stage.level.value:<8} {_STATUS[stage.status]:<11} {stage.summary}{code}"


def _how_to_use(path: str, *, conda: bool) -> Iterator[str]:
    place = shlex.quote(path)
    name = shlex.quote(path.rsplit("/", 1)[-1].lstrip(".") or "tensorflow")
    yield ""
    yield "use it:"
    yield f"  run       {place}/bin/python your_script.py    (no activation needed)"
    yield f"  activate  conda activate {place}" if conda else f"  activate  source {place}/bin/activate"
    yield f"  Jupyter   (created --with ipykernel) {place}/bin/python -m ipykernel install --user --name {name}"
    yield f"  VS Code   Python: Select Interpreter, then {path}/bin/python"
    yield f"  verify    tfgpu-provision verify {place}"


def _last_line(result: CreateResult) -> str:
    if result.verdict is None:
        return "prepared, not proved on a GPU: verification was switched off"
    if result.proved:
        return f"proved on a GPU: {result.verdict.summary}"
    if result.broken:
        return f"NOT sound: {result.verdict.summary}"
    open_stages = [stage.summary for stage in result.verdict.stages if stage.status is StageStatus.CANNOT_TELL]
    return f"prepared, not proved on a GPU: {open_stages[0] if open_stages else result.verdict.summary}"

"""Steps that depend on more than the environment: which release suits this machine."""

from __future__ import annotations

import dataclasses

from provision.model.doctor import Finding, Fix
from provision.model.plan import Plan, Request
from provision.model.remedy import Install, Wire
from provision.model.snapshot import Snapshot
from provision.model.versions import TfVersion
from provision.plan.decide import decide
from provision.plan.judging import judge_request

_INSTALLING = ("tensorflow_missing", "tensorflow_remnants")


def suited(finding: Finding, fix: Fix, snapshot: Snapshot) -> Fix:
    """Return a fix whose steps suit this machine; most do as they are.

    Where TensorFlow is to be installed and none is there, doctor names the release that was there, else the newest for
    the environment's Python; on an older driver or GPU another one is meant.
    """
    seen, host = snapshot.environment, snapshot.host
    if finding.code not in _INSTALLING or seen is None or seen.distribution is not None:
        return fix
    if seen.python is None or host is None:
        return fix
    request = Request(python=seen.python.series)
    wanted = _release(fix)
    row = snapshot.matrix.row(wanted) if wanted else None
    if row is not None and isinstance(judge_request(request, row, host, snapshot.matrix), Plan):
        return fix
    plan = decide(request, host, snapshot.matrix)
    if not isinstance(plan, Plan):
        return fix
    pins = tuple(pin.requirement for pin in plan.pins)
    what = f"{fix.what}: {plan.row.release}, the newest that runs on this machine with this Python"
    kept = tuple(step for step in fix.steps if not isinstance(step, Install | Wire))
    return dataclasses.replace(fix, what=what, commands=(), steps=(*kept, Install(pins), Wire()))


def _release(fix: Fix) -> TfVersion | None:
    """Return the release of TensorFlow that a fix installs."""
    for step in fix.steps:
        for text in step.requirements if isinstance(step, Install) else ():
            name, _, version = text.partition("==")
            if name.split("[")[0] == "tensorflow" and version:
                return _version(version)
    return None


def _version(text: str) -> TfVersion | None:
    try:
        return TfVersion(text)
    except ValueError:
        return None

"""When nothing can be repaired inside an environment, and which release would be built beside it instead."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from provision.model.created import Denial
from provision.model.doctor import Finding
from provision.model.environment_facts import EnvironmentFacts
from provision.model.plan import Plan, Refusal, Request
from provision.model.snapshot import Snapshot
from provision.model.versions import TfVersion
from provision.plan.alternatives import nearest_release as nearest
from provision.plan.decide import decide
from provision.plan.judging import judge_request

_GPU_CODES = frozenset({"gpu-too-old", "gpu-unserved", "ptx-for-another-gpu"})
"""Obstacles of the planner that no package and no driver removes."""


def denial_of(wrong: Sequence[Finding], snapshot: Snapshot) -> Denial | None:
    """Return why nothing can be repaired here, with the way that works; None where something can.

    In this order: there is no environment; its Python does not run; it is a Python of the machine; it may not be
    written; its Python or the C library is none that the release has wheels for; the release does not serve the GPU;
    two frameworks have no libraries in common.
    """
    seen = snapshot.environment
    if seen is None:
        return Denial(
            "no-environment",
            "there is no environment to repair",
            ("only a machine, a log or a script was looked at",),
            "name one: `tfgpu-provision repair ENV`, or make one: `tfgpu-provision create`",
        )
    return _of_place(seen) or _of_release(wrong, seen, snapshot)


def nearest_release(snapshot: Snapshot) -> str:
    """Return the release that runs on this machine and is nearest to the installed one; empty where none is known.

    Without TensorFlow it is the one that `create` would take.
    """
    host, seen = snapshot.host, snapshot.environment
    if host is None:
        return ""
    release = _release(seen)
    if release is None:
        plan = decide(Request(), host, snapshot.matrix)
        return plan.row.release.text if isinstance(plan, Plan) else ""
    found = nearest(Request(), host, snapshot.matrix, release.release)
    return found.row.release.text if found else ""


def suiting_plan(snapshot: Snapshot) -> Plan | None:
    """Return what the installed release would be here with the libraries that suit this machine, None where nothing.

    What is installed was judged with the libraries that are there; others may serve the GPU.
    """
    seen, host = snapshot.environment, snapshot.host
    if seen is None or seen.row is None or host is None or seen.python is None or not seen.row.sets:
        return None
    row = seen.row
    request = Request(tf=row.release.text, python=seen.python.series, distribution=row.distribution)
    answer = judge_request(request, row, host, snapshot.matrix)
    return answer if isinstance(answer, Plan) else None


def _of_place(seen: EnvironmentFacts) -> Denial | None:
    path = shlex.quote(seen.path)
    if seen.env is None:
        return Denial(
            "interpreter-broken",
            f"the Python of {seen.path} does not run, and nothing can be repaired without it",
            tuple(seen.broken),
            f"make it anew; this one gives way only when the new one works: `tfgpu-provision create {path} --replace`",
        )
    if seen.env.kind == "system":
        return Denial(
            "system-python",
            f"{seen.path} is a Python of this machine, not an environment, and is left as it is",
            ("the system's package manager owns its files, and other programs run with them",),
            _into(seen),
        )
    if not seen.writable:
        return Denial(
            "no-write-rights",
            f"{seen.path} may not be changed by this user",
            ("its folders are not writable, or its file system is mounted read-only",),
            _into(seen),
        )
    return None


def _of_release(wrong: Sequence[Finding], seen: EnvironmentFacts, snapshot: Snapshot) -> Denial | None:
    found = {item.code: item for item in wrong if item.is_fault}
    python, glibc = found.get("python_version_unsupported"), found.get("glibc_too_old")
    if python is not None:
        return Denial("wrong-python", "no repair gives an environment another Python", (python.summary,), _into(seen))
    if glibc is not None and "found" in glibc.data and not _has_steps(glibc) and isinstance(glibc.data["found"], str):
        what = "no repair gives this system another C library"
        return Denial("glibc-too-old", what, (glibc.summary,), _into(seen))
    reasons = snapshot.judged.reasons if isinstance(snapshot.judged, Refusal) else ()
    gpu = [item for item in reasons if item.code in _GPU_CODES]
    if gpu and suiting_plan(snapshot) is None:
        release = seen.distribution.version if seen.distribution else ""
        what = f"TensorFlow {release} does not serve the GPU of this machine, whatever is installed beside it"
        return Denial("gpu-unserved", what, tuple(item.what for item in gpu), _into(seen))
    framework = found.get("framework_conflict_pytorch")
    if framework is not None and not _has_steps(framework):
        return split(seen, framework.summary, str(framework.data.get("framework", "the other framework")))
    return None


def split(seen: EnvironmentFacts, why: str, framework: str) -> Denial:
    """Return the denial where two frameworks have no libraries in common: an environment for each."""
    release = seen.distribution.version if seen.distribution else ""
    beside = shlex.quote(f"{seen.path}-tf")
    wanted = f" --tf {shlex.quote(release)}" if release else ""
    name = framework.partition("==")[0]
    return Denial(
        "no-common-set",
        f"TensorFlow {release} and {framework.replace('==', ' ')} have no CUDA libraries in common".replace("  ", " "),
        (why, f"in environments of their own each has the libraries that it needs; {name} stays in {seen.path}"),
        f"make one for TensorFlow: `tfgpu-provision create {beside}{wanted}`",
    )


def _has_steps(finding: Finding) -> bool:
    return any(fix.steps for fix in finding.fixes)


def _into(seen: EnvironmentFacts) -> str:
    path = shlex.quote(seen.path)
    return f"build another one beside, with the same packages: `tfgpu-provision repair {path} --into PATH`"


def _release(seen: EnvironmentFacts | None) -> TfVersion | None:
    try:
        return TfVersion(seen.distribution.version) if seen and seen.distribution else None
    except ValueError:
        return None

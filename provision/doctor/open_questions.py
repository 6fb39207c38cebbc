"""What a snapshot leaves open, and the command that would tell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provision.model.doctor import Finding, Role, Unsure
from provision.model.environment_facts import EnvironmentFacts
from provision.model.host import DriverState
from provision.model.plan import Refusal
from provision.model.snapshot import Snapshot
from provision.model.verdict import StageStatus

_MOST_FILES = 5
_UNREACHABLE = (DriverState.NO_GPU, DriverState.UNKNOWN)


@dataclass(frozen=True)
class Question:
    """Something left open; ``decides`` where the environment cannot be called sound without it."""

    unsure: Unsure
    decides: bool


def questions(snapshot: Snapshot, findings: Sequence[Finding]) -> tuple[Question, ...]:
    """Return what could not be told; the deciding ones first."""
    found = [
        *_log(snapshot, findings),
        *_machine(snapshot),
        *_environment(snapshot, findings),
        *_planner(snapshot, findings),
        *_imported(snapshot, findings),
        *_script(snapshot),
    ]
    return tuple(sorted(found, key=lambda item: not item.decides))


def _log(snapshot: Snapshot, findings: Sequence[Finding]) -> Iterator[Question]:
    if snapshot.log is None or any(item.role is Role.PRIMARY for item in findings):
        return
    from provision.doctor.log import rules  # noqa: PLC0415 - its tables are only compiled where there is a log

    yield from (Question(item, decides=True) for item in rules.unsure(snapshot))


def named(seen: EnvironmentFacts) -> str:
    """Return how to name an environment on the command line; a Python of the system by itself, not as ``/usr``."""
    return str(seen.env.python) if seen.env and seen.env.kind == "system" else seen.path


def _machine(snapshot: Snapshot) -> Iterator[Question]:
    host, seen = snapshot.host, snapshot.environment
    if host is None or host.driver_state not in _UNREACHABLE:
        return
    why = "this machine has no NVIDIA GPU" if host.driver_state is DriverState.NO_GPU else host.driver_state_why
    if host.described:
        yield Question(
            Unsure(f"what TensorFlow would do with a GPU: {why}", "add driver=VERSION,gpu=NAME to --for"), decides=True
        )
    elif seen is not None:
        what = f"whether TensorFlow uses a GPU: {why}; on one that has a GPU this tells"
        yield Question(Unsure(what, f"tfgpu-provision verify {shlex.quote(named(seen))}"), decides=True)
    else:
        yield Question(Unsure(f"whether a GPU can be used: {why}", "tfgpu-provision host --verbose"), decides=True)


def _environment(snapshot: Snapshot, findings: Sequence[Finding]) -> Iterator[Question]:
    seen = snapshot.environment
    if seen is None or seen.env is None or not seen.tensorflow:
        return
    where = shlex.quote(named(seen))
    if seen.cuda_build is not False and not _has_loader_answer(seen, findings):
        what = "what the loader makes of the CUDA libraries: TensorFlow's own loader gave no answer"
        yield Question(Unsure(what, f"tfgpu-provision doctor {where} --deep"), decides=True)
    if seen.distribution is not None and seen.row is None:
        name = f"{seen.distribution.name} {seen.distribution.version}"
        what = f"whether versions fit what {name} needs: the matrix has no row for it"
        yield Question(Unsure(what, "tfgpu-provision matrix list"), decides=False)
    if not snapshot.deep and not any(item.role is Role.PRIMARY for item in findings):
        yield Question(
            Unsure("what TensorFlow itself says: it was not imported", f"tfgpu-provision doctor {where} --deep"),
            decides=False,
        )


def _has_loader_answer(seen: EnvironmentFacts, findings: Sequence[Finding]) -> bool:
    """Whether it said something, or how it ended is a finding; a child that hung or was killed said nothing."""
    gate = seen.gate
    if gate is None:
        return False
    if gate.ended or gate.unloadable:
        return any(item.is_fault for item in findings)
    return bool(gate.libraries)


def _imported(snapshot: Snapshot, findings: Sequence[Finding]) -> Iterator[Question]:
    """Yield what TensorFlow itself failed at where no finding says why."""
    seen = snapshot.environment
    if seen is None or any(item.role is Role.PRIMARY for item in findings):
        return
    for stage in (seen.deep_import, seen.deep_device):
        if stage is not None and stage.status is StageStatus.FAILED:
            what = f"why TensorFlow fails when it is imported and asked for GPUs: {stage.summary}"
            command = f"tfgpu-provision verify {shlex.quote(named(seen))} --level {stage.level.value}"
            yield Question(Unsure(what, command), decides=True)


def _planner(snapshot: Snapshot, findings: Sequence[Finding]) -> Iterator[Question]:
    """Yield what the planner holds against this machine where no finding says it: it must not be lost."""
    if isinstance(snapshot.judged, Refusal) and not any(item.role is not Role.HARMLESS for item in findings):
        for reason in snapshot.judged.reasons:
            what = f"whether TensorFlow runs here: {reason.what}"
            yield Question(Unsure(what, reason.needs), decides=True)


def _script(snapshot: Snapshot) -> Iterator[Question]:
    """Yield the code that was not read; of a single file nothing else is known."""
    script = snapshot.script
    if script is None:
        return
    if not script.files:
        what = f"whether code keeps TensorFlow from the GPU: {script.name} has no Python file and no notebook"
        yield Question(Unsure(what), decides=True)
    unread = [remark for remark in script.remarks if remark.kind in ("unparsable", "left-out")]
    for remark in unread[:_MOST_FILES]:
        cell = f", cell {remark.fields['cell']}" if "cell" in remark.fields else ""
        what = (
            f"what {remark.file}{cell} does, line {remark.line}: {remark.fields.get('reason', 'it could not be read')}"
        )
        yield Question(Unsure(what), decides=script.files == 1 and not cell)

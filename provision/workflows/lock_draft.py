"""From what was resolved to lock files: the contract, the text of each format, and what changed.

`provision.workflows.lock_work` loads this while uv works: nothing of it is needed before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.backends.resolve import pylock_of
from provision.backends.uv import Sources, Uv
from provision.lock.changes import changes
from provision.lock.files import prepare, render
from provision.model.created import Denial
from provision.model.lock import GpuFloor, Lock, LockFormat, LockRequest, normalised
from provision.model.locked import LockedTarget, LockFile, LockOutcome
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal
from provision.workflows.contract import contract_for, gpu_floors
from provision.workflows.lock_conda_files import beside_files, conda_texts
from provision.workflows.lock_request import LockOptions
from provision.workflows.lock_targets import LockTarget

if TYPE_CHECKING:
    from provision.workflows.lock_work import LockWork, Made


def beforehand(plan: Plan, matrix: Matrix, kinds: Iterable[LockFormat]) -> tuple[GpuFloor, ...]:
    """Do what needs no resolution: load the formats, and return which GPUs a plan serves from which driver on."""
    if plan.request.backend == "venv":  # conda's formats bring a whole program with them
        for kind in kinds:
            prepare(kind)
    return tuple(gpu_floors(plan, matrix))


def refused(target: LockTarget, answer: Plan | Refusal | Denial) -> LockedTarget:
    """Return a target that gets no lock: because of its own answer, or because of another target's."""
    if isinstance(answer, Plan):
        return LockedTarget(target.name, target.machine, LockOutcome.HELD, plan=answer)
    return LockedTarget(
        target.name,
        target.machine,
        LockOutcome.REFUSED,
        refusal=answer if isinstance(answer, Refusal) else None,
        denial=answer if isinstance(answer, Denial) else None,
    )


def denied(target: LockTarget, plan: Plan, denial: Denial) -> LockedTarget:
    """Return a target whose packages do not fit together."""
    return LockedTarget(target.name, target.machine, LockOutcome.REFUSED, plan=plan, denial=denial)


def held_where_denied(drafts: Sequence[LockedTarget]) -> tuple[LockedTarget, ...] | None:
    """Return what becomes of all targets where one is denied, None where none is."""
    if not any(draft.denial for draft in drafts):
        return None
    return tuple(
        draft if draft.denial else dataclasses.replace(draft, outcome=LockOutcome.HELD, lock=None, files=())
        for draft in drafts
    )


def draft(
    work: LockWork,
    target: LockTarget,
    plan: Plan,
    made: Made,
    *,
    floors: tuple[GpuFloor, ...],
    uv: Uv,
    scratch: Path,
    texts: dict[Path, bytes],
) -> LockedTarget:
    """Return the lock of a target, and put what is to be written into ``texts``.

    Args:
        work: all that was decided before.
        target: the machine.
        plan: for it.
        made: what was resolved for the plan.
        floors: which GPUs the plan serves, see `beforehand`.
        uv: is asked for what a format needs besides.
        scratch: folder for files that uv reads and writes.
        texts: path → content of what is to be written.

    Raises:
        ToolFailedError: uv failed, or a format cannot hold the lock.
        InvalidFileError: ``file-in-the-way``.
    """
    contract = contract_for(
        plan,
        work.matrix,
        request=work.request,
        target=target.name,
        machine_text=target.machine,
        glibc=made.glibc,
        gpus=floors,
    )
    lock = Lock(contract, made.packages, made.conda, made.source_only, made.build_tools)
    kinds = work.kinds(target.name)
    pylock = _pylock(work, uv, plan, made, scratch) if LockFormat.PYLOCK in kinds else ""
    files = [
        _file(
            work, target.name, kind, lock, draw=lambda kind, final: _text(uv, kind, final, pylock, scratch), texts=texts
        )
        for kind in kinds
    ]
    outcomes = {file.outcome for file in files}
    worst = next(iter(outcomes - {LockOutcome.UNCHANGED}), LockOutcome.UNCHANGED)
    return LockedTarget(
        target.name,
        target.machine,
        worst,
        plan=plan,
        lock=lock,
        files=tuple(files),
        remarks=tuple(_remarks(made, work.request, work.options, work.previous(target.name))),
    )


def _file(
    work: LockWork,
    name: str,
    kind: LockFormat,
    lock: Lock,
    *,
    draw: Callable[[LockFormat, Lock], tuple[str, Mapping[str, str]]],
    texts: dict[Path, bytes],
) -> LockFile:
    """Return what is to be done for one file, and put what is to be written into ``texts``."""
    path = work.paths[name, kind]
    shown = _shown(path, work.folder)
    before = work.standing.get((name, kind))
    if before is not None and before.lock.contract.row_digest == lock.contract.row_digest:
        # Another matrix that says the same of this release makes no other lock.
        digest = before.lock.contract.matrix_digest
        lock = dataclasses.replace(lock, contract=dataclasses.replace(lock.contract, matrix_digest=digest))
    text, beside = draw(kind, lock)
    new = beside_files(path, beside) if beside else {}
    if before is None or before.data != text.encode():
        new[path] = text.encode()
    if not new:
        return LockFile(shown, kind, LockOutcome.UNCHANGED)
    texts.update(new)
    outcome = LockOutcome.STALE if work.options.check else LockOutcome.WRITTEN
    found = changes(before.lock, lock) if before is not None else ()
    return LockFile(shown, kind, outcome, missing=before is None, changes=tuple(found))


def _text(uv: Uv, kind: LockFormat, lock: Lock, pylock: str, scratch: Path) -> tuple[str, Mapping[str, str]]:
    """Return the text of a lock, and of what belongs beside it."""
    if lock.contract.backend == "conda":
        return conda_texts(uv, lock, kind, scratch)
    return render(lock, kind, pylock=pylock), {}


def _pylock(work: LockWork, uv: Uv, plan: Plan, made: Made, scratch: Path) -> str:
    """Return uv's own form of the resolution; what was added to it from the matrix has to be looked up."""
    if work.request.allow_source or not plan.row.source_only:
        return made.pylock
    return pylock_of(uv, made.packages, work.target_of(plan), Sources(made.source_only), scratch)


def _remarks(made: Made, request: LockRequest, options: LockOptions, previous: Lock | None) -> Sequence[str]:
    found = []
    if request.as_of:
        found.append(f"nothing that was uploaded after {request.as_of} is in it; `--as-of none` lifts that")
    if made.too_new:
        found.append(f"newer than {request.as_of}, and taken because the matrix fixes it: {', '.join(made.too_new)}")
    if previous is not None:
        had = {item.name for item in (*previous.packages, *previous.build_tools)}
        had |= {normalised(item.name) for item in previous.conda}
        unknown = [name for name in options.upgrade_packages if normalised(name) not in had]
        found += [f"{name} was not in the lock: there is nothing to upgrade" for name in unknown]
    return found


def _shown(path: Path, folder: Path) -> str:
    """Return a path as seen from the project."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return str(path)

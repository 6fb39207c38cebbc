"""lock: decide for every target, resolve, and write what the project commits; or say whether that is up to date."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.model.lock import Lock, normalised
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal, Request
from provision.model.progress import Observer, Silent
from provision.model.versions import TfVersion
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.lock_places import formats_for, named_file, paths_for, project_folder
from provision.workflows.lock_plan import plans_for, released_by
from provision.workflows.lock_request import LockOptions, lock_request, plan_request
from provision.workflows.lock_targets import LockTarget, look_at_target, named_targets
from provision.workflows.lock_work import LockWork, read_standing
from provision.workflows.settings import load_settings

if TYPE_CHECKING:
    from provision.model.created import Denial
    from provision.model.locked import LockResult

__all__ = ["LockOptions", "lock"]


def lock(system: System, folder: Path, options: LockOptions, observer: Observer | None = None) -> LockResult:
    """Write the lock of every target, or say why not; with ``check``, say whether those that are there are up to date.

    Nothing is written unless everything can be. A lock that says the same already is not touched.

    Args:
        system: the door.
        folder: where one stands: paths and ``[tool.tfgpu]`` are relative to it.
        options: what the user typed.
        observer: told what happens.

    Raises:
        UsageError, InvalidFileError: a value or file that cannot be used, a lock that cannot be read among them.
        ToolFailedError: uv, the network or the disk failed.
    """
    watch = observer or Silent()
    begun = time.monotonic()
    settings = load_settings(folder)
    project = project_folder(settings, folder)
    named = named_targets(options.for_, settings, system)
    file = named_file(settings, folder, options.output)
    there = read_standing(file) if file is not None else None
    backend = options.backend or settings.text("backend") or (there.lock.contract.backend if there else "venv")
    kinds = formats_for(backend, options.formats or settings.strings("format"), file)
    paths = paths_for([item.name for item in named], kinds, settings, folder, options.output)
    standing = {key: item for key, path in paths.items() if (item := read_standing(path)) is not None}
    previous = next((item.lock for item in standing.values()), None)
    request = lock_request(options, settings, folder, previous)
    wanted = plan_request(request, backend)
    matrix = load_matrix(options.matrix_file, settings)
    # A check answers the same everywhere: a lock of a machine that was not described is held against that machine.
    recorded = previous.contract if previous and (options.check or previous.contract.machine_text) else None
    watch.step("reading the machines and the matrix")
    targets = [look_at_target(item, system, recorded if len(named) == 1 else None) for item in named]
    seconds = {"detect": round(time.monotonic() - begun, 3)}
    work = LockWork(system, options, project, matrix, request, paths, standing, watch)
    answers, remarks = _decided(wanted, targets, matrix, work)
    plans = [answer for answer in answers if isinstance(answer, Plan)]
    found = work.make(targets, plans) if len(plans) == len(targets) else None
    # Loaded late: where uv has worked, they came in beside it.
    from provision.model.locked import LockResult  # noqa: PLC0415
    from provision.workflows.lock_draft import refused  # noqa: PLC0415

    if found is None:
        found = tuple(refused(target, answer) for target, answer in zip(targets, answers, strict=True))
    seconds["resolve"] = round(time.monotonic() - begun - seconds["detect"], 3)
    return LockResult(options.check, str(project), found, remarks, _command(options), seconds)


def _decided(
    wanted: Request, targets: Sequence[LockTarget], matrix: Matrix, work: LockWork
) -> tuple[tuple[Plan | Refusal | Denial, ...], tuple[str, ...]]:
    day = work.request.as_of
    then = released_by(matrix, wanted, day) if day else matrix
    if not isinstance(then, Matrix):
        return tuple(then for _ in targets), ()
    free = {normalised(name) for name in work.options.upgrade_packages}
    kept = [_release(work.previous(target.name), free, upgrade=work.options.upgrade) for target in targets]
    return plans_for(wanted, [target.host for target in targets], then, kept)


def _release(previous: Lock | None, free: set[str], *, upgrade: bool) -> TfVersion | None:
    """Return the release that stays; TensorFlow is a package like others and changes when it is upgraded."""
    if previous is None or upgrade or previous.contract.distribution in free:
        return None
    return previous.contract.release


def _command(options: LockOptions) -> str:
    """Return what to type to make the lock again: what was typed now, without ``--check``."""
    import shlex  # noqa: PLC0415 - see lock

    words = ["tfgpu-provision", "lock"]
    texts: Mapping[str, Sequence[str | None]] = {
        "--tf": (options.tf,),
        "--python": (options.python,),
        "--with": options.with_,
        "-r": tuple(str(path) for path in options.requirement_files),
        "--with-conda": options.with_conda,
        "--channel": options.channels,
        "--for": options.for_,
        "--backend": (options.backend,),
        "--format": options.formats,
        "-o": (options.output,),
        "--as-of": (options.as_of,),
        "--matrix": (str(options.matrix_file) if options.matrix_file else None,),
    }
    for option, values in texts.items():
        for value in values:
            words += [option, value] if value is not None else []
    words += ["--allow-source"] if options.allow_source else []
    return shlex.join(words)

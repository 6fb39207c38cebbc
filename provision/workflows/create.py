"""create: read the machine and the matrix, decide, and have it built."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from pathlib import Path

from provision.backends.interpreter import given
from provision.backends.places import resolve_target
from provision.backends.requirements import check_all, read_file
from provision.backends.uv import Uv
from provision.errors import ToolFailedError, UsageError
from provision.host import find_interpreters
from provision.model.created import CreateOutcome, CreateResult, Denial, LockUsed
from provision.model.plan import Plan, Refusal
from provision.model.progress import Observer, Silent
from provision.plan import decide
from provision.system import System
from provision.system.parallel import Pending
from provision.workflows.common import host_for, load_matrix
from provision.workflows.conda_foreign import read_foreign
from provision.workflows.create_backends import work_class
from provision.workflows.create_work import CreateOptions, Stopwatch
from provision.workflows.locked import unlocked_source
from provision.workflows.locked_create import NoneFits, locked_work, locks_in_use, plan_of_locks
from provision.workflows.plan import make_request
from provision.workflows.settings import Settings, load_settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")

__all__ = ["CreateOptions", "create", "named_path"]


def create(system: System, folder: Path, options: CreateOptions, observer: Observer | None = None) -> CreateResult:
    """Create an environment, or say why not.

    Args:
        system: the door.
        folder: where one stands: paths and ``[tool.tfgpu]`` are relative to it.
        options: what the user typed.
        observer: told what happens.

    Raises:
        UsageError, InvalidFileError: a value or file that cannot be used; nothing was touched.
        ToolFailedError: uv, the network or the disk failed, or another create works on the path (``busy``); nothing
            that existed was changed.
        RolledBackError: the new environment failed its verification; everything is as it was before.
        NotRolledBackError: what was begun could not be undone; the next create of the path cleans up.
    """
    watch = observer or Silent()
    clock = Stopwatch()
    target = resolve_target(options.path, folder)
    watch.step("reading the machine and the matrix")
    with clock.stage("detect"):
        settings = load_settings(folder)
        options = dataclasses.replace(options, channels=options.channels or settings.strings("channels"))
        foreign = read_foreign(folder, options.locked)
        locks = () if foreign else locks_in_use(system, settings, folder, options)
        packages = _packages(settings, folder, options)
        explicit = Path(options.python) if options.python and "/" in options.python else None
        series = {file.lock.contract.python.text for file in locks}
        # Reading the machine waits for child processes, reading the matrix does not.
        reading = Pending(partial(host_for, system, options.for_))
        finding = Pending(lambda: (given(system, explicit),) if explicit else find_interpreters(system, series))
        asking = Pending(partial(_cache, system))
        matrix = load_matrix(options.matrix_file, settings)
        pythons = tuple(finding.result())
        host = reading.result()
        if not host.described:
            host = dataclasses.replace(host, pythons=pythons)
        python = pythons[0].version.text if explicit else options.python
        conda = options.with_conda
        request = make_request(settings, tf=options.tf, python=python, backend=options.backend, conda=conda)
        request = dataclasses.replace(request, requirements=packages)
    if locks:
        with clock.stage("plan"):
            chosen = plan_of_locks(locks, host, matrix, settings, python=request.python, options=options)
        if isinstance(chosen, NoneFits):
            return CreateResult(
                CreateOutcome.REFUSED, str(target), refusal=chosen.refusal, denial=chosen.denial, seconds=clock.seconds
            )
        return locked_work(
            work_class(chosen.plan)(
                system, options, target, chosen.plan, matrix, pythons, watch, clock, cache=asking.result()
            ),
            chosen,
            locks,
        )
    with clock.stage("plan"):
        asked = foreign.request() if foreign else request
        decision = asked if isinstance(asked, Denial) else decide(asked, host, matrix)
        if foreign and isinstance(decision, Plan):
            decision = foreign.plan(decision)
    if isinstance(decision, Denial):
        return CreateResult(CreateOutcome.REFUSED, str(target), denial=decision, seconds=clock.seconds)
    if isinstance(decision, Refusal):
        return CreateResult(CreateOutcome.REFUSED, str(target), refusal=decision, seconds=clock.seconds)
    work = work_class(decision)(system, options, target, decision, matrix, pythons, watch, clock, cache=asking.result())
    if foreign:
        watch.detail(foreign.remark)
        lock = foreign.lock(decision, matrix)
        if denial := unlocked_source(lock, decision.row.source_only, allow_source=options.allow_source):
            return CreateResult(CreateOutcome.REFUSED, str(target), denial=denial, seconds=clock.seconds)
        used = LockUsed(str(foreign.path), "", foreign.remark)
        work = dataclasses.replace(work, lock=lock, lock_used=used)
    return work.dry_run() if options.dry_run else work.create()


def _cache(system: System) -> Path | None:
    """Return where uv keeps what it downloaded, None where it cannot say; who needs uv then says why."""
    try:
        return Uv(system).cache
    except ToolFailedError:
        return None


def _packages(settings: Settings, folder: Path, options: CreateOptions) -> tuple[str, ...]:
    """Return every package of the user's, from settings, options and files, each once."""
    packages = [
        *check_all(settings.strings("requirements"), "[tool.tfgpu] requirements"),
        *check_all(options.with_, "--with"),
    ]
    for file in options.requirement_files:
        packages += read_file(folder / file)
    return tuple(dict.fromkeys(packages))


def named_path(name: str) -> str:
    """Return where the environment of a name lives: in the user's data folder.

    Raises:
        UsageError: ``bad-name`` for a name that is not made of letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"{name[:60]!a} cannot be the name of an environment",
            code="bad-name",
            why=("a name has letters, digits, '.', '_' and '-', begins with a letter or digit, and has at most 64",),
            hint="choose another name, or give a PATH",
        )
    import platformdirs  # noqa: PLC0415 - only who names an environment pays for it

    return str(platformdirs.user_data_path("tfgpu-provision", appauthor=False) / "environments" / name)

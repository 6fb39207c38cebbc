"""``create --locked``: what a lock means for one create."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.backends.requirements import check_all, read_file
from provision.errors import UsageError
from provision.model.created import CreateOutcome, CreateResult
from provision.model.host import HostFacts
from provision.model.lock import Contract, Lock
from provision.model.matrix import Matrix
from provision.model.versions import PythonVersion
from provision.plan.spec import parse_spec
from provision.system import System
from provision.workflows.common import FOR_VARIABLE
from provision.workflows.contract_judge import satisfied
from provision.workflows.create_work import CreateOptions, Work
from provision.workflows.locked import (
    Chosen,
    LockFile,
    NoneFits,
    choose_lock,
    lock_paths,
    read_locks,
    unlocked_source,
)
from provision.workflows.settings import Settings

__all__ = ["NoneFits", "locked_work", "locks_in_use", "plan_of_locks"]


def locks_in_use(system: System, settings: Settings, folder: Path, options: CreateOptions) -> tuple[LockFile, ...]:
    """Return the locks that a create goes by, none where it resolves.

    Those of ``--locked``; without it those of the project, where it has settings and locks and nothing was asked for
    that could be something else.

    Raises:
        InvalidFileError: ``no-lock``, ``bad-lock``.
    """
    if options.locked is not None:
        paths = lock_paths(settings, folder, options.locked)
        return read_locks(paths, allow_urls=options.allow_urls)
    if not settings.values or _asks(options) or system.environ.get(FOR_VARIABLE, "").strip():
        return ()
    paths = lock_paths(settings, folder, None)
    return read_locks(paths, allow_urls=options.allow_urls) if paths else ()


def plan_of_locks(
    files: Sequence[LockFile],
    host: HostFacts,
    matrix: Matrix,
    settings: Settings,
    *,
    python: PythonVersion | None,
    options: CreateOptions,
) -> Chosen | NoneFits:
    """Return the lock for the machine and its plan, or why none can be used.

    Args:
        files: the locks.
        host: the machine.
        matrix: the one in force.
        settings: of the project.
        python: the one that was asked for.
        options: what the user typed.

    Raises:
        UsageError: ``lock-contradicts``, where the options ask for something else than the lock holds.
    """
    if options.backend:
        files = [file for file in files if file.lock.contract.backend == options.backend] or files
    chosen = choose_lock(files, host, matrix)
    if isinstance(chosen, NoneFits):
        if len(files) == 1:
            _check(files[0], matrix, python, options)
        return chosen
    _check(chosen.file, matrix, python, options)
    lock = chosen.file.lock
    denial = unlocked_source(lock, chosen.plan.row.source_only, allow_source=options.allow_source)
    if denial:
        return NoneFits(denial=denial)
    asked = python if options.python and python else lock.contract.python
    request = dataclasses.replace(chosen.plan.request, python=asked)
    stale = tuple(_stale(lock, settings))
    why = chosen.why + (f"; the project asks for {', '.join(stale)}, which is not in it" if stale else "")
    return Chosen(chosen.file, dataclasses.replace(chosen.plan, request=request), why)


def locked_work(work: Work, chosen: Chosen, files: Sequence[LockFile]) -> CreateResult:
    """Create what a lock names."""
    used = chosen.file.used(chosen.why)
    target = f" for {used.target}" if used.target else ""
    said = f"from the lock {chosen.file.path.name}{target}: {used.why}"
    if len(files) > 1 or work.options.locked is None or "asks for" in used.why:
        work.watch.detail(said)
    work = dataclasses.replace(work, lock=chosen.file.lock, lock_used=used)
    result = work.dry_run() if work.options.dry_run else work.create()
    if result.outcome is CreateOutcome.REFUSED:
        return result
    return dataclasses.replace(result, remarks=(said, *result.remarks))


def _asks(options: CreateOptions) -> bool:
    """Whether something is asked for that a lock of the project may not be."""
    return any(
        (
            options.tf is not None,
            options.python,
            options.with_,
            options.requirement_files,
            options.for_,
            options.backend,
            options.with_conda,
            options.channels,
            options.conda_exe,
        )
    )


def _check(file: LockFile, matrix: Matrix, python: PythonVersion | None, options: CreateOptions) -> None:
    """Raise UsageError where options and lock contradict each other."""
    wrong = tuple(_contradictions(file.lock, matrix, python, options))
    if wrong:
        raise UsageError(
            f"the lock {file.path.name} is not what was asked for",
            code="lock-contradicts",
            why=wrong,
            hint="leave the options out, or make the lock anew with them: `tfgpu-provision lock`",
        )


def _contradictions(lock: Lock, matrix: Matrix, python: PythonVersion | None, options: CreateOptions) -> Iterator[str]:
    contract: Contract = lock.contract
    if options.tf and not _admits(options.tf, contract, matrix):
        yield f"--tf {options.tf}: the lock has {contract.distribution} {contract.release}"
    if options.python and python is not None and python.series != contract.python.series:
        yield f"--python {options.python}: the lock is for Python {contract.python}"
    if options.backend and options.backend != contract.backend:
        yield f"--backend {options.backend}: the lock is of a {contract.backend} environment"
    versions = {item.name: item.version for item in lock.packages}
    texts = [*check_all(options.with_, "--with")]
    for name in options.requirement_files:
        texts += read_file(name)
    for text in texts:
        if not satisfied(text, versions):
            yield f"{text}: not in the lock"


def _admits(spec: str, contract: Contract, matrix: Matrix) -> bool:
    row = matrix.row(contract.release, contract.distribution)
    return row is not None and parse_spec(spec, matrix, contract.distribution).admits(row)


def _stale(lock: Lock, settings: Settings) -> Iterator[str]:
    """Yield what the project asks for by now and the lock does not hold."""
    versions = {item.name: item.version for item in lock.packages}
    yield from (text for text in settings.strings("requirements") if not satisfied(text, versions))

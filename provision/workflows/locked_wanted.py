"""What an environment should hold: the lock that was named, the one of the project, or its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.backends.record import LOCK, Record, read_locked, read_record
from provision.backends.unlock import BUILD_TOOLS
from provision.errors import ProvisionError
from provision.lock.requirements import parse_lock
from provision.model.created import LockUsed
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.host import HostFacts
from provision.model.lock import CondaLocked, Lock, Locked
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal, Request
from provision.model.versions import PythonVersion
from provision.workflows.contract_judge import judge_contract, judge_fixed
from provision.workflows.locked import Chosen, LockFile, choose_lock, lock_paths, read_locks
from provision.workflows.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """What an environment should hold.

    Attributes:
        used: the lock that says it.
        packages: of the package index.
        python: series, None where nothing says it.
        plan: what it is on this machine; None with ``refusal``, or where nothing tells the release.
        refusal: why this machine is not for it.
        conda: packages of conda.
        source_only: normalised names of what is built.
        build_tools: with what.
        lock: the lock itself, None for the environment's own.
    """

    used: LockUsed
    packages: tuple[Locked, ...]
    python: PythonVersion | None
    plan: Plan | None = None
    refusal: Refusal | None = None
    conda: tuple[CondaLocked, ...] = ()
    source_only: tuple[str, ...] = ()
    build_tools: tuple[Locked, ...] = ()
    lock: Lock | None = None

    @property
    def from_file(self) -> bool:
        """Whether it is a lock file and not the environment's own."""
        return self.lock is not None


def wanted_for(
    env: EnvRef,
    settings: Settings,
    folder: Path,
    given: str | None,
    *,
    host: HostFacts,
    matrix: Matrix,
    allow_urls: bool,
) -> Wanted | None:
    """Return what an environment should hold, None where nothing says it.

    Args:
        env: the environment.
        settings: of the project one stands in.
        folder: where one stands.
        given: a lock file, or None for the project's that fits the machine, else the environment's own.
        host: the machine.
        matrix: the one in force.
        allow_urls: whether a lock may name addresses.

    Raises:
        InvalidFileError: ``no-lock`` for a file that is not there, ``bad-lock`` for one that is wrong.
    """
    paths = lock_paths(settings, folder, given)
    files = read_locks(paths, allow_urls=allow_urls) if paths else ()
    if given:
        file = files[0]
        answer = judge_contract(file.lock.contract, host, matrix)
        return _of_file(file, "it was named", answer)
    files = tuple(file for file in files if (file.lock.contract.backend == "conda") == (env.kind == "conda"))
    chosen = choose_lock(files, host, matrix) if files else None
    if isinstance(chosen, Chosen):
        return _of_file(chosen.file, chosen.why, chosen.plan)
    return _own(Path(env.prefix), host, matrix)


def _of_file(file: LockFile, why: str, answer: Plan | Refusal) -> Wanted:
    lock = file.lock
    return Wanted(
        file.used(why),
        lock.packages,
        lock.contract.python,
        answer if isinstance(answer, Plan) else None,
        answer if isinstance(answer, Refusal) else None,
        lock.conda,
        lock.source_only,
        lock.build_tools,
        lock,
    )


def _own(prefix: Path, host: HostFacts, matrix: Matrix) -> Wanted | None:
    """Return what the environment's own lock says; Python and library set come from its record."""
    path = prefix / RECORD_FOLDER / LOCK
    packages = read_locked(prefix)
    if not packages:
        return None
    record = read_record(prefix)
    used = LockUsed(str(path), "", "the environment's own", hashlib.sha256(path.read_bytes()).hexdigest())
    if record is None:
        return Wanted(used, packages, None)
    python = PythonVersion(record.python)
    answer = judge_fixed(_request(record), python, record.library_set, host, matrix)
    if isinstance(answer, Refusal):
        return Wanted(used, packages, python, refusal=answer)
    known = {item.name for item in answer.row.source_only}
    source_only = tuple(item.name for item in packages if item.name in known)
    return Wanted(used, packages, python, answer, source_only=source_only, build_tools=_build_tools(prefix))


def _request(record: Record) -> Request:
    texts: Sequence[object] = record.document.get("requirements") or ()
    requirements = tuple(text for text in texts if isinstance(text, str))
    return Request(record.release, requirements=requirements, distribution=record.distribution)


def _build_tools(prefix: Path) -> tuple[Locked, ...]:
    try:
        return parse_lock((prefix / RECORD_FOLDER / BUILD_TOOLS).read_text(encoding="utf-8"))
    except (OSError, ValueError, ProvisionError):
        return ()

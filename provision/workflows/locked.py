"""Locks in use: which files are meant, whether this machine keeps their contract, and which of several is taken."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import InvalidFileError
from provision.lock.choosing import Candidate, choose
from provision.lock.files import is_lock_name, parse
from provision.lock.refusing import MAX_BYTES
from provision.model.created import Denial, LockUsed
from provision.model.host import HostFacts
from provision.model.lock import Lock
from provision.model.matrix import Matrix, SourceOnly
from provision.model.plan import Plan, Refusal
from provision.workflows.contract_judge import judge_contract
from provision.workflows.lock_places import lock_file, lock_folder
from provision.workflows.settings import Settings


@dataclass(frozen=True)
class LockFile:
    """A lock that was read, with its file and the sha256 of the file's bytes."""

    path: Path
    lock: Lock
    sha256: str

    def used(self, why: str) -> LockUsed:
        """Return it as results name it."""
        return LockUsed(str(self.path), self.lock.contract.target, why, self.sha256)


@dataclass(frozen=True)
class Chosen:
    """A lock that this machine can use, the plan that it is here, and why this one."""

    file: LockFile
    plan: Plan
    why: str


@dataclass(frozen=True)
class NoneFits:
    """No lock can be used here: the refusal of the only one, or every lock's reasons."""

    refusal: Refusal | None = None
    denial: Denial | None = None


def lock_paths(settings: Settings, folder: Path, given: str | None) -> tuple[Path, ...]:
    """Return the lock files that are meant.

    Args:
        settings: of the project.
        folder: where one stands.
        given: a path, empty or None for the locks of the project.

    Raises:
        InvalidFileError: ``no-lock`` for a path where no file is.
    """
    if given:
        path = folder / given
        if not path.is_file():
            raise InvalidFileError(
                f"there is no lock {given}",
                code="no-lock",
                why=(f"{path}: " + ("it is not a regular file" if path.exists() else "it does not exist"),),
                hint="make one with `tfgpu-provision lock`",
            )
        return (path,)
    named = lock_file(settings)
    if named is not None:
        return (named,) if named.is_file() else ()
    try:
        return tuple(
            sorted(
                path for path in lock_folder(settings, folder).iterdir() if is_lock_name(path.name) and path.is_file()
            )
        )
    except OSError:
        return ()


def read_lock(path: Path, *, allow_urls: bool = False) -> LockFile:
    """Read one lock, at most `MAX_BYTES` of it.

    Raises:
        InvalidFileError: ``bad-lock``, with what is wrong; or it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidFileError(
            f"{path.name} cannot be read", code="bad-lock", why=(f"{path}: {error.strerror or error}",)
        ) from error
    return LockFile(path, parse(path.name, data, allow_urls=allow_urls), hashlib.sha256(data).hexdigest())


def read_locks(paths: Sequence[Path], *, allow_urls: bool = False) -> tuple[LockFile, ...]:
    """Read several locks; of a target that is there in several formats, one is kept.

    Raises:
        InvalidFileError: as `read_lock`, and ``no-lock`` where there is none.
    """
    if not paths:
        raise InvalidFileError(
            "this project has no lock",
            code="no-lock",
            why=("looked for what [tool.tfgpu] lock names, else for lock files beside pyproject.toml",),
            hint="make one with `tfgpu-provision lock`, or name a file",
        )
    found: dict[tuple[str, str], LockFile] = {}
    for path in paths:
        file = read_lock(path, allow_urls=allow_urls)
        found.setdefault((file.lock.contract.target, file.lock.contract.backend), file)
    return tuple(found.values())


def choose_lock(files: Sequence[LockFile], host: HostFacts, matrix: Matrix) -> Chosen | NoneFits:
    """Return the lock for a machine, held against its contract; nothing is downloaded for it."""
    answers = [(file, judge_contract(file.lock.contract, host, matrix)) for file in files]
    if len(files) == 1:
        file, answer = answers[0]
        return Chosen(file, answer, "the only lock") if isinstance(answer, Plan) else NoneFits(refusal=answer)
    choice = choose([Candidate(_named(file), file.lock, answer) for file, answer in answers], host)
    if choice.chosen is None:
        return NoneFits(denial=_none_fits(answers))
    chosen = next(
        Chosen(file, answer, choice.why)
        for file, answer in answers
        if file.lock is choice.chosen.lock and isinstance(answer, Plan)
    )
    return dataclasses.replace(
        chosen, why="; ".join((choice.why, *(f"{item.name}: {item.why}" for item in choice.others)))
    )


def unlocked_source(lock: Lock, exceptions: Sequence[SourceOnly], *, allow_source: bool) -> Denial | None:
    """Say why a lock must not have its packages built; None where it may.

    Without ``allow_source`` only the archives that the matrix names are built, and only with locked build tools.
    """
    known = {item.name: item.sha256 for item in exceptions}
    hashes = {item.name: item.hashes for item in lock.packages}
    foreign = [name for name in lock.source_only if not allow_source and hashes.get(name) != (known.get(name),)]
    if foreign:
        return Denial(
            "source-not-allowed",
            "the lock has packages that would be built from source",
            tuple(f"{name}: the matrix does not name this archive" for name in foreign),
            "building runs code of the package: add --allow-source if you trust it",
        )
    if lock.source_only and not lock.build_tools:
        return Denial(
            "no-build-tools",
            "the lock has packages to be built and does not say with what",
            tuple(lock.source_only),
            "make it anew: `tfgpu-provision lock`",
        )
    return None


def _none_fits(answers: Sequence[tuple[LockFile, Plan | Refusal]]) -> Denial:
    lines = []
    for file, answer in answers:
        if isinstance(answer, Refusal):
            lines += [f"{_named(file)}: {reason.what} [{reason.code}]" for reason in answer.reasons]
    return Denial(
        "no-lock-fits",
        f"none of the {len(answers)} locks is for this machine",
        tuple(lines),
        "lock for this machine as well: `tfgpu-provision lock`, or create without a lock: `create --tf SPEC`",
    )


def _named(file: LockFile) -> str:
    target = file.lock.contract.target
    return f"{file.path.name} ({target})" if target else file.path.name

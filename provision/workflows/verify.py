"""verify: look at an environment from outside, run its stages in children inside it, judge, write the receipt."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provision import __version__
from provision.host import detect
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.host import HostFacts
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.progress import Observer, Silent
from provision.model.verdict import Level, Stage, StageStatus, Verdict
from provision.probes.environment import Inventory, inspect
from provision.probes.hygiene import guest_environ
from provision.snapshot.deep import Run
from provision.snapshot.premises import conda_versions, find_row, find_set, premises_of
from provision.system import System
from provision.verify.answer import Premises
from provision.verify.receipt import Circumstances, Identity, receipt_document
from provision.verify.verdict import conclude, skipped
from provision.workflows.common import check_place, load_matrix, write_document
from provision.workflows.settings import load_settings
from provision.workflows.verify_stages import STAGES, patience


@dataclass(frozen=True)
class VerifyResult:
    """What verify found, and the document that keeps it."""

    verdict: Verdict
    receipt: Mapping[str, Any]


def verify(
    system: System,
    target: EnvRef | str | Path | None,
    level: Level = Level.COMPUTE,
    *,
    row: Row | None = None,
    library_set: LibrarySet | None = None,
    matrix: Matrix | None = None,
    host: HostFacts | None = None,
    timeout: float | None = None,
    observer: Observer | None = None,
    identify: bool = False,
) -> VerifyResult:
    """Run every stage up to ``level`` and return the verdict with its receipt.

    Args:
        system: the door.
        target: the environment, its folder or its Python; None looks for ``.venv`` here or the active one.
        level: how far to go.
        row: the matrix row of its TensorFlow; found through ``matrix`` from what is installed where not given.
        library_set: the set of NVIDIA wheels meant to be in it; found from what is installed where not given.
        matrix: where to look for the row; without it and without ``row`` nothing is compared with the matrix.
        host: what the driver lists; without it the device stage goes by what libcuda says inside the environment.
        timeout: seconds for each stage, by default those of `deep.LIMITS`, more on a machine that needs it.
        observer: told when a stage begins.
        identify: leave paths and names of people and machines in the receipt.

    Raises:
        UsageError: the target is no environment.
    """
    watch = observer or Silent()
    seen = inspect(system, target)
    if row is None and matrix is not None:
        row = find_row(seen, matrix)
    if library_set is None and row is not None:
        library_set = find_set(row, {**conda_versions(seen), **seen.versions})
    premises = premises_of(system, seen, row, library_set)
    run = Run(system, seen, premises, guest_environ(system.environ), host, timeout)
    stages: list[Stage] = []
    for wanted in level.upto:
        watch.step(f"verifying: {wanted.value}")
        stages.append(STAGES[wanted](run) if not _stopped(stages, wanted) else _after_failure(stages, wanted))
        if wanted is Level.DEVICE:
            run = replace(run, patience=patience(stages[-1], row))
    verdict = conclude(level, tuple(stages), _environment(seen, premises))
    around = Circumstances(
        tool=__version__,
        when=system.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        prefix=str(seen.env.prefix),
        packages=seen.versions,
        lock_sha256=_lock_digest(Path(seen.env.prefix)),
        host=host,
        row=row,
        library_set=library_set,
        matrix_digest=matrix.digest if matrix else "",
        kept=run.environ.kept,
        dropped=run.environ.dropped,
    )
    return VerifyResult(verdict, receipt_document(verdict, around, None if identify else _identity(system)))


def verify_command(
    system: System,
    target: str | None,
    level: Level,
    *,
    matrix_file: Path | None,
    receipt_file: Path | None,
    timeout: float | None,
    identify: bool,
    observer: Observer,
) -> VerifyResult:
    """Do what ``tfgpu-provision verify`` does: `verify` with this machine and the matrix in force, receipt written.

    Raises UsageError for a target that is no environment, InvalidFileError for a wrong matrix, ToolFailedError where
    the receipt cannot be written.
    """
    check_place(receipt_file, "receipt")
    matrix = load_matrix(matrix_file, load_settings(Path.cwd()))
    # Whoever only asks for what needs no GPU does not wait for a driver that may hang.
    host = detect(system, wide=False) if level not in (Level.GATE, Level.IMPORT) else None
    result = verify(
        system, target, level, matrix=matrix, host=host, timeout=timeout, observer=observer, identify=identify
    )
    if receipt_file:
        write_document(receipt_file, result.receipt, "receipt")
    return result


def _identity(system: System) -> Identity:
    environ = system.environ
    return Identity(environ.get("HOME", ""), environ.get("USER") or environ.get("LOGNAME", ""), os.uname().nodename)


def _lock_digest(prefix: Path) -> str | None:
    try:
        return hashlib.sha256((prefix / RECORD_FOLDER / "lock.txt").read_bytes()).hexdigest()
    except OSError:
        return None


def _stopped(stages: list[Stage], wanted: Level) -> bool:
    """Whether what came before makes this stage pointless; the import is tried whatever the gate says."""
    if wanted is Level.IMPORT:
        return any(stage.cause in ("no-tensorflow", "interpreter-broken") for stage in stages)
    return any(stage.status in (StageStatus.FAILED, StageStatus.CANNOT_TELL) for stage in stages)


def _after_failure(stages: list[Stage], wanted: Level) -> Stage:
    first = next(stage for stage in stages if stage.status in (StageStatus.FAILED, StageStatus.CANNOT_TELL))
    word = "failed" if first.status is StageStatus.FAILED else "could not be told"
    return skipped(wanted, f"not run: {first.level.value} {word}", f"after-{first.level.value}")


def _environment(seen: Inventory, premises: Premises) -> Mapping[str, Any]:
    return {
        "kind": seen.env.kind,
        "managed": seen.env.managed,
        "prefix": str(seen.env.prefix),
        "python": seen.python.text,
        "tensorflow": premises.tensorflow,
        "distribution": premises.distribution,
    }

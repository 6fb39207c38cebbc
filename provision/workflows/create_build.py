"""What is done inside the staging folder: make the venv, install, wire, record, verify."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.backends.layout import env_ref, site_packages_of
from provision.backends.record import write_record
from provision.backends.resolve import Resolution
from provision.backends.scripts import naming
from provision.backends.source_only import unmet
from provision.backends.space import check_space, same_file_system
from provision.backends.transaction import Transaction
from provision.backends.uv import Uv, failed
from provision.errors import RolledBackError, ToolFailedError
from provision.lock.requirements import install_text
from provision.model.created import LockUsed
from provision.model.environment import RECORD_FOLDER
from provision.model.host import Interpreter
from provision.model.lock import Locked
from provision.model.matrix import Matrix
from provision.model.plan import Plan
from provision.model.progress import Observer
from provision.model.verdict import Level, Outcome, StageStatus, Verdict
from provision.system import System, write_atomic
from provision.workflows.common import write_document
from provision.workflows.create_watch import UvWatch

_SECONDS = 60.0
_TEXT_LIMIT = 1 << 20
"""Bytes of a script or start file; larger ones are programs."""


def preload() -> None:
    """Import what is needed after resolving; a warm create takes about a second, so a tenth of one counts."""
    import provision.wiring  # noqa: PLC0415
    import provision.workflows.verify  # noqa: F401, PLC0415


def final_check(system: System, prefix: Path) -> str:
    """Return why an environment does not work from where it stands, empty where it does.

    Its interpreter must start, and must take the folder for its own.
    """
    script = "import sys; sys.stdout.buffer.write(sys.prefix.encode('utf-8', 'surrogateescape'))"
    done = system.run([str(prefix / "bin" / "python"), "-I", "-c", script], timeout=_SECONDS)
    if not done.ok:
        return f"{prefix}/bin/python does not start: {(done.stderr.strip().splitlines() or ['no output'])[-1]}"
    if os.path.realpath(done.stdout) != os.path.realpath(prefix):
        return f"{prefix}/bin/python belongs to {done.stdout}"
    return ""


def verified(system: System, plan: Plan, matrix: Matrix, prefix: Path, watch: Observer) -> Verdict:
    """Verify an environment up to the proof on a GPU, and leave the receipt in it."""
    from provision.workflows.verify import verify  # noqa: PLC0415 - see `preload`

    result = verify(
        system,
        str(prefix),
        Level.COMPUTE,
        row=plan.row,
        library_set=plan.library_set,
        matrix=matrix,
        host=None if plan.host.described else plan.host,
        observer=watch,
    )
    write_document(prefix / RECORD_FOLDER / "receipt.json", result.receipt, "receipt")
    return result.verdict


@dataclass(frozen=True)
class Build:
    """The new environment in its staging folder."""

    system: System
    uv: Uv
    plan: Plan
    matrix: Matrix
    interpreter: Interpreter
    transaction: Transaction
    watch: Observer
    events: UvWatch
    allow_source: bool = False
    lock: LockUsed | None = None

    @property
    def prefix(self) -> Path:
        """Where it is built."""
        return self.transaction.staging

    def install(self, resolution: Resolution, cache: Path) -> None:
        """Make the venv and fill it with exactly what the lock names.

        Everything is taken from the cache where that holds it all: uv then asks no index. Otherwise the disk is
        checked and the network is used. Either way each artifact's sha256 must stand in the lock.

        Raises:
            ToolFailedError: ``no-space``, ``network``, ``hash-mismatch``, ``offline-miss`` …
        """
        self.watch.step(f"installing {len(resolution.locked)} packages")
        done = self.uv.make_venv(self.prefix, self.interpreter.path, self.transaction.target.name)
        if not done.ok:
            raise failed(done, "making the virtual environment")
        _name_place_in_activation(self.prefix, self.transaction.target)
        (self.prefix / RECORD_FOLDER).mkdir()
        constraints = resolution.build_tools
        if constraints is not None:
            shutil.copyfile(constraints, self.prefix / RECORD_FOLDER / constraints.name)
        lock = install_text(resolution.locked)
        parent = self.prefix.parent
        if not same_file_system(cache, parent):
            check_space(self.system, self.plan, cache, parent, cached=True)
        done = self.uv.install(lock, self.prefix, resolution.sources, offline=True, build_constraints=constraints)
        if not done.ok and not self.uv.offline:
            check_space(self.system, self.plan, cache, parent, cached=False)
            self.watch.step("downloading what is not in the cache")
            with self.events.measuring(cache):
                done = self.uv.install(
                    lock, self.prefix, resolution.sources, offline=False, build_constraints=constraints
                )
        if not done.ok:
            raise failed(done, "downloading and installing")
        self.check_exceptions()

    def check_exceptions(self) -> None:
        """Look at what installed packages demand of those that are built; raises RolledBackError (``conflict``)."""
        exceptions = () if self.allow_source else self.plan.row.source_only
        complaints = tuple(unmet(site_packages_of(self.prefix), exceptions, self.interpreter.version))
        if complaints:
            raise RolledBackError(
                "your packages demand another version of a package that this TensorFlow demands exactly",
                code="conflict",
                why=(*complaints, *(f"the plan has {item.name}=={item.version}: {item.why}" for item in exceptions)),
                hint="ask for older versions of your packages, or choose another release",
            )

    def wire(self, locked: tuple[Locked, ...]) -> None:
        """Make the CUDA libraries visible and write lock and record; raises as `make_visible`."""
        self.make_visible()
        write_record(
            self.prefix,
            self.system,
            self.plan,
            locked,
            python=self.interpreter.version.text,
            transaction=self.transaction.ident,
            lock=self.lock,
        )

    def make_visible(self) -> str:
        """Wire the environment; return the folder that XLA is told about, relative to site-packages, empty for none.

        Raises:
            ToolFailedError: ``wiring-incomplete`` where a library that TensorFlow needs for a GPU is not found.
        """
        self.watch.step("making the CUDA libraries visible to TensorFlow")
        from provision.wiring import wire  # noqa: PLC0415 - see `preload`

        report = wire(env_ref(self.prefix), self.plan.row, self.plan.library_set)
        if not report.ok:
            raise ToolFailedError(
                "the CUDA libraries could not be made visible to TensorFlow",
                code="wiring-incomplete",
                why=(
                    *(f"not found: {item}" for item in report.unfound),
                    *(f"in the way: {item}" for item in report.foreign),
                    *(f"damaged: {item}" for item in report.unreadable),
                ),
                hint="report this: the matrix row of this release does not fit its wheels",
            )
        return report.cuda_data_dir

    def verify(self) -> Verdict:
        """Prove the environment where it was built; raises RolledBackError (``verification-failed``)."""
        verdict = verified(self.system, self.plan, self.matrix, self.prefix, self.watch)
        if verdict.outcome is Outcome.FAILED:
            failures = [stage for stage in verdict.stages if stage.status is StageStatus.FAILED]
            raise RolledBackError(
                "the new environment failed its verification and was removed",
                code="verification-failed",
                why=tuple(
                    line
                    for stage in failures
                    for line in (f"{stage.level.value}: {stage.summary} [{stage.cause}]", *stage.details)
                ),
                hint="--no-verify keeps it, to look closer with `tfgpu-provision verify`",
            )
        # It was verified where it was built; what is told is about where it will stand.
        here, there = str(self.prefix), str(self.transaction.target)
        stages = tuple(
            dataclasses.replace(
                stage,
                summary=stage.summary.replace(here, there),
                details=tuple(line.replace(here, there) for line in stage.details),
                data=_moved(stage.data, here, there),
            )
            for stage in verdict.stages
        )
        return dataclasses.replace(verdict, stages=stages, environment=_moved(verdict.environment, here, there))

    def check_movable(self) -> None:
        """Make sure that no script and no start file names the staging folder; raises RolledBackError."""
        candidates = [
            *(self.prefix / "bin").iterdir(),
            self.prefix / "pyvenv.cfg",
            *site_packages_of(self.prefix).glob("*.pth"),
            *(self.prefix / RECORD_FOLDER).iterdir(),
        ]
        self.check_texts(candidates)

    def check_texts(self, candidates: Iterable[Path]) -> None:
        """Raise RolledBackError (``not-movable``) where one of these files names the staging folder."""
        named = naming(candidates, self.prefix.name)
        if named:
            raise RolledBackError(
                "the new environment cannot be moved into its place",
                code="not-movable",
                why=tuple(f"{path.relative_to(self.prefix)} names the folder it was built in" for path in named),
                hint="report this",
            )


def _moved(value: Any, here: str, there: str) -> Any:
    """Return JSON-ready data with one folder named in place of another."""
    if isinstance(value, str):
        return value.replace(here, there)
    if isinstance(value, Mapping):
        return {key: _moved(item, here, there) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, here, there) for item in value)
    return value


def _name_place_in_activation(prefix: Path, place: Path) -> None:
    """Make ``bin/activate`` work in shells that cannot tell a script its own path, such as dash.

    A relocatable environment's script asks bash, zsh or ksh where it stands; any other shell gets the place itself.
    """
    script = prefix / "bin" / "activate"
    text = script.read_text(encoding="utf-8")
    known = '        SCRIPT_PATH="${.sh.file}"\n'
    if known in text:
        otherwise = f"    else\n        SCRIPT_PATH={shlex.quote(str(place / 'bin' / 'activate'))}\n"
        write_atomic(script, text.replace(known, known + otherwise, 1))

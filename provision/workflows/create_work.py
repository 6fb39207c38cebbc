"""One create with everything decided: resolve, build beside the target, prove it there, rename."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.backends.interpreter import choose, fetch
from provision.backends.layout import site_packages_of
from provision.backends.places import Place, Standing, look_at, make_parents
from provision.backends.record import missing_distributions, plan_digest, read_locked
from provision.backends.resolve import Resolution, platform_name, resolve
from provision.backends.transaction import Transaction, journal_path
from provision.backends.unlock import resolution_of, same_packages
from provision.backends.uv import Target, Uv, any_python, usable_cache
from provision.model.created import CreateOutcome, CreateResult, Denial, LockUsed
from provision.model.host import Interpreter
from provision.model.lock import Lock
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Request
from provision.model.progress import Observer
from provision.model.versions import PythonVersion
from provision.system import System, start_thread
from provision.workflows.common import notice_of_repair
from provision.workflows.create_build import Build, final_check, preload, verified
from provision.workflows.create_ready import Foreseen, Ready
from provision.workflows.create_watch import UvWatch


@dataclass(frozen=True)
class CreateOptions:
    """What the user typed; see ``tfgpu-provision create --help`` for each."""

    path: str = ".venv"
    tf: str | None = None
    python: str | None = None
    with_: tuple[str, ...] = ()
    requirement_files: tuple[Path, ...] = ()
    for_: tuple[str, ...] = ()
    matrix_file: Path | None = None
    replace: bool = False
    dry_run: bool = False
    verify: bool = True
    offline: bool = False
    allow_source: bool = False
    locked: str | None = None
    """A lock file, empty for those of the project, None where none was asked for."""
    allow_urls: bool = False
    backend: str | None = None
    """``venv`` or ``conda``; None for what the project or the lock says."""
    with_conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    """Conda channels in place of the usual ones."""
    conda_exe: str | None = None


@dataclass
class Stopwatch:
    """Wall time per stage."""

    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)


@dataclass(frozen=True)
class Work:
    """One create with everything decided."""

    system: System
    options: CreateOptions
    target: Path
    plan: Plan
    matrix: Matrix
    pythons: tuple[Interpreter, ...]
    watch: Observer
    clock: Stopwatch
    lock: Lock | None = None
    """What is installed instead of what would be resolved."""
    lock_used: LockUsed | None = None
    cache: Path | None = None
    """Where uv keeps what it downloaded, None where it was not asked yet."""

    def dry_run(self) -> CreateResult:
        """Resolve, and leave everything as it is."""
        place = look_at(self.target)
        remarks = []
        if place.standing is not Standing.NOTHING and not self.options.replace:
            remarks.append(f"{self.target} is {place.what}: create would refuse it without --replace")
        with tempfile.TemporaryDirectory(prefix="tfgpu-") as scratch:
            foreseen = self.foresee(Path(scratch))
        if isinstance(foreseen, Denial):
            return self._result(CreateOutcome.REFUSED, denial=foreseen)
        return self._result(
            CreateOutcome.DRY_RUN,
            packages=foreseen.packages,
            python=foreseen.python,
            remarks=(*remarks, *foreseen.remarks),
        )

    def create(self) -> CreateResult:
        """Build, prove, rename."""
        told = notice_of_repair(self.target)
        denial = self._refused(look_at(self.target))
        # What a killed create has left is cleaned first, even where this one is then refused.
        if denial and not journal_path(self.target).exists():
            return self._result(CreateOutcome.REFUSED, denial=denial, remarks=told)
        made = make_parents(self.target)
        try:
            result = self._locked_create()
        finally:
            # Folders above the target that were made for nothing go again; those with something in them stay.
            for parent in made if not self.target.exists() else ():
                _remove_if_empty(parent)
        return dataclasses.replace(result, remarks=(*told, *result.remarks))

    def _locked_create(self) -> CreateResult:
        transaction = Transaction(self.target, lambda prefix: final_check(self.system, prefix))
        with transaction:
            # What stands there may have changed while the lock was not ours, or by what was just cleaned up.
            place = look_at(self.target)
            if denial := self._refused(place):
                return self._result(CreateOutcome.REFUSED, denial=denial, remarks=transaction.found)
            if place.standing is Standing.OURS and not self.options.replace:
                return self._existing(place, transaction.found)
            ready = self.prepare(transaction)
            if isinstance(ready, Denial):
                return self._result(CreateOutcome.REFUSED, denial=ready, remarks=transaction.found)
            with self.clock.stage("install"):
                ready.install()
            with self.clock.stage("wire"):
                ready.wire()
            verdict = None
            if self.options.verify:
                with self.clock.stage("verify"):
                    verdict = ready.build.verify()
            self.watch.step("putting it in place")
            replaced = place.standing is not Standing.NOTHING
            with self.clock.stage("place"):
                ready.build.check_movable()
                transaction.commit(replace=replaced)
        self.placed(place)
        return self._result(
            CreateOutcome.CREATED,
            packages=ready.packages,
            python=ready.python,
            verdict=verdict,
            replaced=replaced,
            remarks=(*transaction.found, *ready.remarks()),
        )

    def foresee(self, scratch: Path) -> Foreseen | Denial:
        """Resolve for a dry run, with files in ``scratch`` only."""
        found, _ = choose(self.pythons, self._wanted)
        remark = f"Python {self._wanted} is not on this machine: uv would be asked to fetch it"
        uv = self._uv(UvWatch(self.watch))
        if not usable_cache(uv.cache):
            uv.use_cache(scratch / "cache")
        resolution = self._resolve(uv, found, lambda: scratch)
        if isinstance(resolution, Denial):
            return resolution
        packages = tuple(item.requirement for item in resolution.locked)
        return Foreseen(packages, found.path, ()) if found else Foreseen(packages, "", (remark,))

    def prepare(self, transaction: Transaction) -> Ready | Denial:
        """Resolve, and return what has only to be built in the transaction."""
        events = UvWatch(self.watch)
        uv = self._uv(events)
        cache = usable_or(uv, transaction.scratch, self.cache)
        with self.clock.stage("python"):
            interpreter, looked = choose(self.pythons, self._wanted)
            if interpreter is None:
                self.watch.step(f"fetching Python {self._wanted}")
                interpreter = fetch(self.system, uv, self._wanted, self.pythons, looked)
        resolution = self._resolve(uv, interpreter, transaction.scratch)
        if isinstance(resolution, Denial):
            return resolution
        build = Build(
            self.system,
            uv,
            self.plan,
            self.matrix,
            interpreter,
            transaction,
            self.watch,
            events,
            allow_source=self.options.allow_source,
            lock=self.lock_used,
        )
        return Ready(
            build,
            tuple(item.requirement for item in resolution.locked),
            interpreter.path,
            lambda: build.install(resolution, cache),
            lambda: build.wire(resolution.locked),
        )

    def placed(self, before: Place) -> None:
        """Do what remains after the new environment has taken the place of what stood there ``before``."""
        if before.record is not None and before.record.document.get("backend") == "conda":
            from provision.backends.conda.register import unregister  # noqa: PLC0415 - only where conda was in use

            unregister(self.system, self.target)

    def _existing(self, place: Place, found: tuple[str, ...]) -> CreateResult:
        """Look over an environment that is just what was asked for."""
        gone = self.gone(place)
        complaint = final_check(self.system, place.path)
        if not complaint and gone:
            complaint = f"not installed any more: {', '.join(gone)}"
        if complaint:
            return self._result(
                CreateOutcome.REFUSED,
                denial=Denial(
                    "path-exists",
                    f"{self.target} is the environment that was asked for, but it does not work any more",
                    (complaint,),
                    "make it anew: add --replace",
                ),
                remarks=found,
            )
        verdict = None
        if self.options.verify:
            with self.clock.stage("verify"):
                verdict = verified(self.system, self.plan, self.matrix, place.path, self.watch)
        packages = tuple(item.requirement for item in read_locked(place.path))
        return self._result(CreateOutcome.EXISTS, packages=packages, verdict=verdict, remarks=found)

    def _refused(self, place: Place) -> Denial | None:
        """Say why what stands at the target is left alone; None where work may begin."""
        if place.standing is Standing.NOTHING:
            return None
        if place.standing is Standing.FOREIGN:
            return Denial(
                "path-exists",
                f"{self.target} exists and is no virtual environment",
                (f"it is {place.what}", "it is left alone, with --replace too"),
                "choose another path",
            )
        if self.options.replace:
            return None
        same = place.record is not None and place.record.plan_digest == plan_digest(self.plan)
        if same and (self.lock is None or self.holds(place, self.lock)):
            return None
        if same:
            return Denial(
                "path-exists",
                f"{self.target} exists already and holds other packages than the lock",
                (f"it is {place.what}",),
                "bring it to the lock: `tfgpu-provision sync`, or add --replace",
            )
        wanted = f"{self.plan.row.distribution} {self.plan.row.release} on Python {self.plan.python.series}"
        return Denial(
            "path-exists",
            f"{self.target} exists already",
            (f"it is {place.what}", f"asked for: {wanted}{_and(self.plan.request)}"),
            "add --replace to build the new one beside it and exchange them when it has proved itself, or choose "
            "another path",
        )

    def holds(self, place: Place, lock: Lock) -> bool:
        """Whether an environment of ours was made of just what a lock names."""
        return same_packages(read_locked(place.path), lock.packages)

    def gone(self, place: Place) -> tuple[str, ...]:
        """Return what an environment of ours does not hold any more."""
        return missing_distributions(place.path, site_packages_of(place.path))

    @property
    def _wanted(self) -> PythonVersion:
        """The Python to look for: exact where the user was, else the plan's series."""
        return self.plan.request.python or self.plan.python

    def _uv(self, on_line: UvWatch) -> Uv:
        return Uv(self.system, offline=self.options.offline, on_line=on_line)

    def _resolve(self, uv: Uv, interpreter: Interpreter | None, scratch: Callable[[], Path]) -> Resolution | Denial:
        if self.lock is not None:
            start_thread(preload)
            return resolution_of(self.lock, scratch, allow_source=self.options.allow_source)
        self.watch.step(f"resolving {self.plan.row.distribution} {self.plan.row.release}")
        # While uv waits for the index, Python can load what comes next.
        start_thread(preload)
        with self.clock.stage("resolve"):
            if interpreter is not None and not self.plan.host.described:
                target = Target(interpreter.path)
            else:
                glibc = self.plan.host.glibc.value or self.plan.row.glibc
                target = Target(any_python(), self.plan.python.series.text, platform_name(glibc))
            return resolve(uv, self.plan, target, allow_source=self.options.allow_source, scratch=scratch)

    def _result(self, outcome: CreateOutcome, **more: Any) -> CreateResult:
        seconds = dict(self.clock.seconds)
        return CreateResult(outcome, str(self.target), plan=self.plan, seconds=seconds, lock=self.lock_used, **more)


def _and(request: Request) -> str:
    return f" with {', '.join(request.requirements)}" if request.requirements else ""


def usable_or(uv: Uv, scratch: Callable[[], Path], known: Path | None = None) -> Path:
    """Return uv's cache; one in ``scratch`` that is used from now on where the usual one cannot be written.

    Args:
        uv: the engine.
        scratch: gives a folder.
        known: what uv said of its cache before.
    """
    cache = known or uv.cache
    if cache is None or not usable_cache(cache):
        cache = scratch()
        uv.use_cache(cache)
    return cache


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return

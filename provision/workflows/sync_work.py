"""What sync does to the clone of an environment: packages, wiring, record, proof; then the two are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provision.backends.clone import clone, clone_failed
from provision.backends.exact import Exact, install_exactly
from provision.backends.layout import env_ref
from provision.backends.transaction import Transaction
from provision.backends.unlock import BUILD_TOOLS
from provision.backends.uv import Sources, Uv, failed, usable_cache
from provision.lock.requirements import render_lock
from provision.model.environment import RECORD_FOLDER
from provision.model.host import Interpreter
from provision.model.matrix import Matrix
from provision.model.plan import Plan
from provision.model.progress import Observer
from provision.model.status import Drift, DriftKind
from provision.model.verdict import Verdict
from provision.model.versions import PythonVersion
from provision.system import System, write_atomic
from provision.wiring.foreign import make_way
from provision.workflows.create_build import Build, final_check
from provision.workflows.create_watch import UvWatch
from provision.workflows.create_work import Stopwatch
from provision.workflows.locked_wanted import Wanted
from provision.workflows.status import Seen


@dataclass(frozen=True)
class SyncWork:
    """One sync with everything decided."""

    system: System
    seen: Seen
    wanted: Wanted
    plan: Plan
    matrix: Matrix
    watch: Observer
    clock: Stopwatch
    prove: bool
    offline: bool
    allow_source: bool

    def run(self, drifts: Sequence[Drift]) -> Verdict | None:
        """Bring the environment to the lock; raises as `provision.workflows.sync.sync` says."""
        target = self.seen.prefix
        with Transaction(target, lambda prefix: final_check(self.system, prefix)) as transaction:
            staging = transaction.staging
            self.watch.step("copying the environment beside itself")
            with self.clock.stage("clone"):
                _clone(target, staging)
            events = UvWatch(self.watch)
            uv = Uv(self.system, offline=self.offline, on_line=events)
            if not usable_cache(uv.cache):
                uv.use_cache(transaction.scratch())
            with self.clock.stage("install"):
                self._packages(uv, staging, drifts, transaction)
            python = self.seen.python or PythonVersion(self.plan.python.text)
            interpreter = Interpreter(str(self.seen.env.python), python, "given")
            used = self.wanted.used if self.wanted.from_file else None
            build = Build(
                self.system, uv, self.plan, self.matrix, interpreter, transaction, self.watch, events, lock=used
            )
            with self.clock.stage("wire"):
                make_way(env_ref(staging), unrecorded=True)
                build.wire(self.wanted.packages)
            verdict = None
            if self.prove:
                with self.clock.stage("verify"):
                    verdict = build.verify()
            self.watch.step("exchanging it with the old one")
            with self.clock.stage("place"):
                build.check_movable()
                transaction.commit(replace=True)
        return verdict

    def _packages(self, uv: Uv, staging: Path, drifts: Sequence[Drift], transaction: Transaction) -> None:
        """Take away, install and repair packages in the clone, and look at what was installed by its hashes."""
        locked = {item.name: item for item in self.wanted.packages}
        extra = [item.name for item in drifts if item.kind is DriftKind.EXTRA]
        anew = [item.name for item in drifts if item.kind in (DriftKind.FILES, DriftKind.VERSION)]
        missing = [item.name for item in drifts if item.kind is DriftKind.MISSING]
        if extra:
            self.watch.step(f"taking away {len(extra)} packages")
            done = uv.uninstall(extra, staging)
            if not done.ok:
                raise failed(done, "taking packages away")
        wanted = tuple(locked[name] for name in sorted({*anew, *missing}) if name in locked)
        tools = self._build_tools(staging)
        if not wanted:
            return
        self.watch.step(f"installing {len(wanted)} packages")
        sources = Sources(self.wanted.source_only, everything=self.allow_source)
        exact = Exact(wanted, tuple(item.name for item in wanted if item.name in anew), sources, tools)
        install_exactly(
            uv,
            staging,
            exact,
            offline=self.offline,
            spare_cache=transaction.scratch,
            say=self.watch.step,
        )

    def _build_tools(self, staging: Path) -> Path | None:
        path = staging / RECORD_FOLDER / BUILD_TOOLS
        if not self.wanted.build_tools:
            with suppress(FileNotFoundError):
                path.unlink()
            return None
        write_atomic(path, render_lock(self.wanted.build_tools))
        return path


def _clone(source: Path, target: Path) -> None:
    """Copy an environment; of the history of its repairs, whose files may be gigabytes, by links only."""
    history = Path(RECORD_FOLDER, "repairs")
    try:
        clone(source, target, left_out=(source / history,))
        if (source / history).is_dir():
            (target / history).mkdir()
            clone(source / history, target / history)
    except OSError as error:
        raise clone_failed(error, source) from error

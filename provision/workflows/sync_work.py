"""What sync does to the clone of an environment: packages, wiring, record, proof; then the two are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provision import wiring
from provision.backends.clone import clone
from provision.backends.drift import distributions, file_drifts
from provision.backends.transaction import Transaction
from provision.backends.unlock import BUILD_TOOLS
from provision.backends.uv import Sources, Uv, failed, usable_cache
from provision.errors import InvalidFileError, ToolFailedError
from provision.lock.requirements import install_text, render_lock
from provision.model.environment import RECORD_FOLDER
from provision.model.host import Interpreter
from provision.model.lock import Locked
from provision.model.matrix import Matrix
from provision.model.plan import Plan
from provision.model.progress import Observer
from provision.model.status import Drift, DriftKind
from provision.model.verdict import Verdict
from provision.model.versions import PythonVersion
from provision.system import System, write_atomic
from provision.workflows.create_build import Build, env_ref, final_check, site_packages_of
from provision.workflows.create_watch import UvWatch
from provision.workflows.create_work import Stopwatch
from provision.workflows.locked_wanted import Wanted
from provision.workflows.status import Seen

_HOOKS = ("_tfgpu.pth", "_tfgpu_hook.py")


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
                _forget_foreign_wiring(staging)
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
        wanted = [locked[name] for name in sorted({*anew, *missing}) if name in locked]
        tools = self._build_tools(staging)
        if not wanted:
            return
        self.watch.step(f"installing {len(wanted)} packages")
        self._install(uv, wanted, anew, staging, tools)
        damaged = _damaged(staging, wanted)
        if damaged:
            # What is in uv's cache is what was damaged: installed files are links to it.
            self.watch.step(f"fetching {len(damaged)} packages anew: the cache has them damaged as well")
            if self.offline:
                raise _cache_damaged(damaged, "run it without --offline: they have to be fetched anew")
            if not uv.forget(damaged).ok:
                uv.use_cache(transaction.scratch())
            self._install(uv, [locked[name] for name in damaged], damaged, staging, tools)
            if left := _damaged(staging, [locked[name] for name in damaged]):
                raise _cache_damaged(left, "run `uv cache clean`, then the command again")

    def _install(
        self, uv: Uv, wanted: Sequence[Locked], anew: Sequence[str], staging: Path, tools: Path | None
    ) -> None:
        text = install_text(tuple(wanted))
        sources = Sources(self.wanted.source_only, everything=self.allow_source)
        names = [item.name for item in wanted if item.name in anew]
        done = uv.install(text, staging, sources, offline=True, build_constraints=tools, reinstall=names)
        if not done.ok and not self.offline:
            done = uv.install(text, staging, sources, offline=False, build_constraints=tools, reinstall=names)
        if not done.ok:
            raise failed(done, "downloading and installing")

    def _build_tools(self, staging: Path) -> Path | None:
        path = staging / RECORD_FOLDER / BUILD_TOOLS
        if not self.wanted.build_tools:
            with suppress(FileNotFoundError):
                path.unlink()
            return None
        write_atomic(path, render_lock(self.wanted.build_tools))
        return path


def _clone(source: Path, target: Path) -> None:
    try:
        clone(source, target)
    except OSError as error:
        raise ToolFailedError(
            "the environment cannot be copied beside itself",
            code="clone-failed",
            why=(f"{error.filename or source}: {error.strerror or error}",),
            hint="check rights and free space there",
        ) from error


def _damaged(prefix: Path, wanted: Sequence[Locked]) -> tuple[str, ...]:
    names = {item.name for item in wanted}
    installed = [item for item in distributions(site_packages_of(prefix)) if item.name in names]
    found, _ = file_drifts(prefix, installed, deep=True)
    return tuple(item.name for item in found)


def _cache_damaged(names: Sequence[str], hint: str) -> ToolFailedError:
    return ToolFailedError(
        "uv's cache holds damaged packages",
        code="cache-damaged",
        why=tuple(f"{name}: installed files are not what its RECORD says" for name in names),
        hint=hint,
    )


def _forget_foreign_wiring(prefix: Path) -> None:
    """Remove from the clone what stands where our wiring has to be made and is not as we made it."""
    env = env_ref(prefix)
    site_packages = Path(env.site_packages)
    try:
        report = wiring.inspect(env)
        if report.state != "unwired":
            for name in report.changed:
                path = prefix / name
                if path.is_symlink() or path.is_file():
                    path.unlink()
            return
    except InvalidFileError:
        (prefix / RECORD_FOLDER / "wiring.json").unlink()
    # Nothing says which links are ours: no wheel installs one, so every link below these folders is.
    for folder in ("tensorflow", "nvidia"):
        for path in (site_packages / folder).rglob("*.so*"):
            if path.is_symlink():
                path.unlink()
    for name in _HOOKS:
        with suppress(FileNotFoundError):
            (site_packages / name).unlink()

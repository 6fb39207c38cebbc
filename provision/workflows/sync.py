"""``sync``: bring an environment to its lock, as little as possible, as one transaction."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from provision.backends.places import Standing, look_at
from provision.backends.transaction import Transaction, journal_path
from provision.model.created import Denial
from provision.model.plan import Plan
from provision.model.progress import Observer, Silent
from provision.model.status import Drift, DriftKind, StatusResult, SyncOutcome, SyncResult
from provision.system import System
from provision.workflows.common import cut_off_repair, host_for, load_matrix, notice_of_repair
from provision.workflows.create_build import final_check
from provision.workflows.create_work import Stopwatch
from provision.workflows.locked import unlocked_source
from provision.workflows.locked_wanted import Wanted, wanted_for
from provision.workflows.settings import load_settings
from provision.workflows.status import Seen, compare, find_environment, how_replaced
from provision.workflows.sync_work import SyncWork


@dataclass(frozen=True)
class SyncOptions:
    """What the user typed; see ``tfgpu-provision sync --help`` for each."""

    environment: str | None = None
    lock: str | None = None
    dry_run: bool = False
    verify: bool = True
    deep: bool = False
    offline: bool = False
    allow_source: bool = False
    allow_urls: bool = False
    matrix_file: Path | None = None


def sync(system: System, folder: Path, options: SyncOptions, observer: Observer | None = None) -> SyncResult:
    """Bring an environment to its lock, or say why not.

    Raises:
        UsageError, InvalidFileError: a value or file that cannot be used; nothing was touched.
        ToolFailedError: uv, the network or the disk failed, or another command works on the environment (``busy``).
        RolledBackError: what was made failed its verification; the environment is as it was.
        NotRolledBackError: what was begun could not be undone; the next command on the path cleans up.
    """
    watch = observer or Silent()
    clock = Stopwatch()
    watch.step("reading the machine, the lock and the environment")
    with clock.stage("compare"):
        seen = find_environment(system, options.environment)
        recovered = () if options.dry_run else _recover(system, seen.prefix)
        if recovered:
            seen = find_environment(system, options.environment)
        cut_off, todo = cut_off_repair(seen.prefix)
        found = (*recovered, *notice_of_repair(seen.prefix))
        settings = load_settings(folder)
        matrix = load_matrix(options.matrix_file, settings)
        host = host_for(system, None)
        wanted = wanted_for(
            seen.env, settings, folder, options.lock, host=host, matrix=matrix, allow_urls=options.allow_urls
        )
        nothing = StatusResult(str(seen.prefix), seen.env.managed, wanted.used if wanted else None)
        refused = SyncResult(SyncOutcome.REFUSED, nothing, remarks=found, seconds=clock.seconds)
        if cut_off and not options.dry_run:
            return replace(refused, denial=_half_repaired(seen.prefix, cut_off, todo), remarks=recovered)
        if wanted is None or look_at(seen.prefix).standing is not Standing.OURS:
            return replace(refused, denial=_not_ours(seen, wanted))
        if wanted.refusal is not None:
            return replace(refused, refusal=wanted.refusal)
        status = compare(seen, wanted, deep=options.deep)
    refused = replace(refused, status=status)
    if not status.drifts:
        return replace(refused, outcome=SyncOutcome.UNCHANGED)
    plan = wanted.plan
    denial = _hopeless(seen, wanted, status)
    if denial is None and wanted.lock is not None and plan is not None:
        denial = unlocked_source(wanted.lock, plan.row.source_only, allow_source=options.allow_source)
    if denial or not isinstance(plan, Plan):
        return replace(refused, denial=denial)
    removed, installed = _changes(status.drifts, wanted)
    done = replace(refused, outcome=SyncOutcome.DRY_RUN, removed=removed, installed=installed)
    if options.dry_run:
        return done
    work = SyncWork(
        system, seen, wanted, plan, matrix, watch, clock, options.verify, options.offline, options.allow_source
    )
    verdict = work.run(status.drifts)
    return replace(done, outcome=SyncOutcome.SYNCED, rewired=True, verdict=verdict)


def _recover(system: System, prefix: Path) -> tuple[str, ...]:
    """Clean what a killed command has left beside an environment; return what was done."""
    if not journal_path(prefix).exists():
        return ()
    with Transaction(prefix, lambda path: final_check(system, path)) as transaction:
        return transaction.found


def _half_repaired(prefix: Path, cut_off: str, todo: str) -> Denial:
    """Say why nothing is done: what a sync made of it, neither finishing nor walking back could end any more."""
    return Denial("repair-cut-off", f"{prefix} is half repaired", (cut_off,), todo or "mend that first")


def _not_ours(seen: Seen, wanted: Wanted | None) -> Denial:
    path = shlex.quote(str(seen.prefix))
    if wanted is None:
        return Denial(
            "no-lock",
            f"there is no lock to bring {seen.prefix} to",
            ("it has none of its own, and no lock of this project fits this machine",),
            f"name one: `tfgpu-provision sync --locked FILE {path}`",
        )
    file = shlex.quote(wanted.used.path) if wanted.from_file else ""
    return Denial(
        "not-ours",
        f"{seen.prefix} was not made by this tool",
        ("what it holds besides packages is not known here, so it is left alone",),
        f"make it anew from the lock: {how_replaced(file, path)}",
    )


def _hopeless(seen: Seen, wanted: Wanted, status: StatusResult) -> Denial | None:
    """Say what cannot be brought to the lock piece by piece."""
    drift = next((item for item in status.drifts if item.kind is DriftKind.PYTHON), None)
    if drift is None and wanted.plan is not None:
        return None
    file = shlex.quote(wanted.used.path) if wanted.from_file else ""
    what = f"its Python is {drift.found}, the lock is for {drift.wanted}" if drift else "its record cannot be read"
    return Denial(
        "not-syncable",
        f"{seen.prefix} cannot be brought to the lock",
        (what, *(drift.details if drift else ())),
        f"make it anew: {how_replaced(file, shlex.quote(str(seen.prefix)))}",
    )


def _changes(drifts: tuple[Drift, ...], wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    versions = {item.name: item.requirement for item in wanted.packages}
    removed = [f"{item.name} {item.found}" for item in drifts if item.kind in (DriftKind.EXTRA, DriftKind.VERSION)]
    kinds = (DriftKind.MISSING, DriftKind.VERSION, DriftKind.FILES)
    installed = [versions[item.name] for item in drifts if item.kind in kinds and item.name in versions]
    return tuple(removed), tuple(installed)

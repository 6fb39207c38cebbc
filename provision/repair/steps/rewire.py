"""The last step in the copy: make the CUDA libraries visible, and complete the record of an environment of ours."""

from __future__ import annotations

import secrets
from pathlib import Path

from provision import wiring
from provision.backends.record import LOCK, missing_distributions, read_locked, read_record, write_record
from provision.errors import InvalidFileError, ToolFailedError, UsageError
from provision.model.created import Denial
from provision.model.environment import RECORD_FOLDER
from provision.model.matrix import LibrarySet, Row
from provision.model.plan import Plan
from provision.probes.environment import Inventory, inspect
from provision.repair.context import StageContext
from provision.snapshot.premises import conda_versions, find_row, meant_set
from provision.system import System
from provision.wiring.foreign import drop_dangling, make_way, make_way_for
from provision.wiring.record import record_path


def is_wired(context: StageContext) -> bool:
    """Whether the copy has been wired, or was being made by us and never came to it."""
    return record_path(context.env).exists() or _incomplete(context)


def rewire(system: System, context: StageContext, *, must: bool) -> tuple[str, ...] | Denial:
    """Wire the copy for what is installed in it now; return remarks.

    Args:
        system: the door; the copy's interpreter is asked what is installed.
        context: of the repair.
        must: whether wiring was asked for; else what cannot be wired any more is left as it is.

    Raises:
        ToolFailedError: the copy's Python does not run (``broken-interpreter``), or the disk refused.
        InvalidFileError: no readable framework library, where wiring was asked for.
    """
    context.watch.step("making the CUDA libraries visible to TensorFlow")
    seen = _ask(system, context)
    row = find_row(seen, context.matrix)
    chosen = meant_set(row, {**conda_versions(seen), **seen.versions})[0] if row else None
    if row is None or chosen is None:
        return _nothing_to_wire(context, row) if must else ()
    env = context.env
    try:
        make_way(env)
        drop_dangling(env)
        report = wiring.wire(env, row, chosen)
        if report.foreign and make_way_for(env, report.foreign):
            report = wiring.wire(env, row, chosen)
        completed = _complete_record(system, context, seen, row, chosen)
    except InvalidFileError as error:
        if must:
            raise
        return (f"it could not be wired again: {error.what}",)
    except OSError as error:
        raise ToolFailedError(
            "the copy of the environment could not be wired",
            code="wiring-failed",
            why=(f"{error.filename or context.prefix}: {error.strerror or error}",),
            hint="make room or give rights there, and repeat",
        ) from error
    return (
        *(f"not found by TensorFlow's loader: {item.soname}" for item in report.unfound if item.gate),
        *(f"in the way of a link, and left: {item}" for item in report.foreign),
        *completed,
    )


def _ask(system: System, context: StageContext) -> Inventory:
    try:
        return inspect(system, context.env)
    except UsageError as error:
        raise ToolFailedError(
            "the Python of the environment does not run in its copy", code=error.code, why=error.why, hint=error.hint
        ) from error


def _nothing_to_wire(context: StageContext, row: Row | None) -> Denial:
    if row is None:
        return Denial(
            "row-unknown",
            f"nothing is known about the TensorFlow in {context.prefix}, so that it cannot be wired",
            ("the matrix has no row for what is installed",),
            hint="install a release that `tfgpu-provision matrix list` shows",
        )
    return Denial(
        "no-libraries",
        f"{context.prefix} has none of NVIDIA's packages for {row.distribution} {row.release}",
        (f"it has {len(row.sets) + len(row.conda_sets)} sets of them to choose from",),
        hint="`tfgpu-provision doctor` names the command that installs them",
    )


def _incomplete(context: StageContext) -> bool:
    """Whether the environment has a lock of ours and no readable record: the record is what is written last."""
    return (context.stage / RECORD_FOLDER / LOCK).is_file() and read_record(context.stage) is None


def _complete_record(
    system: System, context: StageContext, seen: Inventory, row: Row, library_set: LibrarySet
) -> tuple[str, ...]:
    """Write the record that an interrupted creation did not come to; only where all that its lock names is there."""
    if not _incomplete(context):
        return ()
    if missing := missing_distributions(context.stage, Path(context.env.site_packages)):
        return (f"the environment is still incomplete: {', '.join(missing[:5])} of its lock are not installed",)
    from provision.snapshot.snapshot import judge_installed  # noqa: PLC0415 - few environments are incomplete

    host = context.snapshot.host
    plan = judge_installed(seen, row, library_set, host, context.matrix) if host else None
    if not isinstance(plan, Plan):
        return ("its record could not be written: on this machine no plan has this TensorFlow",)
    write_record(
        context.stage,
        system,
        plan,
        read_locked(context.stage),
        python=seen.python.text,
        transaction=secrets.token_hex(4),
    )
    return ()

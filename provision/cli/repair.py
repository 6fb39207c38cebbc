"""``tfgpu-provision repair``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision.model.level import Level

if TYPE_CHECKING:
    from provision.model.repair import Entry, RepairResult
    from provision.report.progress import Shown
    from provision.workflows.repair import RepairOptions


def repair(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV]",
            help="A venv or conda folder, or a Python. Default: .venv here, else the active one.",
            show_default=False,
        ),
    ] = None,
    ident: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="With --undo: which repair. Default: the newest.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do it on a copy, say what would change, and throw the copy away.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CODE", help="Remove this cause alone; may be repeated.")
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            metavar="LEVEL",
            help="How far verify proves it: gate, import, device, compute … Default: gate where only links and "
            "scripts change, else import.",
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also import TensorFlow and hash every file when looking for causes.")
    ] = False,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Also correct Jupyter kernels, which lie outside of the environment.")
    ] = False,
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="PATH", help="Build a new environment there, with the same other packages."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take a repair back; needs no network.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish a repair that was cut off.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show every repair of the environment.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use only what is in uv's cache.")] = False,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Remove what doctor found, prove it, or put everything back; ask before anything is changed."""
    from provision.cli.common import leave, print_json
    from provision.cli.create import interrupt_on_termination
    from provision.errors import UsageError
    from provision.report.progress import progress_for
    from provision.workflows.repair import RepairOptions

    if sum((undo, resume, history)) > 1 or ((undo or resume or history) and (dry_run or into is not None)):
        raise UsageError("--undo, --resume and --history stand alone", code="usage", hint="leave the other options out")
    if ident is not None and not undo:
        raise UsageError(f"unexpected word {ident!r}", code="usage", hint="a repair's ID goes with --undo")
    options = RepairOptions(
        environment=environment,
        dry_run=dry_run,
        yes=yes,
        only=tuple(code for text in only or () for code in text.split(",")),
        level=_level(level),
        kernels=kernels,
        deep=deep,
        into=into,
        offline=offline,
        matrix_file=matrix,
    )
    interrupt_on_termination()
    with progress_for(quiet=json) as observer:
        if history:
            result = _history(environment)
        elif undo:
            result = _undo(environment, ident, observer)
        elif resume:
            result = _resume(options, observer)
        else:
            result = _repair(options, observer, asks=not json)
    if json:
        from provision.report.repair_document import repair_document

        print_json(repair_document(result))
    else:
        from provision.report.repair import repair_text

        typer.echo(repair_text(result))
    from provision.report.repair import repair_exit_code

    leave(repair_exit_code(result))


def _level(text: str | None) -> Level | None:
    from provision.errors import UsageError

    try:
        return Level(text) if text is not None else None
    except ValueError:
        raise UsageError(
            f"{str(text)[:40]!a} is not a level of verify",
            code="bad-level",
            hint=f"one of {', '.join(level.value for level in Level)}",
        ) from None


def _repair(options: RepairOptions, observer: Shown, *, asks: bool) -> RepairResult:
    from provision.report.repair import cut_off_text, plan_text
    from provision.system import System
    from provision.workflows.repair import repair as run

    def confirm(planned: RepairResult) -> bool:
        with observer.paused():
            typer.echo(plan_text(planned) + "\n", err=True)
            return typer.confirm("do it?", err=True)

    def settle(entry: Entry) -> bool:
        with observer.paused():
            typer.echo(cut_off_text(entry) + "\n", err=True)
            return typer.confirm("finish it? (no walks it back)", err=True)

    asks = asks and not options.yes and sys.stdin.isatty() and sys.stderr.isatty()
    return run(System(), Path.cwd(), options, observer, confirm if asks else None, settle=settle if asks else None)


def _history(environment: str | None) -> RepairResult:
    from provision.system import System
    from provision.workflows.repair_history import history

    return history(System(), environment)


def _undo(environment: str | None, ident: str | None, observer: Shown) -> RepairResult:
    from provision.system import System
    from provision.workflows.repair_history import named, undo

    return undo(System(), named(environment, ident), observer)


def _resume(options: RepairOptions, observer: Shown) -> RepairResult:
    from provision.system import System
    from provision.workflows.repair_history import resume

    return resume(System(), Path.cwd(), options.environment, options.level, observer)

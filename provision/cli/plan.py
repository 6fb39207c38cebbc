"""``plan``: what create would do, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.cli.common import leave, print_json
from provision.errors import ExitCode


def plan(
    tf: Annotated[
        str | None,
        typer.Option("--tf", metavar="SPEC", help="2.15.1, 2.15, '>=2.12,<2.16', or nothing: the newest that runs."),
    ] = None,
    python: Annotated[str | None, typer.Option("--python", metavar="X.Y", help="Use this Python.")] = None,
    for_: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="MACHINE", help="Another machine: driver=535.104.05,gpu=8.6, or a captured one."),
    ] = None,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="PKG", help="A package to go with it; may be repeated.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="venv|conda", help="CUDA from wheels, or from conda packages.")
    ] = None,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print what create would do on this machine and why, touching nothing."""
    from provision.report.plan import plan_document, plan_text
    from provision.system import System
    from provision.workflows.plan import plan as run

    planned = run(
        System(),
        Path.cwd(),
        tf=tf,
        python=python,
        for_=for_ or (),
        requirements=with_ or (),
        matrix_file=matrix,
        backend=backend,
    )
    if json:
        print_json(plan_document(planned.decision))
    else:
        typer.echo(plan_text(planned.decision))
    leave(ExitCode.REFUSED if planned.decision.outcome == "refused" else ExitCode.DONE)

"""``tfgpu-provision doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV|PYTHON]",
            help="A venv or conda folder, or a Python. Default: .venv here, else the active environment, else only "
            "the machine.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", metavar="FILE|-", help="Explain this output; alone: without the machine.")
    ] = None,
    script: Annotated[
        Path | None, typer.Option("--script", metavar="FILE|DIR", help="Read this code without running it.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also import TensorFlow in a child, and hash files.")] = False,
    for_: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="MACHINE", help="Another machine: driver=535.104.05,gpu=8.6, or a captured one."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CODE", help="Look for this cause alone; may be repeated.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List every cause it knows.")] = False,
    explain: Annotated[str | None, typer.Option("--explain", metavar="CODE", help="Explain one cause.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE", help="Write the answer as JSON that can be shared: no names, no keys."
        ),
    ] = None,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say why an environment does not use the GPU: one root cause, how it is known, and what to type."""
    import sys

    from provision.cli.common import leave, print_json
    from provision.system import System
    from provision.workflows.doctor import cause_of, identity, versions
    from provision.workflows.doctor import doctor as run

    if list_ or explain is not None:
        from provision.report.doctor import causes_document, causes_text
        from provision.report.pages import page

        if explain is not None:
            cause = cause_of(explain)
            print_json(causes_document((cause,))) if json else typer.echo(page(cause))
        else:
            print_json(causes_document()) if json else typer.echo(causes_text())
        return
    if report:
        from provision.workflows.common import check_place

        check_place(report, "report")
    system = System()
    result = run(
        system,
        Path.cwd(),
        environment,
        log=log,
        script=script,
        deep=deep,
        for_=for_ or (),
        only=[code for text in only or () for code in text.split(",")],
        matrix_file=matrix,
    )
    from provision.report.doctor import doctor_document, doctor_exit_code, doctor_text

    document = doctor_document(result.diagnosis, result.seconds)
    if report:
        from provision.report.redact import redacted
        from provision.workflows.common import write_document

        write_document(
            report, redacted(document, identity(system), versions(result.snapshot), system.environ), "report"
        )
    if json:
        print_json(document)
    else:
        typer.echo(doctor_text(result.diagnosis, colour=sys.stdout.isatty() and not system.environ.get("NO_COLOR")))
    leave(doctor_exit_code(result.diagnosis))

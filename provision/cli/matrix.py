"""``matrix``: the compatibility claims behind every decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.cli.common import leave, print_json
from provision.errors import ExitCode, UsageError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The compatibility claims behind every decision, each with its evidence.",
)

_For = Annotated[
    list[str] | None,
    typer.Option("--for", metavar="MACHINE", help="Another machine: driver=535.104.05,gpu=8.6, or a captured one."),
]
_Matrix = Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_(
    for_: _For = None,
    matrix: _Matrix = None,
    receipts: Annotated[
        bool, typer.Option("--receipts", help="Show instead which releases were measured on GPUs, and which not.")
    ] = False,
    json: _Json = False,
) -> None:
    """Show every release against this machine: it runs, runs with a caveat, or cannot and why."""
    if receipts:
        from provision.report.certify import receipts_document, receipts_text
        from provision.workflows.matrix import matrix_in_force

        if for_:
            raise UsageError("--receipts looks at no machine", code="usage", hint="leave out --for, or --receipts")
        found = matrix_in_force(Path.cwd(), matrix)
        if json:
            print_json(receipts_document(found))
        else:
            typer.echo(receipts_text(found))
        return
    from provision.report.matrix import list_document, list_text
    from provision.system import System
    from provision.workflows.matrix import list_matrix

    result = list_matrix(System(), Path.cwd(), for_=for_ or (), matrix_file=matrix)
    if json:
        print_json(list_document(result))
    else:
        typer.echo(list_text(result))


@app.command("show")
def show(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="2.15.1, or 2.15 for its newest good patch.")],
    for_: _For = None,
    matrix: _Matrix = None,
    json: _Json = False,
) -> None:
    """Show one release with its library sets, its faults and the evidence of every claim."""
    from provision.model.judged import Judged
    from provision.report.matrix import show_document, show_text
    from provision.system import System
    from provision.workflows.matrix import show_matrix

    result = show_matrix(System(), Path.cwd(), release, for_=for_ or (), matrix_file=matrix)
    if json:
        print_json(show_document(result))
    else:
        typer.echo(show_text(result))
    leave(ExitCode.DONE if isinstance(result.found, Judged) else ExitCode.REFUSED)


@app.command("certify")
def certify(
    receipts: Annotated[list[Path], typer.Argument(metavar="RECEIPT…", help="Files of verify --receipt.")],
    matrix: _Matrix = None,
    write: Annotated[bool, typer.Option("--write", help="Write them into the matrix; else only show it.")] = False,
    json: _Json = False,
) -> None:
    """Attach receipts of real GPUs to the rows that they prove, and refuse those that prove nothing."""
    from provision.report.certify import certify_document, certify_exit_code, certify_text
    from provision.system import System
    from provision.workflows.certify import certify_receipts

    result = certify_receipts(System(), Path.cwd(), receipts, matrix_file=matrix, write=write)
    if json:
        print_json(certify_document(result))
    else:
        typer.echo(certify_text(result))
    leave(certify_exit_code(result))


@app.command("schema", hidden=True)
def schema_() -> None:
    """Print the JSON Schema of a matrix file, for editors."""
    from provision.matrix import schema

    print_json(schema())


@app.command("format", hidden=True)
def format_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A matrix.yaml.")],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where it is not canonical.")] = False,
) -> None:
    """Write a matrix file in its canonical form."""
    from provision.workflows.matrix import format_matrix

    if not format_matrix(file, check=check):
        typer.echo(f"{file}: {'is not canonical' if check else 'written in its canonical form'}", err=True)
        leave(ExitCode.CHECK_FAILED if check else ExitCode.DONE)

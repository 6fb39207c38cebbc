"""``audit``: the facts out of the wheels themselves, and the matrix held against them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.cli.common import leave, print_json

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Read the facts out of the wheels themselves, and hold the matrix against them.",
)

_Download = Annotated[
    bool, typer.Option("--download", help="Download whole wheels from a server that gives no parts of them.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("wheel")
def wheel(
    name: Annotated[
        str, typer.Argument(metavar="NAME==VERSION|FILE|URL", help="tensorflow==2.21.0, a .whl file or its address.")
    ],
    python: Annotated[
        str, typer.Option("--python", metavar="X.Y", help="The wheel for this Python; default: its oldest.")
    ] = "",
    download: _Download = False,
    json: _Json = False,
) -> None:
    """Say what one wheel was built for, what it opens and where it looks, reading as little of it as possible."""
    from provision.report.audit_wheel import wheel_document, wheel_exit_code, wheel_text
    from provision.system import System
    from provision.workflows.audit_wheel import audit_wheel

    facts = audit_wheel(System(), name, folder=Path.cwd(), python=python, download=download)
    if json:
        print_json(wheel_document(facts))
    else:
        typer.echo(wheel_text(facts))
    leave(wheel_exit_code(facts))


@app.command("matrix")
def matrix(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="[ROW]…", help="2.21.0, or 2.21 for all its patches; default: all.")
    ] = None,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask the index, however new its last answer is.")] = False,
    download: _Download = False,
    json: _Json = False,
) -> None:
    """Hold every claim of the matrix against the wheels: exit status 1 where one is contradicted."""
    import sys

    from provision.report.audit_matrix import matrix_document, matrix_exit_code, matrix_text
    from provision.system import System
    from provision.workflows.audit_matrix import audit_matrix

    def tell(requirement: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[Kread {requirement}")

    result = audit_matrix(
        System(), Path.cwd(), rows or (), matrix_file=matrix, fresh=fresh, download=download, tell=tell
    )
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if json:
        print_json(matrix_document(result))
    else:
        typer.echo(matrix_text(result))
    leave(matrix_exit_code(result))

"""``tfgpu-provision status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def status(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV]", help="A venv or conda folder, or a Python. Default: .venv here, else the active one."
        ),
    ] = None,
    lock: Annotated[
        str | None,
        typer.Option("--lock", metavar="FILE", help="Compare with this lock; default: the project's, else its own."),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Hash every file, not only look at its size.")] = False,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say in what an environment differs from its lock."""
    from provision.cli.common import leave, print_json
    from provision.report.status import status_document, status_exit_code, status_text
    from provision.system import System
    from provision.workflows.status import status as run

    result = run(System(), Path.cwd(), environment, lock=lock, deep=deep, matrix_file=matrix)
    if json:
        print_json(status_document(result))
    else:
        typer.echo(status_text(result))
    leave(status_exit_code(result))

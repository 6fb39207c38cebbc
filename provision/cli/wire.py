"""``tfgpu-provision wire``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def wire(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV]", help="A venv or conda folder, or a Python. Default: .venv here, else the active one."
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the wiring away.")] = False,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make the CUDA libraries of an environment visible that pip, conda or a hand has filled."""
    from provision.cli.common import leave, print_json, tell_of_repair
    from provision.report.wire import wire_document, wire_exit_code, wire_text
    from provision.system import System
    from provision.workflows.wire import wire_environment

    result = wire_environment(System(), Path.cwd(), environment, undo=undo, matrix_file=matrix)
    if json:
        print_json(wire_document(result))
    else:
        tell_of_repair(result.path)
        typer.echo(wire_text(result))
    leave(wire_exit_code(result))

"""``tfgpu-provision verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from provision.model.level import Level


def verify(
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENV|PYTHON]",
            help="A venv or conda folder, or a Python. Default: .venv here, else the active environment.",
            show_default=False,
        ),
    ] = None,
    level: Annotated[Level, typer.Option(help="How far to go; each level includes those before it.")] = Level.COMPUTE,
    json: Annotated[bool, typer.Option("--json", help="Print the receipt as one JSON document.")] = False,
    receipt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the receipt to a file as well.", show_default=False)
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.1, help="Time limit of each level in seconds.", show_default=False),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with this matrix, not the built-in one.", show_default=False),
    ] = None,
    identify: Annotated[bool, typer.Option(help="Leave paths, user, host and GPU UUIDs in the receipt.")] = False,
) -> None:
    """Prove that an environment's TensorFlow uses the GPU, or say why it does not."""
    from provision.cli.common import leave, print_json, tell_of_repair
    from provision.errors import ExitCode
    from provision.model.verdict import Outcome
    from provision.report.verify import verify_text
    from provision.system import System
    from provision.workflows.verify import verify_command

    result = verify_command(
        System(),
        environment,
        level,
        matrix_file=matrix,
        receipt_file=receipt,
        timeout=timeout,
        identify=identify,
        observer=_Steps(shown=not json and sys.stderr.isatty()),
    )
    if json:
        print_json(dict(result.receipt))
    else:
        tell_of_repair(result.verdict.environment["prefix"])
        typer.echo(verify_text(result.verdict))
    codes = {Outcome.FAILED: ExitCode.CHECK_FAILED, Outcome.CANNOT_TELL: ExitCode.CANNOT_TELL}
    leave(codes.get(result.verdict.outcome, ExitCode.DONE))


class _Steps:
    """Names the level that runs, on a terminal only: some of them take minutes."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown

    def step(self, text: str) -> None:
        """Show it."""
        if self._shown:
            typer.echo(f"{text} …", err=True)

    def detail(self, text: str) -> None:
        """Ignore it."""

    def transfer(self, done_bytes: int, total_bytes: int | None) -> None:
        """Ignore it: nothing is transferred."""

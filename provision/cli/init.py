"""``tfgpu-provision init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision.cli.common import leave, print_json

if TYPE_CHECKING:
    from provision.workflows.init import InitOptions


def init(
    tf: Annotated[
        str | None, typer.Option("--tf", metavar="SPEC", help="2.15.1, 2.15, '>=2.12,<2.16', or '' for the newest.")
    ] = None,
    python: Annotated[str | None, typer.Option("--python", metavar="X.Y", help="Use this Python.")] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="venv|conda", help="Where CUDA comes from. Default: venv")
    ] = None,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="PKG", help="A package of the project; may be repeated.")
    ] = None,
    for_: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="NAME:MACHINE", help="A target: laptop:driver=535,gpu=8.6; may be repeated."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a table [tool.tfgpu] that is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the project's settings, [tool.tfgpu], into its pyproject.toml."""
    from provision.errors import UsageError
    from provision.report.init import exit_code, init_document, init_text
    from provision.system import System
    from provision.workflows.init import InitOptions, existing
    from provision.workflows.init import init as run

    if backend not in (None, "venv", "conda"):
        raise UsageError(f"{backend[:40]!a} is no backend", code="usage", hint="--backend venv, or --backend conda")
    asked = any(value is not None for value in (tf, python, backend, with_, for_))
    options = InitOptions(
        tf=tf or "",
        python=python or "",
        backend=backend or "",
        packages=tuple(with_ or ()),
        targets=tuple(for_ or ()),
        replace=replace,
    )
    if not asked and (replace or existing(Path.cwd()) is None):
        if json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                "there is nobody to ask what the table is to say",
                code="usage",
                hint="say it with options: `tfgpu-provision init --tf 2.15 --for laptop:driver=535,gpu=8.6`",
            )
        options = _answers(replace=replace)
    result = run(System(), Path.cwd(), options)
    if json:
        print_json(init_document(result))
    else:
        typer.echo(init_text(result))
    leave(exit_code(result))


def _answers(*, replace: bool) -> InitOptions:
    """Ask on the terminal; an empty answer takes the default."""
    from provision.workflows.init import InitOptions

    def ask(question: str, default: str = "") -> str:
        return str(typer.prompt(question, default=default, show_default=bool(default), err=True)).strip()

    tf = ask("TensorFlow release, minor or range (empty: the newest that runs)")
    python = ask("Python (empty: the best one)")
    backend = ask("Where CUDA comes from, venv or conda", "venv")
    while backend not in ("venv", "conda"):
        backend = ask("venv or conda", "venv")
    packages = tuple(ask("Packages of the project, with spaces between them").split())
    targets = []
    while target := ask("A machine to lock for, NAME:driver=535,gpu=8.6 (empty: no more)"):
        targets.append(target)
    return InitOptions(tf, python, backend, packages, tuple(targets), replace)

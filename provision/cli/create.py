"""``tfgpu-provision create``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.cli.common import leave, print_json


def create(
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="Where the environment goes. Default: .venv")
    ] = None,
    tf: Annotated[
        str | None,
        typer.Option("--tf", metavar="SPEC", help="2.15.1, 2.15, '>=2.12,<2.16', or nothing: the newest that runs."),
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", metavar="X.Y|PATH", help="Use this Python; default: the best one.")
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PKG", help="A package to resolve and install with it; may be repeated."),
    ] = None,
    requirements: Annotated[
        list[Path] | None,
        typer.Option("-r", "--requirements", metavar="FILE", help="A file of plain requirements; may be repeated."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Keep it in the user's data folder under a name.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the environment there, once the new one has proved itself.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and resolve, touching nothing.")] = False,
    for_: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="MACHINE", help="Another machine: driver=535.104.05,gpu=8.6, or a captured one."),
    ] = None,
    locked: Annotated[
        str | None,
        typer.Option("--locked", metavar="[FILE]", help="Install just what a lock names; alone: the project's locks."),
    ] = None,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Let a lock name https addresses.")] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not verify it at the end.")] = False,
    require_gpu: Annotated[
        bool, typer.Option("--require-gpu", help="End with 4 unless a GPU was proved to do the work.")
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option("--backend", metavar="venv|conda", help="CUDA from NVIDIA's wheels or from conda packages."),
    ] = None,
    with_conda: Annotated[
        list[str] | None,
        typer.Option("--with-conda", metavar="SPEC", help="A conda package to install with it; may be repeated."),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="NAME|URL", help="Conda channel in place of the usual; may be repeated."),
    ] = None,
    conda_exe: Annotated[
        str | None,
        typer.Option("--conda-exe", metavar="PROGRAM", help="Solve with this conda, mamba or micromamba."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use only what is in uv's cache.")] = False,
    allow_source: Annotated[
        bool, typer.Option("--allow-source", help="Build packages without a wheel from source.")
    ] = False,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Create an environment whose TensorFlow uses the GPU, and prove it."""
    from provision.errors import UsageError
    from provision.report.create import create_document, create_text, exit_code
    from provision.report.progress import progress_for
    from provision.system import System
    from provision.workflows.create import CreateOptions, named_path
    from provision.workflows.create import create as run

    if name is not None and path is not None:
        raise UsageError("give a PATH or --name, not both", code="usage", hint="leave one of them out")
    options = CreateOptions(
        path=named_path(name) if name is not None else path if path is not None else ".venv",
        tf=tf,
        python=python,
        with_=tuple(with_ or ()),
        requirement_files=tuple(requirements or ()),
        for_=tuple(for_ or ()),
        matrix_file=matrix,
        replace=replace,
        dry_run=dry_run,
        verify=not no_verify,
        offline=offline,
        allow_source=allow_source,
        backend=backend,
        with_conda=tuple(with_conda or ()),
        channels=tuple(channel or ()),
        conda_exe=conda_exe,
        locked=locked,
        allow_urls=allow_urls,
    )
    interrupt_on_termination()
    with progress_for(quiet=json) as observer:
        result = run(System(), Path.cwd(), options, observer)
    if json:
        print_json(create_document(result, require_gpu=require_gpu))
    else:
        typer.echo(create_text(result))
    leave(exit_code(result, require_gpu=require_gpu))


def interrupt_on_termination() -> None:
    """Make `kill` and a closed terminal clean up as Ctrl-C does."""
    import signal

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)

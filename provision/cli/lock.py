"""``tfgpu-provision lock``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.cli.common import leave, print_json


def lock(
    tf: Annotated[
        str | None,
        typer.Option("--tf", metavar="SPEC", help="2.15.1, 2.15, '>=2.12,<2.16', or nothing: the newest that runs."),
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", metavar="X.Y", help="For this Python; default: the best one.")
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PKG", help="A package to resolve and lock with it; may be repeated."),
    ] = None,
    requirements: Annotated[
        list[Path] | None,
        typer.Option("-r", "--requirements", metavar="FILE", help="A file of plain requirements; may be repeated."),
    ] = None,
    with_conda: Annotated[
        list[str] | None,
        typer.Option("--with-conda", metavar="SPEC", help="A package of a conda channel; may be repeated."),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="C", help="A conda channel in place of the usual ones; may be repeated."),
    ] = None,
    for_: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="[NAME:]MACHINE",
            help="A target: laptop:driver=535,gpu=8.6, or ci:gpu=none; each one gets a lock of its own.",
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="venv|conda", help="Where CUDA comes from. Default: venv")
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="requirements or pylock for venv, conda-lock or explicit for conda; may be repeated.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="The lock, or a folder for several.")
    ] = None,
    upgrade: Annotated[
        list[str] | None,
        typer.Option("--upgrade", metavar="[PKG]", help="Let every version change, or the one of a package."),
    ] = None,
    upgrade_package: Annotated[
        list[str] | None,
        typer.Option("--upgrade-package", metavar="PKG", help="Let the version of this package change."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="Take nothing that was uploaded after 2021-03-01.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; end with 1 where a lock is stale.")] = False,
    allow_source: Annotated[
        bool, typer.Option("--allow-source", help="Lock packages without a wheel to be built from source.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use only what is in the cache.")] = False,
    conda_exe: Annotated[
        str | None, typer.Option("--conda-exe", metavar="PATH", help="Let this conda, mamba or micromamba solve.")
    ] = None,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the lock files that a project commits: every package by its hash, and the machines they serve."""
    from provision.errors import UsageError
    from provision.report.progress import progress_for
    from provision.system import System
    from provision.workflows.lock import LockOptions
    from provision.workflows.lock import lock as run

    if backend not in (None, "venv", "conda"):
        raise UsageError(f"{backend[:40]!a} is no backend", code="usage", hint="--backend venv, or --backend conda")
    upgraded = [item.strip() for item in (*(upgrade or ()), *(upgrade_package or ()))]
    options = LockOptions(
        tf=tf,
        python=python,
        with_=tuple(with_ or ()),
        requirement_files=tuple(requirements or ()),
        with_conda=tuple(with_conda or ()),
        channels=tuple(channel or ()),
        for_=tuple(for_ or ()),
        backend=backend,
        formats=tuple(format_ or ()),
        output=output,
        upgrade="" in upgraded,
        upgrade_packages=tuple(item for item in upgraded if item),
        as_of=as_of,
        check=check,
        allow_source=allow_source,
        offline=offline,
        matrix_file=matrix,
        conda_exe=conda_exe,
    )
    with progress_for(quiet=json) as observer:
        result = run(System(), Path.cwd(), options, observer)
    # uv starts sooner where this is not loaded before it.
    from provision.report.lock import exit_code, lock_document, lock_text

    if json:
        print_json(lock_document(result))
    else:
        typer.echo(lock_text(result))
    leave(exit_code(result))

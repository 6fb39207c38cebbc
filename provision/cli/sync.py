"""``tfgpu-provision sync``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sync(
    environment: Annotated[
        str | None,
        typer.Argument(metavar="[ENV]", help="An environment of ours. Default: .venv here, else the active one."),
    ] = None,
    locked: Annotated[
        str | None,
        typer.Option("--locked", metavar="[FILE]", help="The lock to go by; default: the project's, else its own."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, touching nothing.")] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not verify it at the end.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Hash every file, not only look at its size.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Use only what is in uv's cache.")] = False,
    allow_source: Annotated[
        bool, typer.Option("--allow-source", help="Build packages without a wheel from source.")
    ] = False,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Let a lock name https addresses.")] = False,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Bring an environment to its lock, as little as possible, or leave it as it is."""
    from provision.cli.common import leave, print_json
    from provision.cli.create import interrupt_on_termination
    from provision.report.progress import progress_for
    from provision.report.status import sync_document, sync_exit_code, sync_text
    from provision.system import System
    from provision.workflows.sync import SyncOptions
    from provision.workflows.sync import sync as run

    options = SyncOptions(
        environment=environment,
        lock=locked or None,
        dry_run=dry_run,
        verify=not no_verify,
        deep=deep,
        offline=offline,
        allow_source=allow_source,
        allow_urls=allow_urls,
        matrix_file=matrix,
    )
    interrupt_on_termination()
    with progress_for(quiet=json) as observer:
        result = run(System(), Path.cwd(), options, observer)
    if json:
        print_json(sync_document(result))
    else:
        typer.echo(sync_text(result))
    leave(sync_exit_code(result))

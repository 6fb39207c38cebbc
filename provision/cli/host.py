"""``tfgpu-provision host``: what this machine is."""

from __future__ import annotations

from typing import Annotated

import typer

from provision.cli.common import print_json


def host(
    for_: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="MACHINE",
            help="Describe another machine: driver=535.104.05,gpu=8.6 (also gpu=RTX 3090, os=, arch=, glibc=, python=, "
            "cuda=, cpu=), or a file written by `host --json`. Repeatable. TFGPU_FOR does the same.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="How long a driver library may take to answer.")
    ] = 60.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also show where each fact comes from and what was asked.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, usable as --for FILE.")] = False,
) -> None:
    """Show driver, GPUs, CUDA versions, Pythons and tools of this machine."""
    from provision.host.capture import to_document
    from provision.report.host import host_text
    from provision.system import System
    from provision.workflows.host import look

    found = look(System(), for_, limit=timeout)
    if json:
        print_json(to_document(found))
    else:
        typer.echo(host_text(found, verbose=verbose))

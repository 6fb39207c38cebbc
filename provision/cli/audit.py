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
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every library whole: GPU code by architecture, and the CUDA names used."),
    ] = False,
    download: _Download = False,
    json: _Json = False,
) -> None:
    """Say what one wheel was built for, what it opens and where it looks, reading as little of it as possible."""
    from provision.report.audit_wheel import wheel_document, wheel_exit_code, wheel_text
    from provision.system import System
    from provision.workflows.audit_wheel import audit_wheel

    facts = audit_wheel(System(), name, folder=Path.cwd(), python=python, deep=deep, download=download)
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
    deep: Annotated[bool, typer.Option("--deep", help="Read the GPU code inside too: all of every wheel.")] = False,
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
        System(), Path.cwd(), rows or (), matrix_file=matrix, fresh=fresh, deep=deep, download=download, tell=tell
    )
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if json:
        print_json(matrix_document(result))
    else:
        typer.echo(matrix_text(result))
    leave(matrix_exit_code(result))


@app.command("propose")
def propose(
    tf: Annotated[str, typer.Option("--tf", metavar="X", help="The release: 2.22.0.")] = "",
    nightly: Annotated[bool, typer.Option("--nightly", help="One of tf-nightly; without --tf the newest.")] = False,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the row into the matrix.")] = False,
    no_import: Annotated[bool, typer.Option("--no-import", help="Install and import nothing.")] = False,
    every_python: Annotated[
        bool, typer.Option("--every-python", help="Import it on every Python it is for, not only on the newest.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", metavar="SECONDS", help="For each Python: begin no import after it.")
    ] = 1200.0,
    deep: Annotated[bool, typer.Option("--deep", help="Read the GPU code inside too: all of its wheel.")] = False,
    download: _Download = False,
    json: _Json = False,
) -> None:
    """Write the row of a release that the matrix does not know, as a diff: what was read, imported and taken over."""
    import sys

    from provision.report.audit_propose import proposal_document, proposal_exit_code, proposal_text
    from provision.system import System
    from provision.workflows.audit_propose import ProposeOptions, audit_propose

    def tell(what: str) -> None:
        if sys.stderr.isatty():
            typer.echo(what, err=True)

    imports = "none" if no_import else "every" if every_python else "newest"
    options = ProposeOptions(tf, nightly, matrix, write, imports, time_limit, deep, download)
    result = audit_propose(System(), Path.cwd(), options, tell)
    if json:
        print_json(proposal_document(result))
    else:
        typer.echo(proposal_text(result))
    leave(proposal_exit_code(result))


@app.command("env")
def env(
    environment: Annotated[
        str | None,
        typer.Argument(metavar="[ENV|PYTHON]", help="An environment; default: .venv here, else the active one."),
    ] = None,
    matrix: Annotated[Path | None, typer.Option("--matrix", metavar="FILE", help="Use this matrix.")] = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every library whole: GPU code by architecture, and the CUDA names used."),
    ] = False,
    json: _Json = False,
) -> None:
    """Read the TensorFlow that is installed as a wheel is read, and hold the row of its release against it."""
    from provision.report.audit_env import env_document, env_exit_code, env_text
    from provision.system import System
    from provision.workflows.audit_env import audit_env

    found = audit_env(System(), environment, folder=Path.cwd(), matrix_file=matrix, deep=deep)
    if json:
        print_json(env_document(found))
    else:
        typer.echo(env_text(found))
    leave(env_exit_code(found))

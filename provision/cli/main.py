"""The command line: parse, run one workflow, draw its result, leave with a documented exit code.

Commands import their workflow when they run: ``--help`` must not pay for what it does not use.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from provision import __version__
from provision.cli.audit import app as audit
from provision.cli.common import looks_like_lock, optional_value, print_json
from provision.cli.create import create
from provision.cli.doctor import doctor
from provision.cli.host import host
from provision.cli.init import init
from provision.cli.light import LightCommand, LightGroup, only_named
from provision.cli.lock import lock
from provision.cli.matrix import app as matrix
from provision.cli.plan import plan
from provision.cli.repair import repair
from provision.cli.status import status
from provision.cli.sync import sync
from provision.cli.verify import verify
from provision.cli.wire import wire
from provision.errors import ExitCode, ProvisionError, ToolFailedError, UsageError

app = typer.Typer(
    name="tfgpu-provision",
    cls=LightGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Create, prove and explain TensorFlow environments that really use the NVIDIA GPU.",
    epilog="Exit codes: 0 done, 1 a check failed, 2 wrong usage or invalid file, 3 refused, 4 cannot tell, "
    "5 a tool or the network failed, 6 rolled back, 7 not fully rolled back, 70 a bug.",
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"tfgpu-provision {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _global(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback acts on it
        bool, typer.Option("--version", callback=lambda value: _show_version(wanted=value), is_eager=True)
    ] = False,
) -> None:
    """Options before the command; ``--debug`` anywhere shows the traceback of a failure."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(int(ExitCode.USAGE))


def _wants_debug(arguments: list[str]) -> bool:
    """Take ``--debug`` out of the arguments, wherever it stands before ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found = [place for place in range(end) if arguments[place] == "--debug"]
    for place in reversed(found):
        del arguments[place]
    return bool(found) or os.environ.get("TFGPU_DEBUG", "") not in ("", "0")


def main() -> None:
    """Run the command line; every failure leaves with its message, its code and its exit status."""
    arguments = sys.argv[1:]
    debug = _wants_debug(arguments)
    optional_value(arguments, "--upgrade", is_value=lambda _text: True)
    optional_value(arguments, "--locked", is_value=looks_like_lock)
    try:
        code = only_named(app, arguments)(args=arguments, prog_name="tfgpu-provision", standalone_mode=False)
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt  # Typer has swallowed it  # noqa: TRY301
    except SystemExit as left:
        # A command has said how it ends.
        code = left.code
    except BrokenPipeError:
        # The reader went away (`| head`), which is its right.
        code = ExitCode.DONE
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted; what existed before is unharmed\n")
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last net: whatever it is, the user gets a message and a code
        # Only who fails pays for it.
        from provision.report.failure import failure_document, failure_text

        failure = _as_failure(error)
        if debug and not isinstance(error, TyperException):
            import traceback

            traceback.print_exc()
        if "--json" in arguments:
            print_json(failure_document(failure))
        sys.stderr.write(failure_text(failure) + "\n")
        code = failure.exit_code
    _let_go_of_standard_output()
    # Nor does it free anything to look through what is about to go.
    gc.freeze()
    sys.exit(int(code or 0))


def _let_go_of_standard_output() -> None:
    """Write what is left; where nobody takes it any more, see to it that Python does not try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_failure(error: Exception) -> ProvisionError:
    """Return any exception as one of ours, so that no user ever meets a traceback."""
    if isinstance(error, ProvisionError):
        return error
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tfgpu-provision"
        what = error.format_message().rstrip(".")
        return UsageError(what, code="usage", hint=f"`{command} --help` lists what it takes")
    if isinstance(error, OSError):
        return ToolFailedError(
            "the operating system refused",
            code="operating-system",
            why=(str(error),),
            hint="check the path, its rights and the free space",
        )
    bug = ProvisionError(
        f"unexpected {type(error).__name__}: {error}",
        code="internal-error",
        why=("this is a bug in tfgpu-provision, not in your environment",),
        hint="run the same command with --debug and report what it prints",
    )
    bug.exit_code = ExitCode.BUG
    return bug


app.command("create", cls=LightCommand)(create)
app.command("status")(status)
app.command("sync")(sync)
app.command("wire")(wire)
app.command("lock", cls=LightCommand)(lock)
app.command("init")(init)
app.command("verify")(verify)
app.command("doctor", cls=LightCommand)(doctor)
app.command("repair", cls=LightCommand)(repair)
app.command("plan", cls=LightCommand)(plan)
app.command("host")(host)
app.add_typer(matrix, name="matrix")
app.add_typer(audit, name="audit")

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from provision.cli.main import _as_failure
from provision.errors import ExitCode, InvalidFileError, NotRolledBackError, ProvisionError, RolledBackError, UsageError
from provision.report.failure import failure_document, failure_text


def run(arguments: Sequence[str], cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **changes}
    return subprocess.run(
        [sys.executable, "-m", "provision", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=60,
        check=False,
    )


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    done = run(["--help"], tmp_path)
    assert done.returncode == 0
    for command in ("create", "verify", "plan", "host", "matrix"):
        assert command in done.stdout
    assert "3 refused" in " ".join(done.stdout.split())


def test_no_command_is_wrong_usage_and_shows_the_help(tmp_path: Path) -> None:
    done = run([], tmp_path)
    assert done.returncode == 2
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["plan", "--nonsense"], ["plan", "--tf"], ["--nonsense"], ["verify", "--level", "nonsense"]],
)
def test_wrong_usage_is_exit_2_with_a_hint_and_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    done = run(arguments, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_with_json_is_one_json_document(tmp_path: Path) -> None:
    done = run(["plan", "--json", "--tf", "not a version"], tmp_path)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["exit_code"] == 2
    assert document["error"]["code"]


def test_debug_shows_the_traceback_and_keeps_the_exit_code(tmp_path: Path) -> None:
    arguments = ["plan", "--tf", "not a version"]
    plain, debug = run(arguments, tmp_path), run([*arguments, "--debug"], tmp_path)
    assert plain.returncode == debug.returncode == 2
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


def test_version(tmp_path: Path) -> None:
    from provision import __version__

    assert run(["--version"], tmp_path).stdout == f"tfgpu-provision {__version__}\n"


def test_a_closed_pipe_is_no_failure(tmp_path: Path) -> None:
    reader = subprocess.Popen(["head", "-c", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    writer = subprocess.Popen(
        [sys.executable, "-m", "provision", "matrix", "list"], stdout=reader.stdin, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert reader.stdin is not None
    reader.stdin.close()
    reader.wait()
    _, errors = writer.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x", code="c"), ExitCode.USAGE),
        (InvalidFileError("x", code="c"), ExitCode.USAGE),
        (RolledBackError("x", code="c"), ExitCode.ROLLED_BACK),
        (NotRolledBackError("x", code="c"), ExitCode.NOT_ROLLED_BACK),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.TOOL_FAILED),
        (KeyError("x"), ExitCode.BUG),
    ],
)
def test_every_exception_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    assert _as_failure(error).exit_code is code


def test_the_form_of_a_failure() -> None:
    error = ProvisionError("it failed", code="it-failed", why=("because", "and so"), hint="type this")
    assert failure_text(error) == "error: it failed [it-failed]\n  because\n  and so\n\nhint: type this"
    assert failure_document(error) == {
        "schema": 1,
        "error": {"code": "it-failed", "what": "it failed", "why": ["because", "and so"], "hint": "type this"},
        "exit_code": 5,
    }
    assert failure_text(ProvisionError("short", code="c")) == "error: short [c]"

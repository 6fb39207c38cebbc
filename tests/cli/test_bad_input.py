"""What a strange environment or a careless user hands to the commands that only look: an answer, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

LOOKING = (
    ["plan", "--tf", "2.15", "--for", "driver=535.104.05,gpu=8.6"],
    ["matrix", "list", "--for", "driver=535.104.05,gpu=8.6"],
    ["matrix", "show", "2.15"],
    ["host"],
)
BARE = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def run(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "provision", *arguments],
        cwd=cwd,
        env={**BARE, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
        **options,
    )


def no_traceback(done: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "XDG_DATA_HOME": "/nonexistent"},
        {"PATH": ""},
        {"CUDA_VISIBLE_DEVICES": "\u00e9,\x1b[31m", "LD_LIBRARY_PATH": ":::/nonexistent"},
        {"TERM": "dumb", "COLUMNS": "1"},
    ],
    ids=["C locale", "ascii output", "no home", "no path", "odd variables", "narrow terminal"],
)
def test_a_strange_environment_changes_nothing(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    done = run(arguments, tmp_path, environment)
    no_traceback(done)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("arguments", [[*words, "--json"] for words in LOOKING], ids=" ".join)
def test_json_is_one_document_and_nothing_else(arguments: list[str], tmp_path: Path) -> None:
    done = run(arguments, tmp_path)
    assert json.loads(done.stdout)["schema"] == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "--tf", "9.9.9", "--for", "gpu=8.6"], 3),
        (["plan", "--tf", "two"], 2),
        (["plan", "--tf", "2.15.1; rm -rf /"], 2),
        (["plan", "--tf", ">=2.12,<"], 2),
        (["plan", "--tf", "2" * 5000], 2),
        (["plan", "--tf", "2.4\x00"[:3] + "\u0664"], 2),
        (["plan", "--python", "three"], 2),
        (["plan", "--for", "driver=new"], 2),
        (["plan", "--for", "gpu=Voodoo 2"], 2),
        (["plan", "--for", "colour=green"], 2),
        (["plan", "--for", "/nonexistent.json"], 2),
        (["plan", "--with", "-e ."], 2),
        (["plan", "--matrix", "/nonexistent.yaml"], 2),
        (["plan", "--matrix", "/"], 2),
        (["matrix", "show", "9.9"], 2),
        (["matrix", "list", "--matrix", "/dev/null"], 2),
        (["host", "--timeout", "-1"], 2),
        (["verify", "/nonexistent"], 2),
        (["verify", "/etc/hostname"], 2),
        (["verify", "--level", "everything"], 2),
        (["verify", "--timeout", "nan"], 2),
        (["verify", "--timeout", "soon"], 2),
    ],
    ids=str,
)
def test_wrong_values_have_a_message_a_hint_and_the_documented_code(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    done = run(arguments, tmp_path)
    no_traceback(done)
    assert done.returncode == code, done.stderr
    assert "error: " in done.stdout + done.stderr
    assert "hint: " in done.stdout + done.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\xff\xfe" * 100,
        b"[]",
        b"a: &a [*a]",
        b"a: " + b"[" * 3000,
        b"x" * (3 << 20),
        b"!!python/object/apply:os.system ['id']",
    ],
    ids=["empty", "zeros", "no utf-8", "a list", "alias", "deep", "huge", "tag"],
)
@pytest.mark.parametrize("option", ["--matrix", "--for"])
def test_a_hostile_file_is_refused(content: bytes, option: str, tmp_path: Path) -> None:
    path = tmp_path / ("hostile.json" if option == "--for" else "hostile.yaml")
    path.write_bytes(content)
    done = run(["plan", "--tf", "2.15", option, str(path)], tmp_path)
    no_traceback(done)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr) < 20_000


def test_a_folder_that_was_removed_under_us(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m provision plan --tf 2.15 --for gpu=8.6"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=BARE, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 5), done.stderr


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_closed_standard_streams(arguments: list[str], tmp_path: Path) -> None:
    command = " ".join(f"'{word}'" for word in [sys.executable, "-m", "provision", *arguments])
    done = subprocess.run(
        ["sh", "-c", f"{command} <&- >/dev/full"],
        capture_output=True,
        text=True,
        env=BARE,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 5, done.stderr
    assert "error: " in done.stderr


def test_ctrl_c_while_a_machine_is_read(tmp_path: Path) -> None:
    slow = tmp_path / "bin" / "python3"
    slow.parent.mkdir()
    started = tmp_path / "started"
    slow.write_text(f"#!/bin/sh\n: > {started}\nexec sleep 30\n")
    slow.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "provision", "host"],
        cwd=tmp_path,
        env={**BARE, "PATH": f"{slow.parent}:{BARE['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline, "no Python was asked"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    assert process.returncode == 130, errors
    assert "interrupted" in errors

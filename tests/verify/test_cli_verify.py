"""The command: its output, its exit codes, its receipt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from verify.samples import Environment


def run(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "verify", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env={**os.environ, **environ},
    )  # fmt: skip


def test_text(environment: Environment) -> None:
    done = run(str(environment.prefix), "--level", "import")
    assert done.returncode == 1
    version = ".".join(map(str, sys.version_info[:3]))
    assert done.stdout == (
        f"{environment.prefix}: venv, Python {version}, no TensorFlow\n"
        "\n"
        "gate     FAILED      TensorFlow is not installed in this environment [no-tensorflow]\n"
        "                     hint: `tfgpu-provision create --tf …` makes an environment with it\n"
        "import   skipped     not run: gate failed\n"
        "\n"
        "no GPU was proved: gate failed: TensorFlow is not installed in this environment\n"
    )
    assert done.stderr == ""


def test_json_is_one_document(environment: Environment, tmp_path: Path) -> None:
    receipt = tmp_path / "r.json"
    done = run(str(environment.prefix), "--level", "gate", "--json", "--receipt", str(receipt))
    document = json.loads(done.stdout)
    assert document["outcome"] == "failed"
    assert document["stages"][0]["cause"] == "no-tensorflow"
    assert json.loads(receipt.read_text()) == document


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("/nonexistent/env",), "no-environment"),
        (("/etc/passwd",), "not-an-environment"),
        (("",), "not-an-environment"),
        ((".", "--level", "everything"), "usage"),
        ((".", "--timeout", "-3"), "usage"),
        ((".", "--timeout", "soon"), "usage"),
        ((".", "--matrix", "/nonexistent.yaml"), "invalid-matrix"),
        ((".", "--receipt", "/nonexistent/folder/r.json"), "receipt-not-written"),
        ((".", "--receipt", "/tmp"), "receipt-not-written"),
        (("a", "b"), "usage"),
    ],
)
def test_wrong_usage_is_exit_2_without_a_traceback(tmp_path: Path, arguments: tuple[str, ...], code: str) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_nothing_given_and_nothing_active(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    done = subprocess.run(
        [sys.executable, "-m", "provision", "verify", "--json"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=environ,
    )  # fmt: skip
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "no-environment"


def test_an_ascii_locale_and_no_home(environment: Environment) -> None:
    environ = {"PATH": os.defpath, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "provision", "verify", str(environment.prefix), "--level", "gate"],
        capture_output=True, timeout=60, check=False, env=environ,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert b"no GPU was proved" in done.stdout


def test_the_receipt_keeps_names_out_unless_asked(environment: Environment) -> None:
    home = str(environment.prefix.parent)
    plain = run(str(environment.prefix), "--level", "gate", "--json", HOME=home)
    assert home not in plain.stdout
    named = run(str(environment.prefix), "--level", "gate", "--json", "--identify", HOME=home)
    assert json.loads(named.stdout)["environment"]["path"] == str(environment.prefix)

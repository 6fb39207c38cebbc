"""``plan`` as it is typed: the real program, the real matrix, described machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from plan_builder import PLAN_KEYS

from provision.cli.main import main

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


def process(*arguments: str, folder: Path | None = None, environ: dict[str, str] | None = None) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "provision", "plan", *arguments],
        cwd=folder or ROOT / "tests",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The same program without starting a process for each case."""

    def call(*arguments: str, folder: Path | None = None, environ: dict[str, str] | None = None) -> Done:
        monkeypatch.chdir(folder or ROOT / "tests")
        monkeypatch.delenv("TFGPU_FOR", raising=False)
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["tfgpu-provision", "plan", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return call


@pytest.mark.parametrize(
    ("arguments", "code", "outcome", "row"),
    [
        (["--for", "driver=535.104.05,gpu=8.6"], 0, "ok", "2.21.0"),
        (["--tf", "2.15", "--for", "driver=535.104.05,gpu=8.6"], 0, "ok", "2.15.1"),
        (["--tf", "2.4.1", "--for", "driver=470.57.02,gpu=RTX 3090"], 0, "caveat", "2.4.1"),
        (["--tf", "2.20", "--for", "driver=535.104.05,gpu=H100"], 3, "refused", "2.20.0"),
        (["--tf", "2.3", "--for", "driver=535.104.05,gpu=8.6"], 3, "refused", "2.3.4"),
        (["--tf", "2.3", "--backend", "conda", "--for", "driver=535.104.05,gpu=T4"], 0, "ok", "2.3.4"),
        (["--tf", "2.19", "--python", "3.13", "--for", "gpu=8.6"], 3, "refused", "2.19.1"),
        (["--tf", "2.10", "--with", "numpy==1.26.4", "--for", "gpu=8.6"], 3, "refused", "2.10.1"),
        (["--tf", "2.15", "--for", "gpu=8.6", "--for", "driver=525.60.13"], 0, "ok", "2.15.1"),
    ],
)
def test_outcome_exit_code_and_every_key(arguments: Any, code: Any, outcome: Any, row: Any, run: Any) -> None:
    done = run(*arguments, "--json")
    assert done.returncode == code
    document = json.loads(done.stdout)
    assert list(document) == list(PLAN_KEYS)
    assert (document["outcome"], document["row"]) == (outcome, row)
    assert done.stderr == ""


def test_the_refusal_in_words(run: Any) -> None:
    done = run("--tf", "2.15.1", "--for", "driver=470.57.02,gpu=8.6")
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0] == "error: TensorFlow 2.15.1 cannot run on the described machine [driver-too-old]"
    assert lines[1].startswith("  driver 470.57.02 (as described) supports CUDA 11.4; TensorFlow 2.15.1 needs CUDA 12")
    assert lines[2] == ""
    assert lines[3] == "hint: the described machine can run 2.14.1: `tfgpu-provision create --tf 2.14.1`"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--tf", "2.x"], "bad-tf-spec"),
        (["--tf", "-r evil.txt"], "bad-tf-spec"),
        (["--python", "python"], "bad-python"),
        (["--python", "2.7"], "bad-python"),
        (["--python", "3"], "bad-python"),
        (["--with", "--index-url=x"], "bad-requirement"),
        (["--with", "a b c"], "bad-requirement"),
        (["--for", "driver=banana"], "bad-for"),
        (["--matrix", "/nowhere/matrix.yaml"], "invalid-matrix"),
        (["--no-such-option"], "usage"),
    ],
)
def test_bad_input_is_wrong_usage_without_a_traceback(arguments: Any, code: Any, run: Any) -> None:
    done = run("--for", "gpu=8.6", *arguments, "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["error"]["code"] == code
    assert "Traceback" not in done.stderr


def test_settings_of_the_project_are_used_and_options_win(tmp_path: Path, run: Any) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.tfgpu]\ntf = "2.15"\npython = "3.10"\nrequirements = ["pandas"]\n', encoding="utf-8"
    )
    document = json.loads(run("--for", "gpu=8.6", "--json", folder=tmp_path).stdout)
    assert (document["row"], document["python"]) == ("2.15.1", "3.10")
    document = json.loads(run("--for", "gpu=8.6", "--tf", "2.16", "--python", "3.11", "--json", folder=tmp_path).stdout)
    assert (document["row"], document["python"]) == ("2.16.2", "3.11")
    assert "pandas" in run("--for", "gpu=8.6", folder=tmp_path).stdout


def test_the_machine_may_come_from_the_environment(run: Any) -> None:
    done = run("--json", environ={"TFGPU_FOR": "driver=470.57.02,gpu=8.6"})
    assert json.loads(done.stdout)["row"] == "2.14.1"


def test_as_a_process() -> None:
    done = process("--tf", "2.20", "--for", "driver=535.104.05,gpu=H100", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["reasons"][0]["code"] == "driver-too-old-for-ptx"
    assert done.stderr == ""


def test_nothing_is_touched(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    environ = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    assert process("--for", "gpu=8.6", folder=folder, environ=environ).returncode == 0
    assert not list(home.iterdir())
    assert not list(folder.iterdir())


def test_this_machine_gets_an_answer() -> None:
    """Whatever this machine is: a decision, in time, with all keys."""
    done = process("--json")
    assert done.returncode in (0, 3)
    document = json.loads(done.stdout)
    assert list(document) == list(PLAN_KEYS)
    assert document["host"]["described"] is False


def test_plain_ascii_in_a_plain_locale() -> None:
    done = process(
        "--for", "driver=535.104.05,gpu=8.6", environ={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_plan_does_not_load_what_it_does_not_need() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "provision", "plan", "--for", "driver=535.104.05,gpu=8.6"],
        cwd=ROOT / "tests",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {"rich", "uv", "pynvml", "elftools", "platformdirs", "tensorflow", "pydantic"}

"""The command as a user runs it: what it prints, how it ends, what it writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import provision.report.doctor

SCHEMA = json.loads(Path(provision.report.doctor.__file__).with_name("doctor.schema.json").read_text())
UNNAMED = ("VIRTUAL_ENV", "CONDA_PREFIX", "TFGPU_FOR", "LD_LIBRARY_PATH", "PYTHONPATH")
GPU = "--for=driver=570.86.15,gpu=8.6"
MISSING = (
    "2023-01-01 10:00:00.000000: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic "
    "library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory\n"
    "2023-01-01 10:00:00.000001: W tensorflow/core/common_runtime/gpu/gpu_device.cc:1934] Cannot dlopen some GPU "
    "libraries. Please make sure the missing libraries mentioned above are installed properly if you would like to use "
    "GPU. Skipping registering GPU devices...\n"
)


def run(*arguments: str, cwd: Path, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in UNNAMED}
    done = subprocess.run(
        [sys.executable, "-m", "provision", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        input=stdin,
        env={**kept, **environ},
    )
    assert "Traceback" not in done.stderr
    return done


def document(*arguments: str, cwd: Path, stdin: str = "", **environ: str) -> dict[str, Any]:
    done = run(*arguments, "--json", cwd=cwd, stdin=stdin, **environ)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(answer, SCHEMA)
    assert done.returncode == answer["exit_code"]
    assert "a bug of this tool" not in done.stdout
    if answer["primary"] is not None:
        assert answer["findings"][0] == answer["primary"]
    return answer


def primary(answer: dict[str, Any]) -> str | None:
    return answer["primary"] and answer["primary"]["code"]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    folder = tmp_path / "env"
    venv.create(folder, with_pip=False)
    return folder


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_python_without_tensorflow_is_a_diagnosis(environment: Path, tmp_path: Path) -> None:
    answer = document(str(environment), GPU, cwd=tmp_path)
    assert primary(answer) == "tensorflow_missing"
    assert answer["subject"] == str(environment)
    assert answer["exit_code"] == 1
    text = run(str(environment), GPU, cwd=tmp_path).stdout
    assert "root cause" in text
    assert "[tensorflow_missing]" in text.splitlines()[-1]
    assert all(command in text for fix in answer["primary"]["fixes"] for command in fix["commands"])


def remove_python(folder: Path) -> None:
    shutil.rmtree(folder / "bin")


def dangle(folder: Path) -> None:
    for python in (folder / "bin").glob("python*"):
        python.unlink()
        python.symlink_to("/nowhere/at/all/python3.9")


def no_program(folder: Path) -> None:
    for python in (folder / "bin").glob("python*"):
        python.unlink()
        python.write_bytes(b"\x7fELF")
        python.chmod(0o755)


def not_executable(folder: Path) -> None:
    for python in (folder / "bin").glob("python*"):
        python.unlink()
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o644)


@pytest.mark.parametrize("harm", [remove_python, dangle, no_program, not_executable])
def test_a_python_that_does_not_run_is_a_diagnosis(harm: Any, environment: Path, tmp_path: Path) -> None:
    harm(environment)
    answer = document(str(environment), GPU, cwd=tmp_path)
    assert primary(answer) == "broken_interpreter"
    assert answer["exit_code"] == 1


def test_an_environment_that_nobody_may_write_is_read_all_the_same(environment: Path, tmp_path: Path) -> None:
    before = sorted((path, path.lstat().st_mtime_ns) for path in environment.rglob("*"))
    for path in environment.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o555)
    assert primary(document(str(environment), GPU, cwd=tmp_path)) == "tensorflow_missing"
    assert sorted((path, path.lstat().st_mtime_ns) for path in environment.rglob("*")) == before


def test_without_an_environment_the_machine_is_looked_at(tmp_path: Path) -> None:
    answer = document(cwd=tmp_path)
    assert answer["subject"] == "this machine"
    assert answer["facts"]["environment"] is None
    assert answer["facts"]["machine"]["described"] is False
    described = document("--for=gpu=none", cwd=tmp_path)
    assert described["subject"] == "the described machine"
    assert described["primary"] is None
    assert described["exit_code"] == 4
    assert [item["code"] for item in described["findings"]] == ["cpu_only_machine"]
    assert described["findings"][0]["role"] == "harmless"


def test_a_log_alone_is_about_nothing_else(environment: Path, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(environment)
    (tmp_path / "a.log").write_text(MISSING)
    for answer in (
        document("--log", "a.log", cwd=tmp_path, VIRTUAL_ENV=str(environment)),
        document("--log", "-", cwd=tmp_path, stdin=MISSING, VIRTUAL_ENV=str(environment)),
    ):
        assert answer["facts"]["environment"] is None
        assert answer["facts"]["machine"] is None
        assert primary(answer) == "missing_cudnn"
        assert any(clue["line"] == 1 for clue in answer["primary"]["evidence"])
        assert answer["exit_code"] == 1
    assert document("--log", "-", cwd=tmp_path, stdin=MISSING)["subject"] == "standard input"


def test_a_log_that_says_nothing_leaves_it_open_and_says_what_to_run(tmp_path: Path) -> None:
    answer = document("--log", "-", cwd=tmp_path, stdin="Segmentation fault\n")
    assert answer["primary"] is None
    assert answer["exit_code"] == 4
    assert any(item["command"] for item in answer["unsure"])


def test_a_healthy_log_is_healthy(tmp_path: Path) -> None:
    healthy = (
        "2022-05-01 10:00:00.000000: I tensorflow/core/common_runtime/gpu/gpu_device.cc:1532] Created device "
        "/job:localhost/replica:0/task:0/device:GPU:0 with 9000 MB memory:  -> device: 0, name: NVIDIA GeForce RTX 3080, "
        "pci bus id: 0000:01:00.0, compute capability: 8.6\n"
    )
    answer = document("--log", "-", cwd=tmp_path, stdin=healthy)
    assert answer["primary"] is None
    assert answer["exit_code"] == 0


def test_a_log_and_a_named_environment_are_looked_at_together(environment: Path, tmp_path: Path) -> None:
    answer = document(str(environment), GPU, "--log", "-", cwd=tmp_path, stdin=MISSING)
    assert answer["facts"]["environment"] is not None
    assert {"tensorflow_missing", "missing_cudnn"} <= {item["code"] for item in answer["findings"]}


def test_a_script_alone_is_read_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "open('it-ran', 'w')\nimport tensorflow as tf\nwith tf.device('/CPU:0'):\n    tf.constant(1)\n"
    )
    answer = document("--script", "train.py", cwd=tmp_path)
    assert not (tmp_path / "it-ran").exists()
    assert answer["facts"]["machine"] is None
    assert [item["category"] for item in answer["lines"]] == ["code"]
    assert primary(answer) == "explicit_cpu_placement"
    assert any(clue["line"] == 3 for clue in answer["primary"]["evidence"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nowhere",), "no-environment"),
        (("empty",), "not-an-environment"),
        (("--log", "nowhere"), "no-log"),
        (("--log", "empty"), "no-log"),
        (("--script", "nowhere"), "no-script"),
        (("--only", "nonsense"), "unknown-cause"),
        (("--explain", "driver-too-old"), "unknown-cause"),
        (("--for", "nonsense"), "bad-for"),
        (("--report", "empty"), "report-not-written"),
        (("--report", "no/folder.json"), "report-not-written"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr


def test_a_misspelt_code_is_told_the_near_ones(tmp_path: Path) -> None:
    assert "driver_too_old" in run("--explain", "driver-too-old", cwd=tmp_path).stderr


def test_only_looks_for_that_cause(environment: Path, tmp_path: Path) -> None:
    answer = document(str(environment), "--only", "driver_too_old", "--for=gpu=none", cwd=tmp_path)
    assert answer["findings"] == []
    assert answer["exit_code"] == 0
    assert answer["summary"].endswith("driver_too_old was not found")
    assert primary(document(str(environment), "--only", "tensorflow_missing", cwd=tmp_path)) == "tensorflow_missing"


def test_list_and_explain(tmp_path: Path) -> None:
    text = run("--list", cwd=tmp_path).stdout
    causes = json.loads(run("--list", "--json", cwd=tmp_path).stdout)["causes"]
    assert len(causes) > 50
    assert all(cause["code"] in text for cause in causes)
    done = run("--explain", "driver_too_old", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("# ")


def test_the_report_can_be_shown_to_others(environment: Path, tmp_path: Path) -> None:
    home = tmp_path / "home" / "alice"
    (home / "work").mkdir(parents=True)
    target = home / "work" / "env"
    shutil.copytree(environment, target, symlinks=True)
    log = MISSING + (
        "alice@trainbox:~$ export HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz\n"
        f"ImportError: libcudart.so.11.0: cannot open shared object file, needed by {target}/lib/x.so at 10.20.30.40\n"
    )
    arguments = (str(target), GPU, "--log", "-", "--report", "report.json")
    answer = document(*arguments, cwd=tmp_path, stdin=log, HOME=str(home), USER="alice", TF_GPU_TOKEN="s3cr3t-value")  # noqa: S106
    text = (tmp_path / "report.json").read_text()
    jsonschema.validate(json.loads(text), SCHEMA)
    assert primary(json.loads(text)) == primary(answer)
    for name in (
        "alice",
        "trainbox",
        str(tmp_path / "home"),
        "hf_abcdef",
        "10.20.30.40",
        "s3cr3t-value",
        os.uname().nodename,
    ):
        assert name not in text
    assert str(target) in json.dumps(answer), "what is printed here stays as it is"


def test_a_report_that_cannot_be_written_leaves_the_old_one(environment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "r.json").write_text("old")
    done = run(str(environment), "--report", str(folder / ("x" * 300)), cwd=tmp_path)
    assert done.returncode == 5
    assert [path.name for path in folder.iterdir()] == ["r.json"]

"""The host command, its report, and how every command comes by its machine and its matrix."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provision.errors import InvalidFileError, UsageError
from provision.host import capture, describe
from provision.host.parsers import parse_smi_table  # noqa: F401 - the public name stays importable
from provision.model.facts import Attempt, Fact
from provision.model.host import (
    Container,
    CudnnCopy,
    Disagreement,
    DriverState,
    Gpu,
    GpuProcess,
    HostFacts,
    Interpreter,
    Toolkit,
)
from provision.model.versions import ComputeCapability, CudaVersion, CudnnVersion, DriverVersion, PythonVersion
from provision.report.host import host_text
from provision.system import System
from provision.workflows.common import host_for, load_matrix
from provision.workflows.settings import Settings

SYSTEM = System(environ={})


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "host", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


FULL = dataclasses.replace(
    describe(["driver=550.54.14,cuda=12.4,os=ubuntu22.04,cpu=avx2+fma"], SYSTEM),
    described=False,
    driver_state_why="cuInit succeeds and shows 2 GPUs",
    kernel_module=Fact(DriverVersion("535.104.05"), "/sys/module/nvidia/version"),
    device_nodes=Fact(("/dev/nvidia0", "/dev/nvidiactl"), "/dev"),
    gpus=Fact(
        (
            Gpu(
                "Tesla T4",
                ComputeCapability("7.5"),
                0,
                15360,
                3,
                "GPU-aa",
                "0000:01:00.0",
                mig=None,
                processes=(GpuProcess(77, "python", 500), GpuProcess(78, "", None)),
                source="nvml",
            ),
            Gpu("NVIDIA A30", None, 1, 24576, None, None, None, mig=True, mig_devices=("MIG-1",), source="nvml"),
        ),
        "nvml",
    ),
    container=Fact(Container("docker", gpu_passed=True), "/.dockerenv"),
    toolkits=(Toolkit("/usr/local/cuda", CudaVersion("13.0"), "/usr/local"),),
    cudnn_copies=(CudnnCopy("/usr/lib/libcudnn.so.9", CudnnVersion("9.1.0")),),
    nvcc=Fact(CudaVersion("13.0.88"), "/usr/local/cuda/bin/nvcc"),
    pythons=(
        Interpreter("/usr/bin/python3.11", PythonVersion("3.11.2"), "path"),
        Interpreter("/x/python3.13t", PythonVersion("3.13.0"), "uv", "cpython-freethreading"),
    ),
    tools={"uv": "/usr/bin/uv"},
    variables={"CUDA_VISIBLE_DEVICES": ""},
    free_disk_mib=Fact(10240, "statvfs"),
    disagreements=(
        Disagreement(
            "driver version",
            (("/sys/module/nvidia/version", "535.104.05"), ("driver libraries", "550.54.14")),
            "reboot",
        ),
    ),
    attempts=(Attempt("nvml", "ok"), Attempt("nvidia-smi", "failed", "not asked twice")),
)

FULL_TEXT = """\
Machine     ubuntu 22.04, Linux, x86_64 (assumed)
            glibc 2.35
            CPU with AVX, AVX2, FMA
Container   docker, a GPU is passed in
Driver      550.54.14, working: cuInit succeeds and shows 2 GPUs
            kernel module 535.104.05
            device files: /dev/nvidia0, /dev/nvidiactl
GPUs        0: Tesla T4, compute capability 7.5, 15360 MiB (3 MiB used), GPU-aa
              in use by python (pid 77, 500 MiB)
              in use by a process (pid 78)
            1: NVIDIA A30, compute capability unknown, 24576 MiB, MIG on
              MIG device MIG-1
CUDA versions
  the driver supports    12.4
  toolkits installed     13.0 in /usr/local/cuda; nvcc 13.0.88 on PATH
  cuDNN copies           9.1.0 in /usr/lib/libcudnn.so.9
  a release is built for see `tfgpu-provision matrix list`
  (TensorFlow from a wheel uses the libraries of its own environment, not the toolkits above)
Pythons     3.11.2 (path)
            of another kind: 3.13.0 (cpython-freethreading)
Tools       uv
Variables   CUDA_VISIBLE_DEVICES=
Disk        10.0 GiB free here
Disagree    driver version: 535.104.05 (/sys/module/nvidia/version), 550.54.14 (driver libraries)
            reboot"""


def test_report() -> None:
    assert host_text(FULL) == FULL_TEXT


def test_verbose_adds_sources_and_attempts() -> None:
    text = host_text(FULL, verbose=True)
    assert text.startswith(FULL_TEXT)
    added = text[len(FULL_TEXT) :]
    assert "kernel module   /sys/module/nvidia/version" in added
    assert "python 3.11.2: /usr/bin/python3.11" in added
    assert "  nvidia-smi: failed, not asked twice" in added


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"gpus": Fact(())}, "GPUs        none"),
        ({"gpus": Fact(None)}, "GPUs        unknown"),
        (
            {"driver": Fact(None), "driver_state": DriverState.NO_GPU, "driver_state_why": "because"},
            "Driver      none, no-gpu: because",
        ),
        (
            {"driver": Fact(None), "driver_state": DriverState.HUNG, "driver_state_why": "because"},
            "Driver      version unknown, hung: because",
        ),
        ({"wsl": Fact(value=True, source="x")}, "Driver      550.54.14 (the Windows number), working"),
        ({"driver_cuda": Fact(None)}, "  the driver supports    unknown"),
        ({"toolkits": (), "nvcc": Fact(None)}, "  toolkits installed     none"),
        ({"glibc": Fact(None, "musl")}, "C library: musl, not glibc"),
        ({"glibc": Fact(None)}, "glibc unknown"),
        ({"cpu_features": Fact(None)}, "CPU features unknown"),
        ({"cpu_features": Fact(frozenset())}, "CPU without AVX, AVX2, FMA"),
        ({"cpu_features": Fact(frozenset({"avx"}))}, "CPU with AVX and without AVX2, FMA"),
        ({"container": Fact(Container("lxc", gpu_passed=False))}, "Container   lxc, no GPU is passed in"),
        ({"pythons": ()}, "Pythons     none found"),
        ({"described": True}, "nothing of it was read here"),
    ],
)
def test_lines(changes: dict[str, object], line: str) -> None:
    assert line in host_text(dataclasses.replace(FULL, **changes))  # type: ignore[arg-type]


def test_control_characters_of_a_captured_machine_do_not_reach_the_terminal() -> None:
    host = dataclasses.replace(FULL, gpus=Fact((Gpu("\x1b[2Jevil\nGPUs", None),)), variables={"X": "\x07"})
    text = host_text(host, verbose=True)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "?[2Jevil?GPUs" in text


@pytest.mark.parametrize("state", list(DriverState))
def test_every_state_has_its_word(state: DriverState) -> None:
    assert f", {state.value}: " in host_text(dataclasses.replace(FULL, driver_state=state))


# ---- whose machine, whose matrix -------------------------------------------------------------------------------------


def test_the_option_beats_the_variable_and_the_variable_beats_this_machine() -> None:
    system = System(environ={"TFGPU_FOR": "driver=470.82.01,gpu=3.7"})
    assert str(host_for(system, ["driver=535.104.05"]).driver.value) == "535.104.05"
    assert str(host_for(system, None).driver.value) == "470.82.01"
    assert str(host_for(system, []).driver.value) == "470.82.01"
    assert not host_for(System(environ={"TFGPU_FOR": "  ", "PATH": ""}), None).described


def test_a_wrong_variable_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        host_for(System(environ={"TFGPU_FOR": "nonsense"}), None)
    assert caught.value.code == "bad-for"


def test_the_matrix_option_beats_the_setting(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("[]")
    settings = Settings(tmp_path, {"matrix": "named-in-settings.yaml"})
    with pytest.raises(InvalidFileError) as caught:
        load_matrix(broken, settings)
    assert "broken.yaml" in str(caught.value.what) + "".join(caught.value.why)
    with pytest.raises(InvalidFileError) as caught:
        load_matrix(None, settings)
    assert "named-in-settings.yaml" in str(caught.value.what) + "".join(caught.value.why)


# ---- the command itself ----------------------------------------------------------------------------------------------


def test_json_can_be_described_again(tmp_path: Path) -> None:
    done = run("--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    host: HostFacts = capture.from_document(document)
    file = tmp_path / "machine.json"
    file.write_text(done.stdout)
    again = run("--json", "--for", str(file))
    assert again.returncode == 0, again.stderr
    assert capture.from_document(json.loads(again.stdout)) == dataclasses.replace(host, described=True)


def test_text() -> None:
    done = run("--for", "driver=535.104.05,gpu=RTX 3090", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "535.104.05" in done.stdout
    assert "NVIDIA GeForce RTX 3090, compute capability 8.6" in done.stdout
    assert done.stderr == ""


def test_the_variable_describes_a_machine_too() -> None:
    done = run(TFGPU_FOR="gpu=7.5,os=wsl")
    assert done.returncode == 0
    assert "under WSL" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--for", "gpu=RTX 3099"), "bad-for"),
        (("--for", ""), "bad-for"),
        (("--timeout", "0"), "usage"),
        (("--timeout", "soon"), "usage"),
        (("--nonsense",), "usage"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: str) -> None:
    done = run(*arguments, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == code
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_locale_without_unicode_and_no_home() -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("HOME", "LANG", "LC_ALL")}
    done = subprocess.run(
        [sys.executable, "-m", "provision", "host"],
        capture_output=True,
        timeout=60,
        check=False,
        env={**environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert b"Machine" in done.stdout


def test_ctrl_c_does_not_wait_for_a_hung_driver(fake_driver: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    process = subprocess.Popen(
        [sys.executable, "-m", "provision", "host"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(fake_driver),
            "FAKEGPU_HANG": "nvmlInitWithFlags;nvmlInit_v2;cuInit",
            "FAKEGPU_LOG": str(log),
        },
    )
    end = time.monotonic() + 20
    while not (log.exists() and "cuInit" in log.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode == 130
    assert "interrupted" in err
    assert out == ""

"""What a person reads, word by word."""

from __future__ import annotations

from verify.samples import GATE_12, found, gate_said, missing, premises

from provision.model.verdict import Level, Stage, StageStatus
from provision.report.verify import verify_text
from provision.verify.gate import judge_gate
from provision.verify.verdict import conclude, skipped

WHERE = {"prefix": "/env", "kind": "venv", "python": "3.12.1", "tensorflow": "2.21.0", "distribution": "tensorflow"}


def test_a_broken_environment() -> None:
    libraries = [missing(name) if "cusolver" in name else found(name) for name in GATE_12]
    gate = judge_gate(premises(tensorflow="2.21.0"), gate_said(libraries), gate_said(libraries))
    imported = Stage(Level.IMPORT, StageStatus.PASSED, "TensorFlow 2.21.0 imports in 2.0 s")
    rest = (
        skipped(Level.DEVICE, "not run: gate failed", "after-gate"),
        skipped(Level.COMPUTE, "not run: gate failed", "after-gate"),
    )
    assert verify_text(conclude(Level.COMPUTE, (gate, imported, *rest), WHERE)) == (
        "/env: venv, Python 3.12.1, tensorflow 2.21.0\n"
        "\n"
        "gate     FAILED      1 of 7 CUDA libraries not found: libcusolver.so.11 [library-not-found]\n"
        "                     libcusolver.so.11: not found by tensorflow/libtensorflow_framework.so.2: cannot open shared object file: No such file or directory\n"
        "                       the environment has nvidia/cusolver/lib/libcusolver.so.11 (nvidia-cusolver-cu12 11.6.3.83), but not where is searched\n"
        "                     searched, in this order:\n"
        "                       RUNPATH of tensorflow/libtensorflow_framework.so.2: nvidia/cublas/lib, tensorflow\n"
        "                       loader cache: /etc/ld.so.cache\n"
        "                       system search path: /lib, /usr/lib\n"
        "                     hint: `tfgpu-provision create` makes an environment in which TensorFlow finds them; until then it will run on the CPU\n"
        "import   passed      TensorFlow 2.21.0 imports in 2.0 s\n"
        "device   skipped     not run: gate failed\n"
        "compute  skipped     not run: gate failed\n"
        "\n"
        "no GPU was proved: gate failed: 1 of 7 CUDA libraries not found: libcusolver.so.11"
    )


def test_no_gpu_here() -> None:
    stages = (
        Stage(Level.GATE, StageStatus.PASSED, "all 7 CUDA libraries found in the environment, cuDNN 9.3.0"),
        Stage(Level.IMPORT, StageStatus.PASSED, "TensorFlow 2.21.0 imports in 2.0 s"),
        Stage(Level.DEVICE, StageStatus.CANNOT_TELL, "this machine has no NVIDIA GPU", "no-gpu"),
    )
    assert verify_text(conclude(Level.DEVICE, stages, {**WHERE, "tensorflow": None})).splitlines() == [
        "/env: venv, Python 3.12.1, no TensorFlow",
        "",
        "gate     passed      all 7 CUDA libraries found in the environment, cuDNN 9.3.0",
        "import   passed      TensorFlow 2.21.0 imports in 2.0 s",
        "device   cannot tell this machine has no NVIDIA GPU [no-gpu]",
        "",
        "no GPU was proved: this machine has no NVIDIA GPU",
    ]


def test_the_last_line_says_proved_only_when_it_was() -> None:
    stages = tuple(Stage(level, StageStatus.PASSED, f"{level.value} is right") for level in Level.COMPUTE.upto)
    assert verify_text(conclude(Level.COMPUTE, stages, WHERE)).splitlines()[-1] == "proved on a GPU: compute is right"
    assert verify_text(conclude(Level.IMPORT, stages[:2], WHERE)).splitlines()[-1].startswith("no GPU was proved")

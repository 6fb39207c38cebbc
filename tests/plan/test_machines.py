"""Described machines against the real matrix: the request, the machine, and what must come out.

Each expectation was worked out from the vendor tables and the wheels' contents, not from the program's output: driver
floors 450.80.02 (CUDA 11) and 525.60.13 (CUDA 12), on WSL 452.39 and 528.33; last driver branches 470 (Kepler) and 580
(Maxwell to Volta); the PTX that Hopper needs (2.16: CUDA 12.0, 2.17 and 2.18: 12.3, 2.19 to 2.21: 12.5).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from provision import matrix
from provision.host import describe
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal, Request
from provision.model.versions import PythonVersion
from provision.plan import decide
from provision.system import System

MATRIX_FILE = Path(__file__).parents[2] / "matrix.yaml"


@functools.cache
def real_matrix() -> Matrix:
    return matrix.load(MATRIX_FILE)


class Case(NamedTuple):
    """A request, a machine, and the answer: a release with its notable caveats, or a release with its obstacles."""

    tf: str
    machine: str
    outcome: str
    release: str | None
    codes: str = ""
    libraries: str = ""
    python: str | None = None


CASES = (
    # The everyday machines.
    Case("", "driver=535.104.05,gpu=8.6", "ok", "2.21.0", libraries="cu125-cudnn924"),
    Case("", "driver=535.104.05,gpu=RTX 3090,os=ubuntu22.04", "ok", "2.21.0"),
    Case("", "driver=580.65.06,gpu=L4", "ok", "2.21.0"),
    Case("2.15", "driver=535.104.05,gpu=8.6", "ok", "2.15.1", libraries="cu122-cudnn89"),
    Case("2.20", "driver=550.54.15,gpu=8.6 x4", "ok", "2.20.0"),
    # Driver floors, on Linux.
    Case("2.15", "driver=525.60.13,gpu=7.5", "ok", "2.15.1"),
    Case("2.15", "driver=525.60.11,gpu=7.5", "refused", "2.15.1", "driver-too-old"),
    Case("2.15", "driver=470.57.02,gpu=8.6", "refused", "2.15.1", "driver-too-old"),
    Case("2.21", "driver=470.57.02,gpu=8.6", "refused", "2.21.0", "driver-too-old"),
    Case("", "driver=470.57.02,gpu=8.6", "ok", "2.14.1", libraries="cu118-cudnn87"),
    Case("2.11", "driver=450.80.02,gpu=V100", "caveat", "2.11.1", "derived-libraries"),
    Case("2.12", "driver=450.80.02,gpu=T4", "ok", "2.12.1"),
    Case("2.11", "driver=450.36.06,gpu=T4", "refused", "2.11.1", "driver-too-old"),
    Case("2.4", "driver=418.39,gpu=V100", "refused", "2.4.4", "driver-too-old"),
    Case("2.12", "driver=450.80.02,gpu=A100", "ok", "2.12.1"),
    Case("2.14", "driver=450.80.02,gpu=A100", "refused", "2.14.1", "driver-too-old-for-ptx"),
    Case("2.14", "driver=455.23,gpu=A100", "ok", "2.14.1"),
    # Hopper: most element-wise kernels exist for it as PTX alone.
    Case("2.16", "driver=525.60.13,gpu=9.0", "ok", "2.16.2"),
    Case("2.17", "driver=535.104.05,gpu=H100", "refused", "2.17.1", "driver-too-old-for-ptx"),
    Case("2.18", "driver=535.104.05,gpu=H100", "refused", "2.18.1", "driver-too-old-for-ptx"),
    Case("2.20", "driver=535.104.05,gpu=GH200", "refused", "2.20.0", "driver-too-old-for-ptx"),
    Case("2.17", "driver=545.23.08,gpu=9.0", "ok", "2.17.1"),
    Case("2.18", "driver=550.54.15,gpu=9.0", "ok", "2.18.1"),
    Case("2.19", "driver=550.54.15,gpu=9.0", "refused", "2.19.1", "driver-too-old-for-ptx"),
    Case("2.20", "driver=550.54.15,gpu=9.0", "refused", "2.20.0", "driver-too-old-for-ptx"),
    Case("2.21", "driver=550.54.15,gpu=9.0", "refused", "2.21.0", "driver-too-old-for-ptx"),
    Case("2.19", "driver=555.42.02,gpu=9.0", "ok", "2.19.1"),
    Case("2.21", "driver=555.42.06,gpu=H200", "ok", "2.21.0"),
    Case("", "driver=535.104.05,gpu=H100", "ok", "2.16.2"),
    Case("", "driver=550.54.15,gpu=H200", "ok", "2.18.1"),
    Case("", "driver=580.65.06,gpu=H200", "ok", "2.21.0"),
    Case("2.20", "driver=535.104.05,cuda=12.8,gpu=H100", "ok", "2.20.0"),  # forward compatibility in force
    Case("2.15", "driver=525.85.12,gpu=9.0", "refused", "2.15.1", "driver-too-old-for-ptx"),
    Case("2.15", "driver=530.30.02,gpu=9.0", "caveat", "2.15.1", "ptx-jit"),
    Case("2.14", "driver=515.43.04,gpu=9.0", "refused", "2.14.1", "driver-too-old-for-ptx"),
    Case("2.14", "driver=520.61.05,gpu=9.0", "caveat", "2.14.1", "ptx-jit"),
    Case("2.11", "driver=550.54.15,gpu=9.0", "caveat", "2.11.1", "ptx-jit derived-libraries"),
    Case("2.4.1", "driver=550.54.15,gpu=9.0", "caveat", "2.4.1", "ptx-jit derived-libraries library-alias"),
    Case(
        "2.20",
        "driver=450.80.02,gpu=H100",
        "refused",
        "2.20.0",
        "driver-too-old driver-too-old-for-gpu driver-too-old-for-ptx",
    ),
    # Blackwell: nothing on the index serves it.
    Case("", "driver=580.95.05,gpu=RTX 5090", "refused", "2.21.0", "gpu-unserved libraries-lack-gpu"),
    Case("2.21", "driver=580.95.05,gpu=12.1", "refused", "2.21.0", "gpu-unserved libraries-lack-gpu"),
    Case(
        "2.20", "driver=570.124.06,gpu=B200", "refused", "2.20.0", "gpu-unserved ptx-for-another-gpu libraries-lack-gpu"
    ),
    Case(
        "2.16", "driver=570.124.06,gpu=10.0", "refused", "2.16.2", "gpu-unserved ptx-for-another-gpu libraries-lack-gpu"
    ),
    Case("2.15", "driver=570.124.06,gpu=12.0", "refused", "2.15.1", "gpu-unserved libraries-lack-gpu"),
    Case("2.4.1", "driver=570.124.06,gpu=12.0", "refused", "2.4.1", "gpu-unserved libraries-lack-gpu"),
    # Before Turing: which cuDNN, and the last drivers.
    Case("2.20", "driver=535.104.05,gpu=V100", "ok", "2.20.0", libraries="cu125-cudnn93"),
    Case("2.21", "driver=535.104.05,gpu=V100", "caveat", "2.21.0", "fault-conv2d-training-cudnn", "cu125-cudnn910"),
    Case("2.21", "driver=535.104.05,gpu=P100", "caveat", "2.21.0", "fault-conv2d-training-cudnn", "cu125-cudnn910"),
    Case("2.20", "driver=535.104.05,gpu=GTX 1080", "ok", "2.20.0"),
    Case("2.21", "driver=535.104.05,gpu=T4", "ok", "2.21.0", libraries="cu125-cudnn924"),
    Case("", "driver=580.95.05,gpu=V100", "ok", "2.20.0"),
    Case("", "driver=580.95.05,gpu=GTX 1080 Ti", "ok", "2.20.0"),
    Case("", "driver=590.48.01,gpu=GTX 1080", "refused", "2.21.0", "gpu-left-driver"),
    Case("2.16", "driver=590.48.01,gpu=P100", "refused", "2.16.2", "gpu-left-driver"),
    Case("", "driver=590.48.01,gpu=7.5", "ok", "2.21.0"),
    Case("2.16", "driver=550.54.15,gpu=5.2", "ok", "2.16.2"),
    Case("2.17", "driver=550.54.15,gpu=5.2", "refused", "2.17.1", "gpu-too-old"),
    Case("", "driver=550.54.15,gpu=5.2", "ok", "2.16.2"),
    # Kepler.
    Case("2.14", "driver=470.57.02,gpu=K80", "ok", "2.14.1", libraries="cu118-cudnn87"),
    Case("2.15", "driver=470.57.02,gpu=K80", "refused", "2.15.1", "driver-too-old gpu-too-old libraries-lack-gpu"),
    Case("", "driver=470.57.02,gpu=K80", "ok", "2.14.1"),
    Case("", "driver=535.104.05,gpu=K80", "refused", "2.14.1", "gpu-left-driver"),
    # Ampere and Ada on releases of before them: machine code for 8.0 runs on all of 8.x.
    Case("2.4.1", "driver=470.57.02,gpu=RTX 3090", "caveat", "2.4.1", "derived-libraries library-alias"),
    Case("2.4.1", "driver=535.104.05,gpu=RTX 4090", "caveat", "2.4.1", "derived-libraries library-alias"),
    Case("2.8", "driver=535.104.05,gpu=RTX 4090", "caveat", "2.8.4", "derived-libraries"),
    Case("2.14", "driver=535.104.05,gpu=RTX 4090", "ok", "2.14.1"),
    Case("2.16", "driver=535.104.05,gpu=RTX 4090", "ok", "2.16.2"),
    Case("2.4.1", "driver=515.43.04,gpu=RTX 4090", "refused", "2.4.1", "driver-too-old-for-gpu"),
    # WSL reports the number of the Windows driver.
    Case("", "driver=528.33,gpu=8.6,os=wsl", "ok", "2.21.0"),
    Case("2.15", "driver=527.41,gpu=8.6,os=wsl", "refused", "2.15.1", "driver-too-old"),
    Case("2.15", "driver=527.41,gpu=8.6", "ok", "2.15.1"),
    Case("2.14", "driver=472.50,gpu=8.6,os=wsl", "ok", "2.14.1"),
    Case("2.15", "driver=472.50,gpu=8.6,os=wsl", "refused", "2.15.1", "driver-too-old"),
    Case("2.4", "driver=452.39,gpu=7.5,os=wsl", "caveat", "2.4.4", "derived-libraries library-alias"),
    Case("2.4", "driver=451.82,gpu=7.5,os=wsl", "refused", "2.4.4", "driver-too-old"),
    Case("", "driver=591.44,gpu=6.1,os=wsl", "refused", "2.21.0", "gpu-left-driver"),
    Case("", "driver=581.29,gpu=6.1,os=wsl", "ok", "2.20.0"),
    # Other systems.
    Case("2.10", "os=windows,driver=528.33,gpu=8.6", "refused", "2.10.1", "windows-unsupported"),
    Case("2.11", "os=windows,driver=528.33,gpu=8.6", "refused", "2.11.1", "windows-unsupported"),
    Case("", "os=macos", "refused", "2.21.0", "macos-unsupported"),
    Case("2.15", "os=macos,arch=aarch64", "refused", "2.15.1", "macos-unsupported"),
    Case("2.15", "arch=aarch64", "refused", "2.15.1", "architecture-unsupported"),
    Case("2.20", "arch=aarch64,driver=580.65.06,gpu=9.0", "refused", "2.20.0", "architecture-unsupported"),
    # The C library and the processor.
    Case("2.21", "driver=550.54.15,gpu=8.6,glibc=2.17", "refused", "2.21.0", "glibc-too-old"),
    Case("2.21", "driver=550.54.15,gpu=8.6,glibc=2.27", "ok", "2.21.0"),
    Case("", "driver=550.54.15,gpu=8.6,os=rhel7", "ok", "2.20.0"),
    Case("", "driver=550.54.15,gpu=8.6,os=alpine3.19", "refused", "2.21.0", "musl-unsupported"),
    Case("2.9", "driver=550.54.15,gpu=8.6,glibc=2.12", "refused", "2.9.3", "glibc-too-old"),
    Case("2.15", "driver=535.104.05,gpu=8.6,cpu=x86-64-v2", "refused", "2.15.1", "cpu-too-old"),
    Case("2.15", "driver=535.104.05,gpu=8.6,cpu=x86-64-v3", "ok", "2.15.1"),
    # Python.
    Case("2.19", "driver=550.54.15,gpu=8.6,python=3.13", "refused", "2.19.1", "python-unsupported"),
    Case("2.19", "driver=550.54.15,gpu=8.6", "refused", "2.19.1", "python-unsupported", python="3.13"),
    Case("", "driver=550.54.15,gpu=8.6,python=3.13", "ok", "2.21.0"),
    Case("2.14", "driver=550.54.15,gpu=8.6,python=3.8", "refused", "2.14.1", "python-unsupported"),
    Case("2.13", "driver=550.54.15,gpu=8.6,python=3.8", "ok", "2.13.1"),
    Case("", "driver=550.54.15,gpu=8.6,python=3.8", "ok", "2.13.1"),
    Case("2.21", "driver=550.54.15,gpu=8.6,python=3.9", "refused", "2.21.0", "python-unsupported"),
    Case("", "driver=550.54.15,gpu=8.6", "caveat", "2.6.2", "derived-libraries", python="3.6"),
    # Several unlike GPUs.
    Case(
        "2.21",
        "driver=535.104.05,gpu=P100,gpu=RTX 4090",
        "caveat",
        "2.21.0",
        "fault-conv2d-training-cudnn",
        "cu125-cudnn910",
    ),
    Case("", "driver=535.104.05,gpu=P100,gpu=RTX 4090", "ok", "2.20.0", libraries="cu125-cudnn93"),
    Case("2.20", "driver=535.104.05,gpu=3.5,gpu=RTX 4090", "caveat", "2.20.0", "gpu-left-out"),
    Case("2.20", "driver=580.95.05,gpu=RTX 5090,gpu=RTX 4090", "caveat", "2.20.0", "gpu-left-out"),
    Case("", "driver=470.57.02,gpu=3.5,gpu=RTX 3090", "ok", "2.14.1"),
    Case("2.20", "driver=535.104.05,gpu=H100,gpu=A100", "caveat", "2.20.0", "gpu-left-out"),
    # No GPU, no driver, or neither.
    Case("", "gpu=none,driver=none", "ok", "2.20.0"),
    Case("", "driver=550.54.15", "ok", "2.20.0"),
    Case("2.21", "driver=550.54.15", "caveat", "2.21.0", "fault-conv2d-training-cudnn", "cu125-cudnn910"),
    Case("", "gpu=8.6", "ok", "2.21.0"),
    Case("2.4.1", "gpu=none", "caveat", "2.4.1", "derived-libraries library-alias"),
    Case("", "driver=none,gpu=8.6", "caveat", "2.21.0", "driver-not-installed"),
    # How the release is asked for.
    Case("2.16.1", "driver=535.104.05,gpu=8.6", "ok", "2.16.1"),
    Case("2.16", "driver=535.104.05,gpu=8.6", "ok", "2.16.2"),
    Case("2.15.0", "driver=535.104.05,gpu=8.6", "ok", "2.15.0"),
    Case("2.15.0.post1", "driver=535.104.05,gpu=8.6", "ok", "2.15.0.post1"),
    Case(">=2.12,<2.16", "driver=470.57.02,gpu=8.6", "ok", "2.14.1"),
    Case("~=2.15.0", "driver=535.104.05,gpu=8.6", "ok", "2.15.1"),
    Case("2.15.*", "driver=535.104.05,gpu=8.6", "ok", "2.15.1"),
    Case("tensorflow==2.15.1", "driver=535.104.05,gpu=8.6", "ok", "2.15.1"),
    Case("latest", "driver=535.104.05,gpu=8.6", "ok", "2.21.0"),
    Case("2.3", "driver=535.104.05,gpu=8.6", "refused", "2.3.4", "release-unserved"),
    Case("2.3.1", "driver=535.104.05,gpu=8.6", "refused", None, "release-unserved"),
    Case("1.15", "driver=535.104.05,gpu=8.6", "refused", "1.15.5", "release-unserved"),
    Case("tensorflow==1.15.5", "driver=535.104.05,gpu=7.5", "refused", None, "release-unserved"),
    Case("2.15.9", "driver=535.104.05,gpu=8.6", "refused", None, "release-unknown"),
    Case("2.99", "driver=535.104.05,gpu=8.6", "refused", None, "release-unknown"),
    Case("tensorflow-gpu==2.12.0", "driver=535.104.05,gpu=8.6", "refused", None, "release-unserved"),
    Case("tensorflow-gpu==2.4.1", "driver=535.104.05,gpu=8.6", "refused", None, "release-unserved"),
    Case("tf-nightly", "driver=535.104.05,gpu=8.6", "refused", None, "release-unserved"),
)


CONDA = (
    # Kepler has code in the toolkit of the build and none in that of Ada; CUDA 11.2 is what 2.5 to 2.11 were built with.
    Case("2.4.1", "driver=450.80.02,gpu=K80", "ok", "2.4.1", libraries="conda-cu110-cudnn80"),
    Case("2.10", "driver=470.57.02,gpu=K80", "ok", "2.10.1", libraries="conda-cu112-cudnn81"),
    Case("2.10", "driver=535.104.05,gpu=RTX 4090", "caveat", "2.10.1", "derived-libraries", "conda-cu118-cudnn89"),
    Case(
        "2.4.1",
        "driver=535.104.05,gpu=RTX 4090",
        "caveat",
        "2.4.1",
        "derived-libraries library-alias",
        "conda-cu118-cudnn89",
    ),
    Case("2.10", "driver=535.104.05,gpu=3.7,gpu=8.6", "caveat", "2.10.1", "gpu-left-out", "conda-cu112-cudnn81"),
    Case("2.18", "driver=550.54.15,gpu=H100", "ok", "2.18.1", libraries="conda-cu125-cudnn93"),
    Case("", "driver=550.54.15,gpu=8.6", "ok", "2.20.0", libraries="conda-cu125-cudnn93"),
    # Without a GPU: the widest range, and of equals the newest GPUs.
    Case("2.4.1", "gpu=none", "caveat", "2.4.1", "", "conda-cu118-cudnn89"),
    Case("2.10.1", "gpu=none", "caveat", "2.10.1", "", "conda-cu118-cudnn89"),
    Case("2.3", "gpu=none", "ok", "2.3.4", "", "conda-cu101-cudnn76"),
    # CUDA 10: each toolkit has its own floor, and Ampere has no code in its libraries.
    Case("2.3", "driver=418.39,gpu=P100", "ok", "2.3.4", libraries="conda-cu101-cudnn76"),
    Case("2.3", "driver=410.48,gpu=P100", "refused", "2.3.4", "driver-too-old"),
    Case("2.0", "driver=410.48,gpu=P100", "caveat", "2.0.4", "derived-libraries", "conda-cu100-cudnn76"),
    Case("2.0", "driver=396.26,gpu=P100", "refused", "2.0.4", "driver-too-old"),
    Case("1.15", "driver=535.104.05,gpu=T4", "caveat", "1.15.5", "derived-libraries", "conda-cu100-cudnn76"),
    Case("1.15", "driver=535.104.05,gpu=A100", "refused", "1.15.5", "libraries-lack-gpu"),
    Case("2.3", "driver=535.104.05,gpu=A100", "refused", "2.3.4", "libraries-lack-gpu"),
    Case("2.4.1", "driver=535.104.05,gpu=8.0,glibc=2.12", "refused", "2.4.1", "glibc-too-old"),
    Case("2.3", "driver=535.104.05,gpu=7.5,glibc=2.12", "ok", "2.3.4", libraries="conda-cu101-cudnn76"),
    Case("2.12", "driver=470.57.02,gpu=K80", "refused", "2.12.1", "libraries-lack-gpu"),
    Case("2.10", "driver=535.104.05,gpu=8.6,python=3.13", "ok", "2.10.1", libraries="conda-cu112-cudnn81"),
    Case("2.10", "driver=535.104.05,gpu=8.6", "refused", "2.10.1", "python-unsupported", python="3.13"),
)
"""With ``--backend conda``; a Python of the machine does not count, the environment brings its own."""


def answer_of(case: Case) -> Plan | Refusal:
    python = PythonVersion(case.python) if case.python else None
    backend = "conda" if case in CONDA else "venv"
    return decide(
        Request(case.tf, python, backend=backend), describe([case.machine], System(environ={})), real_matrix()
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.tf or 'newest'} on {case.machine}")
def test_described_machine(case: Any) -> None:
    hold(case, answer_of(case))


@pytest.mark.parametrize("case", CONDA, ids=lambda case: f"{case.tf} on {case.machine}")
def test_described_machine_with_conda(case: Any) -> None:
    answer = answer_of(case)
    if "gpu=none" not in case.machine:
        hold(case, answer)
    assert answer.outcome == case.outcome
    if isinstance(answer, Plan):
        assert answer.library_set.ident == case.libraries
        assert [pin.requirement for pin in answer.conda_pins] == [
            f"python {answer.python}.*",
            *(package.requirement for package in answer.library_set.conda),
        ]
        assert answer.pins[0].requirement == answer.row.requirement
        assert not any(pin.requirement.startswith("nvidia-") for pin in answer.pins)


def test_a_release_that_wheels_cannot_serve_is_offered_with_conda() -> None:
    for tf, command in (
        ("2.3", "create --tf 2.3.4 --backend conda"),
        ("2.3.1", "create --tf 2.3.4 --backend conda"),
        ("1.15", "create --tf tensorflow-gpu==1.15.5 --backend conda"),
    ):
        answer = answer_of(Case(tf, "driver=535.104.05,gpu=T4", "refused", None))
        assert isinstance(answer, Refusal)
        assert answer.alternatives[0].kind == "backend"
        assert answer.alternatives[0].command == f"tfgpu-provision {command}"


def hold(case: Case, answer: Plan | Refusal) -> None:
    assert answer.outcome == case.outcome
    assert (answer.row.release.text if answer.row else None) == case.release
    found = answer.caveats if isinstance(answer, Plan) else answer.reasons
    codes = [item.code for item in found if getattr(item, "notable", True)]
    assert codes == case.codes.split()
    if case.libraries:
        assert isinstance(answer, Plan)
        assert answer.library_set.ident == case.libraries


def test_there_are_at_least_seventy() -> None:
    assert len(set(CASES)) == len(CASES) >= 70


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == "refused"], ids=lambda case: case.machine)
def test_every_refusal_offers_something(case: Any) -> None:
    answer = answer_of(case)
    assert isinstance(answer, Refusal)
    assert answer.alternatives


def test_every_row_has_a_machine_that_it_serves_natively() -> None:
    """A release whose data makes it refuse everything would go unnoticed; driver 535 with a T4 serves them all."""
    host = describe(["driver=535.104.05,gpu=7.5"], System(environ={}))
    for row in real_matrix().rows:
        for backend, sets in (("venv", row.sets), ("conda", row.conda_sets)):
            answer = decide(Request(row.requirement, backend=backend), host, real_matrix())
            assert isinstance(answer, Plan) is bool(sets), row.requirement
            assert not isinstance(answer, Plan) or answer.gpus[0].service.value == "native"

from __future__ import annotations

import pytest
from lock.lock_builder import contract
from plan.plan_builder import ROW_2_10, gpu, host, matrix

from provision.lock.check import broken
from provision.model.facts import Certainty
from provision.model.host import DriverState, HostFacts
from provision.model.plan import Refusal
from provision.plan.judging import judge

CODES_AND_MACHINES = [
    ("", host()),
    ("", host("535.104.05", "8.6")),
    ("", host("450.80.02", "7.5")),
    ("", host("535.104.05", gpu(None))),
    ("", host("535.104.05", "8.6", "6.1")),
    ("", host("535.104.05", gpu(None), "6.1")),
    ("", host("400.1", "8.6", wsl=True)),
    ("", host("535.104.05", "8.6", glibc="2.12", cpu="avx sse")),
    ("", host(state=DriverState.NO_GPU)),
    ("windows-unsupported", host("400.1", system="windows")),
    ("macos-unsupported", host(system="macos", machine="arm64")),
    ("architecture-unsupported", host(machine="aarch64")),
    ("glibc-too-old", host(glibc="2.5")),
    ("musl-unsupported", host(musl=True)),
    ("cpu-too-old", host(cpu="sse sse2")),
    ("driver-too-old", host("440.33.01", "8.6")),
    ("driver-too-old", host("440.33.01")),
    ("gpu-too-old", host("535.104.05", "6.1")),
    ("gpu-unserved", host("570.1", "12.0")),
    ("gpu-unserved", host("570.1", "8.9")),
    ("driver-too-old-for-gpu", host("450.80.02", "8.6")),
    ("", host("450.80.02", "8.6", "7.5")),
    ("driver-too-old-for-ptx", host("510.1", "9.0")),
    ("glibc-too-old cpu-too-old driver-too-old gpu-too-old", host("418.1", "3.5", glibc="2.5", cpu="")),
    ("gpu-too-old gpu-unserved", host("570.1", "6.1", "12.0")),
]


@pytest.mark.parametrize(("codes", "machine"), CODES_AND_MACHINES)
def test_a_contract_against_a_machine(codes: str, machine: HostFacts) -> None:
    found = broken(contract(), machine)
    assert " ".join(item.code for item in found) == codes
    assert all(item.what and item.needs and item.source for item in found)
    assert all((item.certainty is Certainty.DERIVED) == item.code.endswith("ptx") for item in found)


@pytest.mark.parametrize(
    "machine",
    [
        host(machine="aarch64"),
        host(system="windows"),
        host(glibc="2.5"),
        host(musl=True),
        host(cpu="sse"),
        host("440.33.01", "8.6"),
        host("535.104.05", "3.0"),
    ],
)
def test_the_codes_are_those_of_the_plan(machine: HostFacts) -> None:
    answer = judge(ROW_2_10, machine, matrix())
    assert isinstance(answer, Refusal)
    assert {item.code for item in broken(contract(), machine)} <= {item.code for item in answer.reasons}


def test_what_is_said() -> None:
    (found,) = broken(contract(), host("440.33.01", "8.6"))
    assert found.what == "driver 440.33.01 (from test); TensorFlow 2.4.1 needs CUDA 11, driver 450.80.02 or newer"
    (found,) = broken(contract(), host("570.1", gpu("12.0", "NVIDIA GeForce RTX 5090")))
    assert found.what == (
        "the lock of TensorFlow 2.4.1 serves compute capability 7.5, 8.6, 9.0, not NVIDIA GeForce RTX 5090 "
        "(compute capability 12.0)"
    )

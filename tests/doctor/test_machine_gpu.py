"""The GPU against its driver and its release, its memory and its instances."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor.machines import codes, described, judged, live, look, one, read
from host.conftest import Machine

from provision.model.doctor import Certainty
from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.facts import Fact
from provision.model.host import DriverState, Gpu
from provision.model.machine import MachineFacts
from provision.model.plan import Plan
from provision.model.versions import ComputeCapability


def test_a_gpu_that_left_the_driver(machine: Machine, fake_driver: Path) -> None:
    errors = "nvmlDeviceGetCount_v2=0;cuInit=100"
    findings = read(machine, fake_driver, FAKEGPU_CC="6.1", FAKEGPU_DRIVER="590.10", FAKEGPU_ERRORS=errors)
    finding = one(findings, "driver_does_not_support_gpu", Certainty.LIKELY)
    assert finding.fixes[0].commands[0] == "sudo apt install nvidia-driver-580"


@pytest.mark.parametrize(
    ("text", "words"),
    [("driver=590.10,gpu=6.1", "last branch is 580"), ("driver=525.60.13,gpu=12.0", "first branch is")],
)
def test_described_driver_and_gpu_apart(text: str, words: str) -> None:
    assert words in one(look(described(text)), "driver_does_not_support_gpu", Certainty.LIKELY).summary


def test_what_works_is_not_argued_with() -> None:
    """Whatever the tables say: a driver that shows the GPU drives it."""
    assert look(live("driver=590.10,gpu=6.1")) == []


@pytest.mark.parametrize(
    ("capability", "open_module", "count"), [("6.1", True, 1), ("8.6", True, 0), ("12.0", False, 1)]
)
def test_the_kind_of_module(capability: str, *, open_module: bool, count: int) -> None:
    host = live(f"driver=575.57.08,gpu={capability}", driver_state=DriverState.UNKNOWN)
    facts = MachineFacts(open_module=open_module, cuda_result=100, cuda_result_all=100)
    assert codes(look(host, facts)) == ["driver_does_not_support_gpu"] * count


def test_the_kernel_says_that_it_does_not_drive_the_gpu() -> None:
    host = live("driver=575.57.08", driver_state=DriverState.UNKNOWN)
    line = "NVRM: The NVIDIA GPU 0000:01:00.0 installed in this system is not supported by the NVIDIA 575.57.08 driver"
    one(look(host, MachineFacts(kernel_log=(("dmesg", line),))), "driver_does_not_support_gpu")


@pytest.mark.parametrize(
    ("text", "release", "code", "certainty"),
    [
        ("driver=470.57.02,gpu=8.6", "2.15.1", "driver_too_old", Certainty.CERTAIN),
        ("driver=535.104.05,gpu=9.0", "2.21.0", "driver_too_old", Certainty.LIKELY),
        ("driver=470.57.02,gpu=3.0", "2.11.1", "gpu_arch_unsupported_old", Certainty.CERTAIN),
        ("driver=570.86.10,gpu=12.0", "2.15.1", "gpu_arch_too_new_ptx_jit", None),
        ("driver=535.104.05,gpu=8.6,cpu=x86-64-v2", "2.15.1", "avx_missing_illegal_instruction", Certainty.CERTAIN),
    ],
)
def test_the_planners_reasons(text: str, release: str, code: str, certainty: Certainty | None) -> None:
    host = described(text)
    findings = [item for item in look(host, judged=judged(host, release)) if item.code == code]
    assert findings
    assert certainty in (None, findings[0].certainty)
    assert findings[0].fixes
    assert findings[0].data["needs"]


def test_a_driver_in_order_for_its_release() -> None:
    host = described("driver=550.54.14,gpu=8.6")
    for release in ("2.10.1", "2.15.1", "2.17.1"):
        assert look(host, judged=judged(host, release)) == []


def test_a_slow_first_start() -> None:
    host = described("driver=550.54.14,gpu=9.0")
    plan = judged(host, "2.11.1")
    assert isinstance(plan, Plan)
    finding = one(look(host, judged=plan), "gpu_arch_too_new_ptx_jit")
    assert "~/.nv/ComputeCache" in finding.summary
    slow = look(described("driver=550.54.14,gpu=9.0", variables={"CUDA_CACHE_DISABLE": "1"}), judged=plan)
    assert codes(slow) == ["gpu_arch_too_new_ptx_jit", "variable_interferes"]


def test_mig_without_an_instance(machine: Machine, fake_driver: Path) -> None:
    mig = {"FAKEGPU_MIG": "1", "FAKEGPU_CC": "8.0"}
    errors = "cuInit=100"
    finding = one(read(machine, fake_driver, **mig, FAKEGPU_MIG_DEVICES="0", FAKEGPU_ERRORS=errors), "mig_config")
    assert finding.fixes[0].root
    assert read(machine, fake_driver, **mig, FAKEGPU_MIG_DEVICES="2") == []


def test_several_mig_devices_are_asked_for() -> None:
    gpu = Gpu("A100", ComputeCapability("8.0"), 0, mig=True, mig_devices=("MIG-aaa", "MIG-bbb"))
    host = live("driver=550.54.14", gpus=Fact((gpu,), "nvml"))
    one(look(host, variables={"CUDA_VISIBLE_DEVICES": "MIG-aaa,MIG-bbb"}), "mig_config")
    assert look(host, variables={"CUDA_VISIBLE_DEVICES": "MIG-aaa"}) == []


def test_memory_held_by_another(machine: Machine, fake_driver: Path) -> None:
    findings = read(
        machine, fake_driver, FAKEGPU_MEMORY_USED_MIB="24000", FAKEGPU_PROCESSES="0:1234:23500:python train.py"
    )
    finding = one(findings, "gpu_busy_other_process")
    assert finding.summary == "GPU 0 (Fake GPU): 24000 of 24576 MiB are taken"
    assert "pid 1234" in finding.evidence[1].what
    assert finding.fixes[0].commands == ("nvidia-smi", "kill 1234")


@pytest.mark.parametrize(
    ("full", "visible", "certainty"),
    [
        ((0,), None, Certainty.LIKELY),
        ((1,), None, Certainty.POSSIBLE),
        ((1,), "1", Certainty.LIKELY),
        ((1,), "0", None),
        ((0,), "GPU-1", None),
    ],
)
def test_memory_held_on_one_of_two(full: tuple[int, ...], visible: str | None, certainty: Certainty | None) -> None:
    gpus = tuple(
        Gpu("A", ComputeCapability("8.6"), index, 1000, 990 if index in full else 5, uuid=f"GPU-{index}a")
        for index in range(2)
    )
    host = live("driver=550.54.14", gpus=Fact(gpus, "nvml"))
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [item.certainty for item in look(host, variables=variables)] == ([certainty] if certainty else [])


def test_no_avx_where_the_matrix_has_no_row() -> None:
    installed = Package("tf-nightly", "2.23.0.dev20261101", "/env/lib")
    environment = EnvironmentFacts(env=None, path="/env", distribution=installed)
    host = live("driver=550.54.14,gpu=8.6,cpu=x86-64-v2")
    one(look(host, environment=environment), "avx_missing_illegal_instruction", Certainty.LIKELY)
    assert look(live("driver=550.54.14,gpu=8.6,cpu=x86-64-v3"), environment=environment) == []
    assert look(host) == []


def test_a_gpu_that_could_not_be_started() -> None:
    host = live("driver=550.54.14,gpu=8.6", driver_state=DriverState.UNKNOWN)
    facts = MachineFacts(kernel_log=(("dmesg", "NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x26:0xffff:1290)"),))
    one(look(host, facts), "hardware_fault_xid", Certainty.POSSIBLE)

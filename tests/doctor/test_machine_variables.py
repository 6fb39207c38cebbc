"""What variables hide and disturb."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from doctor.machines import codes, described, judged, live, look, one, read, unload
from host.conftest import Machine

from provision.model.doctor import Certainty
from provision.model.environment_facts import EnvironmentFacts
from provision.model.facts import Fact
from provision.model.host import DriverState
from provision.model.plan import Plan
from provision.model.versions import CudaVersion


@pytest.mark.parametrize(
    ("value", "count", "words"),
    [
        ("", 1, "hides the only GPU"),
        ("-1", 4, "a negative number names no GPU"),
        ("7", 4, "there is no GPU 7: 4 here"),
        ("NoDevFiles", 1, "neither an index nor a UUID"),
        ('"0"', 1, "neither an index nor a UUID"),
        ("GPU-dead", 2, "no GPU here has a UUID that begins so"),
        ("-1,0", 2, "a negative number names no GPU"),
    ],
)
def test_every_gpu_is_hidden(machine: Machine, fake_driver: Path, value: str, count: int, words: str) -> None:
    findings = read(machine, fake_driver, FAKEGPU_COUNT=str(count), CUDA_VISIBLE_DEVICES=value)
    finding = one(findings, "visible_devices_hidden")
    assert words in finding.summary
    assert finding.fixes[0].commands == ("unset CUDA_VISIBLE_DEVICES",)
    assert finding.evidence[0].what == (value or "(empty)")
    assert f"0 of {count} GPUs" in finding.evidence[1].what


@pytest.mark.parametrize(
    ("value", "shown", "fixed"),
    [("0,9,1", 1, "0,1"), ("0,1,x,2,3", 2, "0,1,2,3"), ("0,-1,1", 1, "0,1"), ("3,4", 1, "3")],
)
def test_a_wrong_entry_cuts_the_list(machine: Machine, fake_driver: Path, value: str, shown: int, fixed: str) -> None:
    findings = read(machine, fake_driver, FAKEGPU_COUNT="4", CUDA_VISIBLE_DEVICES=value)
    finding = one(findings, "visible_devices_hidden")
    assert f"shows {shown} of 4 GPUs" in finding.summary
    assert finding.fixes[0].commands == (f"export CUDA_VISIBLE_DEVICES={fixed}",)


def test_the_script_that_hides_is_named() -> None:
    environment = EnvironmentFacts(
        env=None, path="/env", scripts_set=(("/env/bin/activate", "CUDA_VISIBLE_DEVICES", "-1"),)
    )
    host = live("driver=550.54.14,gpu=8.6", driver_state=DriverState.HIDDEN)
    findings = look(host, environment=environment, variables={"CUDA_VISIBLE_DEVICES": "-1"})
    assert "/env/bin/activate" in [clue.source for clue in one(findings, "visible_devices_hidden").evidence]


def test_a_batch_job_without_a_gpu() -> None:
    host = live("driver=550.54.14,gpu=8.6", driver_state=DriverState.HIDDEN)
    findings = look(host, variables={"CUDA_VISIBLE_DEVICES": "NoDevFiles", "SLURM_JOB_ID": "7"})
    assert "--gres=gpu:1" in findings[0].fixes[0].commands[0]


def test_an_index_on_a_machine_without_a_gpu_hides_nothing(machine: Machine) -> None:
    unload(machine)
    machine.pci("0000:01:00.0", "0x2000", vendor="0x1a03")
    assert codes(read(machine, None, CUDA_VISIBLE_DEVICES="0")) == ["cpu_only_machine"]


def test_variables_of_this_shell_do_not_hide_a_described_gpu() -> None:
    assert look(described("driver=550.54.14,gpu=8.6"), variables={"CUDA_VISIBLE_DEVICES": "-1"}) == []
    captured = described("driver=550.54.14,gpu=8.6", variables={"CUDA_VISIBLE_DEVICES": "-1"})
    one(look(captured), "visible_devices_hidden")


@pytest.mark.parametrize(
    ("environ", "words", "certainty"),
    [
        ({"TF_FORCE_GPU_ALLOW_GROWTH": "True"}, "'True' is not understood", Certainty.CERTAIN),
        ({"CUDA_FORCE_PTX_JIT": "1"}, "ignores the machine code", Certainty.CERTAIN),
        ({"CUDA_DISABLE_PTX_JIT": "1"}, "error 223", Certainty.CERTAIN),
        ({"TF_MIN_GPU_MULTIPROCESSOR_COUNT": "1000"}, "leaves out every GPU", Certainty.CERTAIN),
        ({"CUDA_VISIBLE_DEVICE": "0"}, "CUDA_VISIBLE_DEVICES is what", Certainty.LIKELY),
        ({"CUDA_VISIBILE_DEVICES": "0"}, "CUDA_VISIBLE_DEVICES is what", Certainty.LIKELY),
        ({"cuda_visible_devices": "0"}, "CUDA_VISIBLE_DEVICES is what", Certainty.LIKELY),
        ({"XLA_FLAGS": "xla_gpu_cuda_data_dir=/usr/local/cuda"}, "name of a file", Certainty.CERTAIN),
        ({"XLA_FLAGS": "--xla_gpu_cuda_data_dir /usr/local/cuda"}, "'/usr/local/cuda' is no flag", Certainty.CERTAIN),
        ({"XLA_FLAGS": "-xla_gpu_cuda_data_dir=/x"}, "is no flag", Certainty.CERTAIN),
        ({"XLA_FLAGS": "--tf_xla_auto_jit=2"}, "the other variable", Certainty.CERTAIN),
        ({"TF_XLA_FLAGS": "tf_xla_auto_jit=2"}, "name of a file", Certainty.CERTAIN),
        ({"TF_GPU_ALLOW_GROWTH": "true"}, "TF_FORCE_GPU_ALLOW_GROWTH is what", Certainty.LIKELY),
    ],
)
def test_variables_that_interfere(environ: dict[str, str], words: str, certainty: Certainty) -> None:
    findings = look(live("driver=550.54.14,gpu=8.6"), variables=environ)
    assert words in one(findings, "variable_interferes", certainty).summary


def test_an_allocator_that_the_driver_does_not_have() -> None:
    host = live("driver=450.80.02,gpu=8.0", driver_cuda=Fact(CudaVersion("11.0"), "nvml"))
    findings = look(host, variables={"TF_GPU_ALLOCATOR": "cuda_malloc_async"})
    assert "found CUDA 11.0" in one(findings, "variable_interferes").summary


def test_the_order_in_which_gpus_are_counted() -> None:
    host = described("driver=535.104.05,gpu=5.0,gpu=8.6")
    plan = judged(host, "2.17.1")
    assert isinstance(plan, Plan)

    def said(**variables: str) -> list[str]:
        return codes(look(dataclasses.replace(host, variables=variables), judged=plan))

    assert said(CUDA_VISIBLE_DEVICES="1") == ["variable_interferes"]
    assert said(CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID") == []
    assert said(CUDA_VISIBLE_DEVICES="0") == []
    assert said() == []

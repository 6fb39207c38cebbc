"""Every state of the driver from what the sources say, and never one for another."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.host.parsers import SmiReport, SmiState
from provision.host.readings import CudaReading, DeviceNodes, NvmlReading, PciGpu, Readings
from provision.host.state import RULES, decide_state
from provision.model.facts import Fact
from provision.model.host import DriverState, Gpu
from provision.model.versions import ComputeCapability, DriverVersion

GPU = Gpu("Tesla T4", ComputeCapability("7.5"), index=0)
MODULE: Fact[DriverVersion] = Fact(DriverVersion("550.54.14"), "/sys/module/nvidia/version")
NODES = DeviceNodes(("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"))
NO_NODES = DeviceNodes(())
PCI = (PciGpu("0000:01:00.0", "1EB8", "nvidia"),)
BARE_PCI = (PciGpu("0000:01:00.0", "1EB8", None),)
NVML = NvmlReading(
    "ok", 0, library="/usr/lib/libnvidia-ml.so.550.54.14", driver=DriverVersion("550.54.14"), gpus=(GPU,)
)
CUDA = CudaReading("ok", 0, library="/usr/lib/libcuda.so.550.54.14", gpus=(GPU,))
ABSENT = CudaReading("absent", text="libcuda.so.1: cannot open shared object file: No such file or directory")
WORKING = Readings(pci=PCI, module=MODULE, nodes=NODES, nvml=NVML, cuda=CUDA, cuda_all=CUDA)
NOTHING = Readings(pci=(), nodes=NO_NODES)


def nvml_failed(
    code: int, outcome: str = "failed", library: str | None = "/usr/lib/libnvidia-ml.so.550.54.14"
) -> NvmlReading:
    return NvmlReading(outcome, code, f"NVML says {code}", library)


def cuda_failed(init: int, library: str = "/usr/lib/libcuda.so.550.54.14") -> CudaReading:
    return CudaReading("failed", init, f"cuInit says {init}", library)


def but(readings: Readings, **changes: object) -> Readings:
    """Return the readings with other values; ``cuda`` alone stands for both questions."""
    if "cuda" in changes and "cuda_all" not in changes:
        changes["cuda_all"] = changes["cuda"]
    return dataclasses.replace(readings, **changes)  # type: ignore[arg-type]


CASES = [
    # working
    pytest.param(WORKING, "working", "shows 1 GPU", id="all-well"),
    pytest.param(but(WORKING, nvml=NvmlReading("absent", 12)), "working", "shows 1 GPU", id="no-nvml-but-cuda-works"),
    pytest.param(but(WORKING, nvml=nvml_failed(18)), "working", "shows 1 GPU", id="cuda-works-whatever-nvml-says"),
    pytest.param(
        but(WORKING, visible="0", nvml=dataclasses.replace(NVML, gpus=(GPU, GPU))),
        "working",
        "shows 1 of 2",
        id="one-of-two-visible",
    ),
    pytest.param(
        but(WORKING, wsl=True, pci=(), module=Fact(None), nodes=DeviceNodes(("/dev/dxg",))),
        "working",
        "shows 1 GPU",
        id="wsl",
    ),
    pytest.param(but(WORKING, container="docker", pci=None), "working", "shows 1 GPU", id="container"),
    # no GPU
    pytest.param(NOTHING, "no-gpu", "no NVIDIA GPU on the PCI bus", id="nothing-at-all"),
    pytest.param(
        but(NOTHING, nvml=nvml_failed(9), cuda=cuda_failed(100)),
        "no-gpu",
        "although driver libraries are installed",
        id="libraries-without-gpu",
    ),
    pytest.param(
        but(NOTHING, container="docker"), "no-gpu", "no NVIDIA GPU on the PCI bus", id="container-on-a-machine-without"
    ),
    # not installed
    pytest.param(but(NOTHING, pci=BARE_PCI), "not-installed", "no driver is installed", id="gpu-without-driver"),
    pytest.param(
        but(NOTHING, pci=(PciGpu("0000:01:00.0", "2204", "nouveau"),)),
        "not-installed",
        "nouveau holds it",
        id="nouveau",
    ),
    pytest.param(
        but(NOTHING, pci=PCI, module=MODULE, nodes=NODES),
        "not-installed",
        "libraries are missing",
        id="module-without-libraries",
    ),
    pytest.param(but(WORKING, cuda=ABSENT), "not-installed", "compute libraries", id="nvml-without-libcuda"),
    # not loaded
    pytest.param(
        but(NOTHING, pci=BARE_PCI, nvml=nvml_failed(9), cuda=cuda_failed(100)),
        "not-loaded",
        "modprobe nvidia",
        id="nvml-9",
    ),
    pytest.param(
        but(NOTHING, pci=BARE_PCI, nvml=nvml_failed(9), cuda=cuda_failed(100), secure_boot=True),
        "not-loaded",
        "Secure Boot",
        id="secure-boot",
    ),
    pytest.param(
        but(NOTHING, pci=(PciGpu("0000:01:00.0", "2204", "nouveau"),), nvml=nvml_failed(9)),
        "not-loaded",
        "nouveau holds the GPU",
        id="nouveau-with-libraries",
    ),
    pytest.param(
        but(NOTHING, pci=(PciGpu("0000:01:00.0", "2204", "vfio-pci"),), nvml=nvml_failed(9)),
        "not-loaded",
        "virtual machine",
        id="vfio",
    ),
    pytest.param(
        but(NOTHING, pci=BARE_PCI, smi=SmiReport(SmiState.DRIVER_NOT_LOADED, message="NVIDIA-SMI has failed")),
        "not-loaded",
        "not loaded",
        id="smi-has-failed",
    ),
    pytest.param(
        but(NOTHING, pci=BARE_PCI, cuda=cuda_failed(100)), "not-loaded", "not loaded", id="libcuda-alone-no-device"
    ),
    pytest.param(but(NOTHING, pci=None, nvml=nvml_failed(9)), "not-loaded", "not loaded", id="pci-unreadable"),
    # library mismatch
    pytest.param(
        but(WORKING, nvml=nvml_failed(18), cuda=cuda_failed(803)),
        "library-mismatch",
        "kernel module 550.54.14",
        id="nvml-18",
    ),
    pytest.param(
        but(WORKING, nvml=NvmlReading("absent", 12), cuda=cuda_failed(803)),
        "library-mismatch",
        "cuda-compat",
        id="cuda-803",
    ),
    pytest.param(
        but(
            WORKING,
            nvml=NvmlReading("failed", text="gone"),
            cuda=cuda_failed(999),
            smi=SmiReport(SmiState.LIBRARY_MISMATCH),
        ),
        "library-mismatch",
        "reboot",
        id="smi-mismatch",
    ),
    # no permission
    pytest.param(
        but(WORKING, nvml=nvml_failed(4, "denied"), cuda=cuda_failed(304)),
        "no-permission",
        "no permission",
        id="nvml-4",
    ),
    pytest.param(
        but(
            WORKING,
            nodes=DeviceNodes(NODES.present, ("/dev/nvidiactl",)),
            nvml=nvml_failed(4, "denied"),
            cuda=cuda_failed(100),
        ),
        "no-permission",
        "/dev/nvidiactl may not be opened",
        id="node-denied",
    ),
    pytest.param(
        but(WORKING, nodes=DeviceNodes(NODES.present, ("/dev/nvidia-uvm",)), cuda=cuda_failed(304)),
        "no-permission",
        "/dev/nvidia-uvm",
        id="uvm-denied",
    ),
    pytest.param(
        but(
            WORKING,
            wsl=True,
            pci=(),
            nvml=nvml_failed(999),
            cuda=cuda_failed(100),
            smi=SmiReport(SmiState.NO_PERMISSION, message="GPU access blocked by the operating system"),
        ),
        "no-permission",
        "blocked",
        id="blocked",
    ),
    pytest.param(
        but(WORKING, nvml=nvml_failed(17), cuda=cuda_failed(304)), "no-permission", "operating system", id="nvml-17"
    ),
    # hidden
    pytest.param(
        but(WORKING, visible="", cuda=cuda_failed(100), cuda_all=CUDA), "hidden", "CUDA_VISIBLE_DEVICES=''", id="empty"
    ),
    pytest.param(
        but(WORKING, visible="-1", cuda=cuda_failed(100), cuda_all=CUDA), "hidden", "hides the GPU", id="minus-one"
    ),
    pytest.param(
        but(WORKING, visible="NoDevFiles", cuda=cuda_failed(100), cuda_all=dataclasses.replace(CUDA, gpus=(GPU, GPU))),
        "hidden",
        "all 2 GPUs",
        id="NoDevFiles",
    ),
    pytest.param(
        but(WORKING, visible="7", cuda=cuda_failed(101), cuda_all=CUDA), "hidden", "does not exist", id="wrong-index"
    ),
    pytest.param(
        but(WORKING, visible="-1", cuda=CudaReading("ok", 0), cuda_all=CUDA),
        "hidden",
        "hides the GPU",
        id="init-works-count-zero",
    ),
    # not passed into the container
    pytest.param(
        but(NOTHING, container="docker", module=MODULE), "not-passed-into-container", "--gpus all", id="docker-module"
    ),
    pytest.param(
        but(NOTHING, container="docker", pci=BARE_PCI), "not-passed-into-container", "--gpus all", id="docker-pci"
    ),
    pytest.param(
        but(NOTHING, container="apptainer", pci=PCI, module=MODULE), "not-passed-into-container", "--nv", id="apptainer"
    ),
    pytest.param(
        but(NOTHING, container="podman", pci=PCI, module=MODULE),
        "not-passed-into-container",
        "--device nvidia.com/gpu=all",
        id="podman",
    ),
    pytest.param(
        but(NOTHING, container="kubernetes", pci=PCI, module=MODULE),
        "not-passed-into-container",
        "nvidia.com/gpu",
        id="kubernetes",
    ),
    pytest.param(
        but(NOTHING, container="lxc", pci=PCI, module=MODULE),
        "not-passed-into-container",
        "pass the GPU into it",
        id="lxc",
    ),
    pytest.param(
        but(WORKING, container="docker", cuda=ABSENT),
        "not-passed-into-container",
        "NVIDIA_DRIVER_CAPABILITIES",
        id="utility-only",
    ),
    pytest.param(
        but(NOTHING, wsl=True, container="docker"), "not-passed-into-container", "docker container", id="wsl-container"
    ),
    # hung
    pytest.param(
        but(WORKING, nvml=NvmlReading("timeout", text="no answer within 60 s")),
        "hung",
        "NVML did not come back (no answer within 60 s)",
        id="nvml",
    ),
    pytest.param(
        but(WORKING, cuda=CudaReading("timeout", text="no answer within 60 s")),
        "hung",
        "libcuda did not come back",
        id="libcuda",
    ),
    pytest.param(
        but(WORKING, cuda=CUDA, cuda_all=CudaReading("timeout", text="no answer")),
        "hung",
        "libcuda",
        id="libcuda-unhidden",
    ),
    pytest.param(
        but(NOTHING, nvml=NvmlReading("timeout", text="x"), cuda=CudaReading("timeout", text="x")),
        "hung",
        "NVML and libcuda",
        id="both",
    ),
    # nobody can tell
    pytest.param(Readings(), "unknown", "PCI bus cannot be read", id="blind"),
    pytest.param(
        but(WORKING, cuda=cuda_failed(34, "/usr/local/cuda/lib64/stubs/libcuda.so.1")), "unknown", "stub", id="stub"
    ),
    pytest.param(but(WORKING, cuda=cuda_failed(802)), "unknown", "cuInit fails with 802", id="fabric-manager"),
    pytest.param(but(WORKING, cuda=cuda_failed(999)), "unknown", "cuInit fails with 999", id="unknown-error"),
    pytest.param(
        but(WORKING, nvml=dataclasses.replace(NVML, gpus=()), cuda=cuda_failed(100)),
        "unknown",
        "shows no GPU",
        id="driver-sees-nothing",
    ),
    pytest.param(
        but(WORKING, nvml=NvmlReading("absent", 12), cuda=cuda_failed(100), smi=SmiReport(SmiState.NO_DEVICES)),
        "unknown",
        "this job was given none",
        id="slurm-job-without-gpu",
    ),
    pytest.param(
        but(WORKING, cuda=CudaReading("failed", text="signal SIGSEGV")), "unknown", "SIGSEGV", id="libcuda-crashes"
    ),
    pytest.param(
        but(WORKING, nvml=nvml_failed(999), cuda=cuda_failed(999), container="docker"),
        "unknown",
        "999",
        id="container-lost-its-devices",
    ),
    pytest.param(
        but(
            WORKING,
            nvml=dataclasses.replace(NVML, gpus=(Gpu("unknown", None),), troubles=("GPU 0: GPU is lost",)),
            cuda=cuda_failed(999),
        ),
        "unknown",
        "GPU 0: GPU is lost: it fell off the bus",
        id="lost",
    ),
    pytest.param(
        but(
            WORKING,
            nvml=NvmlReading("absent", 12),
            cuda=cuda_failed(999),
            smi=SmiReport(SmiState.GPU_LOST, message="Unable to determine the device handle"),
        ),
        "unknown",
        "Unable to determine",
        id="smi-lost",
    ),
    pytest.param(
        but(
            WORKING,
            nvml=dataclasses.replace(NVML, gpus=(dataclasses.replace(GPU, mig=True),)),
            cuda=cuda_failed(100),
        ),
        "unknown",
        "no MIG device exists",
        id="mig-without-device",
    ),
    pytest.param(
        but(NOTHING, wsl=True, nodes=DeviceNodes(("/dev/dxg",))),
        "unknown",
        "Windows has no NVIDIA driver",
        id="wsl-without-driver",
    ),
]


@pytest.mark.parametrize(("readings", "state", "why"), CASES)
def test_states(readings: Readings, state: str, why: str) -> None:
    found, said = decide_state(readings)
    assert found is DriverState(state), said
    assert why in said


def test_every_state_is_reached() -> None:
    assert {case.values[1] for case in CASES} == {state.value for state in DriverState}


def test_every_rule_is_needed() -> None:
    first = set()
    for case in CASES:
        answering = [rule for rule in RULES if rule(case.values[0]) is not None]
        first.add(answering[0] if answering else None)
    assert set(RULES) <= first


FLAGS = st.sampled_from([None, True, False])
NVMLS = st.sampled_from(
    [
        NVML,
        NvmlReading("absent", 12),
        *(nvml_failed(code) for code in (4, 9, 15, 17, 18, 999)),
        NvmlReading("timeout"),
        NvmlReading("failed", text="signal SIGBUS"),
    ]
)
CUDAS = st.sampled_from(
    [
        CUDA,
        ABSENT,
        *(cuda_failed(code) for code in (3, 34, 46, 100, 101, 304, 802, 803, 804, 999)),
        CudaReading("timeout"),
        CudaReading("ok", 0),
    ]
)


@given(
    wsl=FLAGS,
    container=st.sampled_from([None, "docker", "lxc"]),
    pci=st.sampled_from([None, (), PCI, BARE_PCI]),
    module=st.sampled_from([MODULE, Fact(None)]),
    nodes=st.sampled_from([DeviceNodes(), NO_NODES, NODES, DeviceNodes(NODES.present, ("/dev/nvidia0",))]),
    nvml=NVMLS,
    cuda=CUDAS,
    cuda_all=CUDAS,
    visible=st.sampled_from([None, "", "0"]),
)
@settings(max_examples=400, deadline=None)
def test_laws(**said: object) -> None:
    readings = Readings(**said)  # type: ignore[arg-type]
    state, why = decide_state(readings)
    assert why
    hung = "timeout" in (readings.nvml.outcome, readings.cuda.outcome, readings.cuda_all.outcome)
    assert (state is DriverState.HUNG) == hung
    if not hung:
        assert (state is DriverState.WORKING) == readings.cuda.usable
    if state is DriverState.HIDDEN:
        assert readings.visible is not None
    if state is DriverState.NO_GPU:
        assert readings.pci == ()
        assert not readings.nvml.gpus
    if state is DriverState.NOT_INSTALLED:
        assert readings.pci or readings.module.known or readings.nvml.gpus

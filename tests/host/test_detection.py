"""The whole of detect: facts with sources, states and disagreements, on machines of our own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.host import capture, detect
from provision.model.host import DriverState, HostFacts
from provision.system import System

if TYPE_CHECKING:
    from conftest import Machine


def gpu_machine(machine: Machine, driver: str = "550.54.14") -> None:
    machine.pci("0000:01:00.0", "0x2204", driver="nvidia")
    machine.file("/sys/module/nvidia/version", f"{driver}\n")
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        machine.file(f"/dev/{name}")
    machine.file("/etc/os-release", "ID=ubuntu\nVERSION_ID=22.04\n")
    machine.file("/proc/cpuinfo", "flags : avx avx2 fma\n")
    machine.file("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n")


def look(machine: Machine, *, wide: bool = False, limit: float = 20.0, **environ: str) -> HostFacts:
    return detect(machine.system(**environ), wide=wide, limit=limit)


def test_a_working_machine(machine: Machine, fake_driver: Path) -> None:
    gpu_machine(machine)
    host = look(machine, LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_DRIVER="550.54.14", FAKEGPU_CUDA="12.4")
    assert host.driver_state is DriverState.WORKING
    assert (str(host.driver.value), host.driver.source) == ("550.54.14", "nvml")
    assert (str(host.driver_cuda.value), host.driver_cuda.source) == ("12.4", "nvml")
    assert (str(host.kernel_module.value), host.kernel_module.source) == ("550.54.14", "/sys/module/nvidia/version")
    (gpu,) = host.gpus.value or ()
    assert (gpu.name, str(gpu.compute_capability), gpu.memory_mib, gpu.source) == ("Fake GPU", "8.6", 24576, "nvml")
    assert host.disagreements == ()
    assert not host.described
    assert host.distribution.value == "ubuntu 22.04"
    assert host.cpu_features.value == {"avx", "avx2", "fma"}
    assert host.wsl.value is False
    assert host.container.value is None


@pytest.mark.parametrize(
    ("environ", "state", "disagree"),
    [
        pytest.param({"CUDA_VISIBLE_DEVICES": "-1"}, DriverState.HIDDEN, [], id="hidden"),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, DriverState.HIDDEN, [], id="hidden-empty"),
        pytest.param(
            {"FAKEGPU_ERRORS": "nvmlInitWithFlags=18;nvmlInit_v2=18;cuInit=803"},
            DriverState.LIBRARY_MISMATCH,
            [],
            id="mismatch",
        ),
        pytest.param(
            {"FAKEGPU_DRIVER": "570.86.10", "FAKEGPU_ERRORS": "cuInit=803"},
            DriverState.LIBRARY_MISMATCH,
            ["driver version"],
            id="half-upgraded",
        ),
        pytest.param(
            {"FAKEGPU_ERRORS": "nvmlInitWithFlags=4;nvmlInit_v2=4;cuInit=304"},
            DriverState.NO_PERMISSION,
            [],
            id="permission",
        ),
        pytest.param({"FAKEGPU_ERRORS": "cuInit=34"}, DriverState.UNKNOWN, [], id="stub"),
        pytest.param({"FAKEGPU_ERRORS": "cuInit=999"}, DriverState.UNKNOWN, [], id="unknown"),
        pytest.param(
            {"FAKEGPU_DRIVER": "535.104.05"}, DriverState.WORKING, ["driver version"], id="works-and-disagrees"
        ),
        pytest.param(
            {"FAKEGPU_ERRORS": "nvmlSystemGetCudaDriverVersion_v2=13;nvmlSystemGetCudaDriverVersion=13"},
            DriverState.WORKING,
            [],
            id="old-nvml",
        ),
    ],
)
def test_states_under_the_fake_driver(
    machine: Machine, fake_driver: Path, environ: dict[str, str], state: DriverState, disagree: list[str]
) -> None:
    gpu_machine(machine)
    told = {"LD_LIBRARY_PATH": str(fake_driver), "FAKEGPU_DRIVER": "550.54.14", **environ}
    host = look(machine, **told)
    assert host.driver_state is state, host.driver_state_why
    assert [found.what for found in host.disagreements] == disagree
    assert str(host.driver_cuda.value) == "12.8"
    assert [gpu.name for gpu in host.gpus.value or ()], "the GPU is known whatever its state"


def test_hung(machine: Machine, fake_driver: Path) -> None:
    gpu_machine(machine)
    start = time.monotonic()
    host = look(
        machine, limit=1.0, LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_HANG="nvmlInitWithFlags;nvmlInit_v2;cuInit"
    )
    assert host.driver_state is DriverState.HUNG
    assert time.monotonic() - start < 6.0
    assert "3090" in (host.gpus.value or ())[0].name, "the PCI bus still tells what is there"
    assert str(host.driver.value) == "550.54.14"
    assert "kernel module" in host.driver.source


def test_a_container_into_which_the_gpu_was_not_passed(machine: Machine, no_driver: None) -> None:
    gpu_machine(machine)
    for path in (machine.root / "dev").iterdir():
        path.unlink()
    machine.file("/.dockerenv")
    host = look(machine)
    assert host.driver_state is DriverState.NOT_PASSED
    assert host.container.value is not None
    assert (host.container.value.kind, host.container.value.gpu_passed) == ("docker", False)
    assert str(host.driver.value) == "550.54.14", "the host's kernel module is seen from inside"


def test_gpu_without_driver(machine: Machine, no_driver: None) -> None:
    machine.pci("0000:01:00.0", "0x2204", driver="nouveau")
    machine.folder("/dev")
    host = look(machine)
    assert host.driver_state is DriverState.NOT_INSTALLED
    assert [(str(gpu.compute_capability), gpu.source) for gpu in host.gpus.value or ()] == [
        ("8.6", "PCI id, product table")
    ]
    assert host.driver.value is None
    assert {attempt.source for attempt in host.driver.attempts} == {"nvml", "nvidia-smi"}


def test_no_gpu(machine: Machine, no_driver: None) -> None:
    machine.folder("/sys/bus/pci/devices")
    machine.folder("/dev")
    host = look(machine)
    assert host.driver_state is DriverState.NO_GPU
    assert host.gpus.value == ()


def test_a_blind_sandbox_is_unknown(machine: Machine, no_driver: None) -> None:
    host = look(machine)
    assert host.driver_state is DriverState.UNKNOWN
    assert host.gpus.value is None


def test_wsl(machine: Machine, fake_driver: Path) -> None:
    machine.file("/proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n")
    machine.file("/dev/dxg")
    machine.folder("/sys/bus/pci/devices")
    host = look(machine, LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_DRIVER="566.36", FAKEGPU_CUDA="12.7")
    assert host.wsl.value is True
    assert host.driver_state is DriverState.WORKING
    assert str(host.driver.value) == "566.36"
    assert host.kernel_module.value is None
    assert host.disagreements == ()


@pytest.fixture
def no_driver() -> None:
    """Skip where the loader of this machine finds a real driver: these machines have none."""
    import ctypes

    for name in ("libcuda.so.1", "libnvidia-ml.so.1"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        pytest.skip(f"this machine's own {name} answers")


def test_narrow_leaves_out_what_deciding_does_not_need(machine: Machine, fake_driver: Path) -> None:
    gpu_machine(machine)
    machine.program("python3", """echo '{"version": "3.11.0", "kind": "cpython", "machine": "x86_64"}'""")
    machine.program("uv", "exit 0")
    narrow = look(machine, LD_LIBRARY_PATH=str(fake_driver))
    assert (narrow.pythons, dict(narrow.tools), narrow.free_disk_mib.value) == ((), {}, None)
    wide = look(machine, wide=True, LD_LIBRARY_PATH=str(fake_driver))
    assert [str(python.version) for python in wide.pythons] == ["3.11.0"]
    assert set(wide.tools) == {"uv"}
    assert (wide.free_disk_mib.value or 0) > 0
    assert dict(wide.variables)["LD_LIBRARY_PATH"] == str(fake_driver)


def test_what_was_read_can_be_captured_and_described(machine: Machine, fake_driver: Path, tmp_path: Path) -> None:
    gpu_machine(machine)
    host = look(
        machine,
        wide=True,
        LD_LIBRARY_PATH=str(fake_driver),
        FAKEGPU_COUNT="2",
        FAKEGPU_MIG="1;0",
        FAKEGPU_PROCESSES="0:1:2:x",
        CUDA_VISIBLE_DEVICES="1",
    )
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(capture.to_document(host)))
    assert capture.read(file) == host


def test_this_machine_answers_within_its_budget() -> None:
    start = time.monotonic()
    host = detect(System(), wide=True)
    seconds = time.monotonic() - start
    assert isinstance(host.driver_state, DriverState)
    assert host.driver_state_why
    assert host.pythons
    assert host.system.value in ("linux", "macos", "windows")
    if host.driver_state in (DriverState.NO_GPU, DriverState.NOT_INSTALLED):
        assert seconds < 5.0, f"{seconds:.1f} s without a driver to wait for"

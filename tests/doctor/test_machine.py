"""The machine around the GPU: sound ones are met with silence, a missing driver, container, platform and limits named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from doctor.machines import KERNEL, UNLOADED, codes, described, found, live, look, one, read, real_matrix, unload
from host.conftest import Machine

from provision.doctor.causes.machine import CAUSES
from provision.doctor.checks.machine import CHECKS
from provision.doctor.checks.visible import select
from provision.host.description import describe
from provision.model.doctor import Certainty
from provision.model.environment_facts import EnvironmentFacts
from provision.model.facts import Attempt, Fact
from provision.model.host import Container, DriverState, Gpu, GpuProcess
from provision.model.machine import DriverLibrary, MachineFacts, Mount
from provision.model.snapshot import Snapshot
from provision.model.versions import ComputeCapability, TfVersion
from provision.system import System

# --- sound machines --------------------------------------------------------------------------------------------------


def test_a_sound_machine(machine: Machine, fake_driver: Path) -> None:
    assert read(machine, fake_driver) == []


@pytest.mark.parametrize("visible", ["0", "0,1", "0,-1", "0,,"])
def test_a_choice_that_costs_nothing(machine: Machine, fake_driver: Path, visible: str) -> None:
    assert read(machine, fake_driver, CUDA_VISIBLE_DEVICES=visible) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (" 1, 0 ", ("1", "0")),
        ("GPU-0A", ("GPU-0A",)),
        ("gpu-1", ("gpu-1",)),
        ("MIG-aaa", ("MIG-aaa",)),
        ("MIG-GPU-0a/1/0", None),
        ("MIG-ccc", ()),
        ("GPU-2,0", ()),
        ("1,2,0", ("1",)),
    ],
)
def test_what_a_value_selects(value: str, shown: tuple[str, ...] | None) -> None:
    gpus = (Gpu("A", None, 0, uuid="GPU-0a1"), Gpu("B", None, 1, uuid="GPU-1b2", mig=True, mig_devices=("MIG-aaa",)))
    chosen = select(value, gpus)
    assert (chosen.shown if chosen else None) == shown


def test_what_a_value_selects_among_unknown_gpus() -> None:
    assert select("0", None) is None
    assert select("GPU-0a", (Gpu("A", None, 0),)) is None
    nothing = select("-1", None)
    assert nothing is not None
    assert nothing.shown == ()


def test_one_of_four_chosen(machine: Machine, fake_driver: Path) -> None:
    assert read(machine, fake_driver, FAKEGPU_COUNT="4", CUDA_VISIBLE_DEVICES="2") == []


@pytest.mark.parametrize(
    "environ",
    [
        {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"},
        {"XLA_FLAGS": "--xla_gpu_cuda_data_dir='/opt/my cuda' --xla_dump_to=/tmp/x --xla_gpu_enable_triton_gemm"},
        {"XLA_FLAGS": "/etc/xla_flags", "TF_XLA_FLAGS": ""},
        {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "NVIDIA_VISIBLE_DEVICES": "void"},
        {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
        {
            "HIP_VISIBLE_DEVICES": "0",
            "ROCR_VISIBLE_DEVICES": "0",
            "DYLD_LIBRARY_PATH": "/x",
            "OLD_LD_LIBRARY_PATH": "/x",
        },
        {"CUDA_CACHE_PATH": "/tmp/c", "CUDA_CACHE_DISABLE": "1", "CUDA_FORCE_PTX_JIT": "0"},
        {
            "TF_MIN_GPU_MULTIPROCESSOR_COUNT": "4",
            "TF_GPU_THREAD_MODE": "gpu_private",
            "TF_GPU_ALLOCATOR": "cuda_malloc_async",
        },
    ],
)
def test_usual_variables_are_no_finding(machine: Machine, fake_driver: Path, environ: dict[str, str]) -> None:
    assert read(machine, fake_driver, **environ) == []


def test_a_sound_machine_that_keeps_old_warnings(machine: Machine, fake_driver: Path) -> None:
    """A compatibility package, another kernel's module and an old Xid are nothing where the driver works."""
    machine.program("dmesg", "echo 'NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.'")
    machine.file("/lib/modules/6.8.0-39-generic/modules.dep", "updates/dkms/nvidia.ko:\n")
    assert read(machine, fake_driver, LD_LIBRARY_PATH="/usr/local/cuda/compat:/usr/local/cuda/lib64/stubs") == []


def test_half_of_the_memory_in_use() -> None:
    gpu = Gpu("A", ComputeCapability("8.6"), 0, 24576, 12000, processes=(GpuProcess(1, "python", 11000),))
    assert look(live("driver=550.54.14", gpus=Fact((gpu,), "nvml"))) == []


@pytest.mark.parametrize(
    "machine_text",
    [
        "driver=535.104.05,gpu=8.6",
        "driver=580.65.06,gpu=6.1",
        "driver=470.57.02,gpu=3.7",
        "cuda=12.4",
        "os=ubuntu22.04",
    ],
)
def test_described_machines_that_are_in_order(machine_text: str) -> None:
    assert look(described(machine_text)) == []


# --- no GPU, no driver -----------------------------------------------------------------------------------------------


def test_no_gpu_at_all(machine: Machine) -> None:
    unload(machine)
    machine.pci("0000:01:00.0", "0x2000", vendor="0x1a03")  # the console of a server
    assert one(read(machine, None), "cpu_only_machine").fixes == ()


def test_another_maker(machine: Machine) -> None:
    unload(machine)
    machine.pci("0000:01:00.0", "0x744c", vendor="0x1002", driver="amdgpu")
    finding = one(read(machine, None), "no_nvidia_gpu")
    assert "AMD" in finding.summary
    assert finding.evidence[0].what == "vendor 0x1002 (AMD), device 0x744c, driver amdgpu"


def test_a_driver_without_a_gpu(machine: Machine, fake_driver: Path) -> None:
    unload(machine)
    machine.pci("0000:01:00.0", "0x2000", vendor="0x1a03")
    one(read(machine, fake_driver, **UNLOADED), "no_nvidia_gpu", Certainty.LIKELY)


def test_no_driver(machine: Machine) -> None:
    unload(machine, "nouveau")
    finding = one(read(machine, None), "driver_missing")
    assert "RTX 3090" in finding.summary
    assert "nouveau holds it" in finding.evidence[0].what
    assert finding.fixes[0].commands == ("sudo ubuntu-drivers install", "sudo reboot")
    assert finding.fixes[0].root


def test_the_module_without_the_libraries(machine: Machine) -> None:
    finding = one(read(machine, None), "driver_missing")
    assert "550.54.14" in finding.summary
    assert "libcuda.so.1" in finding.summary


def test_the_libraries_without_any_module(machine: Machine, fake_driver: Path) -> None:
    unload(machine)
    machine.file(f"/lib/modules/{KERNEL}/modules.dep", "")
    one(read(machine, fake_driver, **UNLOADED), "driver_missing")


def test_nvml_without_libcuda(machine: Machine, fake_driver: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "libnvidia-ml.so.1").symlink_to(fake_driver / "libnvidia-ml.so.1")
    (machine.root / "sys/module/nvidia/version").unlink()
    finding = one(read(machine, None, LD_LIBRARY_PATH=str(half)), "driver_missing")
    assert finding.summary == "driver 550.54.14 answers for Fake GPU, its compute library libcuda.so.1 is not installed"


def test_described_without_a_driver() -> None:
    assert codes(look(described("driver=none,gpu=RTX 3090"))) == ["driver_missing"]
    assert codes(look(described("gpu=none"))) == ["cpu_only_machine"]


# --- around the machine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "kind", "command"),
    [("/.dockerenv", "docker", "--gpus all"), ("/run/.containerenv", "podman", "nvidia.com/gpu=all")],
)
def test_a_container_without_the_gpu(machine: Machine, mark: str, kind: str, command: str) -> None:
    machine.file(mark)
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        (machine.root / "dev" / name).unlink()
    finding = one(read(machine, None), "container_runtime_missing")
    assert kind in finding.summary
    assert command in finding.fixes[0].commands[0]
    assert any("550.54.14 (the module of the host)" in clue.what for clue in finding.evidence)


def test_a_container_that_asks_for_no_gpu(machine: Machine) -> None:
    machine.file("/.dockerenv")
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        (machine.root / "dev" / name).unlink()
    findings = read(machine, None, NVIDIA_VISIBLE_DEVICES="void")
    assert codes(findings) == ["container_runtime_missing", "visible_devices_hidden"]
    assert findings[1].explains == ("container_runtime_missing",)
    # In Kubernetes the plugin writes it because the pod asked for no GPU: that is the cause.
    assert codes(read(machine, None, NVIDIA_VISIBLE_DEVICES="void", KUBERNETES_SERVICE_HOST="10.0.0.1")) == [
        "container_runtime_missing"
    ]


def test_a_container_without_the_compute_libraries(machine: Machine) -> None:
    machine.file("/.dockerenv")
    finding = one(read(machine, None, NVIDIA_DRIVER_CAPABILITIES="graphics"), "container_runtime_missing")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in finding.fixes[0].commands[0]


def wsl(machine: Machine) -> None:
    unload(machine)
    (machine.root / "sys/bus/pci/devices/0000:01:00.0/vendor").unlink()
    machine.file("/proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n")


@pytest.mark.parametrize("dxg", [True, False])
def test_wsl_without_its_library(machine: Machine, *, dxg: bool) -> None:
    wsl(machine)
    if dxg:
        machine.file("/dev/dxg")
    finding = one(read(machine, None), "wsl_libcuda_missing")
    assert "wsl --update" in finding.fixes[0].commands


def test_wsl_in_order(machine: Machine, fake_driver: Path) -> None:
    wsl(machine)
    machine.file("/dev/dxg")
    assert read(machine, fake_driver) == []


def test_wsl_whose_loader_does_not_look_there() -> None:
    host = live("os=wsl2,driver=573.76,gpu=8.6")
    finding = one(look(host), "wsl_libcuda_missing")
    assert "/usr/lib/wsl/lib" in finding.fixes[0].commands[0]
    there = MachineFacts(libcudas=(DriverLibrary("/usr/lib/wsl/lib/libcuda.so.1", "driver"),))
    assert look(host, there) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("os=windows,gpu=8.6,driver=573.76", "windows_native_unsupported"),
        ("os=macos", "platform_unsupported"),
        ("arch=aarch64", "platform_unsupported"),
        ("glibc=musl", "platform_unsupported"),
    ],
)
def test_platforms(text: str, code: str) -> None:
    one(look(described(text)), code)


def test_the_last_release_for_windows() -> None:
    row = real_matrix().row(TfVersion("2.10.1"))
    environment = EnvironmentFacts(env=None, path="/env", row=row)
    assert look(described("os=windows,gpu=8.6,driver=573.76"), environment=environment) == []


def test_a_cuda_build_for_another_architecture_is_taken_at_its_word() -> None:
    assert look(described("arch=aarch64"), environment=EnvironmentFacts(env=None, path="/env", cuda_build=True)) == []


@pytest.mark.parametrize(
    ("facts", "code", "certainty"),
    [
        (MachineFacts(address_space=1 << 30), "host_memory_or_noexec", Certainty.CERTAIN),
        (MachineFacts(memory_limit_mib=512), "host_memory_or_noexec", Certainty.LIKELY),
        (MachineFacts(mounts=(Mount("environment", "/e", "/srv", noexec=True),)), "host_memory_or_noexec", None),
        (MachineFacts(mounts=(Mount("temporary", "/tmp", "/tmp", free_mib=0),)), "disk_full", Certainty.CERTAIN),
        (MachineFacts(mounts=(Mount("home", "/home/you", "/", free_mib=9000, free_inodes=0),)), "disk_full", None),
    ],
)
def test_resources(facts: MachineFacts, code: str, certainty: Certainty | None) -> None:
    one(look(live("driver=550.54.14,gpu=RTX 3090", gpus=_memory()), facts), code, certainty or Certainty.CERTAIN)


def test_cuda_does_not_start_within_a_limit() -> None:
    host = live("driver=550.54.14", gpus=_memory(), driver_state=DriverState.UNKNOWN)
    facts = MachineFacts(address_space=32 << 30, memory_mib=64000, cuda_result=2, cuda_result_all=2)
    one(look(host, facts), "host_memory_or_noexec")
    one(
        look(host, dataclasses.replace(facts, cuda_result=1, cuda_result_all=1)),
        "host_memory_or_noexec",
        Certainty.LIKELY,
    )


def _memory() -> Fact[tuple[Gpu, ...]]:
    return Fact((Gpu("RTX 3090", ComputeCapability("8.6"), 0, 24576, 10),), "nvml")


@pytest.mark.parametrize(
    "facts",
    [
        MachineFacts(memory_limit_mib=8192, address_space=None),
        MachineFacts(address_space=32 << 30, memory_mib=64000, cuda_result=0, cuda_result_all=0),
        MachineFacts(mounts=(Mount("temporary", "/tmp", "/tmp", noexec=True, free_mib=9000, free_inodes=5),)),
        MachineFacts(mounts=(Mount("environment", "/e", "/e", "squashfs", read_only=True, free_mib=0, free_inodes=0),)),
        MachineFacts(mounts=(Mount("shared memory", "/dev/shm", "/dev/shm", free_mib=0),)),
    ],
)
def test_resources_in_order(facts: MachineFacts) -> None:
    assert look(live("driver=550.54.14,gpu=8.6"), facts) == []


# --- all of them -----------------------------------------------------------------------------------------------------


def test_checks_and_causes_belong_together() -> None:
    found_by = {code for check in CHECKS for code in check.codes}
    assert found_by == {cause.code for cause in CAUSES}


def test_a_hole_in_what_is_known_is_no_finding() -> None:
    nothing = describe(["os=linux"], System(environ={}))
    for state in DriverState:
        host = dataclasses.replace(
            nothing, described=False, driver_state=state, container=Fact(Container("docker", None), "x")
        )
        for item in look(host):
            assert item.code in {
                "cpu_only_machine",
                "container_runtime_missing",
                "device_node_permission",
                "driver_hung",
                "driver_library_mismatch",
                "driver_unloaded_needs_reboot",
            }
    unknown = dataclasses.replace(nothing, described=False, gpus=Fact(None, attempts=(Attempt("nvml", "failed", "x"),)))
    assert look(unknown) == []
    assert found(Snapshot(real_matrix())) == []

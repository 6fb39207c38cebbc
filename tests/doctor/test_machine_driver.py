"""A driver that is installed and does not work: the reason is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from doctor.machines import KERNEL, UNLOADED, codes, live, look, one, read, unload
from host.conftest import Machine

from provision.host import detect
from provision.model.doctor import Certainty
from provision.model.environment_facts import Answered, EnvironmentFacts, GateFacts
from provision.model.facts import Fact
from provision.model.host import DriverState
from provision.model.machine import DeviceNode, DriverLibrary, MachineFacts
from provision.model.versions import DriverVersion
from provision.snapshot.machine import read_machine


def test_nouveau(machine: Machine, fake_driver: Path) -> None:
    unload(machine, "nouveau")
    finding = one(read(machine, fake_driver, **UNLOADED), "secure_boot_or_nouveau")
    assert "nouveau" in finding.summary


def secure_boot(machine: Machine) -> None:
    path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    machine.file(path).write_bytes(b"\x06\x00\x00\x00\x01")


def test_secure_boot(machine: Machine, fake_driver: Path) -> None:
    unload(machine)
    secure_boot(machine)
    one(read(machine, fake_driver, **UNLOADED), "secure_boot_or_nouveau", Certainty.LIKELY)
    machine.program("dmesg", "echo 'Loading of module with unavailable key is rejected'")
    finding = one(read(machine, fake_driver, **UNLOADED), "secure_boot_or_nouveau")
    assert finding.evidence[0].source == "dmesg"


def test_secure_boot_is_no_cause_where_there_is_no_module(machine: Machine, fake_driver: Path) -> None:
    unload(machine)
    secure_boot(machine)
    machine.file(f"/lib/modules/{KERNEL}/modules.dep", "")
    machine.file("/lib/modules/6.8.0-39-generic/modules.dep", "updates/dkms/nvidia.ko:\n")
    finding = one(read(machine, fake_driver, **UNLOADED), "driver_unloaded_needs_reboot")
    assert KERNEL in finding.summary
    assert "6.8.0-39-generic" in finding.summary
    assert "sudo dkms autoinstall" in finding.fixes[0].commands


def test_not_loaded_for_no_reason_at_all(machine: Machine, fake_driver: Path) -> None:
    unload(machine)
    finding = one(read(machine, fake_driver, **UNLOADED), "driver_unloaded_needs_reboot")
    assert finding.fixes[0].commands == ("sudo modprobe nvidia",)


def test_kept_out_by_modprobe(machine: Machine, fake_driver: Path) -> None:
    unload(machine)
    machine.file("/etc/modprobe.d/blacklist-nvidia.conf", "blacklist nvidia\n")
    finding = one(read(machine, fake_driver, **UNLOADED), "driver_unloaded_needs_reboot")
    assert "/etc/modprobe.d/blacklist-nvidia.conf" in finding.summary


def test_given_to_a_virtual_machine(machine: Machine, fake_driver: Path) -> None:
    unload(machine, "vfio-pci")
    assert "vfio-pci" in one(read(machine, fake_driver, **UNLOADED), "driver_unloaded_needs_reboot").summary


def test_nvidia_uvm_is_not_loaded(machine: Machine, fake_driver: Path) -> None:
    (machine.root / "dev/nvidia-uvm").unlink()
    machine.file("/proc/modules", "nvidia 1 0 - Live 0x0\n")
    finding = one(read(machine, fake_driver, FAKEGPU_ERRORS="cuInit=999"), "driver_unloaded_needs_reboot")
    assert finding.fixes[0].commands[0] == "sudo modprobe nvidia_uvm"


def test_after_a_suspend(machine: Machine, fake_driver: Path) -> None:
    findings = read(machine, fake_driver, FAKEGPU_ERRORS="cuInit=999")
    one(findings, "driver_unloaded_needs_reboot", Certainty.LIKELY)


def test_module_and_libraries_apart(machine: Machine, fake_driver: Path) -> None:
    machine.file("/sys/module/nvidia/version", "550.54.14\n")
    findings = read(machine, fake_driver, FAKEGPU_ERRORS="nvmlInitWithFlags=18;nvmlInit_v2=18;cuInit=803")
    finding = one(findings, "driver_library_mismatch")
    assert finding.fixes[0].commands == ("sudo reboot",)


def test_module_and_libraries_apart_with_both_versions() -> None:
    host = live(
        "driver=550.54.14",
        driver_state=DriverState.LIBRARY_MISMATCH,
        kernel_module=Fact(DriverVersion("535.161.07"), "/sys/module/nvidia/version"),
    )
    facts = MachineFacts(libcudas=(DriverLibrary("/usr/lib/libcuda.so.550.54.14", "driver", "550.54.14"),))
    assert "module 535.161.07, libraries 550.54.14" in one(look(host, facts), "driver_library_mismatch").summary


@pytest.mark.parametrize("folder", ["lib64/stubs", "compat"])
def test_a_libcuda_of_a_toolkit_comes_first(machine: Machine, fake_driver: Path, tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    (place / "libcuda.so.1").write_bytes((fake_driver / "libcuda.so.1").read_bytes())
    (place / "libnvidia-ml.so.1").symlink_to(fake_driver / "libnvidia-ml.so.1")
    result = "34" if "stubs" in folder else "803"
    findings = read(machine, None, LD_LIBRARY_PATH=f"{place}:/opt/lib", FAKEGPU_ERRORS=f"cuInit={result}")
    finding = one(findings, "libcuda_stub_or_shadowed")
    assert str(place) in finding.summary
    assert finding.fixes[0].commands == ("export LD_LIBRARY_PATH='/opt/lib'",)


def test_compat_on_a_gpu_that_does_not_support_it(machine: Machine, fake_driver: Path) -> None:
    findings = read(machine, fake_driver, FAKEGPU_ERRORS="cuInit=804")
    assert "cuda-compat" in one(findings, "libcuda_stub_or_shadowed").summary


def test_another_drivers_copy_comes_first() -> None:
    host = live(
        "driver=550.54.14,gpu=8.6",
        driver_state=DriverState.LIBRARY_MISMATCH,
        kernel_module=Fact(DriverVersion("550.54.14"), "/sys/module/nvidia/version"),
    )
    own = DriverLibrary("/usr/lib/libcuda.so.550.54.14", "driver", "550.54.14")
    old = DriverLibrary("/opt/old/libcuda.so.470.57.02", "driver", "470.57.02", "/opt/old")
    facts = MachineFacts(libcudas=(old, own), cuda_result=803, cuda_result_all=803)
    one(look(host, facts), "libcuda_stub_or_shadowed")
    # In Kubernetes the driver's only libraries are found through LD_LIBRARY_PATH: then the driver itself is apart.
    alone = dataclasses.replace(facts, libcudas=(old,))
    one(look(host, alone), "driver_library_mismatch")


def test_compat_of_an_image_is_no_cause_where_no_gpu_was_passed_in(machine: Machine, fake_driver: Path) -> None:
    machine.file("/.dockerenv")
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        (machine.root / "dev" / name).unlink()
    compat = machine.root / "compat"
    compat.mkdir()
    (compat / "libcuda.so.1").symlink_to(fake_driver / "libcuda.so.1")
    findings = read(machine, None, LD_LIBRARY_PATH=str(compat), FAKEGPU_ERRORS="cuInit=100")
    one(findings, "container_runtime_missing")


def test_a_stub_that_only_tensorflow_meets() -> None:
    stub = Answered("libcuda.so.1", "/env/lib/stubs/libcuda.so")
    environment = EnvironmentFacts(env=None, path="/env", gate=GateFacts(beside=(stub,)))
    one(look(live("driver=550.54.14,gpu=8.6"), environment=environment), "libcuda_stub_or_shadowed")


@pytest.mark.parametrize(("code", "cuda"), [(4, 304), (17, 304)])
def test_no_permission(machine: Machine, fake_driver: Path, code: int, cuda: int) -> None:
    errors = f"nvmlInitWithFlags={code};nvmlInit_v2={code};cuInit={cuda}"
    one(read(machine, fake_driver, FAKEGPU_ERRORS=errors), "device_node_permission")


def test_the_group_is_named() -> None:
    host = live("driver=550.54.14,gpu=8.6", driver_state=DriverState.NO_PERMISSION)
    nodes = (DeviceNode("/dev/nvidiactl", "crw-rw----", "root", "video", usable=False),)
    finding = one(look(host, MachineFacts(nodes=nodes, groups=("you",))), "device_node_permission")
    assert finding.fixes[0].commands == ('sudo usermod -aG video "$USER"',)
    assert any(clue.what == "crw-rw---- root video" for clue in finding.evidence)
    closed = (dataclasses.replace(nodes[0], mode="crw-------", group="root"),)
    finding = one(look(host, MachineFacts(nodes=closed)), "device_node_permission")
    assert finding.fixes[0].commands == ("sudo chmod 0666 /dev/nvidiactl",)


def test_device_files_are_missing(machine: Machine, fake_driver: Path) -> None:
    (machine.root / "dev/nvidia-uvm").unlink()
    finding = one(read(machine, fake_driver, FAKEGPU_ERRORS="cuInit=304"), "device_node_permission")
    assert "/dev/nvidia-uvm is missing" in finding.summary
    assert finding.fixes[0].commands == ("sudo nvidia-modprobe -u -c0",)


def test_the_driver_hangs(machine: Machine, fake_driver: Path) -> None:
    system = machine.system(LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_HANG="cuInit")
    host = detect(system, wide=False, limit=1)
    facts = read_machine(system, host, variables=system.environ, prefix=None)
    finding = one(look(host, facts, variables=system.environ), "driver_hung")
    assert any("no answer within 1 s" in clue.what for clue in finding.evidence)


def test_a_lost_gpu_and_its_xid(machine: Machine, fake_driver: Path) -> None:
    machine.program("dmesg", "echo '[9.0] NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.'")
    findings = read(machine, fake_driver, FAKEGPU_ERRORS="nvmlDeviceGetHandleByIndex_v2=15;cuInit=999")
    assert "hardware_fault_xid" in codes(findings)
    fault = next(item for item in findings if item.code == "hardware_fault_xid")
    assert fault.certainty is Certainty.CERTAIN
    assert fault.data["xid"] == [79]
    assert set(codes(findings)) - {"hardware_fault_xid"} <= set(fault.explains)


def test_the_xid_of_a_program_is_no_fault_of_the_hardware(machine: Machine, fake_driver: Path) -> None:
    machine.program("dmesg", "echo 'NVRM: Xid (PCI:0000:01:00): 31, pid=1, name=python, MMU Fault'")
    assert "hardware_fault_xid" not in codes(read(machine, fake_driver, FAKEGPU_ERRORS="cuInit=999"))


@pytest.mark.parametrize(
    ("result", "code"),
    [(802, "fabric_manager_missing"), (805, "variable_interferes"), (46, "gpu_busy_other_process")],
)
def test_what_cuinit_says(machine: Machine, fake_driver: Path, result: int, code: str) -> None:
    one(read(machine, fake_driver, FAKEGPU_ERRORS=f"cuInit={result}"), code)

"""What is read of a machine beyond HostFacts, on roots of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from host.conftest import Machine

from provision.host import detect
from provision.host.description import describe
from provision.model.machine import MachineFacts
from provision.snapshot import kernel
from provision.snapshot.machine import read_machine
from provision.system import System

KERNEL = "6.8.0-40-generic"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.file("/proc/sys/kernel/osrelease", f"{KERNEL}\n")
    made.folder("/sys/bus/pci/devices")
    made.folder("/dev")
    return made


def read(machine: Machine, prefix: Path | None = None, **environ: str) -> MachineFacts:
    system = machine.system(**environ)
    host = detect(system, wide=False, limit=20)
    return read_machine(system, host, variables=system.environ, prefix=prefix)


def test_a_machine_where_nothing_can_be_read(tmp_path: Path) -> None:
    system = System(environ={}, root=tmp_path)
    facts = read_machine(system, None, variables={}, prefix=None)
    assert facts.kernel == ""
    assert (facts.modules, facts.module_files, facts.displays, facts.secure_boot) == (None, None, None, None)
    assert facts.mounts == ()
    assert facts.libcudas == ()


def test_nothing_of_this_machine_stands_for_a_described_one() -> None:
    host = describe(["driver=550.54.14,gpu=8.6"], System(environ={}))
    assert read_machine(System(), host, variables={}, prefix=Path("/")) == MachineFacts()


def test_the_module_is_there_for_another_kernel_alone(machine: Machine, fake_driver: Path) -> None:
    machine.pci("0000:01:00.0", "0x2204")
    machine.file("/proc/modules", "i915 1 0 - Live 0x0\n")
    machine.file(f"/lib/modules/{KERNEL}/modules.dep", "kernel/drivers/video/fbdev/nvidia/nvidiafb.ko: a.ko\n")
    machine.file(
        "/lib/modules/6.8.0-39-generic/modules.dep", "updates/dkms/nvidia-uvm.ko.zst: x\nupdates/dkms/nvidia.ko.zst:\n"
    )
    facts = read(
        machine, LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_ERRORS="nvmlInitWithFlags=9;nvmlInit_v2=9;cuInit=100"
    )
    assert facts.modules == ()
    assert facts.module_files == ()
    assert facts.other_kernels == ("6.8.0-39-generic",)
    assert facts.cuda_result == 100


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("updates/dkms/nvidia.ko:", True),
        ("kernel/nvidia-550-open/nvidia.ko.zst: kernel/drivers/char/ipmi/ipmi_msghandler.ko", True),
        ("updates/dkms/nvidia-current.ko.xz:", True),
        ("updates/dkms/nvidia-current-uvm.ko.xz:", False),
        ("updates/dkms/nvidia-drm.ko.xz:", False),
        ("updates/dkms/nvidia-peermem.ko.xz:", False),
        ("kernel/drivers/video/fbdev/nvidia/nvidiafb.ko.zst:", False),
        ("kernel/drivers/net/ethernet/nvidia/forcedeth.ko:", False),
    ],
)
def test_which_file_is_the_module(machine: Machine, line: str, *, found: bool) -> None:
    machine.file(f"/lib/modules/{KERNEL}/modules.dep", f"{line}\n")
    path = f"/lib/modules/{KERNEL}/{line.partition(':')[0]}"
    assert kernel.module_files(machine.system(), KERNEL) == ((path,) if found else ())


def test_what_blocks_the_module(machine: Machine) -> None:
    machine.file("/etc/modprobe.d/blacklist-nvidia.conf", "# by prime-select\nblacklist nvidia\nalias nvidia off\n")
    machine.file("/usr/lib/modprobe.d/driver.conf", "blacklist nouveau\nblacklist nvidiafb\noptions nvidia NVreg_X=1\n")
    path = "/etc/modprobe.d/blacklist-nvidia.conf"
    assert kernel.blocked(machine.system()) == ((path, "blacklist nvidia"), (path, "alias nvidia off"))


def test_the_kernel_log_since_the_last_start(machine: Machine) -> None:
    machine.file(
        "/var/log/kern.log",
        "host kernel: Linux version 6.8.0-39\nhost kernel: NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n"
        "host kernel: Linux version 6.8.0-40\nhost kernel: usb 1-1: new device\nhost kernel: NVRM: loading module\n",
    )
    assert kernel.log(machine.system()) == (("/var/log/kern.log", "host kernel: NVRM: loading module"),)


def test_dmesg_is_asked_first_and_may_refuse(machine: Machine) -> None:
    machine.file("/var/log/dmesg", "[1.0] Linux version 6\n[2.0] NVRM: from the file\n")
    machine.program("dmesg", "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1")
    assert kernel.log(machine.system()) == (("/var/log/dmesg", "[2.0] NVRM: from the file"),)
    machine.program("dmesg", "echo '[9.0] nouveau 0000:01:00.0: NVIDIA GA102'")
    assert kernel.log(machine.system()) == (("dmesg", "[9.0] nouveau 0000:01:00.0: NVIDIA GA102"),)


def test_displays_of_every_maker(machine: Machine) -> None:
    machine.pci("0000:00:02.0", "0x9a49", vendor="0x8086", driver="i915")
    machine.pci("0000:00:03.0", "0x1000", vendor="0x8086", kind="0x020000")
    (display,) = read(machine).displays or ()
    assert (display.address, display.vendor, display.driver) == ("0000:00:02.0", "0x8086", "i915")


def test_limits_and_file_systems(machine: Machine, tmp_path: Path) -> None:
    machine.file("/proc/self/limits", "Limit  Soft Limit\nMax address space         2147483648  unlimited  bytes\n")
    machine.file("/proc/meminfo", "MemTotal:       16384000 kB\n")
    machine.file("/sys/fs/cgroup/memory.max", "536870912\n")
    machine.folder("/srv/my env/.venv")
    machine.folder("/tmp")
    machine.file(
        "/proc/self/mountinfo",
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 8:2 / /srv/my\\040env rw,nosuid,noexec shared:5 - xfs /dev/sdb1 rw\n"
        "31 22 0:9 / /tmp rw - tmpfs tmpfs ro,size=1g\nnonsense\n",
    )
    facts = read(machine, Path("/srv/my env/.venv"))
    assert facts.address_space == 2 << 30
    assert (facts.memory_mib, facts.memory_limit_mib) == (16000, 512)
    environment, temporary = facts.mount("environment"), facts.mount("temporary")
    assert environment is not None
    assert (environment.point, environment.kind, environment.noexec) == ("/srv/my env", "xfs", True)
    assert temporary is not None
    assert (temporary.kind, temporary.noexec, temporary.read_only) == ("tmpfs", False, True)
    assert facts.mount("shared memory") is None


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", "", "x"])
def test_no_memory_limit(machine: Machine, text: str) -> None:
    machine.file("/sys/fs/cgroup/memory.max", text)
    assert read(machine).memory_limit_mib is None


def test_rights_of_device_files(machine: Machine) -> None:
    machine.file("/dev/nvidiactl").chmod(0o660)
    machine.folder("/dev/nvidia-caps")
    facts = read(machine)
    (node,) = facts.nodes
    assert (node.path, node.mode) == ("/dev/nvidiactl", "-rw-rw----")
    assert node.owner
    assert node.group
    assert facts.groups


def test_which_libcuda_comes_first(machine: Machine, tmp_path: Path) -> None:
    stubs, compat, driver = tmp_path / "lib64" / "stubs", tmp_path / "cuda" / "compat", tmp_path / "driver"
    for folder, name in ((stubs, "libcuda.so"), (compat, "libcuda.so.550.54.14"), (driver, "libcuda.so.535.104.05")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"")
        (folder / "libcuda.so.1").symlink_to(name)
    listed = f"\tlibcuda.so.1 (libc6,x86-64) => {driver}/libcuda.so.1"
    machine.program("ldconfig", f"echo '{listed}'")
    path = f"/nowhere:{stubs}:{compat}/"
    facts = read(machine, LD_LIBRARY_PATH=path)
    assert [(item.kind, item.version, item.folder) for item in facts.libcudas] == [
        ("stub", "", str(stubs)),
        ("compat", "550.54.14", f"{compat}/"),
        ("driver", "535.104.05", ""),
    ]


def test_hostile_variables(machine: Machine, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    path = f"{'x' * 5000}:{loop}:relative::~:/dev/null"
    facts = read(machine, loop, LD_LIBRARY_PATH=path, TMPDIR="y" * 5000, HOME=str(loop))
    assert facts.libcudas == ()
    assert facts.mounts == ()


def test_what_cuinit_answered_with_and_without_the_variable(machine: Machine, fake_driver: Path) -> None:
    machine.pci("0000:01:00.0", "0x2204", driver="nvidia")
    hidden = read(machine, LD_LIBRARY_PATH=str(fake_driver), CUDA_VISIBLE_DEVICES="-1")
    assert (hidden.cuda_result, hidden.cuda_result_all) == (100, 0)
    assert read(machine, LD_LIBRARY_PATH=str(fake_driver)).cuda_result == 0
    stub = read(machine, LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_ERRORS="cuInit=34")
    odd = read(machine, LD_LIBRARY_PATH=str(fake_driver), FAKEGPU_ERRORS="cuInit=719")
    assert (stub.cuda_result, odd.cuda_result) == (34, 719)

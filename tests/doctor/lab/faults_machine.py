"""Faults of the machine: driver, GPU, container, resources, and the variables that reach into them."""

from __future__ import annotations

from doctor.lab.bench import Bench, Fault
from doctor.lab.machine import SECURE_BOOT

_ANY = ("plain-2.17.1",)


def _driver_missing(bench: Bench) -> None:
    bench.machine.without_driver()


def _not_loaded(bench: Bench) -> None:
    bench.machine.unloaded()
    bench.machine.installed_module()


def _other_kernel(bench: Bench) -> None:
    bench.machine.unloaded()
    bench.machine.installed_module("6.5.0-1-generic")
    bench.machine.file("/lib/modules/6.8.0-45-generic/modules.dep", "kernel/fs/ext4/ext4.ko.zst:\n")


def _blacklisted(bench: Bench) -> None:
    _not_loaded(bench)
    bench.machine.file("/etc/modprobe.d/blacklist-nvidia.conf", "blacklist nvidia\n")


def _no_uvm(bench: Bench) -> None:
    bench.machine.modules("nvidia", "nvidia_modeset")
    bench.machine.without_nodes("nvidia-uvm")
    bench.machine.fails("cuInit=999")


def _mismatch(bench: Bench) -> None:
    bench.machine.modules("nvidia", "nvidia_uvm", version="565.57.01")
    bench.machine.fails("nvmlInit_v2=18", "nvmlInitWithFlags=18", "nvmlInit=18", "cuInit=803")


def _nouveau(bench: Bench) -> None:
    _not_loaded(bench)
    bench.machine.modules("nouveau")
    bench.machine.pci("0000:01:00.0", "0x2204", held_by="nouveau")


def _secure_boot(bench: Bench) -> None:
    _not_loaded(bench)
    bench.machine.file(SECURE_BOOT, "\x06\x00\x00\x00\x01")
    bench.machine.says(
        "[    3.1] Loading of unsigned module is rejected\n[    3.2] nvidia: module verification failed: signature and/or required key missing"
    )


def _stub(bench: Bench) -> None:
    stubs = bench.scratch / "cuda-12.5/lib64/stubs"
    bench.library(
        stubs / "libcuda.so.1",
        "int cuInit(unsigned f) { (void)f; return 34; }\nint cuDriverGetVersion(int *v) { *v = 12050; return 0; }\n",
    )
    bench.machine.first_on_library_path(stubs)


def _node_rights(bench: Bench) -> None:
    bench.machine.fails("nvmlInit_v2=4", "nvmlInitWithFlags=4", "nvmlInit=4", "cuInit=304")


def _lost(bench: Bench) -> None:
    bench.machine.fails(
        "nvmlDeviceGetHandleByIndex_v2=15", "nvmlDeviceGetName=15", "nvmlDeviceGetUUID=15", "cuInit=999"
    )
    bench.machine.says(
        "[ 812.5] NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
    )


def _fabric(bench: Bench) -> None:
    bench.machine.gpu(names="NVIDIA H100 80GB HBM3", cc="9.0", count=8)
    bench.machine.fails("cuInit=802")


def _hung(bench: Bench) -> None:
    bench.machine.variables["FAKEGPU_HANG"] = "cuInit"
    bench.patience = 6


def _old_driver(bench: Bench) -> None:
    bench.machine.gpu(driver="470.256.02", cuda="11.4")


def _old_for_ptx(bench: Bench) -> None:
    bench.machine.gpu(driver="550.54.15", cuda="12.4", names="NVIDIA H100 PCIe", cc="9.0")


def _kepler(bench: Bench) -> None:
    bench.machine.gpu(names="Tesla K80", cc="3.7", driver="470.256.02", cuda="11.4")


def _maxwell(bench: Bench) -> None:
    bench.machine.gpu(names="NVIDIA GeForce GTX 960", cc="5.2")


def _blackwell(bench: Bench) -> None:
    bench.machine.gpu(names="NVIDIA GeForce RTX 5090", cc="12.0")


def _branch(bench: Bench) -> None:
    """A Kepler GPU under a driver of a branch that left it."""
    bench.machine.gpu(count=0, driver="535.183.01", cuda="12.2")
    bench.machine.pci("0000:01:00.0", "0x102d")
    bench.machine.fails("cuInit=100")
    bench.machine.says(
        "[ 4.2] NVRM: The NVIDIA Tesla K80 GPU installed in this system is\n"
        "[ 4.2] NVRM:  supported through the NVIDIA 470.xx Legacy drivers. Please\n"
        "[ 4.2] NVRM:  visit http://www.nvidia.com/object/unix.html for more\n"
        "[ 4.2] NVRM:  information.  The 535.183.01 NVIDIA driver will ignore\n"
        "[ 4.2] NVRM:  this GPU.  Continuing probe..."
    )


def _mig_empty(bench: Bench) -> None:
    bench.machine.gpu(names="NVIDIA A100-SXM4-40GB", cc="8.0", mig="1", mig_devices="0")
    bench.machine.fails("cuInit=100")


def _busy(bench: Bench) -> None:
    bench.machine.gpu(memory_used_mib="24200", processes="0:4242:23600:python")


def _hidden(value: str) -> object:
    def inject(bench: Bench) -> None:
        bench.machine.variables["CUDA_VISIBLE_DEVICES"] = value

    return inject


def _second_of_two(bench: Bench) -> None:
    bench.machine.gpu(count=2)
    bench.machine.variables["CUDA_VISIBLE_DEVICES"] = "0,7,1"


def _container(bench: Bench) -> None:
    machine = bench.machine
    machine.off_library_path(machine.driver)
    machine.without_nodes()
    machine.file("/.dockerenv")


def _wsl(bench: Bench) -> None:
    machine = bench.machine
    machine.without_gpu()
    machine.file("/proc/sys/kernel/osrelease", "5.15.153.1-microsoft-standard-WSL2\n")
    machine.file("/dev/dxg")


def _amd(bench: Bench) -> None:
    bench.machine.without_gpu()
    bench.machine.pci("0000:03:00.0", "0x744c", vendor="0x1002", held_by="amdgpu")


def _noexec(bench: Bench) -> None:
    bench.machine.file(
        "/proc/self/mountinfo",
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        f"23 22 254:1 / {bench.env.prefix} rw,noexec,relatime shared:2 - ext4 /dev/data rw\n",
    )


def _address_space(bench: Bench) -> None:
    bench.machine.file(
        "/proc/self/limits", "Max address space         1073741824           1073741824           bytes\n"
    )


def _no_avx(bench: Bench) -> None:
    bench.machine.file("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt\n")


def _growth(bench: Bench) -> None:
    bench.machine.variables["TF_FORCE_GPU_ALLOW_GROWTH"] = "1"


def _mistyped(bench: Bench) -> None:
    bench.machine.variables["CUDA_VISIBLE_DEVICE"] = "0"


def _activation(bench: Bench) -> None:
    """A line in the activation script hides the GPU; whoever activates gets it."""
    bench.env.edit(bench.env.prefix / "bin/activate", lambda data: data + b"\nexport CUDA_VISIBLE_DEVICES=-1\n")
    bench.machine.variables["CUDA_VISIBLE_DEVICES"] = "-1"


FAULTS = (
    Fault("driver-missing", "driver_missing", "driver", _driver_missing, ("plain-2.17.1", "created-2.10.1")),
    Fault("driver-not-loaded", "driver_unloaded_needs_reboot", "sudo modprobe nvidia", _not_loaded, _ANY),
    Fault("driver-for-another-kernel", "driver_unloaded_needs_reboot", "dkms", _other_kernel, _ANY),
    Fault(
        "driver-blacklisted",
        "driver_unloaded_needs_reboot",
        "/etc/modprobe.d/blacklist-nvidia.conf",
        _blacklisted,
        _ANY,
    ),
    Fault("uvm-not-loaded", "driver_unloaded_needs_reboot", "nvidia_uvm", _no_uvm, _ANY),
    Fault("driver-mismatch", "driver_library_mismatch", "reboot", _mismatch, ("plain-2.17.1", "wired-2.4.1")),
    Fault("nouveau", "secure_boot_or_nouveau", "blacklist nouveau", _nouveau, _ANY),
    Fault("secure-boot", "secure_boot_or_nouveau", "mokutil", _secure_boot, _ANY),
    Fault("stub-libcuda", "libcuda_stub_or_shadowed", "LD_LIBRARY_PATH", _stub, _ANY),
    Fault("no-rights", "device_node_permission", "/dev/nvidia", _node_rights, _ANY),
    Fault("gpu-lost", "hardware_fault_xid", "reboot", _lost, _ANY),
    Fault("no-fabric-manager", "fabric_manager_missing", "nvidia-fabricmanager", _fabric, _ANY),
    Fault("driver-hangs", "driver_hung", "dmesg", _hung, _ANY),
    Fault("driver-too-old", "driver_too_old", "driver", _old_driver, ("plain-2.17.1", "created-2.21.0")),
    Fault("driver-too-old-for-ptx", "driver_too_old", "driver 555", _old_for_ptx, ("created-2.21.0",)),
    Fault("gpu-too-old", "gpu_arch_unsupported_old", "tfgpu-provision plan", _maxwell, ("created-2.21.0",)),
    Fault(
        "gpu-too-old-kepler",
        "driver_too_old",
        "driver",
        _kepler,
        ("plain-2.17.1",),
        beside=("gpu_arch_unsupported_old",),
    ),
    Fault("gpu-too-new", "gpu_arch_too_new_ptx_jit", "", _blackwell, ("created-2.10.1", "plain-2.17.1")),
    Fault("gpu-left-the-branch", "driver_does_not_support_gpu", "470", _branch, _ANY),
    Fault("mig-without-instances", "mig_config", "nvidia-smi mig", _mig_empty, _ANY),
    Fault("gpu-busy", "gpu_busy_other_process", "4242", _busy, _ANY),
    Fault("visible-empty", "visible_devices_hidden", "unset CUDA_VISIBLE_DEVICES", _hidden(""), _ANY),
    Fault(
        "visible-minus-one",
        "visible_devices_hidden",
        "unset CUDA_VISIBLE_DEVICES",
        _hidden("-1"),
        ("created-2.21.0", "wired-2.4.1"),
    ),
    Fault("visible-beyond", "visible_devices_hidden", "unset CUDA_VISIBLE_DEVICES", _hidden("1"), _ANY),
    Fault("visible-a-name", "visible_devices_hidden", "unset CUDA_VISIBLE_DEVICES", _hidden("gpu0"), _ANY),
    Fault("visible-cut-off", "visible_devices_hidden", "CUDA_VISIBLE_DEVICES=0,1", _second_of_two, _ANY),
    Fault("visible-by-activation", "visible_devices_hidden", "unset CUDA_VISIBLE_DEVICES", _activation, _ANY),
    Fault("container-without-gpu", "container_runtime_missing", "--gpus all", _container, _ANY),
    Fault("wsl-without-libcuda", "wsl_libcuda_missing", "wsl --update", _wsl, _ANY),
    Fault("amd-gpu", "no_nvidia_gpu", "", _amd, _ANY),
    Fault("noexec", "host_memory_or_noexec", "another file system", _noexec, _ANY),
    Fault("address-space", "host_memory_or_noexec", "ulimit -v unlimited", _address_space, _ANY),
    Fault("no-avx", "avx_missing_illegal_instruction", "-cpu host", _no_avx, ("created-2.10.1",)),
    Fault("growth-misspelt", "variable_interferes", "TF_FORCE_GPU_ALLOW_GROWTH=true", _growth, _ANY),
    Fault("visible-misspelt", "variable_interferes", "CUDA_VISIBLE_DEVICES", _mistyped, _ANY),
)

"""A driver that is installed and does not work: why not?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.check import Check
from provision.doctor.checks.installing import REBOOT, RELOAD, install_driver
from provision.doctor.checks.libcuda import shadowing
from provision.doctor.checks.presence import container_of, driver_clue, gpu_clues
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState, HostFacts
from provision.model.machine import MachineFacts
from provision.model.snapshot import Snapshot

_NOT_READY = 802
_UNKNOWN = 999
_KEYS = {
    "ubuntu": "/var/lib/shim-signed/mok/MOK.der",
    "linuxmint": "/var/lib/shim-signed/mok/MOK.der",
    "fedora": "/etc/pki/akmods/certs/public_key.der",
}
"""Where a distribution keeps the key that signs modules built here; DKMS has a place of its own for the others."""
_REFUSED = re.compile(r"module.*(?:rejected|unsigned)|[Kk]ey was rejected|Lockdown")


def live(snapshot: Snapshot) -> tuple[HostFacts, MachineFacts] | None:
    """Return what was read of this machine; None where only words describe one."""
    host, machine = snapshot.host, snapshot.machine
    return (host, machine) if host is not None and machine is not None and not host.described else None


def _kernel_clues(machine: MachineFacts, pattern: str, count: int = 3) -> tuple[Clue, ...]:
    lines = [Clue(source, line) for source, line in machine.kernel_log if re.search(pattern, line)]
    return tuple(lines[-count:])


def _not_loaded(snapshot: Snapshot) -> Iterator[Finding]:
    """The driver's libraries without its module: held out, not built for this kernel, or simply not loaded."""
    seen = live(snapshot)
    if seen is None or seen[0].driver_state is not DriverState.NOT_LOADED:
        return
    host, machine = seen
    if "nvidia" in (machine.modules or ()):
        return
    clues = (driver_clue(host), *gpu_clues(host))
    holder = next((item for item in machine.displays or () if item.vendor == "0x10de" and item.driver), None)
    refused = _kernel_clues(machine, _REFUSED.pattern)
    if holder is not None and holder.driver in ("nouveau", "NovaCore", "nova_core"):
        yield _nouveau(machine, holder.driver, holder.address, clues)
    elif holder is not None and holder.driver == "vfio-pci":
        yield Finding(
            "driver_unloaded_needs_reboot",
            Certainty.CERTAIN,
            f"vfio-pci holds the GPU at {holder.address} for a virtual machine, so the NVIDIA driver cannot",
            (Clue(f"/sys/bus/pci/devices/{holder.address}/driver", "vfio-pci"), *clues),
            (Fix("Take the GPU's ids out of vfio-pci's options in /etc/modprobe.d, then reboot", root=True),),
            data={"holds": "vfio-pci"},
        )
    elif refused or (machine.secure_boot and machine.module_files):
        yield _secure_boot(host, machine, refused, clues)
    elif machine.module_files == () and not machine.other_kernels:
        yield Finding(
            "driver_missing",
            Certainty.CERTAIN,
            "libraries of an NVIDIA driver are installed, and no kernel has its module",
            (*clues, Clue(f"/lib/modules/{machine.kernel}/modules.dep", "no nvidia.ko")),
            install_driver(host, "Install the whole driver, its kernel module included"),
            data={"found": "libraries alone", "needs": "kernel module nvidia"},
        )
    else:
        yield _unloaded(host, machine, clues)


def _nouveau(machine: MachineFacts, driver: str, address: str, clues: tuple[Clue, ...]) -> Finding:
    return Finding(
        "secure_boot_or_nouveau",
        Certainty.CERTAIN,
        f"{driver} holds the GPU at {address}, so the installed NVIDIA driver cannot",
        (
            Clue(f"/sys/bus/pci/devices/{address}/driver", driver),
            *(Clue("/proc/modules", name) for name in machine.modules or () if name == driver),
            *clues,
        ),
        (
            Fix(
                f"Keep {driver} from being loaded, then reboot",
                (
                    f"echo 'blacklist {driver}' | sudo tee /etc/modprobe.d/blacklist-{driver}.conf",
                    "sudo update-initramfs -u || sudo dracut --force",
                    "sudo reboot",
                ),
                root=True,
            ),
        ),
        explains=("driver_unloaded_needs_reboot",),
        data={"holds": driver},
    )


def _secure_boot(host: HostFacts, machine: MachineFacts, refused: tuple[Clue, ...], clues: tuple[Clue, ...]) -> Finding:
    key = _KEYS.get((host.distribution.value or "").split(" ")[0], "/var/lib/dkms/mok.pub")
    boot = (Clue("firmware", "Secure Boot is on"),) if machine.secure_boot else ()
    files = tuple(Clue("modprobe", f"{path} is there and not loaded") for path in machine.module_files or ())
    return Finding(
        "secure_boot_or_nouveau",
        Certainty.CERTAIN if refused else Certainty.LIKELY,
        "the kernel refuses the driver's unsigned module: Secure Boot is on"
        if refused
        else "Secure Boot is on and the driver's module is not loaded: its signature is not known to the firmware",
        (*refused, *boot, *files[:2], *clues),
        (
            Fix(
                "Enrol the key that signed the module, and confirm it at the next start (`Enroll MOK`)",
                (f"sudo mokutil --import {key}", "sudo reboot"),
                root=True,
            ),
            Fix("Turn Secure Boot off in the firmware's settings", root=True),
        ),
        explains=("driver_unloaded_needs_reboot",),
    )


def _unloaded(host: HostFacts, machine: MachineFacts, clues: tuple[Clue, ...]) -> Finding:
    code = "driver_unloaded_needs_reboot"
    if machine.blocked:
        return Finding(
            code,
            Certainty.CERTAIN,
            f"{machine.blocked[0][0]} keeps the module nvidia from being loaded",
            (*(Clue(path, line) for path, line in machine.blocked), *clues),
            (
                Fix(
                    "Take that line out (after `prime-select intel`: `sudo prime-select nvidia`), then reboot",
                    (f"sudo sed -i 's|^ *{machine.blocked[0][1]} *$|# &|' {machine.blocked[0][0]}", "sudo reboot"),
                    root=True,
                ),
            ),
        )
    if machine.module_files == ():
        others = ", ".join(machine.other_kernels)
        return Finding(
            code,
            Certainty.CERTAIN,
            f"no NVIDIA module was built for the running kernel {machine.kernel}; there is one for {others}",
            (Clue(f"/lib/modules/{machine.kernel}/modules.dep", "no nvidia.ko"), *clues),
            (
                Fix(
                    "Build the module for this kernel (its headers must be installed), then load it",
                    (
                        f"sudo apt install linux-headers-{machine.kernel}",
                        "sudo dkms autoinstall",
                        "sudo modprobe nvidia",
                    )
                    if _debian_like(host)
                    else ("sudo dkms autoinstall", "sudo modprobe nvidia"),
                    root=True,
                ),
                Fix(f"Start the kernel that has one: {others}", ("sudo reboot",), root=True),
            ),
            data={"found": f"kernel {machine.kernel}", "needs": "a module for it"},
        )
    told = any("not loaded" in item.detail.lower() for item in host.gpus.attempts if item.source == "nvml")
    reboot = f" ({machine.reboot_required})" if machine.reboot_required else ""
    return Finding(
        code,
        Certainty.CERTAIN if machine.modules is not None or told else Certainty.LIKELY,
        f"the driver is installed and its kernel module nvidia is not loaded{reboot}",
        (
            *clues,
            *(Clue("modprobe", f"{path} is there and not loaded") for path in (machine.module_files or ())[:2]),
            *(_kernel_clues(machine, "NVRM|nvidia")),
        ),
        (
            Fix(
                "Load the module; the message says what is missing where that fails",
                ("sudo modprobe nvidia",),
                root=True,
            ),
            REBOOT,
        ),
    )


def _debian_like(host: HostFacts) -> bool:
    return (host.distribution.value or "").split(" ")[0] in ("ubuntu", "debian", "linuxmint", "pop")


def _uvm(snapshot: Snapshot) -> Iterator[Finding]:
    """The module is loaded and CUDA cannot start: nvidia_uvm is absent or in a bad state."""
    seen = live(snapshot)
    if seen is None or seen[0].driver_state is not DriverState.UNKNOWN:
        return
    host, machine = seen
    loaded = host.kernel_module.known or host.gpus.source == "nvml"
    if not loaded or machine.cuda_result_all in (0, None) or shadowing(host, machine) is not None:
        return
    result = Clue("driver", f"cuInit answers {machine.cuda_result_all}")
    again = (Fix("Reboot the host of this container", root=True),) if container_of(host) else (REBOOT,)
    if machine.modules is not None and "nvidia" in machine.modules and "nvidia_uvm" not in machine.modules:
        yield Finding(
            "driver_unloaded_needs_reboot",
            Certainty.CERTAIN,
            "the kernel module nvidia is loaded, nvidia_uvm, which CUDA needs, is not",
            (Clue("/proc/modules", "nvidia, no nvidia_uvm"), result, driver_clue(host)),
            (
                Fix(
                    "Load it" + (", on the host of this container" if container_of(host) else ""),
                    ("sudo modprobe nvidia_uvm", "sudo nvidia-modprobe -u -c0"),
                    root=True,
                ),
                *again,
            ),
            explains=("container_runtime_missing",),
        )
    elif machine.cuda_result_all == _UNKNOWN and not any(gpu.mig for gpu in host.gpus.value or ()):
        yield Finding(
            "driver_unloaded_needs_reboot",
            Certainty.LIKELY,
            "cuInit fails with 999 (unknown error) although the module is loaded: nvidia_uvm is in a bad state, "
            "most often after a suspend",
            (result, driver_clue(host), *_kernel_clues(machine, "NVRM|Xid")),
            (
                Fix(
                    "Stop what uses the GPU and load nvidia_uvm again",
                    ("sudo rmmod nvidia_uvm", "sudo modprobe nvidia_uvm"),
                    root=True,
                ),
                *again,
            ),
        )


def _mismatch(snapshot: Snapshot) -> Iterator[Finding]:
    """Kernel module and libraries of different versions, unless LD_LIBRARY_PATH brings the wrong library."""
    host, machine = snapshot.host, snapshot.machine
    if host is None or host.driver_state is not DriverState.LIBRARY_MISMATCH:
        return
    if machine is not None and shadowing(host, machine) is not None:
        return  # not the driver's own libraries are at odds with its module
    apart = [item for item in host.disagreements if item.what == "driver version"]
    module = host.kernel_module.value
    library = next((item.version for item in machine.libcudas if item.version), "") if machine else ""
    if not library and host.driver.value is not None and host.driver.value != module:
        library = host.driver.value.text
    kind = container_of(host)
    between = f": module {module}, libraries {library}" if module and library else ""
    fixes: tuple[Fix, ...] = (
        REBOOT,
        Fix("Stop every program that uses the GPU and load the module again", RELOAD, root=True),
    )
    if kind:
        fixes = (
            Fix(f"Start this {kind} container anew, so that it gets the libraries of the driver that runs"),
            Fix("Where that does not help, reboot the host", root=True),
        )
    yield Finding(
        "driver_library_mismatch",
        Certainty.CERTAIN,
        f"the loaded kernel module and the driver's libraries are of different versions{between}",
        (driver_clue(host), *(Clue(source, text) for item in apart for source, text in item.readings)),
        fixes,
        explains=("driver_unloaded_needs_reboot",),
        data={"found": f"{module or 'unknown'}", "libraries": library},
    )


def _hung(snapshot: Snapshot) -> Iterator[Finding]:
    """A call into the driver that did not come back."""
    host = snapshot.host
    if host is None or host.driver_state is not DriverState.HUNG:
        return
    waited = [item for item in host.gpus.attempts if item.outcome == "timeout"]
    said = _kernel_clues(snapshot.machine, "NVRM|Xid") if snapshot.machine else ()
    yield Finding(
        "driver_hung",
        Certainty.CERTAIN,
        f"the driver does not answer: {host.driver_state_why}",
        (driver_clue(host), *(Clue(item.source, item.detail or "timeout") for item in waited), *said),
        (Fix("See what the kernel says", ("sudo dmesg | grep -iE 'NVRM|Xid'",), root=True), REBOOT),
    )


def _fabric(snapshot: Snapshot) -> Iterator[Finding]:
    """An NVSwitch machine whose fabric manager does not run."""
    host, machine = snapshot.host, snapshot.machine
    if host is None or machine is None or machine.cuda_result_all != _NOT_READY:
        return
    yield Finding(
        "fabric_manager_missing",
        Certainty.CERTAIN,
        "cuInit answers 802 (system not ready): the fabric manager of this NVSwitch machine is not running",
        (Clue("driver", "cuInit answers 802"), driver_clue(host)),
        (
            Fix(
                "Start it; it must be of the driver's version",
                ("sudo systemctl enable --now nvidia-fabricmanager", "systemctl status nvidia-fabricmanager"),
                root=True,
            ),
        ),
    )


CHECKS: tuple[Check, ...] = (
    Check(("secure_boot_or_nouveau", "driver_unloaded_needs_reboot", "driver_missing"), _not_loaded),
    Check(("driver_unloaded_needs_reboot",), _uvm),
    Check(("driver_library_mismatch",), _mismatch),
    Check(("driver_hung",), _hung),
    Check(("fabric_manager_missing",), _fabric),
)

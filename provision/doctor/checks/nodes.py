"""The driver's device files: are they there, and may this user open them?"""

from __future__ import annotations

from collections.abc import Iterator

from provision.doctor.check import Check
from provision.doctor.checks.driver import live
from provision.doctor.checks.installing import REBOOT
from provision.doctor.checks.presence import container_of, driver_clue
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState, HostFacts
from provision.model.machine import DeviceNode, MachineFacts
from provision.model.snapshot import Snapshot

_OF_ROOT = ("root", "0")
_OPERATING_SYSTEM = 304


def _permission(snapshot: Snapshot) -> Iterator[Finding]:
    """Device files that are missing, or that this user may not open."""
    seen = live(snapshot)
    if seen is None or seen[0].driver_state in (DriverState.WORKING, DriverState.HIDDEN, DriverState.NOT_PASSED):
        return
    host, machine = seen
    closed = [node for node in machine.nodes if not node.usable and _needed(node.path)]
    if host.driver_state is DriverState.NO_PERMISSION:
        yield Finding(
            "device_node_permission",
            Certainty.CERTAIN,
            f"this user may not open {', '.join(node.path for node in closed)}"
            if closed
            else "the system does not let this process open the GPU",
            (
                *(Clue(node.path, f"{node.mode} {node.owner} {node.group}") for node in closed),
                Clue("groups of this user", ", ".join(machine.groups)[:300] or "not known"),
                driver_clue(host),
            ),
            _rights(host, closed),
            explains=("container_runtime_missing", "driver_unloaded_needs_reboot"),
            data={"nodes": [node.path for node in closed]},
        )
    elif _nodes_missing(host, machine):
        present = host.device_nodes.value or ()
        missing = [path for path in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm") if path not in present]
        yield Finding(
            "device_node_permission",
            Certainty.CERTAIN,
            f"kernel module {host.kernel_module.value} is loaded, and {', '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} missing",
            (Clue("/dev", ", ".join(present) or "no /dev/nvidia*"), driver_clue(host)),
            (Fix("Make the device files", ("sudo nvidia-modprobe -u -c0",), root=True), REBOOT),
            data={"nodes": missing},
        )
    elif host.driver_state is DriverState.UNKNOWN and machine.cuda_result_all == _OPERATING_SYSTEM:
        yield Finding(
            "device_node_permission",
            Certainty.LIKELY,
            "cuInit answers 304: the system refused a call on the GPU's device files",
            (
                Clue("driver", "cuInit answers 304"),
                Clue("/dev", ", ".join(host.device_nodes.value or ()) or "none seen"),
            ),
            _rights(host, []),
        )


def _nodes_missing(host: HostFacts, machine: MachineFacts) -> bool:
    """Whether a loaded module on a plain machine lacks a device file, and CUDA fails as it then does."""
    present = host.device_nodes.value
    if present is None or not host.kernel_module.known or container_of(host) or host.wsl.value:
        return False
    if machine.modules is not None and "nvidia_uvm" not in machine.modules:
        return False  # its device file cannot be there
    failed = host.driver_state is DriverState.UNKNOWN and machine.cuda_result_all not in (0, None)
    return failed and any(path not in present for path in ("/dev/nvidiactl", "/dev/nvidia-uvm"))


def _needed(path: str) -> bool:
    return path in ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dxg") or path.removeprefix("/dev/nvidia").isdecimal()


def _rights(host: HostFacts, closed: list[DeviceNode]) -> tuple[Fix, ...]:
    groups = sorted({node.group for node in closed if node.mode[4:6] == "rw"} - set(_OF_ROOT))
    kind = container_of(host)
    if kind:
        again = Fix(
            f"Start this {kind} container anew with its devices named; a reload of systemd on the host takes them from "
            "running containers",
            ("docker run --gpus all --device /dev/nvidiactl --device /dev/nvidia0 --device /dev/nvidia-uvm IMAGE",)
            if kind == "docker"
            else (),
        )
        return (again,)
    if groups:
        return (
            Fix(
                f"Join the group that owns them ({', '.join(groups)}), then log in again",
                (f'sudo usermod -aG {",".join(groups)} "$USER"',),
                root=True,
            ),
        )
    return (
        Fix(
            "Give every user the rights that the driver gives by default, until the next reboot",
            (f"sudo chmod 0666 {' '.join(node.path for node in closed) or '/dev/nvidia*'}",),
            root=True,
        ),
        Fix(
            "For good: look for NVreg_DeviceFileMode and for udev rules that change them",
            ("grep -rn NVreg_DeviceFile /etc/modprobe.d /usr/lib/modprobe.d",),
        ),
    )


CHECKS: tuple[Check, ...] = (Check(("device_node_permission",), _permission),)

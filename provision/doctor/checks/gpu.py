"""The GPU itself: lost, cut into instances, taken by others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provision.doctor.check import Check
from provision.doctor.checks.installing import REBOOT
from provision.doctor.checks.presence import driver_clue
from provision.doctor.checks.visible import select, variables_of
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.machine import MachineFacts
from provision.model.snapshot import Snapshot

_XID = re.compile(r"Xid \(PCI:[^)]*\): (\d+)")
_HARDWARE = {48, 62, 64, 74, 79, 95, 119, 120, 140, 143}
"""Xid numbers that NVIDIA's catalogue lays to the hardware or its firmware; those of applications (13, 31, 43, 45 …),
and what the GPU mends by itself (63, 92, 94), are none."""
_LOST = re.compile(r"is lost|requires? reset|fallen off|fell off", re.IGNORECASE)
_NO_START = re.compile(r"NVRM:.*RmInitAdapter failed")
_EXCLUSIVE = 46
_BUSY = 0.9


def _hardware(snapshot: Snapshot) -> Iterator[Finding]:
    """A GPU that the driver lost; or that is missing, and the kernel said why."""
    host, machine = snapshot.host, snapshot.machine
    if host is None or host.described:
        return
    lost = [
        item for item in host.gpus.attempts if item.source.startswith(("nvml", "nvidia-smi")) and _gone(item.detail)
    ]
    lines = _xids(machine) if machine is not None else ()
    missing = any(item.what == "number of GPUs" and item.readings[0][0] == "PCI bus" for item in host.disagreements)
    if not lost and not (lines and (missing or host.driver_state in (DriverState.UNKNOWN, DriverState.HUNG))):
        return
    numbers = sorted({int(found.group(1)) for clue in lines if (found := _XID.search(clue.what))})
    xid = f" (Xid {', '.join(map(str, numbers))})" if numbers else ""
    yield Finding(
        "hardware_fault_xid",
        Certainty.CERTAIN if lost else Certainty.LIKELY,
        f"{lost[0].detail}{xid}" if lost else f"the kernel reports a fault of the GPU{xid}",
        (*(Clue(item.source, item.detail) for item in lost), *lines, driver_clue(host)),
        (
            REBOOT,
            Fix(
                "Where it returns: look at power, cooling and seat of the card",
                ("sudo dmesg | grep -i xid",),
                root=True,
            ),
        ),
        explains=("driver_hung", "driver_unloaded_needs_reboot", "device_node_permission"),
        data={"xid": numbers},
    )


def _no_start(snapshot: Snapshot) -> Iterator[Finding]:
    """A GPU that the module could not start: the hardware is one reason of several."""
    host, machine = snapshot.host, snapshot.machine
    if host is None or machine is None or host.described or host.driver_state is not DriverState.UNKNOWN:
        return
    lines = [Clue(source, line) for source, line in machine.kernel_log if _NO_START.search(line)][-3:]
    if lines and not _xids(machine):
        yield Finding(
            "hardware_fault_xid",
            Certainty.POSSIBLE,
            "the kernel module could not start the GPU (RmInitAdapter failed): firmware, kind of module, or hardware",
            (*lines, driver_clue(host)),
            (REBOOT, Fix("See what the kernel says", ("sudo dmesg | grep -i NVRM",), root=True)),
        )


def _gone(text: str) -> bool:
    return bool(_LOST.search(text))


def _xids(machine: MachineFacts) -> tuple[Clue, ...]:
    return tuple(
        Clue(source, line)
        for source, line in machine.kernel_log
        if (found := _XID.search(line)) and int(found.group(1)) in _HARDWARE
    )[-3:]


def _mig(snapshot: Snapshot) -> Iterator[Finding]:
    """MIG mode without an instance; several instances asked for, of which a process sees one."""
    host = snapshot.host
    gpus = (host.gpus.value or ()) if host else ()
    if host is None or not gpus:
        return
    empty = [gpu for gpu in gpus if gpu.mig and not gpu.mig_devices]
    if len(empty) == len(gpus) and host.driver_state is not DriverState.WORKING:
        index = empty[0].index or 0
        yield Finding(
            "mig_config",
            Certainty.CERTAIN,
            f"{', '.join(gpu.name for gpu in empty)}: MIG mode is on and no MIG device exists, so CUDA sees no GPU",
            (
                *(Clue(host.gpus.source, f"GPU {gpu.index}: MIG mode on, no MIG device") for gpu in empty),
                driver_clue(host),
            ),
            (
                Fix(
                    "Make instances (choose the profile from the first list)",
                    (f"sudo nvidia-smi mig -i {index} -lgip", f"sudo nvidia-smi mig -i {index} -cgi PROFILE -C"),
                    root=True,
                ),
                Fix("Turn MIG mode off", (f"sudo nvidia-smi -i {index} -mig 0",), root=True),
            ),
        )
    visible = variables_of(snapshot).get("CUDA_VISIBLE_DEVICES", "")
    instances = [token.strip() for token in visible.split(",") if token.strip().lower().startswith("mig-")]
    if len(instances) > 1:
        yield Finding(
            "mig_config",
            Certainty.CERTAIN,
            f"CUDA_VISIBLE_DEVICES names {len(instances)} MIG devices; a process sees the first alone",
            (
                Clue("variable CUDA_VISIBLE_DEVICES", visible),
                Clue("CUDA programming guide", "one MIG instance a process"),
            ),
            (
                Fix("Name one, and start one process for each", (f"export CUDA_VISIBLE_DEVICES={instances[0]}",)),
                Fix("Turn MIG mode off to use the whole GPU", ("sudo nvidia-smi -mig 0",), root=True),
            ),
        )


def _busy(snapshot: Snapshot) -> Iterator[Finding]:
    """Memory that others hold, or a compute mode that lets one process in."""
    host, machine = snapshot.host, snapshot.machine
    if host is None:
        return
    if machine is not None and machine.cuda_result == _EXCLUSIVE:
        yield Finding(
            "gpu_busy_other_process",
            Certainty.CERTAIN,
            "cuInit answers 46 (device unavailable): the GPU is in exclusive mode and another process has it",
            (Clue("driver", "cuInit answers 46"), driver_clue(host)),
            (
                Fix("See who has it, and end that", ("nvidia-smi",)),
                Fix("Let several processes in", ("sudo nvidia-smi -c DEFAULT",), root=True),
            ),
        )
    known = _used(snapshot, host)
    full = [gpu for gpu in known if (gpu.memory_used_mib or 0) >= _BUSY * (gpu.memory_mib or 1)]
    if not full or host.driver_state in (DriverState.HIDDEN, DriverState.NOT_PASSED):
        return
    holders = [item for gpu in full for item in gpu.processes]
    pids = " ".join(str(item.pid) for item in holders if item.pid is not None)
    yield Finding(
        "gpu_busy_other_process",
        _certainty(known, full, told=bool(holders)),
        "; ".join(
            f"GPU {gpu.index} ({gpu.name}): {gpu.memory_used_mib} of {gpu.memory_mib} MiB are taken" for gpu in full
        ),
        (
            *(
                Clue(host.gpus.source, f"GPU {gpu.index}: {gpu.memory_used_mib} of {gpu.memory_mib} MiB used")
                for gpu in full
            ),
            *(Clue(host.gpus.source, f"{item.name}, pid {item.pid}, {item.memory_mib} MiB") for item in holders[:8]),
        ),
        (
            Fix("End what is not needed any more", ("nvidia-smi", *((f"kill {pids}",) if pids else ()))),
            _elsewhere(known, full),
            Fix("Let TensorFlow take only what it needs", ("export TF_FORCE_GPU_ALLOW_GROWTH=true",)),
        ),
        data={"used_mib": [gpu.memory_used_mib for gpu in full], "memory_mib": [gpu.memory_mib for gpu in full]},
    )


def _used(snapshot: Snapshot, host: HostFacts) -> list[Gpu]:
    """Return the GPUs that TensorFlow would use and whose memory is known."""
    gpus = [gpu for gpu in host.gpus.value or () if not gpu.mig]
    value = variables_of(snapshot).get("CUDA_VISIBLE_DEVICES")
    chosen = select(value, gpus) if value is not None else None
    if chosen is not None:
        numbers = {int(token) for token in chosen.shown if token.isdecimal()}
        names = tuple(token.lower() for token in chosen.shown if not token.isdecimal())
        gpus = [gpu for gpu in gpus if gpu.index in numbers or (names and (gpu.uuid or "").lower().startswith(names))]
    return [gpu for gpu in gpus if gpu.memory_mib and gpu.memory_used_mib is not None]


def _certainty(known: Sequence[Gpu], full: Sequence[Gpu], *, told: bool) -> Certainty:
    """Where memory is left on some GPUs, it depends on the program which of them it takes; most take the first."""
    if len(full) == len(known):
        return Certainty.CERTAIN if told else Certainty.LIKELY
    return Certainty.LIKELY if known[0] in full else Certainty.POSSIBLE


def _elsewhere(known: Sequence[Gpu], full: Sequence[Gpu]) -> Fix:
    free = next((gpu for gpu in known if gpu not in full and gpu.index is not None), None)
    if free is None:
        return Fix("Use another machine or another time")
    return Fix(
        f"Use GPU {free.index}, which has memory left",
        ("export CUDA_DEVICE_ORDER=PCI_BUS_ID", f"export CUDA_VISIBLE_DEVICES={free.index}"),
    )


CHECKS: tuple[Check, ...] = (
    Check(("hardware_fault_xid",), _hardware),
    Check(("hardware_fault_xid",), _no_start),
    Check(("mig_config",), _mig),
    Check(("gpu_busy_other_process",), _busy),
)

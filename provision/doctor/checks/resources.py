"""Memory, limits and file systems."""

from __future__ import annotations

from collections.abc import Iterator

from provision.doctor.check import Check
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState
from provision.model.machine import Mount
from provision.model.snapshot import Snapshot

_MIB = 1 << 20
_ADDRESS_SPACE_MIB = 1536
"""The import alone maps 1130 MiB (2.4.1) to 1400 MiB (2.21.0), measured without a GPU; in 1 GiB it fails."""
_LEAST_MEMORY_MIB = 640
"""It touches 270 to 555 MiB of them."""
_FULL_MIB = 16
_OUT_OF_MEMORY = 2
_MOUNTS = "/proc/self/mountinfo"


def _address_space(snapshot: Snapshot) -> Iterator[Finding]:
    """A limit of the address space in which TensorFlow cannot be loaded, or CUDA cannot start."""
    machine = snapshot.machine
    if machine is None or machine.address_space is None:
        return
    mib = machine.address_space // _MIB
    host = snapshot.host
    gpu = max((item.memory_mib or 0 for item in (host.gpus.value or () if host else ())), default=0)
    # cuInit reserves addresses for all memory of machine and GPUs together; where it works, the limit is wide enough.
    fails = host is not None and host.driver_state is DriverState.UNKNOWN and machine.cuda_result not in (0, None)
    short = mib < _ADDRESS_SPACE_MIB
    if not short and not (fails and gpu and mib < (machine.memory_mib or 0) + gpu):
        return
    yield Finding(
        "host_memory_or_noexec",
        Certainty.CERTAIN if short or machine.cuda_result == _OUT_OF_MEMORY else Certainty.LIKELY,
        f"the address space is limited to {mib} MiB: "
        + ("TensorFlow's libraries do not fit into it" if short else "CUDA reserves more than that when it starts"),
        (Clue("/proc/self/limits", f"Max address space {machine.address_space}"),),
        (
            Fix(
                "Lift the limit in this shell (ulimit -v), or where the job or the login sets it",
                ("ulimit -v unlimited",),
            ),
        ),
        data={"found": f"{mib} MiB", "needs": "unlimited"},
    )


def _memory(snapshot: Snapshot) -> Iterator[Finding]:
    """Less memory than the import of TensorFlow takes."""
    machine = snapshot.machine
    if machine is None or machine.memory_limit_mib is None or machine.memory_limit_mib >= _LEAST_MEMORY_MIB:
        return
    yield Finding(
        "host_memory_or_noexec",
        Certainty.LIKELY,
        f"this control group may use {machine.memory_limit_mib} MiB of memory; importing TensorFlow takes as much",
        (Clue("/sys/fs/cgroup", f"memory limit {machine.memory_limit_mib} MiB"),),
        (Fix("Start the container or job with more memory, at least 4 GiB", ("docker run --memory 4g IMAGE",)),),
        data={"found": f"{machine.memory_limit_mib} MiB"},
    )


def _noexec(snapshot: Snapshot) -> Iterator[Finding]:
    """An environment on a file system from which nothing may be executed."""
    machine = snapshot.machine
    place = machine.mount("environment") if machine else None
    point = place.point if place and place.noexec else ""
    if not point:
        return
    yield Finding(
        "host_memory_or_noexec",
        Certainty.CERTAIN,
        f"the environment lies on {point}, which is mounted noexec: no library of it can be loaded",
        (Clue(_MOUNTS, f"{point} {place.kind if place else ''} noexec".replace("  ", " ")),),
        (
            Fix("Make the environment on another file system", ("tfgpu-provision create ~/.venvs/tf",)),
            Fix("Mount it again with execution", (f"sudo mount -o remount,exec {point}",), root=True),
        ),
        data={"mount": point},
    )


def _disk(snapshot: Snapshot) -> Iterator[Finding]:
    """No space or no inodes left; what cannot be written anyway is left out."""
    machine = snapshot.machine
    if machine is None:
        return
    full = [item for item in machine.mounts if item.purpose != "shared memory" and not item.read_only and _full(item)]
    if not full:
        return
    yield Finding(
        "disk_full",
        Certainty.CERTAIN,
        "; ".join(f"{item.path} ({item.purpose}): {_left(item)}" for item in full),
        tuple(Clue(f"statvfs {item.path}", f"{_left(item)} on {item.point or item.path} {item.kind}") for item in full),
        (
            Fix(
                "Free space there: caches first",
                (f"df -h {' '.join(item.path for item in full)}", "uv cache prune", "pip cache purge"),
            ),
        ),
        data={"mounts": [item.path for item in full]},
    )


def _full(item: Mount) -> bool:
    return (item.free_mib is not None and item.free_mib < _FULL_MIB) or item.free_inodes == 0


def _left(item: Mount) -> str:
    return "no inode left" if item.free_inodes == 0 else f"{item.free_mib} MiB left"


CHECKS: tuple[Check, ...] = (
    Check(("host_memory_or_noexec",), _address_space),
    Check(("host_memory_or_noexec",), _memory),
    Check(("host_memory_or_noexec",), _noexec),
    Check(("disk_full",), _disk),
)

"""What doctor needs of the machine beyond `HostFacts`: modules, rights, limits, file systems, the kernel's log.

Nothing that `HostFacts` knows is found out twice; what only costs time on a machine in order (the kernel's log, the
modules of other kernels) is read only where the driver does not work.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from provision.host.driver import libcudas, secure_boot
from provision.host.machine import read_text
from provision.host.parsers import parse_proc_version
from provision.host.paths import link_target, resolve
from provision.host.readings import CUDA_MEANINGS
from provision.model.host import DriverState, HostFacts
from provision.model.machine import DeviceNode, Display, DriverLibrary, MachineFacts
from provision.snapshot import kernel, resources
from provision.system import System

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_MEANT = {text: code for code, text in CUDA_MEANINGS.items()}
_OF_DRIVER = re.compile(r"libcuda\.so\.(\d{3}\.\d+(?:\.\d+)?)\Z")


def read_machine(
    system: System, host: HostFacts | None, *, variables: Mapping[str, str], prefix: Path | None
) -> MachineFacts:
    """Return what is known of the machine; never raises for what it finds.

    Args:
        system: the door.
        host: what is known already; of a described machine nothing can be read here.
        variables: the user's environment variables.
        prefix: the environment that is looked at, for the file system below it.
    """
    codes = _results(host)
    if host is not None and host.described:
        return MachineFacts(cuda_result=codes[0], cuda_result_all=codes[1])
    release, modules = kernel.release(system), kernel.modules(system)
    facts = MachineFacts(
        kernel=release,
        modules=modules,
        open_module=parse_proc_version(read_text(system, "/proc/driver/nvidia/version", []) or "").open,
        displays=_displays(system),
        nodes=_nodes(system, host),
        groups=_groups(),
        libcudas=_libcudas(system, host, variables),
        cuda_result=codes[0],
        cuda_result_all=codes[1],
        address_space=resources.address_space(system),
        memory_mib=resources.memory_mib(system),
        memory_limit_mib=resources.memory_limit_mib(system),
        mounts=resources.mounts(system, prefix, variables),
    )
    if host is not None and _in_order(host):
        return facts
    return dataclasses.replace(
        facts,
        module_files=kernel.module_files(system, release) if modules is None or "nvidia" not in modules else None,
        other_kernels=kernel.others_with_module(system, release),
        blocked=kernel.blocked(system),
        secure_boot=secure_boot(system),
        kernel_log=kernel.log(system),
        reboot_required=(read_text(system, "/run/reboot-required", []) or "").strip()[:200],
    )


def _in_order(host: HostFacts) -> bool:
    """Whether there is nothing more to ask the kernel: the driver serves every GPU, or there is none."""
    served = not any(item.what == "number of GPUs" for item in host.disagreements)
    return host.driver_state is DriverState.NO_GPU or (host.driver_state is DriverState.WORKING and served)


def _results(host: HostFacts | None) -> tuple[int | None, int | None]:
    """Return what cuInit answered, with CUDA_VISIBLE_DEVICES and without, out of the attempts of `HostFacts`."""
    told = {attempt.source: attempt for attempt in host.gpus.attempts} if host else {}

    def code(source: str) -> int | None:
        attempt = told.get(source)
        if attempt is None:
            return None
        number = re.fullmatch(r"CUresult (\d+)", attempt.detail)
        if attempt.outcome == "ok" and not attempt.detail:
            return 0
        return int(number.group(1)) if number else _MEANT.get(attempt.detail)

    own = code("libcuda")
    return own, code(f"libcuda without {_VISIBLE}") if f"libcuda without {_VISIBLE}" in told else own


def _displays(system: System) -> tuple[Display, ...] | None:
    folder = "/sys/bus/pci/devices"
    if not system.exists(folder):
        return None
    found = []
    for path in system.glob(folder, "*"):
        kind, vendor, device = (
            (read_text(system, f"{path}/{name}", []) or "").strip().lower() for name in ("class", "vendor", "device")
        )
        if kind.startswith("0x03"):
            driver = link_target(system.path(f"{path}/driver")) or ""
            found.append(Display(Path(path).name, vendor, device, driver))
    return tuple(found)


def _nodes(system: System, host: HostFacts | None) -> tuple[DeviceNode, ...]:
    found = []
    for path in (host.device_nodes.value or ()) if host else ():
        place = system.path(path)
        try:
            status = place.stat()
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        usable = os.access(place, os.R_OK | os.W_OK)
        mode, owner, group = stat.filemode(status.st_mode), _user(status.st_uid), _group(status.st_gid)
        found.append(DeviceNode(path, mode, owner, group, usable))
    return tuple(found)


def _user(number: int) -> str:
    try:
        import pwd  # noqa: PLC0415 - not on every system

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)


def _group(number: int) -> str:
    try:
        import grp  # noqa: PLC0415 - not on every system

        return grp.getgrgid(number).gr_name
    except (ImportError, KeyError):
        return str(number)


def _groups() -> tuple[str, ...]:
    return tuple(sorted({_group(number) for number in (*os.getgroups(), os.getegid())}))


def _libcudas(system: System, host: HostFacts | None, variables: Mapping[str, str]) -> tuple[DriverLibrary, ...]:
    own = dataclasses.replace(system, environ=dict(variables))
    led: dict[str, str] = {}
    for folder in variables.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        file = resolve(Path(folder) / "libcuda.so.1") if folder else None
        if file is not None:
            led.setdefault(str(file), folder)
    machine = (host.machine.value if host else None) or ""
    return tuple(_library(path, led.get(path, "")) for path in libcudas(own, machine))


def _library(path: str, folder: str) -> DriverLibrary:
    version = _OF_DRIVER.search(path)
    kind = "driver" if version else "unknown"
    if "/compat" in path or "/compat" in folder:
        kind = "compat"
    elif "/stubs/" in path or "/stubs" in folder:
        kind = "stub"
    elif "/wsl/" in path:
        kind = "driver"
    return DriverLibrary(path, kind, version.group(1) if version else "", folder)

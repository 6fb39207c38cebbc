"""Findings from the kernel, the module loader, the driver's installer and nvidia-smi."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.log import fixes
from provision.doctor.log.seen import LIKELY, SURE, Seen
from provision.model.doctor import Finding, Fix
from provision.model.log import Signal

# https://docs.nvidia.com/deploy/xid-errors/: those that speak of the hardware or the link to it, not of a program
_HARDWARE_XIDS = frozenset(
    {"48", "54", "61", "62", "63", "64", "74", "79", "92", "94", "95", "110", "119", "120", "136", "140", "143"}
    | {str(number) for number in range(144, 151)}  # NVLink
)
_UNFIT = re.compile(r"unknown symbol|invalid argument|exec format|invalid module", re.IGNORECASE)


def modules(seen: Seen) -> Iterator[Finding]:
    """Yield why the kernel has no NVIDIA module, or not the right one."""
    others = [
        item for item in seen.all("unsigned-module") if "nvidia" not in item.fields.get("module", "nvidia").lower()
    ]
    # the same is said of every module: where a line names another one, the rest only counts if NVIDIA's is named too
    unsigned = [item for item in seen.all("unsigned-module") if item not in others]
    if unsigned and (not others or any("nvidia" in item.text.lower() for item in unsigned)):
        what = "the kernel refuses the NVIDIA module because no key that Secure Boot knows has signed it"
        yield seen.finding("secure_boot_or_nouveau", SURE, what, unsigned, *fixes.SIGN)
    if nouveau := seen.all("nouveau"):
        what = "another kernel driver (nouveau or a frame buffer) holds the GPU, so NVIDIA's module cannot take it"
        yield seen.finding("secure_boot_or_nouveau", SURE, what, nouveau, fixes.BLACKLIST)
    if unsupported := seen.all("unsupported-gpu"):
        branch = next((item.fields["branch"] for item in unsupported if "branch" in item.fields), None)
        serves = f"the {branch} branch does" if branch else "another branch, or the other kind of module, does"
        what = f"the installed driver does not serve this GPU: {serves}"
        other = Fix("see which drivers serve it and install one of them", ("ubuntu-drivers devices",))
        yield seen.finding("driver_does_not_support_gpu", SURE, what, unsupported, other, branch=branch)
    unfit = seen.all("module-symbols") + [item for item in seen.all("modprobe") if _UNFIT.search(item.fields["error"])]
    if unfit:
        what = "an NVIDIA kernel module cannot be loaded: it does not fit the running kernel or the loaded module"
        yield seen.finding("driver_unloaded_needs_reboot", LIKELY, what, unfit, fixes.reboot(seen)[0], fixes.UVM)
    unbuilt = seen.all("dkms-added") if seen.has("smi-no-driver", "nvml-not-loaded", "no-kernel-driver") else []
    if absent := seen.all("modprobe-missing", "dkms-failed") + unbuilt:
        what = "there is no NVIDIA kernel module for the running kernel"
        yield seen.finding("driver_missing", LIKELY, what, absent, fixes.BUILD_MODULE, fixes.driver(seen))
    if (none := seen.all("no-nvidia-hardware")) and not seen.has("nouveau", "unsupported-gpu"):
        what = "the driver finds no NVIDIA GPU in this machine"
        yield seen.finding("no_nvidia_gpu", LIKELY, what, none, fixes.LOOK_FOR_GPU)


def hardware(seen: Seen) -> Iterator[Finding]:
    """Yield that the GPU itself fails."""
    hard = [item for item in seen.all("xid") if _numbers(item) & _HARDWARE_XIDS]
    if lost := seen.all("gpu-lost", "fell-off", "hardware-error"):
        what = "the GPU no longer answers, or reports an error of its memory"
        yield seen.finding("hardware_fault_xid", SURE, what, [*lost, *hard], fixes.POWER)
    elif hard:
        numbers = ", ".join(sorted({number for item in hard for number in _numbers(item) & _HARDWARE_XIDS}))
        what = f"the driver reports Xid {numbers}, which speaks of the hardware"
        yield seen.finding("hardware_fault_xid", LIKELY, what, hard, fixes.POWER, xid=numbers)


def _numbers(item: Signal) -> set[str]:
    """Return the number of an Xid, and the one that it says it follows from."""
    return {item.fields["number"], *re.findall(r"previous Xid (\d+)", item.fields.get("text", ""))}


def mismatch(seen: Seen) -> Iterator[Finding]:
    """Yield that kernel module and driver libraries are of two versions."""
    if seen.works:
        return
    signals = seen.all("version-mismatch", "nvrm-mismatch", "nvml-mismatch", "driver-mismatch")
    kernel, library = _told(seen, "kernel-version", "nvrm-version"), _told(seen, "libcuda-version")
    for item in signals:
        kernel, library = item.fields.get("kernel", kernel), item.fields.get("library", library)
    for part in seen.missing_of("driver-part"):
        number = part.name.rsplit(".so.", 1)[-1]
        if kernel and _three(number) != _three(kernel):
            signals.append(part.signal)
            library = library or number
    if not signals and kernel and library and _three(kernel) != _three(library):
        signals = seen.all("kernel-version", "libcuda-version")
    if signals:
        versions = f": module {kernel}, libraries {library}" if kernel and library else ""
        what = f"kernel module and libraries of the driver are of different versions{versions}"
        found = {"kernel": kernel, "library": library}
        yield seen.finding("driver_library_mismatch", SURE, what, signals, *fixes.reboot(seen), **found)


def _told(seen: Seen, *families: str) -> str | None:
    return next((item.fields["version"] for item in seen.all(*families) if "version" in item.fields), None)


def _three(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.findall(r"\d+", version)[:3]]
    return (*parts, 0, 0, 0)[:3]


def rights(seen: Seen) -> Iterator[Finding]:
    """Yield that the driver's devices are not there, or not for this user."""
    if refused := seen.all("nvml-rights"):
        what = "this user may not open the driver's devices"
        yield seen.finding("device_node_permission", SURE, what, refused, fixes.RIGHTS)
    node = seen.first("no-device-node")
    failed = seen.says("cuinit", "error", r"UNKNOWN\Z|\(999\)|\b999\b")
    # a driver that says "unknown" could not make its node; one that says "no device" was given none
    if node and failed and not seen.works and not seen.container:
        what = "the kernel module is loaded, and its device node is not there"
        yield seen.finding("device_node_permission", LIKELY, what, [node, failed], fixes.NODES)

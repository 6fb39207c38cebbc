"""The kernel: which modules are loaded, which could be, what keeps them out, and what it said."""

from __future__ import annotations

import re

from provision.host.machine import read_text
from provision.system import System

_OF_INTEREST = ("nvidia", "nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nouveau", "vfio_pci", "nova_core")
_MODULE = re.compile(
    r"^(\S*/nvidia(?:-(?:current|open|legacy|tesla)[\w.-]*?)?(?<!-uvm)(?<!-drm)(?<!-modeset)(?<!-peermem)"
    r"\.ko(?:\.\w+)?):",
    re.MULTILINE,
)
_BLOCKED = re.compile(
    r"^\s*(?:blacklist\s+nvidia|install\s+nvidia\s+/(?:usr/)?bin/(?:false|true)|alias\s+nvidia\s+off)\s*$"
)
_SAID = re.compile(
    r"NVRM|Xid|nouveau|nvidia[\w-]*: (?:module verification|disagrees|version magic|Unknown symbol)"
    r"|[Ll]oading of (?:unsigned )?module|[Kk]ey was rejected|Lockdown:.*unsigned module"
)
_STARTED = re.compile(r"\bLinux version \d")
_LOG_BYTES = 1 << 20
_DEP_BYTES = 16 << 20
_LINES = 60


def release(system: System) -> str:
    """Return the release of the running kernel, empty where it cannot be read."""
    return (read_text(system, "/proc/sys/kernel/osrelease", []) or "").strip()


def modules(system: System) -> tuple[str, ...] | None:
    """Return which of the modules that matter are loaded, None where nobody can say."""
    text = read_text(system, "/proc/modules", [])
    if text is None:
        return None
    loaded = {line.split(" ", 1)[0] for line in text.splitlines()}
    # A driver built into the kernel is not in that list.
    return tuple(name for name in _OF_INTEREST if name in loaded or system.exists(f"/sys/module/{name}/initstate"))


def module_files(system: System, kernel: str) -> tuple[str, ...] | None:
    """Return the NVIDIA modules that `modprobe` knows for a kernel, None where its list cannot be read."""
    folder = f"/lib/modules/{kernel}"
    try:
        text = system.read_text(f"{folder}/modules.dep", _DEP_BYTES) if kernel else None
    except OSError:
        return None
    return None if text is None else tuple(f"{folder}/{path}" for path in _MODULE.findall(text))


def others_with_module(system: System, kernel: str) -> tuple[str, ...]:
    """Return the installed kernels other than ``kernel`` for which there is an NVIDIA module."""
    names = (path.split("/")[-2] for path in system.glob("/lib/modules", "*/modules.dep"))
    return tuple(name for name in names if name != kernel and module_files(system, name))


def blocked(system: System) -> tuple[tuple[str, str], ...]:
    """Return the lines of modprobe's configuration that keep the module ``nvidia`` out, each with its file."""
    return tuple(
        (path, line.strip())
        for folder in ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
        for path in system.glob(folder, "*.conf")
        for line in (read_text(system, path, []) or "").splitlines()
        if _BLOCKED.match(line)
    )


def log(system: System) -> tuple[tuple[str, str], ...]:
    """Return what the kernel said about GPUs since it started, each line with its source; empty where not readable.

    1. ``dmesg``, which many systems give to root alone; 2. the log files, of which only what follows the last start
    of the kernel counts.
    """
    program = system.which("dmesg")
    if program:
        told = system.run([program], timeout=5, env={**system.environ, "LC_ALL": "C"})
        if told.ok and told.stdout.strip():
            return _lines("dmesg", told.stdout)
    for path in ("/var/log/kern.log", "/var/log/messages", "/var/log/dmesg"):
        text = _end_of(system, path)
        if text:
            starts = [found.start() for found in _STARTED.finditer(text)]
            return _lines(path, text[starts[-1] :] if starts else text)
    return ()


def _lines(source: str, text: str) -> tuple[tuple[str, str], ...]:
    found = [line.strip()[:300] for line in text.splitlines() if _SAID.search(line)]
    return tuple((source, line) for line in found[-_LINES:])


def _end_of(system: System, path: str) -> str:
    try:
        with system.path(path).open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _LOG_BYTES))
            return stream.read(_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""

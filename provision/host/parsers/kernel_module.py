"""``/proc/driver/nvidia/version`` and ``/proc/driver/nvidia/gpus/*/information``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provision.model.versions import DriverVersion

_LINE = re.compile(r"NVRM version\s*:\s*(.*)", re.IGNORECASE)
_VERSION = re.compile(r"(?<![\w.])(\d{2,4}\.\d{1,4}(?:\.\d{1,4})?)(?![\w.])", re.ASCII)


@dataclass(frozen=True)
class KernelModule:
    """The loaded kernel module: its version, and whether it is the open one."""

    version: DriverVersion | None
    open: bool | None


def parse_proc_version(text: str) -> KernelModule:
    """Read the file, closed (``NVIDIA UNIX x86_64 Kernel Module  V``) or open (``… Open Kernel Module for x86_64  V``).

    Never raises; a text without the NVRM line gives an unknown version.
    """
    line = _LINE.search(text)
    if line is None:
        return KernelModule(None, None)
    words = line.group(1)[:500]
    _, module, rest = words.partition("Module")
    found = _VERSION.search(rest if module else words)
    return KernelModule(DriverVersion(found.group(1)) if found else None, "open kernel module" in words.lower())


def parse_gpu_information(text: str) -> dict[str, str]:
    """Return ``Model``, ``GPU UUID``, ``Bus Location`` and so on; values that are not known yet are left out.

    The driver fills the UUID in with question marks until the GPU was used for the first time.
    """
    pairs = re.findall(r"^([A-Z][\w /]{1,40}?)\s*:\s*(.+?)\s*$", text, re.MULTILINE)
    return {key: value for key, value in pairs if "?" not in value and not value.startswith("Unknown")}

"""The machine of the laboratory: described files as root, a fake driver, variables, a home, a folder to stand in.

What is not described is this machine's: links lead to its programs and libraries. CUDA toolkits of this machine are
not shown, so that the answer is the same everywhere.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

KERNEL = "6.8.0-45-generic"
DRIVER = "570.86.10"
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_OWN = ("proc", "sys", "dev", "run", "usr", "lib", "etc", "var")
"""Folders of the root that are described; everything else is this machine's."""
_SHOWN = ("ld.so.conf", "ld.so.conf.d", "os-release", "passwd", "group")
_FLAGS = "fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt avx f16c avx2 bmi1 bmi2 fma avx512f"


@dataclass
class Machine:
    """A machine with one GeForce RTX 3090 and a working driver, until a fault changes it.

    Attributes:
        root: what `provision.system.System` reads below.
        home: the user's.
        folder: where the user stands.
        driver: a folder with the fake driver.
        variables: the user's.
    """

    root: Path
    home: Path
    folder: Path
    driver: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, place: Path, driver: Path) -> Machine:
        """Describe the sound machine below ``place``."""
        made = cls(place / "root", place / "home", place / "project", driver)
        for folder in (made.root, made.home, made.folder, place / "bin"):
            folder.mkdir(parents=True)
        for entry in Path("/").iterdir():
            if entry.name not in _OWN and not entry.name.startswith("."):  # the marks of a container are hidden
                (made.root / entry.name).symlink_to(entry)
        made._show("/usr", hidden=("local",))
        made._show("/lib", hidden=("modules",))
        for name in _SHOWN:
            made._show_file(f"/etc/{name}")
        made.file("/proc/sys/kernel/osrelease", f"{KERNEL}\n")
        made.file("/proc/cpuinfo", f"processor\t: 0\nflags\t\t: {_FLAGS}\n")
        made.file("/proc/meminfo", "MemTotal:       65536000 kB\n")
        made.file("/proc/self/limits", "Max address space         unlimited            unlimited            bytes\n")
        made.file("/proc/self/mountinfo", "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n")
        made.file("/proc/1/cgroup", "0::/init.scope\n")
        made.folder_at("/sys/bus/pci/devices")
        made.folder_at("/dev/shm")
        made.program("dmesg", "exit 1")
        made.variables = {
            "PATH": f"{place / 'bin'}:/usr/bin:/bin",
            "HOME": str(made.home),
            "USER": "you",
            "LC_ALL": "C",
        }
        made.variables["LD_LIBRARY_PATH"] = str(driver)
        made.pci("0000:00:02.0", "0x4680", vendor="0x8086", held_by="i915")
        made.pci("0000:01:00.0", "0x2204", held_by="nvidia")
        made.modules("nvidia", "nvidia_uvm", "nvidia_modeset")
        for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
            made.file(f"/dev/{name}")
        return made

    def file(self, path: str, text: str = "") -> Path:
        """Write a file below the root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def folder_at(self, path: str) -> Path:
        """Make a folder below the root."""
        target = self.root / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        return target

    def program(self, name: str, script: str) -> None:
        """Put a shell script first on PATH."""
        path = self.root.parent / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def says(self, text: str) -> None:
        """Make ``dmesg`` print this."""
        self.program("dmesg", f"cat <<'END'\n{text}\nEND")

    def pci(self, address: str, device: str, *, vendor: str = "0x10de", held_by: str = "") -> None:
        """Put a display device on the PCI bus, or give the one there to another driver."""
        folder = f"/sys/bus/pci/devices/{address}"
        for name, value in (("vendor", vendor), ("device", device), ("class", "0x030000")):
            self.file(f"{folder}/{name}", f"{value}\n")
        link = self.root / folder.lstrip("/") / "driver"
        link.unlink(missing_ok=True)
        if held_by:
            link.symlink_to(self.folder_at(f"/sys/bus/pci/drivers/{held_by}"))

    def modules(self, *names: str, version: str = DRIVER) -> None:
        """Load these kernel modules and no others of NVIDIA."""
        self.file("/proc/modules", "".join(f"{name} 1 0 - Live 0x0\n" for name in names))
        told = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")
        for path in told:
            (self.root / path.lstrip("/")).unlink(missing_ok=True)
        if "nvidia" in names:
            self.file(told[0], f"{version}\n")
            self.file(told[1], f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Jan  9 2025\n")

    def installed_module(self, kernel: str = KERNEL) -> None:
        """Install the driver's module for a kernel, without loading it."""
        self.file(
            f"/lib/modules/{kernel}/modules.dep",
            "updates/dkms/nvidia.ko.zst:\nupdates/dkms/nvidia-uvm.ko.zst: updates/dkms/nvidia.ko.zst\n",
        )

    def without_nodes(self, *names: str) -> None:
        """Remove device files, all of them where none is named."""
        for path in (self.root / "dev").glob("nvidia*"):
            if not names or path.name in names:
                path.unlink()

    def without_driver(self) -> None:
        """Uninstall the driver: its libraries, its module, its device files; the GPU stays."""
        self.off_library_path(self.driver)
        self.modules()
        self.without_nodes()
        self.pci("0000:01:00.0", "0x2204")

    def without_gpu(self) -> None:
        """Take out the GPU, everything of it, and the display of the processor."""
        self.without_driver()
        shutil.rmtree(self.root / "sys/bus/pci/devices")
        self.folder_at("/sys/bus/pci/devices")

    def unloaded(self) -> None:
        """Keep the driver installed and unload its module."""
        self.modules()
        self.without_nodes()
        self.pci("0000:01:00.0", "0x2204")
        self.fails("nvmlInit_v2=9", "nvmlInitWithFlags=9", "nvmlInit=9", "cuInit=100")

    def fails(self, *codes: str) -> None:
        """Make functions of the fake driver return codes, ``cuInit=999``."""
        self.variables["FAKEGPU_ERRORS"] = ";".join(filter(None, (self.variables.get("FAKEGPU_ERRORS", ""), *codes)))

    def gpu(self, **settings: object) -> None:
        """Describe the GPU: ``cc="9.0"``, ``driver="550.54.15"``, see fakedriver/fake_driver.c."""
        for name, value in settings.items():
            self.variables[f"FAKEGPU_{name.upper()}"] = str(value)
        if "driver" in settings:
            self.modules("nvidia", "nvidia_uvm", "nvidia_modeset", version=str(settings["driver"]))

    def first_on_library_path(self, folder: Path) -> None:
        """Put a folder before everything else on LD_LIBRARY_PATH."""
        old = self.variables.get("LD_LIBRARY_PATH", "")
        self.variables["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, (str(folder), old)))

    def off_library_path(self, folder: Path) -> None:
        """Take a folder off LD_LIBRARY_PATH; an empty variable is unset."""
        left = [item for item in self.variables.get("LD_LIBRARY_PATH", "").split(os.pathsep) if item != str(folder)]
        self.variables["LD_LIBRARY_PATH"] = os.pathsep.join(left)
        if not any(left):
            del self.variables["LD_LIBRARY_PATH"]

    def _show(self, folder: str, hidden: tuple[str, ...]) -> None:
        shown = self.folder_at(folder)
        for entry in Path(folder).iterdir():
            if entry.name not in hidden:
                (shown / entry.name).symlink_to(entry)

    def _show_file(self, path: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(path).exists():
            target.symlink_to(path)

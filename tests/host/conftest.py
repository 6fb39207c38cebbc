"""A machine of our own: a folder as root, a folder as PATH, programs as shell scripts."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from provision.system import System


class Machine:
    """A root folder with files, and a PATH with programs, that `System` looks at instead of the real ones."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.home = folder / "home"
        for made in (self.root, self.bin, self.home):
            made.mkdir()
        self.environ = {"PATH": str(self.bin), "HOME": str(self.home), "LC_ALL": "C"}

    def file(self, path: str, text: str = "") -> Path:
        """Write a file below the root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def folder(self, path: str) -> Path:
        """Make a folder below the root."""
        target = self.root / path.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        return target

    def pci(
        self, address: str, device: str, *, vendor: str = "0x10de", kind: str = "0x030000", driver: str = ""
    ) -> None:
        """Put a device on the PCI bus."""
        folder = f"/sys/bus/pci/devices/{address}"
        self.file(f"{folder}/vendor", f"{vendor}\n")
        self.file(f"{folder}/device", f"{device}\n")
        self.file(f"{folder}/class", f"{kind}\n")
        if driver:
            target = self.folder(f"/sys/bus/pci/drivers/{driver}")
            (self.root / folder.lstrip("/") / "driver").symlink_to(target)

    def program(self, name: str, script: str, *, folder: Path | None = None) -> Path:
        """Put a shell script on PATH, or into another folder."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def python(self, path: Path) -> Path:
        """Put a link to the interpreter of this test run somewhere."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(Path(sys.executable).resolve())
        return path

    def system(self, **environ: str) -> System:
        """Return the door to this machine."""
        return System(environ={**self.environ, **environ}, root=self.root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)

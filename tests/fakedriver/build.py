"""Compile the fake driver: ``python tests/fakedriver/build.py FOLDER``, or `build` from a test.

The folder then holds ``libcuda.so.1`` and ``libnvidia-ml.so.1``; put it on LD_LIBRARY_PATH of a child process, and
describe the machine in that child's environment (the variables stand at the top of fake_driver.c).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_driver.c")
LIBRARIES = {"libcuda.so.1": "FAKE_LIBCUDA", "libnvidia-ml.so.1": "FAKE_NVML"}


def compiler() -> str | None:
    """Return a C compiler on PATH."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def build(folder: Path) -> Path:
    """Compile both libraries into ``folder``, which is made where it is missing; raises CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    cc = compiler()
    if cc is None:
        raise FileNotFoundError("no C compiler on PATH")
    for name, macro in LIBRARIES.items():
        argv = [cc, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", f"-Wl,-soname,{name}", f"-D{macro}"]
        subprocess.run([*argv, "-o", str(folder / name), str(SOURCE), "-ldl"], check=True)
    plain = folder / "libcuda.so"  # drivers bring this name too, and cuDNN 8 asks for it
    if not plain.is_symlink():
        plain.symlink_to("libcuda.so.1")
    return folder


if __name__ == "__main__":
    folder = build(Path(sys.argv[1] if len(sys.argv) > 1 else "fake-driver"))
    sys.stdout.write(f"{folder}\n")

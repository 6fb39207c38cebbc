"""What the preload hook costs: at every start of an interpreter, and once before TensorFlow where it has work to do.

    python benchmarks/hook.py                 in a bare environment of its own
    python benchmarks/hook.py PREFIX DRIVER   also what loading ahead costs in that wired environment; DRIVER is the
                                              folder of libcuda.so.1 (python tests/fakedriver/build.py DRIVER)

Starts with and without the hook alternate, so that other work on the machine meets both.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from timing import alternate, command, table

STARTS = 60
HOOK = Path(__file__).parents[1] / "provision/wiring/guest/_tfgpu_hook.py"
LINE = "import _tfgpu_hook; _tfgpu_hook.install()\n"
LOADS = """
import time, _tfgpu_hook
before = time.perf_counter()
_tfgpu_hook._preload()
print(1000 * (time.perf_counter() - before), len(_tfgpu_hook.PRELOAD))
"""


def starts(folder: Path) -> None:
    pythons = {}
    for name in ("without", "with"):
        venv.create(folder / name, symlinks=True)
        pythons[name] = folder / name / "bin/python"
    (site_packages,) = (folder / "with").glob("lib/python3*/site-packages")
    (site_packages / HOOK.name).write_text(HOOK.read_text())
    (site_packages / "_tfgpu.pth").write_text(LINE)
    jobs = {name: command([str(python), "-c", "pass"]) for name, python in pythons.items()}
    print(table(alternate(jobs, STARTS), "without"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    argv = [pythons["with"], "-X", "importtime", "-c", "pass"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stderr
    own = [int(match.group(1)) for match in re.finditer(r"\|\s+(\d+) \|\s+_tfgpu_hook", told)]
    print(f"import of the hook by -X importtime: {own[0] / 1000:.2f} ms" if own else "the hook was not imported")


def loads(prefix: Path, driver: Path) -> None:
    found = []
    for _ in range(5):
        done = subprocess.run(
            [prefix / "bin/python", "-c", LOADS],
            env={"LD_LIBRARY_PATH": str(driver)},
            capture_output=True,
            text=True,
            check=True,
        )
        milliseconds, count = done.stdout.split()
        found.append(float(milliseconds))
    print(f"loading {count} libraries ahead: median {statistics.median(found):.0f} ms, first {found[0]:.0f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        starts(Path(folder))
    if len(sys.argv) > 2:
        loads(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()

"""Warm create against uv and pip, from the same pins, alternating in one run; and what a second environment costs.

    python benchmarks/create.py --tf 2.21.0 --rounds 5 [--pip-rounds 2] [--json FILE]

"ours" is the whole command as a user types it, its own start included, with ``--no-verify``: verification is what
nobody else does, so it stands aside. "uv" is ``uv venv`` and ``uv pip install -r pins`` with the same uv, "pip" is
``python -m venv`` and ``pip install -r pins``. All three get the full list of exact versions of the first environment.
The cache is warm: one environment is made beforehand, and each tool runs once before it is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uv

LIMITS = {"uv": 1.3, "pip": 0.1}
SECOND_ENVIRONMENT_LIMIT = 0.02


def run(argv: list[str], *, fatal: bool = True) -> float:
    start = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    seconds = time.monotonic() - start
    if done.returncode and fatal:
        sys.exit(f"{' '.join(argv)}\nended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def disk_kib(*folders: Path) -> int:
    """Return what folders take together; a file with several names counts once (as ``du`` does)."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder in folders:
        for parent, names, files in os.walk(folder):
            for name in (*names, *files, "."):
                status = (Path(parent) / name).lstat()
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks // 2
    return total


class Bench:
    def __init__(self, folder: Path, tf: str, pins: Path, python: str) -> None:
        self.folder = folder
        self.tf = tf
        self.pins = pins
        self.python = python
        self.uv = os.fspath(uv.find_uv_bin())

    def ours(self, target: Path) -> float:
        command = [sys.executable, "-m", "provision", "create", "--tf", self.tf, "--python", self.python]
        return run([*command, "-r", str(self.pins), "--no-verify", "--json", str(target)])

    def with_uv(self, target: Path) -> float:
        names = {line.split("==")[0] for line in self.pins.read_text().splitlines()}
        sources = [f"--no-binary={name}" for name in ("termcolor", "wrapt", "clang") if name in names]
        made = run([self.uv, "venv", "-q", "-p", self.python, str(target)])
        return made + run([self.uv, "pip", "install", "-q", "-p", str(target), *sources, "-r", str(self.pins)])

    def with_pip(self, target: Path) -> float:
        made = run([self.python, "-m", "venv", str(target)])
        return made + run([str(target / "bin/python"), "-m", "pip", "install", "-q", "-r", str(self.pins)])

    def timed(self, tool: str) -> float:
        target = self.folder / f"{tool}-env"
        shutil.rmtree(target, ignore_errors=True)
        os.sync()
        seconds = {"ours": self.ours, "uv": self.with_uv, "pip": self.with_pip}[tool](target)
        shutil.rmtree(target)
        return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tf", default="2.21.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pip-rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work; on the file system of uv's cache")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-create-") as name:
        folder = Path(name).resolve()
        first = folder / "first"
        run([sys.executable, "-m", "provision", "create", "--tf", options.tf, "--no-verify", "--json", str(first)])
        lock = (first / ".tfgpu/lock.txt").read_text()
        pins = folder / "pins.txt"
        pins.write_text("".join(f"{line.split()[0]}\n" for line in lock.splitlines() if "==" in line.split(" ")[0]))
        record = json.loads((first / ".tfgpu/environment.json").read_text())
        python = os.path.realpath(first / "bin/python")
        bench = Bench(folder, options.tf, pins, python)
        second = folder / "second"
        bench.ours(second)
        alone, both = disk_kib(first), disk_kib(first, second)
        shutil.rmtree(second)
        times: dict[str, list[float]] = {"ours": [], "uv": [], "pip": []}
        for tool in times:
            if tool != "pip" or options.pip_rounds:
                print(f"warming {tool}: {bench.timed(tool):.2f} s", file=sys.stderr)
        for number in range(options.rounds):
            # Alternating, so that whatever else the machine does falls on all of them.
            for tool, values in times.items():
                if tool != "pip" or number < options.pip_rounds:
                    values.append(bench.timed(tool))
            shown = "  ".join(f"{tool} {values[-1]:.2f} s" for tool, values in times.items() if len(values) > number)
            print(f"round {number + 1}: {shown}", file=sys.stderr)
    medians = {tool: statistics.median(values) for tool, values in times.items() if values}
    ratios = {tool: medians["ours"] / medians[tool] for tool in LIMITS if tool in medians}
    share = (both - alone) / alone
    passed = all(ratios[tool] <= LIMITS[tool] for tool in ratios) and share < SECOND_ENVIRONMENT_LIMIT
    document = {
        "schema": 1,
        "tf": options.tf,
        "python": record["python"],
        "packages": record["packages"],
        "seconds": times,
        "median_seconds": medians,
        "ratios": ratios,
        "limits": LIMITS,
        "first_environment_mib": alone >> 10,
        "second_environment_mib": (both - alone) / 1024,
        "second_environment_share": share,
        "passed": passed,
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    print(f"tensorflow {options.tf}, {record['packages']} packages, warm cache, {options.rounds} rounds")
    for tool, median in medians.items():
        ratio = f"   ours/{tool} {ratios[tool]:.2f} (at most {LIMITS[tool]})" if tool in ratios else ""
        print(f"  {tool:<5} {median:7.2f} s  (fastest {min(times[tool]):.2f} s){ratio}")
    print(f"  a second environment takes {100 * share:.2f} % of the first one's {alone >> 10} MiB (at most 2 %)")
    print("passed" if passed else "NOT passed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

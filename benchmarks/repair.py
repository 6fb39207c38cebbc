"""Wiring repair of what pip makes of a release, against reinstalling it with uv as a user would type it.

    python benchmarks/repair.py [--tf 2.21.0] [--rounds 3] [--folder DIR] [--json FILE]

"ours" is the whole command as typed, ``repair --yes``, with its own start: doctor, the copy, the change, doctor again,
and TensorFlow's own loader asked as a proof; "ours, with the import" also imports TensorFlow.
"uv" is ``uv pip install --reinstall 'tensorflow[and-cuda]==X'`` into the same environment: it repairs nothing and
proves nothing. For ``--reinstall`` uv fetches anew even what it has in its cache, so the state of the cache hardly
matters; "uv, offline" is the same kept from the network, the least that it can cost. uv works with a cache of its own,
which is filled beforehand and pruned before each round. The target is for "uv", so it depends on the line: what uv
received is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uv
from timing import alternate, command, ratios, table

from provision.host import find_interpreters
from provision.system import System

LIMIT = 0.1
UV = os.fspath(uv.find_uv_bin())


class Bench:
    """An environment made by uv, broken as it comes, and two ways to go on from there."""

    def __init__(self, folder: Path, tf: str, python: str) -> None:
        self.env = folder / "env"
        self.cache = folder / "cache"
        self.requirement = f"tensorflow[and-cuda]=={tf}"
        self.environ = {**os.environ, "UV_CACHE_DIR": str(self.cache)}
        self.uv("venv", "-q", "--no-project", "-p", python, str(self.env))
        self.uv("pip", "install", "-q", "-p", str(self.env), self.requirement)
        self.received = 0

    def uv(self, *words: str) -> None:
        done = subprocess.run([UV, *words], env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"uv {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")

    def reinstall(self) -> None:
        before = network_bytes()
        self.uv("pip", "install", "-q", "-p", str(self.env), "--reinstall", self.requirement)
        self.received = network_bytes() - before

    def reinstall_offline(self) -> None:
        self.uv("pip", "install", "-q", "-p", str(self.env), "--reinstall", "--offline", self.requirement)

    def prepare(self) -> None:
        """Take a repair back, and forget what the last reinstall has left in the cache."""
        argv = [tool(), "repair", "--undo", str(self.env)]
        subprocess.run(argv, env=self.environ, capture_output=True, check=False)
        shutil.rmtree(self.env / ".tfgpu", ignore_errors=True)
        self.uv("cache", "prune", "-q")
        os.sync()


def tool() -> str:
    return str(Path(sys.executable).with_name("tfgpu-provision"))


def network_bytes() -> int:
    """Return what this machine has received so far, the loopback aside."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[0]) for line in lines if line.split(":")[0].strip() != "lo")


def size_gib(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / (1 << 30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tf", default="2.21.0")
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; it takes three times the environment")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-repair-") as name:
        found = [item.path for item in find_interpreters(System()) if item.version.series.text == options.python]
        if not found:
            raise SystemExit(f"no Python {options.python} on this machine")
        bench = Bench(Path(name).resolve(), options.tf, found[0])
        size = size_gib(bench.env)
        jobs: dict[str, Callable[[], None]] = {
            "uv": bench.reinstall,
            "uv, offline": bench.reinstall_offline,
            "ours": command([tool(), "repair", "--yes", "--json", str(bench.env)]),
            "ours, with the import": command(
                [tool(), "repair", "--yes", "--level", "import", "--json", str(bench.env)]
            ),
        }
        seconds = alternate(jobs, options.rounds, bench.prepare)
        received = bench.received / (1 << 30)
    ratio = ratios(seconds, "uv")
    print(f"tensorflow {options.tf}, {size:.1f} GiB installed, {options.rounds} rounds")
    print(table(seconds, "uv"))
    print(f"uv received {received:.1f} GiB in the last of its rounds")
    passed = ratio["ours"] <= LIMIT
    print(f"{'met' if passed else 'missed'}: {ratio['ours']:.3f} × of uv, at most {LIMIT}")
    if options.json:
        document = {
            "schema": 1,
            "tf": options.tf,
            "size_gib": size,
            "received_gib": received,
            "seconds": seconds,
            "ratios": ratio,
            "limit": LIMIT,
            "passed": passed,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""``lock`` and ``create --locked`` against uv alone, from a warm cache, alternating in one run.

    python benchmarks/lock.py [--tf 2.21.0] [--rounds 7] [--only lock create] [--folder DIR]

"lock" is the whole command, ``tfgpu-provision lock --tf … -o FILE --json``: the start of Python, matrix, plan,
resolver, contract, file. Against it stands ``uv pip compile --generate-hashes`` of the same pins for the same Python
and platform, for releases without packages to build. "work" shows how much of it comes after the start.
"create" is ``create --locked FILE --no-verify``; against it stand ``uv venv`` and ``uv pip sync`` of the same file with
the same Python. The checks, the wiring and the record are ours and count against us; verification, which nobody else
does, stands aside.

uv asks the index whether what it remembers still holds, so "lock" depends on how far the index is: what we add is a
fixed time, and weighs the more the faster it answers.

Targets: "lock" and "create" at most 1.3 × of uv alone, as the median of the ratios over the rounds.
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
from typing import Any

from timing import alternate, command, environment, ratios, table
from uv import find_uv_bin

from provision.backends.resolve import lock_platform
from provision.matrix import load

TARGET = 1.3
OURS, UV, WORK = "ours", "uv", "work"
MACHINE = ("--for", "os=linux")


def document(argv: list[str], cwd: Path) -> dict[str, Any]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd, env=environment())
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Bench:
    """One release, in one scratch folder."""

    def __init__(self, tf: str, folder: Path) -> None:
        self.tf = tf
        self.folder = folder
        self.tool = [str(Path(sys.executable).with_name("tfgpu-provision"))]
        self.uv = os.fspath(find_uv_bin())
        self.lock = folder / "tfgpu-lock.txt"
        document([*self.tool, "lock", "--tf", tf, *MACHINE, "-o", str(self.lock), "--json"], folder)
        self.plan = document([*self.tool, "plan", "--tf", tf, *MACHINE, "--json"], folder)
        self.platform = next(lock_platform(row.glibc) for row in load().rows if row.release.text == self.plan["row"])

    def locking(self) -> tuple[dict[str, Callable[[], None]], Callable[[], None]]:
        ours, theirs, pins = self.folder / "ours.txt", self.folder / "uv.txt", self.folder / "pins.txt"
        pins.write_text("".join(f"{requirement}\n" for requirement in self.plan["pins"]))
        series = self.plan["python"]
        self.work: list[float] = []

        def lock() -> None:
            done = document([*self.tool, "lock", "--tf", self.tf, *MACHINE, "-o", str(ours), "--json"], self.folder)
            self.work.append(sum(done["seconds"].values()))

        jobs = {
            UV: command(
                [
                    *(self.uv, "pip", "compile", "--generate-hashes", "--quiet", "--no-header", "--no-annotate"),
                    # Its own search for a Python of the series may take ten times as long as the rest.
                    *("--python", sys.executable, "--python-version", series),
                    *("--python-platform", self.platform),
                    *("--only-binary", ":all:", "--no-sources", "-o", str(theirs), str(pins)),
                ]
            ),
            OURS: lock,
        }

        def prepare() -> None:
            # What is there already would be kept, which is another question.
            for path in (ours, theirs):
                path.unlink(missing_ok=True)

        return jobs, prepare

    def creating(self) -> tuple[dict[str, Callable[[], None]], Callable[[], None]]:
        ours, theirs = self.folder / "ours", self.folder / "uv"
        locked = [*self.tool, "create", "--locked", str(self.lock), "--no-verify", "--json"]
        first = document([*locked, str(ours)], self.folder)
        python = first["interpreter"]
        venv = command([self.uv, "venv", "--quiet", "--no-project", "--python", python, str(theirs)])
        sync = command([self.uv, "pip", "sync", "--quiet", "--python", str(theirs), str(self.lock)])

        def uv_alone() -> None:
            venv()
            sync()

        def prepare() -> None:
            for path in (ours, theirs):
                if path.exists():
                    shutil.rmtree(path)
            os.sync()

        return {UV: uv_alone, OURS: command([*locked, str(ours)])}, prepare


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tf", default="2.21.0")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=["lock", "create"], default=["lock", "create"])
    parser.add_argument("--folder", type=Path, help="where to work; on the file system of uv's cache")
    options = parser.parse_args()
    missed = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-lock-") as name:
        bench = Bench(options.tf, Path(name).resolve())
        for what, make in {"lock": bench.locking, "create": bench.creating}.items():
            if what not in options.only:
                continue
            jobs, prepare = make()
            seconds = alternate(jobs, options.rounds, prepare)
            prepare()
            if what == "lock":
                seconds[WORK] = bench.work[1:]  # the first round only warms
            print(f"{what}, tensorflow {options.tf}, {options.rounds} rounds\n{table(seconds, UV)}\n")
            if ratios(seconds, UV)[OURS] > TARGET:
                missed.append(what)
    for what in missed:
        print(f"missed: {what} is above {TARGET} ×")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

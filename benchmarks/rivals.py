"""The same faults put before doctor and before everything else that claims to find them.

    python benchmarks/rivals.py [--keep FOLDER] [--fault NAME …]

Run by hand: real environments, the package index, some minutes. The faults are rows of the laboratory
(tests/doctor/lab), each in a copy of a real environment into which the rivals were installed first, so that they look
at that environment. Every tool runs under the same variables and the same fake driver.

Points: 2 where the cause is named, 1 where something points at it, 0 where nothing does. Only lines count that the tool
does not print on the sound environment too: a warning that is always there tells nothing. What counts as named and as a
hint is written down for each fault below, and is the same for all. On the sound environment any warning about CUDA,
cuDNN, the driver or a package is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parent.parent
sys.path[0] = str(ROOT / "tests")  # in place of this folder, whose doctor.py is another benchmark

from doctor.lab import faults_libraries, faults_machine, faults_packages  # noqa: E402 - they lie among the tests
from doctor.lab.bench import Bench  # noqa: E402
from doctor.lab.copies import Originals  # noqa: E402
from doctor.lab.machine import Machine  # noqa: E402
from fakedriver import build as fakedriver  # noqa: E402

FAULTS = {fault.name: fault for area in (faults_machine, faults_libraries, faults_packages) for fault in area.FAULTS}
RIVALS = ("env-doctor", "mlenvdoctor", "cuda-doctor")
SECONDS = 180


@dataclass(frozen=True)
class Case:
    """A fault, the original it is put into, and what an answer has to say: words that name it, and that point at it."""

    fault: str
    original: str
    named: str
    hint: str


CASES = (
    Case("bare-wheels", "plain-2.16.1", r"not look there|search path", r"libcudnn|Cannot dlopen|LD_LIBRARY_PATH"),
    Case("no-cudnn", "plain-2.17.1", r"libcudnn\.so\.8|cudnn.{0,40}(missing|not (found|installed))",
         r"cudnn|Cannot dlopen"),
    Case("no-cufft", "plain-2.17.1", r"libcufft|cufft.{0,40}(missing|not (found|installed))", r"Cannot dlopen"),
    Case("no-extra", "plain-2.17.1", r"and-cuda|nvidia-cudnn|libcud(art|nn)\.so",
         r"Cannot dlopen|(CUDA|cuDNN).{0,40}not (found|installed)"),
    Case("driver-missing", "plain-2.17.1",
         r"driver.{0,60}(missing|not (found|installed|detected))|no .{0,20}driver|libcuda\.so\.1",
         r"driver|nvidia-smi"),
    Case("driver-too-old", "plain-2.17.1", r"driver.{0,80}(too old|older|needs|requires|insufficient|upgrade)",
         r"driver"),
    Case("visible-minus-one", "created-2.21.0", r"CUDA_VISIBLE_DEVICES", r"no CUDA-capable device|hidden"),
    Case("gpu-too-old", "created-2.21.0", r"compute capability|too old|minimum", r"5\.2|sm_52"),
    Case("two-distributions", "plain-2.17.1", r"tensorflow-cpu", r"conflict"),
    Case("cpu-build", "plain-2.17.1", r"CPU.only|without CUDA|tensorflow-cpu|not built with CUDA", r"CPU"),
    Case("numpy-2", "wired-2.16.1", r"numpy", r"_ARRAY_API"),
    Case("protobuf-4", "created-2.10.1", r"protobuf|protoc", r"Descriptors"),
    Case("older-cudnn", "created-2.21.0", r"cudnn.{0,80}(older|9\.1|mismatch|too old)", r"cudnn"),
    Case("empty-files-first", "plain-2.17.1", r"LD_LIBRARY_PATH|file too short", r"libcublas|libcudart|libcudnn"),
    Case("cut-library", "plain-2.17.1", r"libcublas|cut short|damaged|truncated",
         r"SIGBUS|Bus error|RECORD|ended with -7"),
    Case("local-tensorflow.py", "plain-2.17.1", r"tensorflow\.py", r"circular|shadow"),
)  # fmt: skip
NVIDIA_SMI = """\
#!{python}
# What nvidia-smi prints on this machine, as far as anybody asks.
import os, sys
told = os.environ.get
name, cc, driver = told("FAKEGPU_NAMES", "Fake GPU"), told("FAKEGPU_CC", "8.6"), told("FAKEGPU_DRIVER", "570.86.10")
cuda, words = told("FAKEGPU_CUDA", "12.8"), " ".join(sys.argv[1:])
known = {{"name": name, "gpu_name": name, "driver_version": driver, "compute_cap": cc, "index": "0", "count": "1",
         "uuid": "GPU-00000000-0000-0000-0000-000000000000", "memory.total": "24576 MiB", "memory.used": "512 MiB",
         "memory.free": "24064 MiB", "temperature.gpu": "40", "utilization.gpu": "0 %"}}
asked = [item.partition("=")[2].split(",") for item in sys.argv if item.startswith("--query-gpu")]
if asked:
    values = [known.get(field.strip(), "[N/A]") for field in asked[0]]
    print(*(["", ", ".join(asked[0]) + "\\n"]["noheader" not in words],), sep="", end="")
    print(", ".join(value.split(" ")[0] if "nounits" in words and "MiB" in value else value for value in values))
elif "-L" in sys.argv:
    print(f"GPU 0: {{name}} (UUID: {{known['uuid']}})")
else:
    print(f"| NVIDIA-SMI {{driver}}   Driver Version: {{driver}}   CUDA Version: {{cuda}} |")
    print(f"|   0  {{name}}  Off | 00000000:01:00.0 Off | N/A |")
    print("| 30%   40C  P8  20W / 350W |  512MiB / 24576MiB |  0%  Default |")
"""
ALARM = re.compile(
    r"\b(error|fail(ed|ure)?|warn(ing)?|mismatch|incompatible|conflict|missing|critical)\b|✗|❌|⚠|✘", re.IGNORECASE
)
NONE = re.compile(r"\b(no|0|without)\s+(\w+\s+)?(errors?|warnings?|failures?|issues?|conflicts?)\b", re.IGNORECASE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="keep the environments here for the next run")
    parser.add_argument("--fault", action="append", help="only this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        laboratory = Laboratory(place, Originals(options.keep or place / "originals"))
        cases = [case for case in CASES if not options.fault or case.fault in options.fault]
        table(laboratory, cases)
        changed = laboratory.originals.changed()
    print(*(f"written through a hardlink: {item}" for item in changed), sep="\n", end="")
    return 1 if changed else 0


@dataclass
class Laboratory:
    """Where the copies are made."""

    place: Path
    originals: Originals

    def bench(self, original: str, fault: str = "") -> Bench:
        """Return a copy with the rivals in it, on the machine with a GPU."""
        place = Path(tempfile.mkdtemp(dir=self.place))
        driver = self.place / "driver"
        if not driver.exists():
            fakedriver.build(driver)
        machine = Machine.make(place / "machine", driver)
        (place / "scratch").mkdir()
        if fault != "driver-missing":
            machine.program("nvidia-smi", "")
            next((place / "machine").rglob("nvidia-smi")).write_text(NVIDIA_SMI.format(python=sys.executable))
        bench = Bench(self.originals.copy(original, place / "work/env"), machine, place / "scratch")
        # Their own dependencies must not exchange the environment's packages: that would be another fault.
        kept = place / "kept.txt"
        listed = run([find_uv_bin(), "pip", "freeze", "--python", str(bench.env.python)], os.environ)[1]
        kept.write_text("\n".join(line for line in listed.splitlines() if re.match(r"[\w.-]+==", line)))
        for rival in RIVALS:
            argv = [
                find_uv_bin(),
                "pip",
                "install",
                "--quiet",
                "--python",
                str(bench.env.python),
                "-c",
                str(kept),
                rival,
            ]
            if run(argv, os.environ)[0]:
                print(f"  ({rival} cannot be installed beside {original})")
        return bench


def answers(bench: Bench) -> Mapping[str, str]:
    """Return what each tool prints."""
    env, variables = bench.env.prefix, bench.machine.variables
    variables = {**variables, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    python = str(env / "bin/python")
    program = "import tensorflow as tf; print(tf.config.list_physical_devices('GPU'))"
    argvs: dict[str, Sequence[str]] = {
        "env-doctor": [python, str(env / "bin/env-doctor"), "check"],
        "mlenvdoctor": [python, str(env / "bin/mlenvdoctor"), "diagnose"],
        "cuda-doctor": [python, str(env / "bin/cuda-doctor"), "diagnose"],
        "uv pip check": [find_uv_bin(), "pip", "check", "--python", python],
        "TensorFlow": [python, "-c", program],
    }
    said = {}
    for name, argv in argvs.items():
        more = {"TF_CPP_VMODULE": "dso_loader=1"} if name == "TensorFlow" else {}
        code, out = run(argv, {**variables, **more}, bench.machine.folder)
        there = Path(argv[1]).exists() or name in ("uv pip check", "TensorFlow")
        said[name] = f"{out}\n(ended with {code})" if there else ""
    with pytest.MonkeyPatch.context() as patch:
        answer = bench.ask(patch)
    primary = answer.document["primary"]
    said["doctor"] = "\n".join([answer.primary, json.dumps(primary)]) if primary else ""
    return said


def run(argv: Sequence[str], variables: Mapping[str, str], folder: Path | None = None) -> tuple[int, str]:
    """Run a program; return how it ended and all that it said."""
    try:
        done = subprocess.run(
            argv,
            env=dict(variables),
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout + done.stderr


def points(case: Case, said: str, usual: str, *, ours: str | None = None) -> int:
    """Return the points of one answer."""
    if ours is not None:
        return 2 if said.splitlines()[:1] == [ours] else 1 if said else 0
    always = {plain(line) for line in usual.splitlines()}
    news = "\n".join(line for line in said.splitlines() if plain(line) not in always)
    if re.search(case.named, news, re.IGNORECASE):
        return 2
    return int(bool(re.search(case.hint, news, re.IGNORECASE)))


def plain(line: str) -> str:
    """Return a line without numbers, times and folders of this run."""
    return re.sub(r"/\S*/|\d+", "#", line).strip()


def table(laboratory: Laboratory, cases: Sequence[Case]) -> None:
    usual: dict[str, Mapping[str, str]] = {}
    total: dict[str, int] = {}
    alarms: dict[str, set[str]] = {}
    names = ["doctor", *RIVALS, "uv pip check", "TensorFlow"]
    print(f"{'fault':<22}{'in':<16}" + "".join(f"{name:>14}" for name in names))
    for case in cases:
        sound = {"plain-2.16.1": "wired-2.16.1"}.get(case.original, case.original)
        if sound not in usual:
            bench = laboratory.bench(sound)
            usual[sound] = answers(bench)
            shutil.rmtree(bench.env.prefix.parent)
            for name, said in usual[sound].items():
                lines = [line for line in said.splitlines() if ALARM.search(line) and not NONE.search(line)]
                if lines and name != "TensorFlow":
                    alarms.setdefault(name, set()).add(f"{sound}: {lines[0].strip()[:110]}")
        bench = laboratory.bench(case.original, case.fault)
        fault = FAULTS[case.fault]
        fault.inject(bench)
        said = answers(bench)
        shutil.rmtree(bench.env.prefix.parent)
        row = {
            name: points(case, said[name], usual[sound][name], ours=fault.code if name == "doctor" else None)
            for name in names
        }
        for name, number in row.items():
            total[name] = total.get(name, 0) + number
        print(f"{case.fault:<22}{case.original:<16}" + "".join(f"{row[name]:>14}" for name in names), flush=True)
    most = 2 * len(cases)
    print(f"{'points of ' + str(most):<38}" + "".join(f"{total[name]:>14}" for name in names))
    print(f"{'false alarms':<38}" + "".join(f"{len(alarms.get(name, ())):>14}" for name in names))
    for name, lines in alarms.items():
        print(*(f"  {name} on the sound {line}" for line in sorted(lines)), sep="\n")


if __name__ == "__main__":
    sys.exit(main())

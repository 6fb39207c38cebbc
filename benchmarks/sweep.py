"""Recreate, check and remove a real environment from every lock in ``environments/``, on a machine without a GPU.

    python benchmarks/sweep.py [--only 2.4 2.10 2.13.0 …] [--folder /tmp/sweep] [--cache DIR]

For each folder: ``create --locked`` with its committed lock, which ends with TensorFlow's own loader gate, the import,
a product and a small Keras fit on the CPU; ``uv pip check``; and, where a C compiler is at hand, the fake driver of the
tests: TensorFlow itself must list the GPU from an otherwise empty environment, and again with a stale LD_LIBRARY_PATH
full of libraries of the right name and no content, with the right files mapped. What was seen goes into
``environments/sweep.json`` and the README's table. A release that has no folder is made with ``create --tf`` and only
shown.

With ``--cache`` the sweep keeps downloads in a folder of its own and drops each release's TensorFlow, and each group's
NVIDIA wheels, as soon as no later release needs them: the disk stays well below 40 GB.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uv import find_uv_bin

import environments
from provision.workflows.common import load_matrix
from provision.workflows.settings import Settings

sys.path.insert(0, str(environments.ROOT / "tests" / "fakedriver"))
import build as fakedriver

LISTING = """
import json, sys
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
maps = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
print("LISTED " + json.dumps({"gpus": len(gpus), "maps": sorted(maps)}))
"""


@dataclass
class Outcome:
    """What was seen for one release."""

    spec: str
    release: str = ""
    python: str = ""
    library_set: str = ""
    seconds: float = 0.0
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return bool(self.answers) and all(answer in environments.PASSED for answer in self.answers.values())


def tool(*arguments: str, environment: dict[str, str]) -> tuple[int, dict[str, Any], str]:
    """Run our own command line with ``--json``; return exit code, document and what went to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "provision", *arguments, "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = {}
    return done.returncode, document, done.stderr


def listed(python: Path, library_path: str, prefix: Path, sonames: list[str]) -> str:
    """Return ``passed``, or what is wrong, for TensorFlow's own listing under the fake driver."""
    done = subprocess.run(
        [str(python), "-c", LISTING],
        capture_output=True,
        text=True,
        env={"LD_LIBRARY_PATH": library_path, "FAKEGPU_CC": "8.6"},
        cwd="/",
        check=False,
    )
    answer = next((line for line in done.stdout.splitlines() if line.startswith("LISTED ")), None)
    if answer is None:
        return f"died with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    seen = json.loads(answer.removeprefix("LISTED "))
    if seen["gpus"] < 1:
        return "no GPU listed"
    own = str(prefix.resolve())
    for soname in sonames:
        stem = soname.split(".so")[0] + ".so"
        files = [path for path in seen["maps"] if Path(path).name.startswith(stem)]
        if not any(path.startswith(own) for path in files):
            return f"{soname} mapped from {files or 'nowhere'}"
    return "passed"


def bogus(folder: Path, sonames: list[str]) -> Path:
    """Return a folder of empty shared objects that carry the names of the real ones."""
    folder.mkdir(parents=True)
    for soname in sonames:
        argv = [fakedriver.compiler() or "cc", "-shared", "-x", "c", "-", f"-Wl,-soname,{soname}"]
        subprocess.run([*argv, "-o", str(folder / soname)], input=b"", check=True)
    return folder


def lock_file(spec: str) -> Path | None:
    """Return the committed lock of a folder of ``environments/``, None where there is no such folder."""
    path = environments.FOLDER / spec / environments.LOCK
    return path if path.is_file() else None


def one(spec: str, folder: Path, fake: Path | None, environment: dict[str, str]) -> Outcome:
    """Create, check and remove the environment of one folder or release."""
    outcome = Outcome(spec)
    prefix = folder / f"tf-{spec}"
    lock = lock_file(spec)
    begin = time.monotonic()
    source = ["--locked", str(lock)] if lock else ["--tf", spec]
    code, document, errors = tool("create", str(prefix), *source, environment=environment)
    outcome.seconds = time.monotonic() - begin
    if code:
        said = errors or json.dumps(document.get("denial") or document.get("error") or document)
        outcome.answers["create"] = f"exit {code}: {' / '.join(said.splitlines()[:3])}"
        return outcome
    plan = document["plan"]
    outcome.release, outcome.python, outcome.library_set = plan["row"], plan["python"], plan["library_set"]
    outcome.answers["create"] = "passed" if document["outcome"] == "created" else document["outcome"]
    stages = {stage["level"]: stage for stage in document["verdict"]["stages"]}
    for level in ("gate", "import"):
        status = stages[level]["status"]
        outcome.answers[level] = status if status == "passed" else f"{status}: {stages[level]['summary']}"
    python = prefix / "bin" / "python"
    check = subprocess.run(
        [find_uv_bin(), "pip", "check", "--python", str(python)], capture_output=True, text=True, check=False
    )
    outcome.answers["pip check"] = "passed" if check.returncode == 0 else check.stderr.strip()
    outcome.answers["listed"] = outcome.answers["listed, stale path"] = "-"
    if fake is not None:
        _, row, _ = tool("matrix", "show", outcome.release, environment=environment)
        gate = row["row"]["gate"]
        outcome.answers["listed"] = listed(python, str(fake), prefix, gate)
        stale = bogus(folder / f"bogus-{spec}", gate)
        outcome.answers["listed, stale path"] = listed(python, f"{fake}:{stale}", prefix, gate)
        shutil.rmtree(stale)
    shutil.rmtree(prefix)
    return outcome


def drop(patterns: list[str], environment: dict[str, str]) -> None:
    """Remove packages from the sweep's own cache."""
    subprocess.run([find_uv_bin(), "cache", "clean", *patterns], env=environment, capture_output=True, check=False)


def nvidia_names(environment: dict[str, str], release: str) -> set[str]:
    """Return the names of the NVIDIA wheels that the plan for a release pins."""
    _, document, _ = tool("plan", "--tf", release, environment=environment)
    return {pin.split("==")[0] for pin in document.get("pins", []) if pin.startswith("nvidia-")}


def seen(outcome: Outcome) -> dict[str, Any]:
    """Return what is remembered of one folder: what was seen, when, and of which packages."""
    return {
        "release": outcome.release,
        "packages_sha256": environments.digest_of(outcome.spec),
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "seconds": round(outcome.seconds, 1),
        "answers": outcome.answers,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="folders or releases; by default all folders")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/tfgpu-sweep"))  # noqa: S108 - a default to override
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    environment = dict(os.environ)
    if arguments.cache:
        environment["UV_CACHE_DIR"] = str(arguments.cache)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(arguments.folder / "fake", ignore_errors=True)
    fake = fakedriver.build(arguments.folder / "fake") if fakedriver.compiler() else None
    known = environments.rows_by_folder(load_matrix(None, Settings()))
    specs = sorted(arguments.only or known, key=lambda spec: [int(part) for part in spec.split(".")[:2]])
    outcomes: list[Outcome] = []
    lowest = shutil.disk_usage(arguments.folder).free
    begin_free = lowest
    wheels = {spec: nvidia_names(environment, spec) for spec in specs} if arguments.cache else {}
    for place, spec in enumerate(specs):
        outcome = one(spec, arguments.folder, fake, environment)
        outcomes.append(outcome)
        lowest = min(lowest, shutil.disk_usage(arguments.folder).free)
        print(f"{outcome.spec:8} {'good' if outcome.good else 'BAD '} {outcome.answers}", flush=True)
        if lock_file(spec) and outcome.answers.get("create") == "passed":
            environments.remember(spec, seen(outcome))
            environments.write_readme()
        if arguments.cache:
            gone = wheels[spec].difference(*(wheels[later] for later in specs[place + 1 :]))
            drop(["tensorflow", *sorted(gone)], environment)
    print(f"most disk in use during the sweep: {(begin_free - lowest) / 1e9:.1f} GB")
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())

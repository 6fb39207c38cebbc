"""Make the folders of ``environments/``, and the table in their README; or say what of them is stale.

    python benchmarks/environments.py                  make what is missing, bring the rest up to date with the matrix
    python benchmarks/environments.py --upgrade        let every version change
    python benchmarks/environments.py --check          write nothing, ask no index; ends with 1 where one is stale
    python benchmarks/environments.py --check --index  also whether the package index would still give the same locks

One folder for the newest patch of every TensorFlow minor that NVIDIA's wheels serve, and for the releases of `EXTRA`.
Each holds the request, a pyproject.toml with ``[tool.tfgpu]``, and the lock that ``tfgpu-provision lock`` makes of it
for a Linux machine of which nothing else is known: so that it serves every GPU that the release can serve.
`sweep.py` recreates and checks them; the table shows its newest result as long as a lock still installs the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.version import Version

from provision.host import describe
from provision.lock.files import parse
from provision.model.lock import Lock
from provision.model.matrix import Matrix, Row
from provision.model.plan import Plan, Request
from provision.plan import decide
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.contract import contract_for
from provision.workflows.settings import Settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "environments"
LOCK, REQUEST, README, SEEN = "tfgpu-lock.txt", "pyproject.toml", "README.md", "sweep.json"
EXTRA = ("2.4.1", "2.16.1")
"""Not the newest of their minor, and asked for all the same; 2.16.1 as it comes finds no GPU."""
ANY_MACHINE = "os=linux"
BEGIN, END = "<!-- table: benchmarks/environments.py -->", "<!-- /table -->"
PASSED = ("passed", "-")


def rows_by_folder(matrix: Matrix) -> dict[str, Row]:
    """Return the release of each folder, in the order of the minors."""
    found: dict[str, Row] = {}
    for row in sorted(matrix.rows, key=lambda row: row.release):
        if row.distribution != "tensorflow" or not row.sets:
            continue
        found[row.release.minor_series] = row
        if row.release.text in EXTRA:
            found[row.release.text] = row
    return dict(sorted(found.items(), key=lambda item: (Version(item[1].release.minor_series), item[0])))


def request_text(name: str) -> str:
    """Return the pyproject.toml of a folder."""
    return (
        "# Written by benchmarks/environments.py. Copy this folder, add your packages, then: tfgpu-provision lock\n"
        f'[tool.tfgpu]\ntf = "{name}"\n'
    )


def lock_of(name: str) -> Lock | None:
    path = FOLDER / name / LOCK
    return parse(path.name, path.read_bytes()) if path.is_file() else None


def digest_of(name: str) -> str:
    """Return the sha256 of what a lock installs, whatever its contract and its comments say."""
    lock = lock_of(name)
    items = (*lock.packages, *lock.build_tools) if lock else ()
    text = "".join(f"{item.requirement} {' '.join(item.hashes)}\n" for item in items)
    return hashlib.sha256(text.encode()).hexdigest()


def read_seen() -> dict[str, Any]:
    """Return what the sweep saw, per folder."""
    path = FOLDER / SEEN
    return json.loads(path.read_text()) if path.is_file() else {}


def remember(name: str, seen: dict[str, Any]) -> None:
    """Remember what the sweep saw for one folder."""
    known = {**read_seen(), name: seen}
    kept = {key: known[key] for key in rows_by_folder(load_matrix(None, Settings())) if key in known}
    (FOLDER / SEEN).write_text(json.dumps(kept, indent=1) + "\n")


def complaints(name: str, row: Row, matrix: Matrix) -> Iterator[str]:
    """Say in what a folder differs from what the matrix as it is now would make of it, without asking an index."""
    request = FOLDER / name / REQUEST
    if not request.is_file() or request.read_text() != request_text(name):
        yield f"{name}/{REQUEST} is not what is asked for"
    lock = lock_of(name)
    if lock is None:
        yield f"{name}/{LOCK} is missing"
        return
    plan = decide(Request(tf=lock.contract.request.tf), describe([ANY_MACHINE], System()), matrix)
    if not isinstance(plan, Plan) or plan.row.release != row.release or lock.contract.request.tf != name:
        yield f"{name}/{LOCK} is for TensorFlow {lock.contract.release}, asked for as {lock.contract.request.tf}"
        return
    now = contract_for(plan, matrix, request=lock.contract.request, machine_text=ANY_MACHINE, glibc=lock.contract.glibc)
    for field in dataclasses.fields(now):
        before, after = getattr(lock.contract, field.name), getattr(now, field.name)
        if field.name != "matrix_digest" and before != after:
            yield f"{name}/{LOCK}: {field.name} of its contract is {before}, the matrix says {after}"
    locked = {item.requirement for item in lock.packages}
    missing = [pin.requirement for pin in plan.pins if "==" in pin.requirement and pin.requirement not in locked]
    if missing:
        yield f"{name}/{LOCK} is without {', '.join(missing)}"


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run our own command line in a folder, deaf to what the caller's environment says of machines."""
    environ = {key: value for key, value in os.environ.items() if key != "TFGPU_FOR"}
    argv = [sys.executable, "-m", "provision", *arguments]
    return subprocess.run(argv, cwd=FOLDER / name, env=environ, capture_output=True, text=True, check=False)


def make_lock(name: str, *options: str) -> None:
    done = tool(name, "lock", "--for", ANY_MACHINE, *options)
    if done.returncode:
        raise SystemExit(f"{name}: lock ended with {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"{name}: {done.stdout.strip()}", flush=True)


def recreated(name: str, seen: dict[str, Any]) -> str:
    """Return the cell of what the sweep saw; of a lock that it has not seen nothing is said."""
    last = seen.get(name)
    if last is None or last["packages_sha256"] != digest_of(name):
        return "not yet"
    failed = [f"{stage}: {answer}" for stage, answer in last["answers"].items() if answer not in PASSED]
    left = [stage for stage, answer in last["answers"].items() if answer == "-"]
    return "; ".join(
        [f"{last['date']}, {last['seconds']:.0f} s", *failed, *([f"without {', '.join(left)}"] if left else [])]
    )


def table(names: Iterable[str]) -> str:
    """Return the README's table."""
    seen = read_seen()
    heads = ["folder", "TensorFlow", "Python", "CUDA", "cuDNN", "packages", "GPUs", "driver", "glibc", "recreated"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in names:
        lock = lock_of(name)
        if lock is None:
            continue
        contract = lock.contract
        gpus = [item.compute_capability for item in contract.gpus]
        drivers = sorted({item.driver for item in contract.gpus}, key=lambda item: item.parts)
        newer = f" (some GPUs {drivers[-1]})" if len(drivers) > 1 else ""
        cells = [
            f"[{name}]({name}/)",
            contract.release.text,
            contract.python.text,
            contract.cuda.text,
            contract.cudnn.text,
            str(len(lock.packages)),
            f"{gpus[0]} – {gpus[-1]}",
            f"{drivers[0]}{newer}",
            contract.glibc.text,
            recreated(name, seen),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_text(names: dict[str, Row]) -> str:
    """Return the README with its table made anew; the rest is written by hand."""
    text = (FOLDER / README).read_text()
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{README} has lost the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(names)}\n{END}{after}"


def write_readme() -> None:
    """Bring the README's table up to date."""
    (FOLDER / README).write_text(readme_text(rows_by_folder(load_matrix(None, Settings()))))


def check(matrix: Matrix, *, index: bool = False, only: Iterable[str] = ()) -> list[str]:
    """Return everything that is stale; with ``only``, of the locks just these are looked into."""
    names = rows_by_folder(matrix)
    # All of the folder is shipped, so that nothing may lie there by chance.
    ours = {README, SEEN, *names, *(f"{name}/{file}" for name in names for file in (REQUEST, LOCK))}
    there = (path.relative_to(FOLDER).as_posix() for path in sorted((*FOLDER.glob("*"), *FOLDER.glob("*/*"))))
    found = [f"{path} does not belong here" for path in there if path not in ours]
    for name in only or names:
        found += complaints(name, names[name], matrix)
        if index and (done := tool(name, "lock", "--check")).returncode:
            found.append(f"{name}: lock --check ended with {done.returncode}\n{done.stdout}{done.stderr}")
    if (FOLDER / README).read_text() != readme_text(names):
        found.append(f"{README}: its table is not up to date")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="the locks of these folders; by default all")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--index", action="store_true")
    options = parser.parse_args()
    matrix = load_matrix(None, Settings())
    if options.check:
        stale = check(matrix, index=options.index, only=options.only or ())
        print("\n".join(stale) or "up to date")
        return 1 if stale else 0
    names = rows_by_folder(matrix)
    for name in options.only or names:
        (FOLDER / name).mkdir(exist_ok=True)
        (FOLDER / name / REQUEST).write_text(request_text(name))
        make_lock(name, *(["--upgrade"] if options.upgrade else []))
    for path in FOLDER.iterdir():
        if path.is_dir() and path.name not in names:
            shutil.rmtree(path)
    write_readme()
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    print(f"{len(names)} folders, {size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

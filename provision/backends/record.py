"""What an environment knows about itself: ``.tfgpu/environment.json`` and ``.tfgpu/lock.txt``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision import __version__
from provision.errors import ProvisionError
from provision.lock.requirements import parse_lock, render_lock
from provision.model.created import LockUsed
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.environment import RECORD_FOLDER
from provision.model.lock import CondaLocked, Locked
from provision.model.plan import Plan
from provision.system import System, write_atomic

RECORD = "environment.json"
LOCK = "lock.txt"
_LIMIT = 1 << 22


@dataclass(frozen=True)
class Record:
    """What is read back of a record; ``plan_digest`` says whether another plan is the same."""

    distribution: str
    release: str
    python: str
    library_set: str
    plan_digest: str
    packages: int
    document: Mapping[str, Any]


def plan_digest(plan: Plan) -> str:
    """Return a sha256 over what decides the content of an environment: pins, Python series, user packages.

    Caveats, the machine and the matrix file may change without the environment becoming another one.
    """
    content = {
        "pins": sorted(pin.requirement for pin in plan.pins),
        "python": plan.python.series.text,
        "requirements": sorted(set(plan.request.requirements)),
        "set": plan.library_set.ident,
        "aliases": dict(sorted(plan.row.aliases.items())),
    }
    if plan.request.backend != "venv":
        # Only here: the digests of environments that were made before conda was known stay what they are.
        content["backend"] = plan.request.backend
        content["conda"] = sorted((*(pin.requirement for pin in plan.conda_pins), *set(plan.request.conda)))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_record(
    prefix: Path,
    system: System,
    plan: Plan,
    locked: tuple[Locked, ...],
    *,
    python: str,
    transaction: str,
    lock: LockUsed | None = None,
    conda: tuple[CondaLocked, ...] = (),
) -> None:
    """Write lock and record into an environment; nothing in them names this machine, its user or an index.

    Args:
        prefix: the environment's root.
        system: the clock.
        plan: what was built; its request holds the user's packages.
        locked: every distribution.
        python: exact version of the interpreter.
        transaction: the name of the create, see `provision.backends.transaction`.
        lock: the lock file that it was made from; only its name, its digest and its target are kept.
        conda: every conda package, with addresses that hold no credentials.

    Raises:
        OSError: it cannot be written.
    """
    row = plan.row
    remarks = (
        f"{row.distribution} {row.release}, {plan.library_set.ident}, Python {plan.python.series}, {row.platform}",
        "every distribution of this environment with the sha256 of the artifacts that may be installed for it",
    )
    text = render_lock(locked, remarks)
    folder = prefix / RECORD_FOLDER
    folder.mkdir(exist_ok=True)
    write_atomic(folder / LOCK, text)
    document = {
        "schema": SCHEMA_VERSION,
        "tool": f"tfgpu-provision {__version__}",
        "created": system.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "transaction": transaction,
        "distribution": row.distribution,
        "release": row.release.text,
        "python": python,
        "library_set": plan.library_set.ident,
        "cuda": plan.library_set.cuda.text,
        "cudnn": plan.library_set.cudnn.text,
        "pins": jsonable(plan.pins),
        "requirements": list(plan.request.requirements),
        "caveats": jsonable(plan.caveats),
        "gpus": [{"name": served.gpu.name, "service": served.service.value, "why": served.why} for served in plan.gpus],
        "widest": plan.widest,
        "backend": plan.request.backend,
        "conda": jsonable(conda),
        "packages": len(locked),
        "plan_digest": plan_digest(plan),
        "matrix_digest": plan.matrix_digest,
        "lock_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "lock": {"name": Path(lock.path).name, "sha256": lock.sha256, "target": lock.target} if lock else None,
    }
    # The record is written last: an environment without it is not one of ours.
    write_atomic(folder / RECORD, json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def read_record(prefix: Path) -> Record | None:
    """Return the record of an environment, None where there is none or it is not one of ours."""
    try:
        with (prefix / RECORD_FOLDER / RECORD).open("rb") as stream:
            document = json.loads(stream.read(_LIMIT))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA_VERSION:
            return None
        texts = [document[key] for key in ("distribution", "release", "python", "library_set", "plan_digest")]
        packages = document["packages"]
    except (OSError, ValueError, KeyError):
        return None
    if not all(isinstance(text, str) for text in texts) or not isinstance(packages, int):
        return None
    distribution, release, python, library_set, digest = texts
    return Record(distribution, release, python, library_set, digest, packages, document)


def read_locked(prefix: Path) -> tuple[Locked, ...]:
    """Return what the lock of an environment names, nothing where it cannot be read."""
    try:
        return parse_lock((prefix / RECORD_FOLDER / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError, ProvisionError):
        return ()


def missing_distributions(prefix: Path, site_packages: Path) -> tuple[str, ...]:
    """Return what the lock of an environment names and the environment does not hold, as ``name==version``.

    An unreadable lock counts as one that names ``lock.txt``.
    """
    locked = read_locked(prefix)
    if not locked:
        return (LOCK,)
    present = set()
    for info in site_packages.glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        present.add((name.replace("_", "-").replace(".", "-").lower(), version))
    return tuple(item.requirement for item in locked if (item.name, item.version) not in present)

"""``status``: an environment, ours or not, held against a lock; changes nothing."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from provision import wiring
from provision.backends.drift import SEEDS, Distribution, distributions, file_drifts, package_drifts
from provision.backends.layout import site_packages_of
from provision.backends.record import read_record
from provision.errors import InvalidFileError, UsageError
from provision.model.created import Denial
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.lock import CondaLocked
from provision.model.status import Drift, DriftKind, StatusResult
from provision.model.versions import PythonVersion
from provision.probes.environment import inspect
from provision.system import System
from provision.workflows.common import host_for, load_matrix, notice_of_repair
from provision.workflows.locked_wanted import Wanted, wanted_for
from provision.workflows.settings import load_settings

_HOW_LOCKED = "`tfgpu-provision create --replace --locked {file}{path}`"


@dataclass(frozen=True)
class Seen:
    """An environment as it was found; ``python`` None and ``complaint`` filled where its interpreter does not run."""

    env: EnvRef
    python: PythonVersion | None
    complaint: str = ""

    @property
    def prefix(self) -> Path:
        """Its root."""
        return Path(self.env.prefix)


def status(
    system: System,
    folder: Path,
    target: str | None,
    *,
    lock: str | None = None,
    deep: bool = False,
    matrix_file: Path | None = None,
) -> StatusResult:
    """Hold an environment against a lock.

    Args:
        system: the door.
        folder: where one stands.
        target: the environment, its folder or its Python; None looks for ``.venv`` here or the active one.
        lock: a lock file; None for the one of the project that fits, else the environment's own.
        deep: hash every file.
        matrix_file: use this matrix.

    Raises:
        UsageError: the target is no environment.
        InvalidFileError: a lock or a matrix that is wrong.
    """
    seen = find_environment(system, target)
    settings = load_settings(folder)
    matrix = load_matrix(matrix_file, settings)
    host = host_for(system, None)
    wanted = wanted_for(seen.env, settings, folder, lock, host=host, matrix=matrix, allow_urls=True)
    if wanted is None:
        return StatusResult(str(seen.prefix), seen.env.managed, None, denial=_no_lock(seen))
    found = compare(seen, wanted, deep=deep)
    if lock and wanted.refusal is not None:
        reason = wanted.refusal.reasons[0]
        found = replace(
            found, remarks=(*found.remarks, f"the lock is not for this machine: {reason.what} [{reason.code}]")
        )
    return found


def find_environment(system: System, target: str | None) -> Seen:
    """Return the environment that is meant, also where its interpreter does not run any more.

    Raises:
        UsageError: the target is no environment.
    """
    try:
        inventory = inspect(system, target)
    except UsageError as error:
        prefix = Path(target or ".venv").expanduser().absolute()
        if error.code not in ("broken-interpreter", "not-an-environment") or not (prefix / "pyvenv.cfg").is_file():
            raise
        managed = (prefix / RECORD_FOLDER / "environment.json").is_file()
        inside = PurePosixPath(prefix)
        env = EnvRef(inside, inside / "bin/python", PurePosixPath(site_packages_of(prefix)), "venv", managed)
        return Seen(env, None, error.why[0] if error.why else error.what)
    return Seen(inventory.env, inventory.python)


def compare(seen: Seen, wanted: Wanted, *, deep: bool) -> StatusResult:
    """Return every difference between an environment and what it should hold."""
    start = time.monotonic()
    installed = distributions(Path(seen.env.site_packages))
    remarks = [*notice_of_repair(seen.prefix)]
    ignored = frozenset[str]()
    if not seen.env.managed:
        locked = {item.name for item in wanted.packages}
        ignored = SEEDS | (_of_conda(installed) if seen.env.kind == "conda" else frozenset())
        seeds = sorted({item.name for item in installed} & SEEDS - locked)
        remarks += [f"{', '.join(seeds)}: not in the lock, came with the environment"] if seeds else []
    files, looked = file_drifts(seen.prefix, [item for item in installed if item.name not in ignored], deep=deep)
    packages = tuple(package_drifts(wanted.packages, installed, ignored=ignored - {i.name for i in wanted.packages}))
    # What goes or is replaced anyway need not be whole.
    other = {item.name for item in packages}
    drifts = (
        *_python(seen, wanted),
        *packages,
        *(_conda_drifts(seen.prefix, wanted.conda) if wanted.conda else ()),
        *(item for item in files if item.name not in other),
        *wiring_drifts(seen),
        *_record(seen),
    )
    return StatusResult(
        path=str(seen.prefix),
        managed=seen.env.managed,
        lock=wanted.used,
        drifts=drifts,
        packages=len(wanted.packages) + len(wanted.conda),
        files=looked,
        deep=deep,
        remarks=tuple(remarks),
        fix=_fix(seen, wanted, drifts),
        seconds=round(time.monotonic() - start, 3),
    )


def wiring_drifts(seen: Seen) -> Iterator[Drift]:
    """Yield what of the wiring is gone or is not as it was made."""
    try:
        report = wiring.inspect(seen.env)
    except InvalidFileError as error:
        yield Drift(DriftKind.WIRING, "wiring", found="its record cannot be read", details=error.why)
        return
    if report.state == "unwired":
        yield Drift(DriftKind.WIRING, "wiring", found="not wired")
    elif report.state != "whole":
        details = (
            *(f"{name}: gone" for name in report.missing),
            *(f"{name}: changed" for name in report.changed),
            *(f"{name}: leads nowhere" for name in report.dangling),
        )
        said = "made for another TensorFlow library" if report.state == "stale" else "damaged"
        yield Drift(DriftKind.WIRING, "wiring", found=said, details=details)


def _python(seen: Seen, wanted: Wanted) -> Iterator[Drift]:
    series = wanted.python.series.text if wanted.python else ""
    if seen.python is None:
        yield Drift(DriftKind.PYTHON, "python", series, "one that does not run", (seen.complaint,))
    elif wanted.python and seen.python.series != wanted.python.series:
        yield Drift(DriftKind.PYTHON, "python", series, seen.python.text)


def _record(seen: Seen) -> Iterator[Drift]:
    folder = seen.prefix / RECORD_FOLDER
    if seen.env.managed and read_record(seen.prefix) is None:
        yield Drift(DriftKind.RECORD, "record", found=f"{RECORD_FOLDER}/environment.json cannot be read")
    elif not seen.env.managed and (folder / "lock.txt").exists():
        yield Drift(DriftKind.RECORD, "record", found=f"{RECORD_FOLDER}/environment.json is gone")
    elif seen.env.managed and not (folder / "lock.txt").is_file():
        yield Drift(DriftKind.RECORD, "record", found=f"{RECORD_FOLDER}/lock.txt is gone")


def _of_conda(installed: tuple[Distribution, ...]) -> frozenset[str]:
    found = set()
    for item in installed:
        try:
            if (item.info / "INSTALLER").read_text(encoding="utf-8").strip() == "conda":
                found.add(item.name)
        except (OSError, ValueError):  # noqa: PERF203 - each fails on its own
            continue
    return frozenset(found)


def _conda_drifts(prefix: Path, conda: tuple[CondaLocked, ...]) -> Iterator[Drift]:
    """Yield in what the packages of conda differ, by the names of the files in conda-meta."""
    found: dict[str, str] = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        name, version, build = [*path.stem.rsplit("-", 2), "", ""][:3]
        found[name] = f"{version}={build}"
    for item in conda:
        there = found.pop(item.name, None)
        if there is None:
            yield Drift(DriftKind.MISSING, item.name, f"{item.version}={item.build}")
        elif there != f"{item.version}={item.build}":
            yield Drift(DriftKind.VERSION, item.name, f"{item.version}={item.build}", there)
    yield from (Drift(DriftKind.EXTRA, name, found=there) for name, there in sorted(found.items()))


def _fix(seen: Seen, wanted: Wanted, drifts: tuple[Drift, ...]) -> str:
    path = shlex.quote(str(seen.prefix))
    if not drifts:
        return ""
    file = shlex.quote(wanted.used.path) if wanted.from_file else ""
    if all(item.kind is DriftKind.WIRING for item in drifts):
        return f"`tfgpu-provision wire {path}`"
    broken = any(
        item.kind is DriftKind.PYTHON or (item.kind is DriftKind.RECORD and "environment" in item.found)
        for item in drifts
    )
    if seen.env.managed and seen.env.kind == "venv" and not broken:
        return f"`tfgpu-provision sync{f' --locked {file}' if file else ''} {path}`"
    return how_replaced(file, path)


def how_replaced(file: str, path: str) -> str:
    """Return how an environment is made anew from a lock."""
    return _HOW_LOCKED.format(file=f"{file} " if file else "", path=path)


def _no_lock(seen: Seen) -> Denial:
    return Denial(
        "no-lock",
        f"there is no lock to hold {seen.prefix} against",
        ("it has none of its own, and no lock of this project fits this machine",),
        "name one: `tfgpu-provision status --lock FILE`",
    )

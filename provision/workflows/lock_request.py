"""What a lock is asked to hold: options, the project's settings, and what its lock was made of before."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from provision.backends.requirements import check_all, read_file
from provision.errors import UsageError
from provision.model.lock import Lock, LockRequest
from provision.model.plan import Request
from provision.workflows.plan import make_request
from provision.workflows.settings import Settings

_FIRST_DAY, _LAST_DAY = dt.date(2015, 11, 9), dt.date(2998, 12, 31)
"""TensorFlow's first release; before it there is nothing to go back to."""
_NO_DAY = ("none", "today", "now")


@dataclass(frozen=True)
class LockOptions:
    """What the user typed; see ``tfgpu-provision lock --help`` for each."""

    tf: str | None = None
    python: str | None = None
    with_: tuple[str, ...] = ()
    requirement_files: tuple[Path, ...] = ()
    with_conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    for_: tuple[str, ...] = ()
    backend: str | None = None
    formats: tuple[str, ...] = ()
    output: str | None = None
    upgrade: bool = False
    """Let every version change."""
    upgrade_packages: tuple[str, ...] = ()
    """Let the versions of these change."""
    as_of: str | None = None
    check: bool = False
    allow_source: bool = False
    offline: bool = False
    matrix_file: Path | None = None
    conda_exe: str | None = None


_ASKED = ("tf", "python", "requirements", "conda", "channels")
"""Settings that say what is asked for."""


def lock_request(options: LockOptions, settings: Settings, folder: Path, previous: Lock | None) -> LockRequest:
    """Return what is asked for. Options win over settings, packages add up.

    Where neither says anything, it is what the lock there was made of. A day and the leave to build from source stay as
    the lock has them until they are given anew.

    Raises:
        UsageError: ``requirement-not-allowed``, ``bad-day``.
        InvalidFileError: a requirements file that cannot be used.
    """
    before = previous.contract.request if previous is not None else LockRequest()
    typed = (options.tf, options.python, options.with_, options.requirement_files, options.with_conda, options.channels)
    if not any(typed) and not any(key in settings.values for key in _ASKED):
        asked = before
    else:
        packages = [
            *check_all(settings.strings("requirements"), "[tool.tfgpu] requirements"),
            *check_all(options.with_, "--with"),
        ]
        for file in options.requirement_files:
            packages += read_file(folder / file)
        asked = LockRequest(
            tf=((options.tf if options.tf is not None else settings.text("tf")) or "").strip(),
            python=((options.python if options.python is not None else settings.text("python")) or "").strip(),
            requirements=tuple(sorted(set(packages))),
            conda=tuple(sorted({*settings.strings("conda"), *options.with_conda})),
            channels=tuple(options.channels or settings.strings("channels")),
        )
    return dataclasses.replace(
        asked,
        as_of=before.as_of if options.as_of is None else _day(options.as_of),
        allow_source=options.allow_source or before.allow_source,
    )


def plan_request(request: LockRequest, backend: str) -> Request:
    """Return the same for the planner; raises UsageError (``bad-python``, ``usage``)."""
    if backend == "venv" and (request.conda or request.channels):
        raise UsageError(
            "packages of conda channels need the conda backend",
            code="usage",
            why=(f"asked for: {', '.join((*request.conda, *request.channels))}",),
            hint="add --backend conda",
        )
    plain = make_request(Settings(), tf=request.tf, python=request.python, requirements=request.requirements)
    return dataclasses.replace(plain, backend=backend, conda=request.conda)


def _day(text: str) -> str:
    if text.strip().lower() in _NO_DAY:
        return ""
    try:
        day = dt.date.fromisoformat(text.strip())
    except ValueError:
        day = None
    if day is None or not _FIRST_DAY <= day <= _LAST_DAY:
        raise UsageError(
            f"{text[:40]!a} is not a day to go back to",
            code="bad-day",
            why=(f"it must be a date from {_FIRST_DAY} on",),
            hint="write it as 2021-03-01; `--as-of none` lifts the one of the lock",
        )
    return day.isoformat()

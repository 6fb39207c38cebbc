"""doctor: look at what was named, diagnose it, write the report."""

from __future__ import annotations

import difflib
import importlib
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import UsageError
from provision.snapshot.interpreter import ask
from provision.system import System
from provision.system.parallel import Pending

if TYPE_CHECKING:  # loading these takes as long as the interpreter takes to answer, see `doctor`
    from provision.model.doctor import Cause, Diagnosis
    from provision.model.host import HostFacts
    from provision.model.snapshot import Snapshot
    from provision.verify.receipt import Identity

LONGEST_LOG = 256 << 20
"""Bytes of a log that are read; what decides stands in its first megabytes."""
STANDARD_INPUT = "standard input"


@dataclass(frozen=True)
class DoctorResult:
    """The diagnosis, what it was made from, and how long it took."""

    diagnosis: Diagnosis
    snapshot: Snapshot
    seconds: float


def doctor(
    system: System,
    folder: Path,
    target: str | None = None,
    *,
    log: str | None = None,
    script: Path | None = None,
    deep: bool = False,
    for_: Sequence[str] = (),
    only: Sequence[str] = (),
    matrix_file: Path | None = None,
) -> DoctorResult:
    """Look and diagnose.

    With a log or a script and no environment named, nothing else is looked at: they may come from another machine.
    Else the environment is the one named, or ``.venv`` here, or the active one; without any, the machine alone.

    Args:
        system: the door.
        folder: where the user stands.
        target: an environment's folder or its Python.
        log: a file, or ``-`` for standard input.
        script: a file or folder of user code, which is read and never run.
        deep: import TensorFlow in a child.
        for_: the values of ``--for``.
        only: codes to look for.
        matrix_file: use this matrix.

    Raises:
        UsageError: ``unknown-cause``, ``no-log``, ``no-script``, ``bad-for``, or no environment at ``target``.
        InvalidFileError: a wrong matrix, project file or captured machine.
    """
    begin = time.monotonic()
    for code in only:
        cause_of(code)
    alone = target is None and bool(log or script)
    # Everything waits for the interpreter's answer: it is asked first, and what is needed next is loaded meanwhile.
    seen = None if alone else Pending(lambda: ask(system, target))
    from provision.snapshot.snapshot import Wanted, take  # noqa: PLC0415 - see above
    from provision.workflows.common import load_matrix  # noqa: PLC0415
    from provision.workflows.settings import load_settings  # noqa: PLC0415

    wanted = Wanted(
        environment=seen.result if seen else None,
        host=_host(system, for_, alone=alone),
        log=read_bytes(log) if log else None,
        script=_script(script),
        deep=deep,
        folder=folder,
        meanwhile=lambda: importlib.import_module("provision.doctor.diagnose"),
    )
    snapshot = _with_repair(take(system, wanted, lambda: load_matrix(matrix_file, load_settings(folder))))
    from provision.doctor.diagnose import diagnose  # noqa: PLC0415 - loaded meanwhile

    found = diagnose(snapshot, subject=_subject(snapshot), only=only)
    return DoctorResult(found, snapshot, time.monotonic() - begin)


def cause_of(code: str) -> Cause:
    """Return a row of the table of causes; raises UsageError ``unknown-cause`` with the nearest names."""
    from provision.doctor.causes import CAUSES  # noqa: PLC0415 - only who names a code needs the table here

    if code in CAUSES:
        return CAUSES[code]
    word = code.lower().replace("-", "_")
    near = [item for item in CAUSES if word and word in item] or difflib.get_close_matches(word, CAUSES, n=3)
    raise UsageError(
        f"{code[:60]!a} is not a cause that doctor knows",
        code="unknown-cause",
        hint=f"did you mean {', '.join(near)}?" if near else "`tfgpu-provision doctor --list` names all of them",
    )


def read_bytes(log: str) -> tuple[str, bytes]:
    """Return a log's name and at most `LONGEST_LOG` bytes of it; raises UsageError ``no-log``."""
    if log == "-":
        return STANDARD_INPUT, sys.stdin.buffer.read(LONGEST_LOG)
    path = Path(log).expanduser()
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise UsageError(f"{log} is a folder, not a log", code="no-log", hint="give one file, or - for a pipe")
        with path.open("rb") as stream:
            return log, stream.read(LONGEST_LOG)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the log {log!r} cannot be read", code="no-log", why=(why,), hint="give a file, or - for a pipe"
        ) from error


def identity(system: System) -> Identity:
    """Return the names that a shared report must not have."""
    from provision.verify.receipt import Identity  # noqa: PLC0415 - only a report needs it

    environ = system.environ
    user = environ.get("USER") or environ.get("LOGNAME") or environ.get("USERNAME", "")
    return Identity(environ.get("HOME", ""), user, os.uname().nodename)


def versions(snapshot: Snapshot) -> frozenset[str]:
    """Return every version at hand: four numbers with dots are no address where they are one of these."""
    pins = (pin.version for row in snapshot.matrix.rows for item in (*row.sets, *row.conda_sets) for pin in item.pins)
    seen = snapshot.environment
    if seen is None:
        return frozenset(pins)
    gates = [gate for gate in (seen.gate, seen.gate_bare) if gate is not None]
    loaded = (item.version for gate in gates for item in (*gate.libraries, *gate.beside) if item.version)
    return frozenset((*pins, *loaded, *(item.version for item in seen.packages), *seen.conda.values()))


def _with_repair(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with what a repair that was cut off has left; its journal lies above their room."""
    from provision.workflows.common import cut_off_repair  # noqa: PLC0415 - see `doctor`

    found = snapshot.environment
    if found is None:
        return snapshot
    what, _ = cut_off_repair(Path(found.env.prefix if found.env else found.path))
    return replace(snapshot, environment=replace(found, cut_off=what)) if what else snapshot


def _host(system: System, for_: Sequence[str], *, alone: bool) -> Callable[[], HostFacts] | None:
    if alone and not for_:
        return None

    def read() -> HostFacts:
        from provision.workflows.common import host_for  # noqa: PLC0415 - see `doctor`

        return host_for(system, for_)

    return read


def _script(path: Path | None) -> Path | None:
    if path is None:
        return None
    if not path.expanduser().exists():
        raise UsageError(f"there is no script at {path}", code="no-script", hint="give a Python file or a folder")
    return path.expanduser()


def _subject(snapshot: Snapshot) -> str:
    from provision.doctor.open_questions import named  # noqa: PLC0415 - see `doctor`

    if snapshot.environment is not None:
        return named(snapshot.environment)
    if snapshot.log is not None:
        return snapshot.log.name
    if snapshot.script is not None:
        return snapshot.script.name
    return "the described machine" if snapshot.host and snapshot.host.described else "this machine"

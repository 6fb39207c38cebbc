"""Start a probe script in a child process and read its one JSON object.

A probe is a guest: standard library, Python 3.6 words, no opinions. It prints one JSON object as its last line; what
stands before it is the environment's own talk. Whatever loads a foreign library happens there and never here: a
truncated library kills the process that maps it.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.system import Completed, System

SCRIPTS = Path(__file__).parent / "scripts"
_MARK = "TFGPU-PROBE "


@dataclass(frozen=True)
class ProbeAnswer:
    """What came back.

    Attributes:
        data: the JSON object, None where the child died, hung or said nothing of use.
        failure: ``""``, ``timeout``, ``signal SIGBUS``, ``exit 1``, ``no answer``, ``not started``.
        completed: the child as it ended, with all its output.
    """

    data: Mapping[str, Any] | None
    failure: str
    completed: Completed


def run_probe(
    system: System,
    python: str | Path,
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    timeout: float,
    environ: Mapping[str, str] | None = None,
    flags: tuple[str, ...] = ("-s",),
) -> ProbeAnswer:
    """Run ``scripts/<name>.py`` with ``python``; never raises for what the probe does.

    Args:
        system: the door.
        python: the interpreter of the environment in question, or our own.
        name: the script's name without its suffix.
        arguments: handed over as one JSON object on standard input.
        timeout: seconds.
        environ: the child's whole environment, ours by default.
        flags: interpreter flags; ``-s`` keeps the user site out.
    """
    script = SCRIPTS / f"{name}.py"
    completed = system.run(
        [str(python), *flags, str(script)],
        timeout=timeout,
        env=environ,
        stdin=json.dumps(dict(arguments or {})),
    )
    return ProbeAnswer(_last_object(completed.stdout), _failure(completed), completed)


def _last_object(output: str) -> Mapping[str, Any] | None:
    for line in reversed(output.splitlines()):
        if line.startswith(_MARK):
            try:
                data = json.loads(line[len(_MARK) :])
            except ValueError:
                return None
            return data if isinstance(data, dict) else None
    return None


def _failure(completed: Completed) -> str:
    if completed.timed_out:
        return "timeout"
    if completed.returncode in (126, 127) and not completed.stdout:
        return "not started"
    if completed.returncode < 0:
        try:
            return f"signal {signal.Signals(-completed.returncode).name}"
        except ValueError:
            return f"signal {-completed.returncode}"
    if completed.returncode:
        return f"exit {completed.returncode}"
    return "" if _MARK in completed.stdout else "no answer"

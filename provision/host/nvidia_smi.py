"""nvidia-smi, where NVML itself could not be asked: it may be statically paired with a driver that we do not find."""

from __future__ import annotations

from collections.abc import Callable

from provision.host import paths
from provision.host.parsers import SmiReport, SmiState, parse_smi_csv, parse_smi_table, parse_smi_xml
from provision.model.facts import Attempt
from provision.system import System

WSL_PROGRAM = "/usr/lib/wsl/lib/nvidia-smi"
_FIELDS = ("index", "name", "uuid", "pci.bus_id", "memory.total", "memory.used", "driver_version", "compute_cap")
# compute_cap came after 470; where it is unknown the whole query fails and is asked again without it.
_QUERIES: tuple[tuple[str, ...], ...] = (_FIELDS, _FIELDS[:-1])
_CANNOT_GET_BETTER = (SmiState.NO_PROGRAM, SmiState.LIBRARY_MISMATCH, SmiState.DRIVER_NOT_LOADED, SmiState.NO_LIBRARY)


def ask_nvidia_smi(system: System, attempts: list[Attempt], limit: float) -> SmiReport | None:
    """Return the first form of output that lists GPUs, else the report of the last failure; None without the program.

    1. ``-q -x``, which has the most; 2. ``--query-gpu``, with the compute capability where it is known; 3. the table.
    """
    program = system.which("nvidia-smi")
    if program is None:
        path = system.path(WSL_PROGRAM)
        if not paths.is_file(path):
            attempts.append(Attempt("nvidia-smi", "absent"))
            return None
        program = str(path)
    forms: list[tuple[str, tuple[str, ...], Callable[[str], SmiReport]]] = [
        ("nvidia-smi -q -x", ("-q", "-x"), parse_smi_xml),
        *(
            (
                "nvidia-smi --query-gpu",
                (f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"),
                lambda text, fields=fields: parse_smi_csv(text, fields),
            )
            for fields in _QUERIES
        ),
        ("nvidia-smi", (), parse_smi_table),
    ]
    report = None
    for source, arguments, parse in forms:
        completed = system.run([program, *arguments], timeout=limit)
        if completed.timed_out:
            attempts.append(Attempt(source, "timeout", f"no answer within {limit:g} s"))
            return report
        report = parse(completed.stdout if completed.ok else completed.stdout + completed.stderr)
        outcome = "ok" if report.gpus else "failed"
        attempts.append(Attempt(source, outcome, report.message or ("" if report.gpus else report.state.value)))
        if report.gpus or report.state in _CANNOT_GET_BETTER:
            break
    return report

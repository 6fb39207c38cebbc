"""What ``nvidia-smi --query-gpu=… --format=csv[,noheader][,nounits]`` prints.

The fields may come in any order, with or without a header; a field that a GPU or driver has not is ``[N/A]``,
``[Not Supported]`` or the like; a field that this nvidia-smi does not know ends the whole run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from provision.host.parsers import values
from provision.host.parsers.smi import SmiReport, SmiState, failure_in, without_gpus
from provision.model.host import Gpu
from provision.model.versions import ComputeCapability, DriverVersion

_HEADER_CELL = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*(?:\s*\[[^\]]*\])?")
_ALIASES = {
    "gpu_name": "name",
    "gpu_uuid": "uuid",
    "gpu_bus_id": "pci.bus_id",
    "compute_capability": "compute_cap",
    "mig.mode": "mig.mode.current",
}
_GPU_FIELDS = ("name", "uuid", "index", "memory.total", "compute_cap", "driver_version", "pci.bus_id")
_LIMIT = 4096

_GUESSES = (
    ("uuid", re.compile(r"(?:GPU|MIG)-[0-9a-fA-F-]{8,}")),
    ("pci.bus_id", re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")),
    ("driver_version", re.compile(r"\d{3}\.\d{2,3}(?:\.\d{1,3})?")),
    ("compute_cap", re.compile(r"\d{1,2}\.\d")),
    ("memory.total", re.compile(r"\d{3,8}(?:\s*MiB)?", re.IGNORECASE)),
    ("mig.mode.current", re.compile(r"Enabled|Disabled")),
    ("index", re.compile(r"\d{1,2}")),
    ("name", re.compile(r"(?=.*[A-Za-z]{2})[^\[\]]{3,}")),
)


def fields_of(command: str) -> tuple[str, ...]:
    """Return the fields that a command line asks for with ``--query-gpu=name,driver_version``."""
    found = re.search(r"--query-gpu[= ]([\w.,]+)", command)
    fields = tuple(found.group(1).split(",")) if found else ()
    return fields if all(_HEADER_CELL.fullmatch(field) for field in fields) else ()


def parse_smi_csv(text: str, fields: Sequence[str] = ()) -> SmiReport:
    """Read the lines, or the message that stands in their place; never raises.

    Args:
        text: the output; memory in MiB, with or without units.
        fields: what was asked for, in order; needed only where there is no header. Without either, each cell is known
            by what it looks like, as far as that is unambiguous.
    """
    text = values.without_colours(text)
    failure = failure_in(text)
    fields = fields or fields_of(text)
    written = text.splitlines()[:_LIMIT]
    one_column = any("," not in line and _is_header([line.strip()]) for line in written)
    lines = [
        [cell.strip().strip('"') for cell in line.split(",")]  # spreadsheets put every cell in quotes
        for line in written
        if ("," in line or fields or one_column)
        and line.strip()
        and "--query-gpu" not in line
        and not _is_failure(line)
    ]
    header = next((place for place, cells in enumerate(lines) if _is_header(cells)), None)
    names = _names(lines[header]) if header is not None else _names(fields)
    rows = [_row(cells, names) for cells in lines[(header + 1 if header is not None else 0) :]]
    rows = [row for row in rows if row.keys() & set(_GPU_FIELDS)]
    if (failure and failure[0] is SmiState.UNKNOWN_FIELD) or (failure and not rows):
        return SmiReport(failure[0], message=failure[1])
    if not rows:
        return SmiReport(SmiState.NO_DEVICES) if header is not None else without_gpus(text)
    versions = (values.version(DriverVersion, row.get("driver_version")) for row in rows)
    return SmiReport(
        state=SmiState.OK,
        driver=next((version for version in versions if version), None),
        gpus=tuple(_gpu(row, place) for place, row in enumerate(rows) if row.keys() - {"driver_version"}),
    )


def _is_failure(line: str) -> bool:
    """Whether the line is a message; ``[GPU is lost]`` in brackets is a value of its cell."""
    return failure_in(re.sub(r"\[[^\]]*\]", "", line)) is not None


def _is_header(cells: Sequence[str]) -> bool:
    """Whether these are names of fields; a lone word such as ``quadro`` must be one that is known."""
    plain = all(_HEADER_CELL.fullmatch(cell) for cell in cells)
    return plain and (any(re.search(r"[_.\[]", cell) for cell in cells) or bool(set(_names(cells)) & set(_GPU_FIELDS)))


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    plain = (re.sub(r"\s*\[.*", "", cell).strip() for cell in cells)
    return tuple(_ALIASES.get(name, name) for name in plain)


def _row(cells: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    if names:
        return dict(zip(names, cells, strict=False)) if len(cells) == len(names) else {}
    row: dict[str, str] = {}
    for cell in cells:
        for field, pattern in _GUESSES:
            if field not in row and pattern.fullmatch(cell):
                row[field] = cell
                break
    return row if len(row) > 1 and ("name" in row or "uuid" in row) else {}


def _gpu(row: dict[str, str], place: int) -> Gpu:
    index = values.whole(row.get("index"))
    return Gpu(
        name=values.name(row.get("name")) or "unknown",
        compute_capability=values.version(ComputeCapability, row.get("compute_cap")),
        index=place if index is None else index,
        memory_mib=values.mebibytes(row.get("memory.total")),
        memory_used_mib=values.mebibytes(row.get("memory.used")),
        uuid=values.name(row.get("uuid")),
        pci_bus_id=values.name(row.get("pci.bus_id")),
        mig={"enabled": True, "disabled": False}.get(row.get("mig.mode.current", "").lower()),
        source="nvidia-smi --query-gpu",
    )

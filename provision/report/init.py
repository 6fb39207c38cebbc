"""What init wrote, as a person reads it, or as JSON."""

from __future__ import annotations

from typing import Any

from provision.errors import ExitCode
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.initialised import InitResult
from provision.report.create import denial_lines


def exit_code(result: InitResult) -> ExitCode:
    """Return 0 where the table was written, 3 where it was not."""
    return ExitCode.REFUSED if result.denial else ExitCode.DONE


def init_document(result: InitResult) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever the outcome."""
    return {
        "schema": SCHEMA_VERSION,
        "outcome": "refused" if result.denial else "written",
        **jsonable(result),
        "exit_code": int(exit_code(result)),
    }


def init_text(result: InitResult) -> str:
    """Return the answer in plain lines."""
    if result.denial is not None:
        return "\n".join(denial_lines(result.denial))
    done = "created" if result.created else "replaced the table in" if result.replaced else "written to"
    lines = [f"{done}: {result.path}", "", *(f"  {line}".rstrip() for line in result.table.splitlines()), ""]
    return "\n".join([*lines, "next: `tfgpu-provision lock`, then `tfgpu-provision create --locked`"])

"""A failure as a person reads it, or as JSON."""

from __future__ import annotations

from typing import Any

from provision.errors import ProvisionError
from provision.model.document import SCHEMA_VERSION


def failure_text(error: ProvisionError) -> str:
    """Return ``error: what [code]``, the reasons indented, and the hint after an empty line."""
    lines = [f"error: {error.what} [{error.code}]", *(f"  {line}" for line in error.why)]
    if error.hint:
        lines += ["", f"hint: {error.hint}"]
    return "\n".join(lines)


def failure_document(error: ProvisionError) -> dict[str, Any]:
    """Return the same content for ``--json``."""
    return {
        "schema": SCHEMA_VERSION,
        "error": {"code": error.code, "what": error.what, "why": list(error.why), "hint": error.hint},
        "exit_code": int(error.exit_code),
    }

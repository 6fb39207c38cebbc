"""The table of causes, one module for each area."""

from __future__ import annotations

from collections.abc import Mapping

from provision.doctor.causes import code, libraries, log, machine, packages
from provision.model.doctor import Cause

CAUSES: Mapping[str, Cause] = {
    cause.code: cause for cause in (*machine.CAUSES, *packages.CAUSES, *libraries.CAUSES, *code.CAUSES, *log.CAUSES)
}
"""Code to cause."""

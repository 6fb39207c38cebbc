"""Every check, one module for each area."""

from __future__ import annotations

from provision.doctor.check import Check
from provision.doctor.checks import code, libraries, machine, packages

CHECKS: tuple[Check, ...] = (*machine.CHECKS, *packages.CHECKS, *libraries.CHECKS, *code.CHECKS)
"""All of them; their order means nothing."""

"""Checks of Python and its packages."""

from __future__ import annotations

from provision.doctor.check import Check
from provision.doctor.checks import built, installed, interpreter, shadowed, versions

CHECKS: tuple[Check, ...] = (
    *interpreter.CHECKS,
    *installed.CHECKS,
    *shadowed.CHECKS,
    *built.CHECKS,
    *versions.CHECKS,
)

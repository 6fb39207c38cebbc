"""The table of message families, one module for each area."""

from __future__ import annotations

from provision.doctor.log.families import compute, devices, driver, installers, loader, machine, noise, python
from provision.doctor.log.family import Family

FAMILIES: tuple[Family, ...] = (
    *loader.FAMILIES,
    *driver.FAMILIES,
    *devices.FAMILIES,
    *compute.FAMILIES,
    *installers.FAMILIES,
    *python.FAMILIES,
    *machine.FAMILIES,
    *noise.FAMILIES,
)
"""All rows; their order means nothing."""

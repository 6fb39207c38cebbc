"""Checks of the machine: driver, GPU, container, resources and variables, one module for each."""

from __future__ import annotations

from provision.doctor.check import Check
from provision.doctor.checks import driver, gpu, libcuda, nodes, presence, resources, serving, variables, visible

CHECKS: tuple[Check, ...] = (
    *presence.CHECKS,
    *driver.CHECKS,
    *nodes.CHECKS,
    *libcuda.CHECKS,
    *gpu.CHECKS,
    *serving.CHECKS,
    *visible.CHECKS,
    *variables.CHECKS,
    *resources.CHECKS,
)

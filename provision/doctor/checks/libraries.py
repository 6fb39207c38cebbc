"""Checks of the CUDA libraries, cuDNN and what XLA needs."""

from __future__ import annotations

from provision.doctor.check import Check
from provision.doctor.checks import library_broken, library_missing, library_variables, library_versions

CHECKS: tuple[Check, ...] = (
    Check(library_missing.CODES, library_missing.missing),
    Check(library_broken.CODES, library_broken.broken),
    Check(("wrong_cuda_version", "cudnn_version_mismatch", "cudnn_drops_gpu"), library_versions.versions),
    Check(("ptxas_libdevice_missing",), library_versions.xla_tools),
    Check(library_variables.CODES, library_variables.variables),
)

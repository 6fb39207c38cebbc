"""Which library sets a row offers to a backend: NVIDIA wheels to ``venv``, conda packages to ``conda``."""

from __future__ import annotations

import dataclasses
import shlex

from provision.model.matrix import Row
from provision.model.plan import Request

VENV = "venv"
CONDA = "conda"


def narrowed(row: Row, backend: str) -> Row:
    """Return the row with the sets of one backend as its ``sets``, and their evidence as that of ``sets``.

    Every rule looks at ``row.sets`` alone and so works for both backends.
    """
    if backend != CONDA:
        return row
    evidence = {group: item for group, item in row.evidence.items() if group != "sets"}
    if "conda" in evidence:
        evidence["sets"] = evidence["conda"]
    return dataclasses.replace(row, sets=row.conda_sets, evidence=evidence)


def other(backend: str) -> str:
    """Return the backend that was not asked for."""
    return VENV if backend == CONDA else CONDA


def options(request: Request) -> list[str]:
    """Return the options that ask for the backend of a request and for its conda packages; none for ``venv``."""
    if request.backend != CONDA:
        return []
    parts = ["--backend", CONDA]
    for spec in request.conda:
        parts += ["--with-conda", shlex.quote(spec)]
    return parts

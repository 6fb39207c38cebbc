"""What `audit env` read of an environment."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.audit import Claim
from provision.model.wheel import WheelFacts


@dataclass(frozen=True)
class InstalledFacts:
    """The TensorFlow of an environment, read as a wheel is read.

    Attributes:
        prefix: root of the environment.
        kind: ``venv``, ``conda`` or ``system``.
        python: exact version.
        facts: of what is installed; its search says what is found of the NVIDIA libraries that are installed with it.
        libraries: requirements (``nvidia-cudnn-cu12==9.3.0.75``) of what brings CUDA libraries here; of conda packages
            only those of the set.
        row: requirement of the matrix row, empty where there is none.
        library_set: the set of the row that is here, or that comes nearest; empty where none does.
        differences: where it differs from that set.
        claims: of the row, those that the installed files can decide.
    """

    prefix: str
    kind: str
    python: str
    facts: WheelFacts
    libraries: tuple[str, ...] = ()
    row: str = ""
    library_set: str = ""
    differences: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()

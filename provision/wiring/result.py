"""The answer of the command ``wire``."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.created import Denial
from provision.wiring.report import WiringReport


@dataclass(frozen=True)
class WireResult:
    """The answer of wire.

    Attributes:
        path: of the environment.
        tensorflow: the distribution and release found, empty where there is none.
        library_set: ident of the set that is meant, empty where it was not looked for.
        mixture: packages that are not of that set's version, ``name found, set has wanted``.
        report: the wiring afterwards, None where it was refused.
        denial: why nothing was done.
        undone: whether the wiring was to be taken away.
    """

    path: str
    tensorflow: str = ""
    library_set: str = ""
    mixture: tuple[str, ...] = ()
    report: WiringReport | None = None
    denial: Denial | None = None
    undone: bool = False

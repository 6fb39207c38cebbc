"""What init wrote into a project."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.created import Denial


@dataclass(frozen=True)
class InitResult:
    """The answer of init.

    Attributes:
        path: the pyproject.toml, absolute.
        table: the text that was or would be written.
        created: whether there was no such file before.
        replaced: whether a table of ours gave way.
        denial: why nothing was written; None where it was.
    """

    path: str
    table: str
    created: bool = False
    replaced: bool = False
    denial: Denial | None = None

"""User code as it was read; it is never run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Remark:
    """Something in the user's code that bears on the GPU.

    Attributes:
        kind: ``cpu-device``, ``visible-devices-env``, ``visible-devices-call``, ``session-without-gpu``,
            ``growth-late``, ``growth-unequal``, ``variable-late``, ``memory-limit``, ``unparsable`` …
        file: relative to what was asked for.
        line: from 1.
        text: the source line.
        fields: ``variable``, ``value``, ``device`` …
        late: whether it stands after the call that it had to come before.
    """

    kind: str
    file: str
    line: int
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)
    late: bool = False


@dataclass(frozen=True)
class ScriptFacts:
    """User code that was read and not run; ``files`` how many were read."""

    name: str
    files: int
    remarks: tuple[Remark, ...] = ()

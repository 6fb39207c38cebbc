"""A log as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Signal:
    """One line, or several that belong together, of a log that belongs to a known family of messages.

    Attributes:
        family: its key, for example ``dlopen-failed`` or ``cuinit``.
        line: number of the decisive line, from 1.
        text: that line, without its time stamp, at most 300 characters.
        fields: what was read out of it: ``library``, ``error``, ``loaded``, ``built`` …
        meaning: for a harmless family, one sentence that says so; empty otherwise.
    """

    family: str
    line: int
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)
    meaning: str = ""


@dataclass(frozen=True)
class LogFacts:
    """A log that was read.

    Attributes:
        name: of the file, ``standard input`` for ``-``.
        lines: how many it has.
        kinds: what it looks like: ``tensorflow``, ``pip``, ``uv``, ``conda``, ``nvidia-smi``, ``docker``, ``kernel``,
            ``python``.
        signals: in the order of the lines.
    """

    name: str
    lines: int
    kinds: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()

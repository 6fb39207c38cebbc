"""A family of messages: everything that says the same thing in the words of one program or another."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLANK = re.compile(r" (?=[?*+{])")


@dataclass(frozen=True)
class Family:
    """One row of the table of messages.

    Attributes:
        key: its name; several rows may share one.
        pattern: finds the message; its named groups become the fields of the signal. White space between words
            stands for any white space, so that a message cut into lines by a terminal is still found.
        needles: lower-case pieces of text; where none of them occurs the pattern is not tried.
        kind: the program that says it: ``tensorflow``, ``pip``, ``uv``, ``conda``, ``nvidia-smi``, ``docker``,
            ``kernel``, ``python``.
        meaning: for a harmless message, one sentence that says so.
        fields: constant fields.
    """

    key: str
    pattern: re.Pattern[str]
    needles: tuple[str, ...]
    kind: str
    meaning: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def family(
    key: str, pattern: str, needles: str, *, kind: str = "tensorflow", meaning: str = "", **fields: str
) -> Family:
    """Return a row: a blank in ``pattern`` matches any white space, ``needles`` are divided by ``|``."""
    compiled = re.compile(_BLANK.sub(r"\\s", pattern).replace(" ", r"\s+"), re.IGNORECASE)
    return Family(key, compiled, tuple(needles.lower().split("|")), kind, meaning, tuple(fields.items()))

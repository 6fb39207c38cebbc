"""Single values as NVIDIA's tools print them."""

from __future__ import annotations

import re
from typing import TypeVar

from provision.model.versions import Dotted

D = TypeVar("D", bound=Dotted)

_MEMORY = re.compile(r"(\d{1,9})(?:\.\d+)?\s*(MiB|MB|GiB|GB|KiB|KB)?", re.ASCII | re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\^_]|\ufeff")
"""What a terminal or an editor adds to a text: ANSI control sequences and a byte order mark."""
_NOTHING = re.compile(
    r"\[?\s*(?:n/?a|none|no data|err!|not (?:supported|available|found)|unknown error|insufficient [^\[\]]*|"
    r"gpu is lost|gpu requires reset|requested functionality [^\[\]]*)\s*\]?",
    re.IGNORECASE,
)


def is_nothing(text: str) -> bool:
    """Whether the text is one of NVIDIA's words for "no value": ``N/A``, ``[Not Supported]``, ``ERR!`` and others."""
    return not text.strip() or _NOTHING.fullmatch(text.strip()) is not None


def mebibytes(text: str | None) -> int | None:
    """Return MiB of ``81920 MiB``; a bare number is MiB, as ``nounits`` prints it; None for no value."""
    found = _MEMORY.fullmatch((text or "").strip())
    if not found:
        return None
    number, unit = int(found.group(1)), (found.group(2) or "MiB").lower()
    return number << 10 if unit.startswith("g") else number >> 10 if unit.startswith("k") else number


def whole(text: str | None) -> int | None:
    """Return a small whole number, None for anything else."""
    found = re.fullmatch(r"\d{1,9}", (text or "").strip(), re.ASCII)
    return int(found.group()) if found else None


def version(kind: type[D], text: str | None) -> D | None:
    """Return a version with at least two parts, None for ``N/A``, ``ERR!`` or a bare number."""
    return kind.parse(text) if text and "." in text else None


def without_colours(text: str) -> str:
    """Return a text as the tool printed it, without the colours that a terminal recording adds."""
    return _CONTROL.sub("", text)


def plain(text: str) -> str:
    """Return the text with its runs of white space made one blank."""
    return " ".join(text.split())


def name(text: str | None) -> str | None:
    """Return a product name with its white space made plain, None for no value."""
    words = plain(text or "")
    return None if is_nothing(words) else words

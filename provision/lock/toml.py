"""TOML that somebody else may have written, read so that it cannot eat the machine; and TOML that we write."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from provision.lock.refusing import bad, limit_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_LINE = 16_000
_MAX_DEPTH = 24
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


def read_toml(text: str, where: str) -> dict[str, Any]:
    """Return the document.

    A key of many parts, ``a.a.a…``, costs the standard library's reader memory with the square of its length, and
    nested brackets its stack; both are counted before it sees them.

    Raises:
        InvalidFileError: code ``bad-lock``.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        limit_line(where, number, line, _MAX_LINE)
        if '"""' in line or "'''" in line:
            raise bad(where, "text over several lines, which a lock has not", line=number)
        if line.startswith("#"):
            continue
        bare = _STRING.sub("", line)
        if bare.count(".") > _MAX_DEPTH or bare.count("[") + bare.count("{") > _MAX_DEPTH:
            raise bad(where, "more nesting than a lock has", line=number, shown=line)
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise bad(where, f"it is no TOML: {reason}") from None
    return document


def write_toml(document: Mapping[str, Any]) -> str:
    """Return a document as text: the same values in the same order give the same bytes."""
    import tomlkit  # noqa: PLC0415 - only who writes this format pays for it

    return tomlkit.dumps(document)

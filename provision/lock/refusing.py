"""What every lock file must be before it is read at all, and how it is refused. A lock is somebody else's file."""

from __future__ import annotations

import re

from provision.errors import InvalidFileError

MAX_BYTES = 4 << 20
"""Size of a lock file, in bytes; the longest real ones (60 packages with every wheel) have a quarter of a MiB."""
MAX_PACKAGES = 2000
MAX_LINE = 4000
"""Characters of one line, but for the contract and for formats that write a list on one line."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SHOWN = 100


def bad(
    where: str, reason: str, *, line: int | None = None, shown: str = "", hint: str | None = None
) -> InvalidFileError:
    """Return the error for a lock file that must not be used, code ``bad-lock``.

    Args:
        where: name of the file.
        reason: what is wrong with it, one line without a full stop.
        line: where, counted from 1.
        shown: what stands there; cut, and escaped where it is not plain.
        hint: what to do; making the lock anew if None.
    """
    place = f"line {line}: " if line is not None else ""
    why = [f"{place}{reason}"]
    if shown:
        cut = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " …"
        why.append("it reads: " + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut))
    return InvalidFileError(
        f"{where} is not a lock that can be used",
        code="bad-lock",
        why=tuple(why),
        hint=hint or "make it anew with `tfgpu-provision lock`, or take it back from version control",
    )


def readable_text(where: str, data: bytes) -> str:
    r"""Return the text of a lock file, with ``\n`` at the end of every line.

    Raises:
        InvalidFileError: code ``bad-lock``: it is too large, not UTF-8, begins with a byte order mark, or holds a
            control character or one that cannot be seen (bidirectional marks, other line separators): what a person
            reads in it must be what a program reads.
    """
    if len(data) > MAX_BYTES:
        raise bad(where, f"it has {len(data)} bytes; a lock has {MAX_BYTES} at most")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise bad(where, "it begins with a byte order mark", line=1)
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise bad(where, "it is not UTF-8", line=data.count(b"\n", 0, error.start) + 1) from None
    found = _CONTROL.search(text)
    place = found.start() if found else None
    if place is None and not text.isascii():
        place = next((at for at, char in enumerate(text) if not char.isprintable() and char not in "\n\t"), None)
    if place is not None:
        code = f"U+{ord(text[place]):04X}"
        raise bad(where, f"it holds a character that cannot be seen, {code}", line=text.count("\n", 0, place) + 1)
    return text


def limit_line(where: str, number: int, line: str, longest: int = MAX_LINE) -> None:
    """Refuse a line of more than ``longest`` characters: InvalidFileError, code ``bad-lock``."""
    if len(line) > longest:
        raise bad(where, f"it has {len(line)} characters; a line has {longest} at most", line=number)

"""The first bytes of an LZ4 block, from its first bytes.

Packages that unpack LZ4 want the whole block; here a header of 64 bytes is wanted from a block of megabytes. The format
is public (``doc/lz4_Block_format.md`` of LZ4): a token of two lengths, literals, an offset back, and so on.
"""

from __future__ import annotations

_LONG, _SHORTEST = 15, 4


def unpack_beginning(packed: bytes, length: int) -> bytes:
    """Return up to ``length`` bytes; fewer where ``packed`` ends or is no LZ4."""
    out = bytearray()
    at = 0
    try:
        while len(out) < length and at < len(packed):
            token = packed[at]
            count, at = _length(packed, at + 1, token >> 4)
            out += packed[at : at + min(count, length)]
            at += count
            if len(out) >= length or at + 2 > len(packed):
                break
            back = int.from_bytes(packed[at : at + 2], "little")
            count, at = _length(packed, at + 2, token & _LONG)
            if not 0 < back <= len(out):
                break
            _repeat(out, back, min(count + _SHORTEST, length - len(out)))
    except IndexError:
        pass  # it was cut short: what is there counts
    return bytes(out[:length])


def _length(packed: bytes, at: int, count: int) -> tuple[int, int]:
    if count == _LONG:
        while packed[at] == 0xFF:  # noqa: PLR2004 - another byte follows
            count, at = count + 0xFF, at + 1
        count, at = count + packed[at], at + 1
    return count, at


def _repeat(out: bytearray, back: int, count: int) -> None:
    """Append ``count`` bytes of those from ``back`` on, which may reach into themselves."""
    pattern = bytes(out[-back:])
    out += (pattern * (count // back + 1))[:count]

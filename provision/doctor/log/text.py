"""Bytes of any kind → blocks of text with line numbers, in bounded memory and without endless repetition."""

from __future__ import annotations

import bisect
import codecs
import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_STEP = 1 << 20
_BLOCK = 1 << 16
_OVERLAP = 1 << 11
_LONG_LINE = 1 << 15
_MOST_REPEATS = 6
_MOST_SHAPES = 100_000
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# CSI sequences, and OSC sequences as terminals use them for titles and links
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[@-Z\\^_])")
_PRINTED_ESCAPES = re.compile(r"(?:\\x1b|\\033|\\u001b|␛)\[[0-9;]*m")
_TYPOGRAPHY = {
    ord(letter): plain
    for plain, letters in (("'", "\u2018\u2019\u00b4"), ('"', "\u201c\u201d"), (" ", "\u00a0\u200b"))
    for letter in letters
}
_ENTITIES = re.compile(r"&(?:#\d{2,4}|#x[0-9a-fA-F]{2,4}|quot|gt|lt|amp|apos);")
# what mail, docker compose and Kubernetes put before every line
_BEFORE_LINE = re.compile(
    r"(?:(?:> )+(?!>)|[\w.\-]{1,40}[-_]\d{1,3} +\| |\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) std(?:out|err) [FP] )"
)
_DIGITS = re.compile(r"[0-9]+")
# a terminal's width, and what no cut line goes on with
_NARROWEST, _WIDEST, _SMALL = 60, 250, 1 << 20
_USUAL_WIDTHS = frozenset({79, 80, 100, 120, 132, 160})
_NEW_MESSAGE = re.compile(
    r"\s|\Z|[IWEFD](?:\d{4})? |\d{4}-\d\d-\d\d|[\[\]|+>$#(*-]|"
    r"[A-Z][A-Za-z]+(?: |:|Error\b|Exception\b)|[A-Z]{4,}|lib\w+\.so"
)


@dataclass(frozen=True)
class Block:
    """A piece of a log.

    Attributes:
        text: at most some 64 KiB, lines divided by a line feed.
        numbers: of its lines, from 1.
        own: a match that starts at this offset or later belongs to the next block.
    """

    text: str
    numbers: tuple[int, ...]
    own: int

    @cached_property
    def starts(self) -> list[int]:
        """Offsets at which lines start."""
        return [0, *(place.end() for place in re.finditer("\n", self.text))]

    def line_of(self, offset: int) -> int:
        """Return the number of the line that holds an offset."""
        return self.numbers[min(bisect.bisect_right(self.starts, offset), len(self.numbers)) - 1]

    def line_at(self, offset: int) -> str:
        """Return the text of the line that holds an offset."""
        index = bisect.bisect_right(self.starts, offset) - 1
        end = self.starts[index + 1] - 1 if index + 1 < len(self.starts) else len(self.text)
        return self.text[self.starts[index] : end]


@dataclass
class Counted:
    """How many lines have been read."""

    lines: int = 0


def blocks(data: bytes, counted: Counted) -> Iterator[Block]:
    """Yield the log as blocks that overlap, so that a message on a border is whole in one of them.

    A line that came six times before, its digits left aside, is left out: a training log of millions of lines
    says few different things.
    """
    held: list[tuple[int, str]] = []
    size = 0
    lines = _lines(data, counted)
    for number, line in _joined(list(lines)) if len(data) <= _SMALL else lines:
        held.append((number, line))
        size += len(line) + 1
        if size >= _BLOCK + _OVERLAP:
            own, keep, after = 0, len(held), 0
            while keep > 1 and after + len(held[keep - 1][1]) + 1 <= _OVERLAP:
                keep -= 1
                after += len(held[keep][1]) + 1
            own = size - after
            yield _block(held, own)
            held, size = held[keep:], after
    if held:
        yield _block(held, size)


def _joined(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the lines whole again where a terminal cut them at its width; each keeps the number of its first part."""
    widths = Counter(len(line) for _, line in lines)
    width = max(widths, default=0)
    alone = widths[width] == 1 and width not in _USUAL_WIDTHS
    if alone or not _NARROWEST <= width <= _WIDEST:
        return lines
    whole: list[tuple[int, str]] = []
    before = (0, 0)
    for number, line in lines:
        if before == (number - 1, width) and not _NEW_MESSAGE.match(line):
            whole[-1] = (whole[-1][0], whole[-1][1] + line)
        else:
            whole.append((number, line))
        before = (number, len(line))
    return whole


def _block(held: list[tuple[int, str]], own: int) -> Block:
    return Block("\n".join(line for _, line in held), tuple(number for number, _ in held), own)


def _lines(data: bytes, counted: Counted) -> Iterator[tuple[int, str]]:
    """Yield numbered lines; one longer than 32 KiB comes in pieces of the same number."""
    shapes: Counter[str] = Counter()
    rest = ""
    for piece in _decoded(data):
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            counted.lines += 1
            if len(line) > _LONG_LINE:
                yield from _pieces(counted.lines, line)
                continue
            shape = _DIGITS.sub("0", line)
            shapes[shape] += 1
            if shapes[shape] <= _MOST_REPEATS:
                yield counted.lines, _clean(line)
        if len(shapes) > _MOST_SHAPES:
            shapes.clear()
        while len(rest) > _BLOCK:
            yield from _pieces(counted.lines + 1, rest[:_LONG_LINE])
            rest = rest[_LONG_LINE - _OVERLAP :]
    if rest:
        counted.lines += 1
        yield from _pieces(counted.lines, rest)


def _pieces(number: int, line: str) -> Iterator[tuple[int, str]]:
    step = _LONG_LINE - _OVERLAP
    for start in range(0, max(len(line) - _OVERLAP, 1), step):
        yield number, _clean(line[start : start + _LONG_LINE])


def _clean(text: str) -> str:
    if not text.isascii():
        text = text.translate(_TYPOGRAPHY)  # forums and word processors turn quotation marks
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "[" in text and "\\" in text:
        text = _PRINTED_ESCAPES.sub("", text)
    if "&" in text and _ENTITIES.search(text):
        text = html.unescape(text)  # copied from the source of a page
    if before := _BEFORE_LINE.match(text):
        text = text[before.end() :]
    return text


def _decoded(data: bytes) -> Iterator[str]:
    """Yield text without NUL; CRLF is LF, a lone CR (progress bars) stays and is white space."""
    skip, encoding = next(((len(mark), name) for mark, name in _BOMS if data.startswith(mark)), (0, ""))
    if not encoding:
        head = data[:4096]
        # PowerShell's redirection without a mark: every second byte of plain text is NUL
        encoding = "utf-16-le" if head[1::2].count(0) * 2.5 > len(head) > 1 else "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for start in range(skip, len(data), _STEP):
        piece = decoder.decode(data[start : start + _STEP], final=start + _STEP >= len(data))
        if "\x00" in piece:
            piece = piece.replace("\x00", "")
        yield piece.replace("\r\n", "\n") if "\r" in piece else piece

"""A log → LogFacts: every line that belongs to a known family, by number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from provision.doctor.log.families import FAMILIES
from provision.doctor.log.family import Family
from provision.doctor.log.needles import Needles
from provision.doctor.log.text import Block, Counted, blocks
from provision.model.log import LogFacts, Signal

_MOST_OF_ONE = 60
_MOST_TRIED = 2000
_MOST_IN_LINE = 50
_TEXT = 300
# A pattern is tried from the line before its needle to some lines after it; two needles nearer than this are one.
_BEFORE, _LONGEST, _NEAR, _AFTER = 120, 600, 80, 900
_FIELD = 400
# what stands before the message: a shell's prompt, a service's date, TensorFlow's date or absl's with its thread
_STAMPS = re.compile(
    r"\A\s*(?:>\s*)?(?:\[[^\]]{0,40}\]\s*)?"
    r"(?:[IWEF]?\d{4}[ -]?[\d-]*[ T]?\d\d:\d\d:[\d.:]+[Z:]?\s*(?:\d+\s)?\s*)?(?:[IWEF]\s)?"
)
_NEEDLES = Needles(needle for row in FAMILIES for needle in row.needles)


def read_log(name: str, data: bytes) -> LogFacts:
    """Return what a log says; never raises, whatever the bytes are.

    One message of a family is kept once; of a family at most 60 different ones. A row of the table
    is only tried near one of its pieces of text.

    Args:
        name: of the file, ``standard input`` for ``-``.
        data: the log, in UTF-8 or UTF-16.
    """
    found: list[tuple[int, int, Signal]] = []
    kept: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    kinds: dict[str, None] = {}
    counted = Counted()
    spent: Counter[tuple[str, int]] = Counter()
    for block in blocks(data, counted):
        places = _NEEDLES.places(block.text, _NEAR)
        for row in FAMILIES if places else ():
            if kept[row.key] >= _MOST_OF_ONE or tried[row.key] >= _MOST_TRIED:
                continue
            for match in _matches(row, block, places, spent):
                tried[row.key] += 1
                if kept[row.key] >= _MOST_OF_ONE or tried[row.key] >= _MOST_TRIED:
                    break
                signal = _signal(row, block, match)
                if (row.key, signal.text) not in seen:
                    seen.add((row.key, signal.text))
                    kept[row.key] += 1
                    kinds.setdefault(row.kind)
                    found.append((signal.line, match.start(), signal))
    found.sort(key=lambda item: item[:2])
    return LogFacts(name, counted.lines, tuple(kinds), tuple(signal for _, _, signal in found))


def _matches(
    row: Family, block: Block, places: dict[str, list[int]], spent: Counter[tuple[str, int]]
) -> Iterator[re.Match[str]]:
    """Yield the matches of a row, looking only where one of its needles is near, and in one line not for ever.

    ``spent`` counts how often a line was looked at: a whole log in one line of megabytes says the same again and again.
    """
    at = sorted(place for needle in row.needles for place in places.get(needle, ()))
    text, done = block.text, 0
    for place in at:
        end = place + _NEAR + _AFTER
        if end <= done:
            continue
        line = (row.key, block.line_of(place))
        if spent[line] >= _MOST_IN_LINE:
            continue
        spent[line] += 1
        least = max(place - _LONGEST, 0)
        start = max(text.rfind("\n", least, max(place - _BEFORE, least)) + 1, least)
        for match in row.pattern.finditer(text, max(start, done), end):
            if match.start() >= block.own:
                return
            done = match.end()
            yield match
        done = max(done, place + _NEAR)


def _signal(row: Family, block: Block, match: re.Match[str]) -> Signal:
    start = match.start() + (len(match.group()) - len(match.group().lstrip()))
    line = block.line_at(start)
    text = _STAMPS.sub("", line, count=1).strip()
    if len(text) > _TEXT and match.group().strip()[:60] not in text[: _TEXT - 60]:
        text = match.group().strip()
    fields = {key: value.strip()[:_FIELD] for key, value in match.groupdict().items() if value is not None}
    return Signal(row.key, block.line_of(start), text[:_TEXT], {**dict(row.fields), **fields}, row.meaning)

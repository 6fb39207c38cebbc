"""Claims about the CPU: what a release needs of it, held against what its own check refuses to run without. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from provision.audit.claims.verdicts import Judge
from provision.model.audit import Claim
from provision.model.matrix import Row
from provision.model.wheel import WheelFacts

_BELOW: Mapping[str, str] = {
    "sse2": "sse",
    "sse3": "sse2",
    "ssse3": "sse3",
    "sse4_1": "ssse3",
    "sse4_2": "sse4_1",
    "avx": "sse4_2",
    "avx2": "avx",
    "fma": "avx",
    "avx512f": "avx2",
}
"""Instruction set to the one below it: no CPU has the first without the second, and GCC's ``-m`` of the first switches
the second on (x86 options of its manual)."""
_CHECKED = frozenset(_BELOW) - {"ssse3"} | {"sse"}
"""What TensorFlow's check asks for at all; other sets it never names, whatever the build uses."""
_EVERY_CPU = frozenset({"sse", "sse2", "sse3"})
"""What every processor has that can run the wheels: a row need not say it, and facts about a machine do not."""


def cpu_claims(judge: Judge, row: Row, facts: WheelFacts | None) -> Iterator[Claim]:
    """Yield the claims of a row about its CPU, and one against it where more is asked for than it says.

    Args:
        judge: of the row.
        row: its ``cpu`` names instruction sets; each stands for those below it too.
        facts: of its wheel; None where it was not read.
    """
    guard = facts.guard if facts else None
    if guard is None:
        yield from (judge.not_read("cpu", word) for word in row.cpu_features)
        return
    if guard.features is None:
        yield from (judge.undecidable("cpu", word, note=guard.why) for word in row.cpu_features)
        return
    asked = " ".join(guard.features)
    needed = with_lower(guard.features)
    for word in row.cpu_features:
        if word not in _CHECKED:
            yield judge.undecidable("cpu", word, asked, note="TensorFlow checks no such set")
        else:
            yield judge.hold("cpu", word, f"it checks {asked}", agrees=word in needed)
    more = [name for name in guard.features if name not in with_lower(row.cpu_features) | _EVERY_CPU]
    if more:
        yield judge.hold("cpu", "no other instruction set", " ".join(more), agrees=False)


def with_lower(names: Iterable[str]) -> frozenset[str]:
    """Return instruction sets with all that are below them."""
    found = set(names)
    for name in tuple(found):
        below = name
        while below := _BELOW.get(below, ""):
            found.add(below)
    return frozenset(found)


def highest(names: Iterable[str]) -> tuple[str, ...]:
    """Return the instruction sets that say all: none that is below another, and none that every CPU has."""
    given = tuple(names)
    below = {lower for name in given for lower in with_lower([name]) if lower != name}
    return tuple(name for name in given if name not in below | _EVERY_CPU)

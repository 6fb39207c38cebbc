"""What an extra would install beside a wheel, as far as its requirements and the index say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from provision.audit.contents.search import search
from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.index import Located
from provision.audit.reading.reader import Reader
from provision.errors import UsageError
from provision.model.artifact import Cost
from provision.model.wheel import Unread, WheelFacts

AND_CUDA = "and-cuda"
_AT_ONCE = 4


def chosen(
    reader: Reader, requirements: Iterable[str], *, python: str, newest_first: bool = True
) -> tuple[tuple[Located, ...], tuple[Unread, ...]]:
    """Return the newest wheel that meets each requirement, and those that nothing meets.

    What the wheels require in turn is not followed: NVIDIA's require one another, and the extra names them all. So it
    is what an installer takes in an empty environment, and not its answer.

    Args:
        reader: session and cache.
        requirements: as METADATA has them.
        python: series for which wheels are taken, and against which markers are held.
        newest_first: False for the oldest wheel that meets each requirement.

    Raises:
        ToolFailedError: the index cannot be read.
    """
    found: list[Located] = []
    missing: list[Unread] = []
    environment = {"python_version": python, "sys_platform": "linux", "platform_machine": "x86_64", "extra": AND_CUDA}
    for text in requirements:
        try:
            demand = Requirement(text)
        except InvalidRequirement:
            missing.append(Unread(text, "it is no requirement"))
            continue
        if demand.marker and not demand.marker.evaluate(environment):
            continue
        located = newest(reader, demand, python=python, newest_first=newest_first)
        if located is None:
            missing.append(Unread(text, "the index has no wheel that meets it"))
        else:
            found.append(located)
    return tuple(found), tuple(missing)


def newest(reader: Reader, demand: Requirement, *, python: str, newest_first: bool = True) -> Located | None:
    """Return the newest (or oldest) wheel for Linux and a Python that meets a requirement, None where none does."""
    known = reader.versions(str(canonicalize_name(demand.name)))
    for version in sorted(demand.specifier.filter(known), reverse=newest_first):
        best = known[version].best(python)
        if best is not None and not best.artifact.yanked:
            return best
    return None


def read_names_of(reader: Reader, wheels: Iterable[Located]) -> tuple[WheelFacts, ...]:
    """Return the names in several wheels, in their order; a few are read at a time. Raises as `wheel_facts`."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit-wheel") as pool:
        return tuple(pool.map(lambda item: wheel_facts(reader, item, ("names",)), tuple(wheels)))


def by_pins(reader: Reader, pins: Iterable[tuple[str, str]], *, python: str = "") -> tuple[Located, ...]:
    """Return the wheels of exact versions; raises UsageError, code ``unknown-release`` or ``no-wheel``."""
    found = []
    for name, version in pins:
        best = reader.find(str(canonicalize_name(name)), version).best(python)
        if best is None:
            raise UsageError(f"{name} {version} has no wheel for Linux on x86_64", code="no-wheel")
        found.append(best)
    return tuple(found)


def with_search(reader: Reader, facts: WheelFacts, *, extra: str = AND_CUDA) -> WheelFacts:
    """Return the facts of a TensorFlow wheel with what its search path finds of the wheels that an extra brings.

    Unchanged where it has no such extra, or where the gate was not read. Raises as `chosen` and `wheel_facts`.
    """
    if facts.framework is None or facts.framework.gate is None or facts.metadata is None:
        return facts
    requirements = facts.metadata.extras.get(extra)
    if not requirements:
        return facts
    python = next(iter(facts.artifact.pythons), "")
    wheels, missing = chosen(reader, requirements, python=python)
    read = read_names_of(reader, wheels)
    named = {f"{item.artifact.distribution}=={item.artifact.version}": item.names for item in read}
    return dataclasses.replace(
        facts,
        search=search(facts.framework, {name: names for name, names in named.items() if names}),
        unread=(*facts.unread, *missing),
        cost=Cost.total((facts.cost, *(item.cost for item in read))),
    )

"""Symbol cover: what a TensorFlow wheel looks up, held against the libraries of the NVIDIA wheels beside it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from provision.audit.contents.symbols import cover
from provision.audit.contents.wheel import OpenWheel
from provision.audit.reading.index import Located
from provision.audit.reading.reader import Reader
from provision.model.artifact import Cost
from provision.model.wheel import WheelFacts


def with_symbols(reader: Reader, facts: WheelFacts, located: Located, beside: Iterable[Located]) -> WheelFacts:
    """Return the facts of a wheel of TensorFlow with its symbol cover.

    Args:
        reader: session and cache.
        facts: of the wheel.
        located: the same wheel.
        beside: NVIDIA wheels whose libraries are to have the names.

    Raises:
        InvalidFileError: code ``hostile-wheel`` or ``unreadable-library``.
        ToolFailedError: a wheel cannot be read.
    """
    names = OpenWheel(reader, located).code().names
    exports: dict[str, tuple[str, ...]] = {}
    wheels, costs = [], [facts.cost]
    for item in beside:
        start = time.monotonic()
        wheel = OpenWheel(reader, item)
        given = wheel.given().libraries
        costs.append(wheel.cost(time.monotonic() - start))
        if given:
            wheels.append(f"{item.artifact.distribution}=={item.artifact.version}")
            exports.update(given)
    symbols = cover(names, exports, wheels) if names else None
    return dataclasses.replace(facts, symbols=symbols, cost=Cost.total(costs))

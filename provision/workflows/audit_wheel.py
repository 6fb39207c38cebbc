"""``audit wheel``: locate a wheel, read it, and see what its extra would bring."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from provision.audit.contents.cover import with_symbols
from provision.audit.contents.extra import by_pins, with_search
from provision.audit.contents.wheel import DEEP, PLAIN, wheel_facts
from provision.audit.reading.index import Located, parse_spec
from provision.audit.reading.reader import Reader
from provision.errors import UsageError
from provision.model.wheel import Unread, WheelFacts
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.settings import load_settings

_SERIES = re.compile(r"3\.\d{1,2}\Z")


def audit_wheel(
    system: System,
    text: str,
    *,
    folder: Path,
    python: str = "",
    deep: bool = False,
    download: bool = False,
    reader: Reader | None = None,
) -> WheelFacts:
    """Return the facts of the wheel that was named, with what its search path finds of what ``and-cuda`` would bring.

    Args:
        system: the door.
        text: ``NAME==VERSION``, a file or an address.
        folder: where a file is looked for.
        python: series whose wheel is wanted where a release has several.
        deep: whether every library is read whole: GPU code, and the CUDA names that TensorFlow looks up, held
            against the wheels that the row of the release pins, else against those that ``and-cuda`` would bring.
        download: whether a server without ranges may be asked for the whole wheel.
        reader: session and cache to use instead of a new one.

    Raises:
        UsageError: code ``bad-wheel``, ``unknown-release``, ``no-wheel``, ``no-ranges`` or ``bad-python``.
        InvalidFileError: code ``hostile-wheel`` or ``unreadable-wheel``.
        ToolFailedError: the index or the server cannot be read.
    """
    if python and not _SERIES.match(python):
        raise UsageError(f"{python[:20]!a} is no Python series", code="bad-python", hint="say 3.12, for example")
    if parse_spec(text) is None and "://" not in text:
        text = str(folder / Path(text).expanduser())
    with reader or Reader(system, download=download) as session:
        located = session.locate(text, python=python)
        facts = with_search(session, wheel_facts(session, located, DEEP if deep else PLAIN))
        return _with_symbols(session, facts, located, folder) if deep and facts.framework else facts


def _with_symbols(reader: Reader, facts: WheelFacts, located: Located, folder: Path) -> WheelFacts:
    """Hold the CUDA names against the wheels that its row pins, else against those that its extra would bring."""
    matrix = load_matrix(None, load_settings(folder))
    wanted = f"{facts.artifact.distribution}=={facts.artifact.version}"
    row = next((row for row in matrix.rows if row.requirement == wanted), None)
    if row is not None and row.sets:
        pins = [(pin.name, pin.version) for pin in row.sets[0].pins]
    else:
        pins = [_pin_of(wheel) for wheel in (facts.search.wheels if facts.search else ())]
    if not pins:
        why = "neither the matrix nor an extra of its own says which NVIDIA wheels serve it"
        return dataclasses.replace(facts, unread=(*facts.unread, Unread("symbols", why)))
    return with_symbols(reader, facts, located, by_pins(reader, pins))


def _pin_of(requirement: str) -> tuple[str, str]:
    """Return name and version of ``nvidia-cublas-cu12==12.5.3.2``."""
    name, _, version = requirement.partition("==")
    return name, version

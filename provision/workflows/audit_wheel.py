"""``audit wheel``: locate a wheel, read it, and see what its extra would bring."""

from __future__ import annotations

import re
from pathlib import Path

from provision.audit.extra import with_search
from provision.audit.index import parse_spec
from provision.audit.reader import Reader
from provision.audit.wheel import wheel_facts
from provision.errors import UsageError
from provision.model.wheel import WheelFacts
from provision.system import System

_SERIES = re.compile(r"3\.\d{1,2}\Z")


def audit_wheel(
    system: System, text: str, *, folder: Path, python: str = "", download: bool = False, reader: Reader | None = None
) -> WheelFacts:
    """Return the facts of the wheel that was named, with what its search path finds of what ``and-cuda`` would bring.

    Args:
        system: the door.
        text: ``NAME==VERSION``, a file or an address.
        folder: where a file is looked for.
        python: series whose wheel is wanted where a release has several.
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
        return with_search(session, wheel_facts(session, session.locate(text, python=python)))

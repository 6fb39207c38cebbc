"""Receipts into the text of a matrix, in its one form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from provision.matrix.writer import canonical
from provision.model.document import jsonable
from provision.model.measurement import Measurement

_TABLE = "receipts"


def attach(text: str, measured: Mapping[str, Iterable[Measurement]]) -> str:
    """Return the canonical text of a matrix with measurements in its table ``receipts``.

    Args:
        text: of the matrix.
        measured: requirement of a release to what was measured of it; nothing of it is in the table yet.

    Raises:
        InvalidFileError: code ``invalid-matrix``: the text is no YAML of the plain kind.
    """
    entries = [line for release, items in measured.items() for line in _entries(release, items)]
    lines = canonical(text).splitlines()
    if not entries:
        return "\n".join(lines) + "\n"
    # In the canonical form a table stands at the left edge, and an empty one is written as {}.
    place = next((at for at, line in enumerate(lines) if line in {f"{_TABLE}:", f"{_TABLE}: {{}}"}), len(lines))
    lines[place : place + 1] = [f"{_TABLE}:", *entries]
    return canonical("\n".join(lines) + "\n")


def _entries(release: str, items: Iterable[Measurement]) -> Iterator[str]:
    for item in items:
        known = jsonable(item)
        ident = known.pop("ident")
        values = {"release": release, "set": known.pop("library_set"), **known}
        yield f"  {ident}: {json.dumps(values)}"

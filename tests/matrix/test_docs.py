"""docs/matrix.md names everything that the format knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.matrix.build import CLAIMS
from provision.matrix.shape import MATRIX, Items, Record, Shape, Table
from provision.model.facts import Certainty

DOCS = Path(__file__).parents[2] / "docs" / "matrix.md"


def keys(shape: Shape) -> Iterator[str]:
    if isinstance(shape, Record):
        for key, value in shape.fields.items():
            yield key
            yield from keys(value)
    elif isinstance(shape, Table):
        yield from keys(shape.value)
    elif isinstance(shape, Items):
        yield from keys(shape.of)


@pytest.mark.parametrize("key", sorted({*keys(MATRIX), *CLAIMS, *(kind.value for kind in Certainty)} - {"schema"}))
def test_each_key_is_described(key: str) -> None:
    assert f"`{key}`" in DOCS.read_text(encoding="utf-8")

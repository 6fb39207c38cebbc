"""Rows of our own matrix held against the real wheels, as they are and with faults planted in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from provision.audit.matrix import audit_matrix
from provision.audit.reading.cache import Cache
from provision.audit.reading.reader import Reader
from provision.matrix import load
from provision.model.audit import ClaimVerdict
from provision.model.matrix import Row, SearchPath
from provision.model.versions import ComputeCapability, GlibcVersion, PythonVersion

pytestmark = pytest.mark.index
RELEASES = ("2.4.1", "2.21.0")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Reader(cache=Cache(tmp_path_factory.mktemp("cache"))) as reader:
        yield reader


def test_nothing_is_contradicted(reader: Reader) -> None:
    matrix = load()
    rows = [row for row in matrix.rows if row.release.text in RELEASES]
    audit = audit_matrix(reader, matrix, rows)
    assert [claim for claim in audit.claims if claim.verdict is ClaimVerdict.CONTRADICTED] == []
    confirmed = {
        (claim.row, claim.kind, claim.claimed) for claim in audit.claims if claim.verdict is ClaimVerdict.CONFIRMED
    }
    for row in rows:
        for kind, claimed in (
            *(("gate", soname) for soname in row.gate),
            ("python", " ".join(python.text for python in row.pythons)),
            ("glibc", row.glibc.text),
            ("cuda", row.cuda.text),
            ("search", row.search.kind),
            *(("sets", f"{item.ident} has every library of the gate") for item in row.sets),
        ):
            assert (row.requirement, kind, claimed) in confirmed
    assert 0 < audit.cost.bytes_read < 0.05 * audit.wheel_bytes


def planted(row: Row) -> Iterator[tuple[str, Row]]:
    other = tuple("libcudnn.so.7" if name.startswith("libcudnn.") else name for name in row.gate)
    without = dataclasses.replace(row.sets[0], pins=tuple(pin for pin in row.sets[0].pins if "cudnn" not in pin.name))
    yield "gate", dataclasses.replace(row, gate=other)
    yield "python", dataclasses.replace(row, pythons=(*row.pythons, PythonVersion("3.99")))
    yield "glibc", dataclasses.replace(row, glibc=GlibcVersion("2.11"))
    yield "sass", dataclasses.replace(row, sass=(*row.sass, ComputeCapability("12.0")))
    yield "search", dataclasses.replace(row, search=SearchPath(row.search.kind, row.search.origin, ("cusolver/lib",)))
    yield "sets", dataclasses.replace(row, sets=(without,))


@pytest.mark.parametrize("release", RELEASES)
def test_planted_faults_are_contradicted(reader: Reader, release: str) -> None:
    matrix = load()
    row = next(row for row in matrix.rows if row.release.text == release)
    for kind, wrong in planted(row):
        audit = audit_matrix(reader, matrix, [wrong])
        assert kind in {claim.kind for claim in audit.claims if claim.verdict is ClaimVerdict.CONTRADICTED}
        assert audit.cost.bytes_read == 0 or kind == "gate", "facts are read once"

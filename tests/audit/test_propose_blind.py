"""Rows deleted from a copy of the matrix, and proposed again out of the real wheels.

``TFGPU_EVERY_ROW=1`` also installs and imports them (gigabytes).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from thorough import EVERY_ROW

from provision.audit.proposal.propose import Known, checked, material_of, propose
from provision.audit.proposal.scratch import try_import
from provision.audit.reading.cache import Cache
from provision.audit.reading.reader import Reader
from provision.matrix import default_path, load
from provision.matrix.loading import read
from provision.matrix.tree import Problems
from provision.model.audit import ClaimVerdict, Proposal
from provision.model.matrix import Matrix, Row
from provision.system import System

pytestmark = pytest.mark.index

TODAY = "2026-11-21"
DELETED = {
    "releases": ("tensorflow==2.4.1", "tensorflow==2.19.1", "tensorflow==2.20.0", "tensorflow==2.21.0"),
    # What only these rows need goes with them.
    "evidence": ("search-path-2.21.0",),
    "faults": ("search-path-2.21.0",),
    "optional": ("cupti-12-nccl",),
    "search_paths": ("runpath-2.20.0", "runpath-2.21.0"),
}
EXPLAINED: Mapping[str, Collection[str]] = {
    "tensorflow==2.4.1": (),
    "tensorflow==2.19.1": (),
    # Only --deep counts the modules; without it they are those of 2.19, with the same targets.
    "tensorflow==2.20.0": {"ptx_modules"},
    # What users reported of cuDNN is in no wheel: it made the fault of Conv2D, and another set the first.
    "tensorflow==2.21.0": {"ptx_modules", "faults", "sets"},
}


def blind(text: str) -> str:
    kept, table, skip = [], "", False
    for line in text.split("\n"):
        if match := re.match(r"(\S+):", line):
            table, skip = match[1], False
        elif match := re.match(r"  (\S+):(?: |$)", line):
            skip = match[1] in DELETED.get(table, ())
        if not skip:
            kept.append(line)
    return "\n".join(kept)


def matrix_of(text: str) -> Matrix:
    problems = Problems("copy")
    matrix = read(text.encode(), "copy", problems)
    assert matrix is not None, problems.lines
    return matrix


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Reader(cache=Cache(tmp_path_factory.mktemp("cache"))) as reader:
        yield reader


@pytest.fixture(scope="module")
def proposals(reader: Reader) -> Mapping[str, Proposal]:
    text = blind(default_path().read_text())
    known = Known(matrix_of(text), text)
    found = {}
    for requirement in DELETED["releases"]:
        material = material_of(reader, known, *requirement.split("=="), today=TODAY)
        found[requirement] = checked(reader, propose(material, text), "copy")
    return found


def shown(row: Row) -> Mapping[str, Any]:
    values = {field.name: getattr(row, field.name) for field in fields(row) if field.name not in {"line", "evidence"}}
    return values | {
        "faults": {(fault.code, fault.what, fault.handled, fault.avoid) for fault in row.faults},
        "constraints": [item.requirement for item in row.constraints],
        "source_only": {item.name for item in row.source_only},
        "search": (row.search.kind, row.search.origin, row.search.nvidia),
        "sets": [item.ident for item in row.sets],
        "conda_sets": [item.ident for item in row.conda_sets],
    }


@pytest.mark.parametrize("requirement", DELETED["releases"])
def test_a_deleted_row_comes_back(proposals: Mapping[str, Proposal], requirement: str) -> None:
    proposal = proposals[requirement]
    assert proposal.problems == ()
    assert [claim for claim in proposal.claims if claim.verdict is ClaimVerdict.CONTRADICTED] == []
    row = next(row for row in matrix_of(proposal.text).rows if row.requirement == requirement)
    before = next(row for row in load().rows if row.requirement == requirement)
    one, other = shown(row), shown(before)
    assert {key for key in one if one[key] != other[key]} == set(EXPLAINED[requirement])
    for group in ("gate", "search", "build"):
        assert row.certainty(group).value == "artifact"
    assert row.certainty("arch").value == row.certainty("xla").value == "derived"


def test_what_breaks_2_21_0_is_a_fault_of_its_row(proposals: Mapping[str, Proposal]) -> None:
    proposal = proposals["tensorflow==2.21.0"]
    assert "+  search-path-2.21.0:" in proposal.diff
    assert any("libcusolver.so.11" in line for line in proposal.breaking)


def test_the_newest_nightly_is_a_row_too(reader: Reader) -> None:
    path: Path = default_path()
    known = Known(load(), path.read_text())
    newest = max(version for version, found in reader.versions("tf-nightly").items() if found.best())
    material = material_of(reader, known, "tf-nightly", str(newest), today=TODAY)
    proposal = checked(reader, propose(material, known.text), "copy")
    assert proposal.problems == ()
    assert proposal.row == f"tf-nightly=={newest}"
    assert proposal.breaking


@pytest.mark.skipif(not EVERY_ROW, reason="installs a release: TFGPU_EVERY_ROW=1")
def test_the_constraint_of_2_4_1_is_found_by_importing_it() -> None:
    constraints = {"numpy-1": "numpy<2", "protobuf-3": "protobuf<3.21"}
    tried = try_import(System(), "tensorflow==2.4.1", "3.8", constraints, sources=("termcolor", "wrapt"))
    assert (tried.failure, tried.constraints, tried.xla) == ("", ("protobuf-3",), False)

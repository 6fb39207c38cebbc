"""The GPU contract of plans of the shipped matrix."""

from __future__ import annotations

import dataclasses
import time

import pytest

from provision import matrix as matrices
from provision.host import describe
from provision.model.facts import Certainty, Evidence
from provision.model.lock import Contract, LockRequest
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal, Request
from provision.model.versions import DriverVersion, GlibcVersion
from provision.plan import decide
from provision.plan.judging import judge_request
from provision.system import System
from provision.workflows.contract import contract_for, narrowed, row_digest


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return matrices.load(None)


def plan(matrix: Matrix, release: str, machine: str) -> Plan:
    found = decide(Request(tf=release), describe((machine,), System()), matrix)
    assert isinstance(found, Plan)
    return found


def floors(contract: Contract) -> dict[str, str]:
    return {floor.compute_capability.text: floor.driver.text for floor in contract.gpus}


def test_floors_are_those_of_the_family_the_generation_and_the_ptx(matrix: Matrix) -> None:
    found = contract_for(plan(matrix, "2.21.0", "driver=580,gpu=9.0"), matrix)
    assert found.driver_floor == DriverVersion("525.60.13")
    assert floors(found)["8.6"] == "525.60.13"
    assert floors(found)["9.0"] == "555"  # PTX 8.5: CUDA 12.5
    assert "6.1" not in floors(found)  # cuDNN 9.24 has no code for Pascal
    assert [item.derived for item in found.gpus if item.compute_capability.text in ("8.6", "9.0")] == [False, True]
    old = contract_for(plan(matrix, "2.4.1", "gpu=none"), matrix)
    assert (old.without_gpu, old.made_for) == (True, ())
    assert floors(old)["8.6"] == "455"  # the first branch that knows it
    assert old.derived == tuple(sorted(old.derived))
    assert "derived-libraries" in old.derived


def test_every_floor_is_the_lowest_that_the_rules_let_through(matrix: Matrix) -> None:
    found = plan(matrix, "2.15.1", "gpu=none")
    contract = contract_for(found, matrix)
    row = narrowed(found.row, found.library_set)
    for floor in contract.gpus:
        for driver, works in ((floor.driver, True), (DriverVersion(str(floor.driver.branch - 1)), False)):
            host = describe((f"driver={driver},gpu={floor.compute_capability}",), System())
            answer = judge_request(Request("2.15.1", contract.python), row, host, matrix)
            assert isinstance(answer, Plan if works else Refusal), (floor, driver)


def test_every_release_has_a_contract_fast(matrix: Matrix) -> None:
    for row in matrix.rows:
        if not row.sets:
            continue
        found = decide(Request(tf=row.release.text), describe(("gpu=none",), System()), matrix)
        if isinstance(found, Refusal):
            continue
        begun = time.perf_counter()
        contract = contract_for(found, matrix)
        assert time.perf_counter() - begun < 0.3
        assert contract.gpus, row.release


def test_the_digest_counts_what_is_installed_and_not_how_it_is_known(matrix: Matrix) -> None:
    found = plan(matrix, "2.15.1", "gpu=none")
    row, libraries = found.row, found.library_set
    digest = row_digest(row, libraries)
    known = {name: Evidence("x", Certainty.RECEIPT, "a page", "2026-01-01") for name in row.evidence}
    assert row_digest(dataclasses.replace(row, evidence=known, line=7, sets=()), libraries) == digest
    assert row_digest(row, dataclasses.replace(libraries, note="said anew")) == digest
    assert row_digest(dataclasses.replace(row, glibc=GlibcVersion("2.99")), libraries) != digest
    pins = (dataclasses.replace(libraries.pins[0], version="1"), *libraries.pins[1:])
    assert row_digest(row, dataclasses.replace(libraries, pins=pins)) != digest


def test_what_was_asked_and_meant_stands_in_it(matrix: Matrix) -> None:
    found = contract_for(
        plan(matrix, "2.15.1", "driver=535,gpu=RTX 3060"),
        matrix,
        request=LockRequest(tf="2.15", requirements=("numpy",)),
        target="laptop",
        machine_text="driver=535,gpu=RTX 3060",
        glibc=GlibcVersion("2.28"),
    )
    assert (found.request.tf, found.target, found.glibc.text) == ("2.15", "laptop", "2.28")
    assert [item.text for item in found.made_for] == ["8.6"]

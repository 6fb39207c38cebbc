from __future__ import annotations

from typing import Any

import pytest
from plan_builder import CU118, CU129_NEW, GUESS, ROW_2_10, ROW_2_20, VENDOR, Evidence, fault, row, source_only

from provision.model.facts import Certainty
from provision.plan.rules import release

RECEIPT = Evidence("receipt", Certainty.RECEIPT, "a receipt from an RTX 3090", "2026-11-21")
ALIASED = row(
    ROW_2_10,
    "2.4.1",
    gate=("libcudart.so.11.0", "libcusolver.so.10"),
    aliases={"libcusolver.so.10": "libcusolver.so.11", "libcupti.so.11.0": "libcupti.so.11.8"},
    evidence={**ROW_2_10.evidence, "aliases": GUESS},
)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ((), []),
        ((fault("search-path", "links are put there"),), [("fault-search-path", False)]),
        ((fault("crash"),), [("fault-crash", True)]),
        ((fault("crash", sets=("cu129-cudnn924",)),), [("fault-crash", True)]),
        ((fault("crash", sets=("another",)),), []),
        ((fault("a", "handled"), fault("b")), [("fault-a", False), ("fault-b", True)]),
    ],
)
def test_faults(faults: Any, expected: Any) -> None:
    found = release.faults(row(ROW_2_20, faults=faults), CU129_NEW)
    assert [(item.code, item.notable) for item in found] == expected


def test_a_fault_says_what_is_done_about_it() -> None:
    (found,) = release.faults(row(ROW_2_20, faults=(fault("x", "links are put there"),)), CU129_NEW)
    assert found.what == "TensorFlow 2.20.0: something is wrong; links are put there"


def test_an_alias_of_a_gate_library_is_a_caveat_until_a_gpu_has_proved_it() -> None:
    (found,) = release.aliases(ALIASED, CU118)  # the set has no CUPTI, so that alias does not come up
    assert (found.code, found.notable) == ("library-alias", True)
    assert "libcusolver.so.10" in found.what
    assert "not yet tried on a GPU" in found.what
    proved = row(ALIASED, evidence={**ALIASED.evidence, "aliases": RECEIPT})
    (found,) = release.aliases(proved, CU118)
    assert not found.notable
    assert "not yet tried" not in found.what


def test_an_alias_for_the_profiler_is_a_remark() -> None:
    profiler = row(ALIASED, gate=("libcudart.so.11.0",))
    (found,) = release.aliases(profiler, CU118)
    assert (found.code, found.notable) == ("optional-library-alias", False)


def test_source_archives_are_named_once() -> None:
    named = row(ROW_2_10, source_only=(source_only("termcolor", "1.1.0"), source_only("wrapt", "1.12.1")))
    (found,) = release.source_only(named, CU118)
    assert "termcolor 1.1.0, wrapt 1.12.1" in found.what
    assert not found.notable
    assert not list(release.source_only(ROW_2_10, CU118))


def test_claims_of_a_neighbouring_release_are_marked() -> None:
    guessed = row(ROW_2_10, evidence={**ROW_2_10.evidence, "arch": GUESS, "search": GUESS, "python": VENDOR})
    (found,) = release.derived_claims(guessed, CU118)
    assert found.certainty is Certainty.DERIVED
    assert "GPU architectures" in found.what
    assert "Python" not in found.what
    assert not list(release.derived_claims(ROW_2_10, CU118))

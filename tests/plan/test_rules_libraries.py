from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plan_builder import CU118, CU129_NEW, CU129_OLD, GUESS, ROW_2_10, ROW_2_20, cc, ccs, gpu, matrix, row

from provision.model.versions import CudaVersion, CudnnVersion
from provision.plan.rules import libraries

GAP = dataclasses.replace(CU129_NEW, ident="gap", sass=ccs("7.5"), last_cc=None)


@pytest.mark.parametrize(
    ("built_with", "sets", "expected"),
    [
        ("9.3", (CU129_NEW, CU129_OLD), ["cu129-cudnn924", "cu129-cudnn910"]),
        ("9.10", (CU129_NEW, CU129_OLD), ["cu129-cudnn924", "cu129-cudnn910"]),
        # The minor may not be lower, and 24 is above 10 although "24" sorts before "9" and "10".
        ("9.11", (CU129_NEW, CU129_OLD), ["cu129-cudnn924"]),
        ("9.25", (CU129_NEW, CU129_OLD), []),
        # The major must be equal.
        ("8.9", (CU129_NEW, CU129_OLD), []),
        ("10.0", (CU129_NEW, CU129_OLD), []),
        ("9.3", (CU118,), []),
    ],
)
def test_what_a_release_accepts(built_with: Any, sets: Any, expected: Any) -> None:
    release = row(ROW_2_20, cudnn=CudnnVersion(built_with), sets=sets)
    assert [item.ident for item in libraries.eligible(release)] == expected
    assert [item.code for item in libraries.has_set(release, matrix(release), "venv")] == (
        [] if expected else ["no-library-set"]
    )


def test_the_cuda_major_must_be_that_of_the_build() -> None:
    assert libraries.eligible(row(ROW_2_20, cuda=CudaVersion("11.8"))) == ()


@pytest.mark.parametrize(
    ("item", "capability", "served"),
    [
        (CU118, "3.5", True),
        (CU118, "3.0", False),
        (CU118, "9.0", True),
        (CU118, "10.0", False),
        (CU129_NEW, "7.5", True),
        (CU129_NEW, "7.0", False),
        (CU129_NEW, "12.0", True),
        (CU129_OLD, "6.1", True),
    ],
)
def test_what_a_set_serves(item: Any, capability: Any, served: Any) -> None:
    assert libraries.serves(item, cc(capability)) is served


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([], "cu129-cudnn924"),
        (["8.6"], "cu129-cudnn924"),
        (["6.1"], "cu129-cudnn910"),
        (["7.0"], "cu129-cudnn910"),
        (["7.5"], "cu129-cudnn924"),
        (["6.0", "8.9"], "cu129-cudnn910"),
        (["8.9", "6.0"], "cu129-cudnn910"),
        (["8.9", "9.0"], "cu129-cudnn924"),
        # Served by neither: the preferred one, and the GPU is left out or refused elsewhere.
        (["3.5"], "cu129-cudnn924"),
        ([None], "cu129-cudnn924"),
        ([None, "6.0"], "cu129-cudnn910"),
    ],
)
def test_the_first_set_that_serves_every_gpu(gpus: Any, expected: Any) -> None:
    found = libraries.best_for(ROW_2_20, [gpu(item) for item in gpus])
    assert found is not None
    assert found.ident == expected


def test_the_widest_set() -> None:
    assert libraries.widest(ROW_2_20, ccs("6.0 7.0 8.0 9.0")) is CU129_OLD
    assert libraries.widest(ROW_2_20, ccs("8.0 9.0")) is CU129_NEW
    assert libraries.widest(row(ROW_2_20, sets=()), ccs("8.0")) is None


@pytest.mark.parametrize(
    ("item", "capability", "expected"),
    [
        (CU129_NEW, "7.0", ["libraries-lack-gpu"]),
        (CU129_NEW, "8.9", []),
        (CU118, "10.0", ["libraries-lack-gpu"]),
        (GAP, "9.0", ["libraries-ptx-jit"]),
        (GAP, "7.5", []),
        (CU129_NEW, None, []),
    ],
)
def test_a_gpu_in_a_set(item: Any, capability: Any, expected: Any) -> None:
    assert [found.code for found in libraries.gpu_in_set(ROW_2_20, gpu(capability), item)] == expected


def test_a_set_that_is_not_the_preferred_one_is_explained() -> None:
    (found,) = libraries.set_remarks(ROW_2_20, CU129_OLD, [gpu("6.1", "NVIDIA GeForce GTX 1080"), gpu("8.6")])
    assert found.code == "older-libraries"
    assert not found.notable
    assert "GTX 1080" in found.what
    assert "8.6" not in found.what
    assert not list(libraries.set_remarks(ROW_2_20, CU129_NEW, [gpu("8.6")]))


def test_a_pairing_that_is_derived_is_a_caveat() -> None:
    derived = row(ROW_2_10, evidence={**ROW_2_10.evidence, "sets": GUESS})
    (found,) = libraries.set_remarks(derived, CU118, [gpu("8.6")])
    assert (found.code, found.notable, found.certainty.value) == ("derived-libraries", True, "derived")
    (found,) = libraries.set_remarks(ROW_2_10, dataclasses.replace(CU118, evidence=GUESS), [])
    assert found.code == "derived-libraries"

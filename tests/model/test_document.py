from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from provision.model.document import jsonable
from provision.model.facts import Attempt, Certainty, Fact
from provision.model.host import Gpu
from provision.model.verdict import Level
from provision.model.versions import ComputeCapability, CudaVersion, TfVersion


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("text", "text"),
        (CudaVersion("12.10"), "12.10"),
        (TfVersion("2.15.0.post1"), "2.15.0.post1"),
        (Certainty.DERIVED, "derived"),
        (PurePosixPath("a/b"), "a/b"),
        (frozenset({"fma", "avx"}), ["avx", "fma"]),
        ({CudaVersion("12.0"): (1, 2)}, {"12.0": [1, 2]}),
        (
            Fact(None, "nvml", (Attempt("nvml", "absent"),)),
            {
                "value": None,
                "source": "nvml",
                "attempts": [{"source": "nvml", "outcome": "absent", "detail": ""}],
            },
        ),
    ],
)
def test_values_of_the_model_become_json(value: object, expected: object) -> None:
    assert jsonable(value) == expected
    json.dumps(jsonable(value))


def test_a_gpu_keeps_unknown_as_null() -> None:
    document = jsonable(Gpu("RTX 3060", ComputeCapability("8.6"), memory_mib=12288))
    assert document["compute_capability"] == "8.6"
    assert document["mig"] is None


def test_what_is_not_of_the_model_is_refused() -> None:
    with pytest.raises(TypeError, match="not a value of the model: object"):
        jsonable(object())


def test_each_level_includes_those_before_it() -> None:
    assert Level.GATE.upto == (Level.GATE,)
    assert Level.COMPUTE.upto == (Level.GATE, Level.IMPORT, Level.DEVICE, Level.COMPUTE)
    assert set(Level.PERF.upto) == set(Level)

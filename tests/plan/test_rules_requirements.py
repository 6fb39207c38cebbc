from __future__ import annotations

from typing import Any

import pytest

from provision.model.plan import Pin
from provision.plan.rules.requirements import conflicts

PINS = (
    Pin("tensorflow==2.15.1", "the release"),
    Pin("nvidia-cudnn-cu12==8.9.4.25", "CUDA 12.2: TensorFlow opens libcudnn.so.8"),
    Pin("numpy<1.24", "its code uses names that NumPy 1.24 removed"),
)


@pytest.mark.parametrize(
    ("requirement", "conflicting"),
    [
        ("pandas", False),
        ("pandas==2.2.0", False),
        ("tensorflow", False),
        ("tensorflow>=2.15", False),
        ("tensorflow==2.15.*", False),
        ("tensorflow==2.16.1", True),
        ("TensorFlow>=2.16", True),
        ("nvidia_cudnn.cu12>=9", True),
        ("nvidia-cudnn-cu12!=8.9.4.25", True),
        ("numpy>=1.20", False),
        ("numpy==1.23.5", False),
        ("numpy==1.26.4", True),
        # Ranges against ranges are the resolver's to find.
        ("numpy>=1.26", False),
        ("numpy==1.26.4; python_version < '3'", False),
        ("not a requirement!", False),
    ],
)
def test_conflicts_that_can_be_told_without_the_index(requirement: Any, conflicting: Any) -> None:
    assert [item.code for item in conflicts([requirement], PINS)] == (["requirement-conflict"] if conflicting else [])


def test_the_conflict_is_explained_in_our_terms() -> None:
    (found,) = conflicts(["numpy==1.26.4"], PINS)
    assert "numpy==1.26.4 contradicts numpy<1.24" in found.what
    assert "NumPy 1.24 removed" in found.what


def test_nothing_asked_nothing_found() -> None:
    assert not list(conflicts([], PINS))

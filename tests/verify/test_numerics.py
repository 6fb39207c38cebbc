"""The tolerances, tried on arithmetic that is imitated bit by bit."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.verify.numerics import (
    Arithmetic,
    arithmetic,
    float32_tolerance,
    gamma,
    product_is_right,
    tf32_tolerance,
)

SIZE = 40
Round = Callable[[float], float]


def float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def keep_bits(value: float, dropped: int, *, cut: bool) -> float:
    """Return a float32 whose fraction has lost its lowest bits, rounded to nearest or cut off."""
    word = struct.unpack("<I", struct.pack("<f", value))[0]
    if not cut:
        word += 1 << (dropped - 1)
    return float(struct.unpack("<f", struct.pack("<I", word >> dropped << dropped & 0xFFFFFFFF))[0])


def tf32(value: float) -> float:
    return keep_bits(value, 13, cut=False)


def tf32_cut(value: float) -> float:
    return keep_bits(value, 13, cut=True)


def bfloat16(value: float) -> float:
    return keep_bits(value, 16, cut=False)


def product_errors(rounded: Round, seed: int = 1) -> tuple[float, float]:
    """Multiply two matrices with factors rounded and sums in float32; return (largest, rms) as the probe does."""
    chance = random.Random(seed)  # noqa: S311 - numbers for a product
    left, right = [[[float32(chance.gauss(0, 1)) for _ in range(SIZE)] for _ in range(SIZE)] for _ in range(2)]
    largest = squares = reference_squares = 0.0
    for i in range(SIZE):
        for j in range(SIZE):
            total, exact, scale = 0.0, 0.0, 0.0
            for k in range(SIZE):
                a, b = left[i][k], right[k][j]
                total = float32(total + float32(rounded(a) * rounded(b)))
                exact += a * b
                scale += abs(a * b)
            largest = max(largest, abs(total - exact) / scale)
            squares += (total - exact) ** 2
            reference_squares += exact**2
    return largest, math.sqrt(squares / reference_squares)


@pytest.mark.parametrize(
    ("rounded", "name"),
    [
        (lambda x: x, Arithmetic.FLOAT32),
        (tf32, Arithmetic.TF32),
        (tf32_cut, Arithmetic.TF32),
        (bfloat16, Arithmetic.COARSER),
    ],
    ids=["float32", "tf32", "tf32-cut", "bfloat16"],
)
def test_an_arithmetic_is_recognised_by_its_error(rounded: Round, name: Arithmetic) -> None:
    largest, rms = product_errors(rounded)
    assert arithmetic(rms) is name
    assert product_is_right(SIZE, largest, rms, tf32_allowed=True) is (name is not Arithmetic.COARSER)
    assert product_is_right(SIZE, largest, rms, tf32_allowed=False) is (name is Arithmetic.FLOAT32)


def test_the_bounds_hold_for_imitated_arithmetic_and_are_not_idle() -> None:
    for seed in range(3):
        largest, _ = product_errors(lambda x: x, seed)
        assert largest <= float32_tolerance(SIZE)
        largest, _ = product_errors(tf32_cut, seed)
        assert float32_tolerance(SIZE) < largest <= tf32_tolerance(SIZE)


def test_figures() -> None:
    assert float32_tolerance(1024) == pytest.approx(6.104e-5, rel=1e-3)
    assert tf32_tolerance(1024) == pytest.approx(2.076e-3, rel=1e-3)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_more_terms_never_tighten_a_bound(fewer: int, more: int) -> None:
    low, high = sorted((fewer, more))
    assert gamma(low, 2.0**-24) <= gamma(high, 2.0**-24)
    assert float32_tolerance(low) < tf32_tolerance(low)


@pytest.mark.parametrize(
    ("largest", "rms"), [(None, 1e-7), (1e-7, None), (None, None), (1e-3, 1e-7), (1e-2, 3e-4), (1e-7, 0.5)]
)
def test_what_is_not_finite_or_too_far_is_never_right(largest: float | None, rms: float | None) -> None:
    assert not product_is_right(1024, largest, rms, tf32_allowed=True)


def test_zeros_in_the_place_of_a_product_are_seen() -> None:
    # |0 - AB| / (|A||B|) of random matrices is about 1/√n at its largest several times that, its rms exactly 1.
    assert not product_is_right(1024, 0.15, 1.0, tf32_allowed=True)

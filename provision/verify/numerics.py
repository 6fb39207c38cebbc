"""How far a product may be from the true one, and what its error says about the arithmetic that made it.

All bounds are for C = AB of two n × n matrices given in float32, measured against float64.
"""

from __future__ import annotations

from enum import Enum

FLOAT32_ROUNDOFF = 2.0**-24
"""u: half the distance from 1 to the next float32."""
_TF32_ROUNDOFF = 2.0**-10
"""TF32 keeps 10 bits of the fraction; 2⁻¹⁰ also covers hardware that cuts off instead of rounding."""


class Arithmetic(str, Enum):
    """Which arithmetic a result's error belongs to."""

    FLOAT32 = "float32"
    TF32 = "TF32"
    COARSER = "coarser than TF32"


def gamma(terms: int, roundoff: float) -> float:
    """Return m·u / (1 - m·u) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1)."""
    return terms * roundoff / (1 - terms * roundoff)


def float32_tolerance(size: int) -> float:
    """Return the bound on the largest ``|C - AB| / (|A||B|)`` for float32: γₙ, whatever the order of summation."""
    return gamma(size, FLOAT32_ROUNDOFF)


def tf32_tolerance(size: int) -> float:
    """Return the same bound for TF32: both factors rounded to 10 bits, sums in float32 that may cut off."""
    inputs = 2 * _TF32_ROUNDOFF + _TF32_ROUNDOFF**2
    return inputs + (1 + inputs) * gamma(size, 2 * FLOAT32_ROUNDOFF)


FLOAT32_RMS = 2.0e-5
"""Between the two arithmetics: the root-mean-square error of a product, relative to the product's own, is some 1e-7 to
1e-6 in float32 (it grows with √n·u) and 2e-4 to 4e-4 in TF32 (each factor's rounding, independent of n)."""
TF32_RMS = 2.0e-3
"""Above TF32's, whose worst case is 2·2⁻¹⁰; bfloat16 with its 7 bits gives 2e-3 to 4e-3."""


def arithmetic(rms: float) -> Arithmetic:
    """Return the arithmetic that a relative root-mean-square error belongs to."""
    if rms <= FLOAT32_RMS:
        return Arithmetic.FLOAT32
    return Arithmetic.TF32 if rms <= TF32_RMS else Arithmetic.COARSER


def product_is_right(size: int, largest: float | None, rms: float | None, *, tf32_allowed: bool) -> bool:
    """Whether a product is within its bound; None (not finite) never is."""
    if largest is None or rms is None:
        return False
    if arithmetic(rms) is Arithmetic.FLOAT32:
        return largest <= float32_tolerance(size)
    return tf32_allowed and arithmetic(rms) is Arithmetic.TF32 and largest <= tf32_tolerance(size)

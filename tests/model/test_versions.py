from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    Dotted,
    DriverVersion,
    PythonVersion,
    TfVersion,
)

numbers = st.lists(st.integers(0, 999), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (DriverVersion("450.80.02"), DriverVersion("450.80.03")),
        (DriverVersion("525.60.13"), DriverVersion("525.105.17")),
        (CudaVersion("12.9"), CudaVersion("12.10")),
        (PythonVersion("3.9"), PythonVersion("3.10")),
        (TfVersion("2.9.3"), TfVersion("2.10.1")),
        (TfVersion("2.15.0"), TfVersion("2.15.0.post1")),
    ],
)
def test_versions_compare_as_numbers_not_as_text(older: Dotted, newer: Dotted) -> None:
    assert older < newer
    assert older <= newer
    assert newer > older
    assert newer >= older
    assert older != newer


def test_what_was_written_is_what_is_shown() -> None:
    assert str(DriverVersion("450.80.02")) == "450.80.02"
    assert str(PythonVersion("3.10")) == "3.10"


def test_missing_parts_are_zero() -> None:
    assert CudaVersion("12.5") == CudaVersion("12.5.0")
    assert hash(CudaVersion("12.5")) == hash(CudaVersion("12.5.0"))


def test_a_driver_is_never_compared_with_a_toolkit() -> None:
    with pytest.raises(TypeError, match="DriverVersion cannot be compared with a CudaVersion"):
        assert DriverVersion("535.54") < CudaVersion("12.2")  # type: ignore[operator]
    assert DriverVersion("12.2") != CudaVersion("12.2")


@pytest.mark.parametrize("text", ["", "12.", ".5", "12.x", "-1", "1e3", "\u0661.\u0662", "12.5\n", "9" * 60, "v12"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a CudaVersion"):
        CudaVersion(text)


def test_parse_tolerates_space_and_answers_none_otherwise() -> None:
    assert CudnnVersion.parse(" 8.6.0.163 \n") == CudnnVersion("8.6.0.163")
    assert CudnnVersion.parse("N/A") is None


@pytest.mark.parametrize(
    ("number", "version"), [(12080, "12.8"), (11020, "11.2"), (13000, "13.0"), (0, None), (-1, None)]
)
def test_the_driver_api_integer(number: int, version: str | None) -> None:
    found = CudaVersion.from_driver_api(number)
    assert (found and found.text) == version


@pytest.mark.parametrize(
    ("sm", "text"), [("35", "3.5"), ("86", "8.6"), ("90", "9.0"), ("120", "12.0"), ("103", "10.3")]
)
def test_compute_capability_and_sm(sm: str, text: str) -> None:
    assert ComputeCapability.from_sm(sm).text == text
    assert ComputeCapability(text).sm == sm


def test_python_series() -> None:
    assert PythonVersion("3.8.18").series == PythonVersion("3.8")


@pytest.mark.parametrize("text", ["", "two", "2.4.1; rm", "2" * 60])
def test_no_tensorflow_release(text: str) -> None:
    with pytest.raises(ValueError, match="not a TfVersion"):
        TfVersion(text)


def test_minor_series() -> None:
    assert TfVersion("2.15.0.post1").minor_series == "2.15"


@given(numbers, numbers, numbers)
def test_order_is_total_and_transitive(first: str, second: str, third: str) -> None:
    a, b, c = DriverVersion(first), DriverVersion(second), DriverVersion(third)
    assert (a < b) + (a == b) + (a > b) == 1
    if a <= b <= c:
        assert a <= c


@given(st.text(max_size=50))
def test_parse_never_raises(text: str) -> None:
    found = DriverVersion.parse(text)
    assert found is None or DriverVersion(found.text) == found

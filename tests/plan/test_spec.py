from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version
from plan_builder import ROW_2_10, ROW_2_20, matrix, row

from provision.errors import UsageError
from provision.plan import parse_spec
from provision.plan.spec import SpecKind

ROWS = matrix(ROW_2_10, row(release="2.15.0"), row(release="2.15.0.post1"), row(release="2.15.1"), ROW_2_20)


@pytest.mark.parametrize(
    ("text", "kind", "admitted"),
    [
        ("2.15.1", SpecKind.EXACT, "2.15.1"),
        ("==2.15.1", SpecKind.EXACT, "2.15.1"),
        ("===2.15.1", SpecKind.EXACT, "2.15.1"),
        ("v2.15.1", SpecKind.EXACT, "2.15.1"),
        (" 2.15.1 ", SpecKind.EXACT, "2.15.1"),
        ("2.15.0", SpecKind.EXACT, "2.15.0"),
        ("2.15.0.post1", SpecKind.EXACT, "2.15.0.post1"),
        ("2.15.9", SpecKind.EXACT, ""),
        ("2.15", SpecKind.MINOR, "2.15.0 2.15.0.post1 2.15.1"),
        ("2.15.*", SpecKind.MINOR, "2.15.0 2.15.0.post1 2.15.1"),
        ("==2.15.*", SpecKind.MINOR, "2.15.0 2.15.0.post1 2.15.1"),
        ("2.10", SpecKind.MINOR, "2.10.1"),
        ("2.1", SpecKind.MINOR, ""),
        ("2", SpecKind.RANGE, "2.10.1 2.15.0 2.15.0.post1 2.15.1 2.20.0"),
        ("2.*", SpecKind.RANGE, "2.10.1 2.15.0 2.15.0.post1 2.15.1 2.20.0"),
        ("~=2.15", SpecKind.RANGE, "2.15.0 2.15.0.post1 2.15.1 2.20.0"),
        ("~=2.15.0", SpecKind.RANGE, "2.15.0 2.15.0.post1 2.15.1"),
        (">=2.12,<2.16", SpecKind.RANGE, "2.15.0 2.15.0.post1 2.15.1"),
        ("<2.15", SpecKind.RANGE, "2.10.1"),
        ("!=2.20.0,>2.10.1", SpecKind.RANGE, "2.15.0 2.15.0.post1 2.15.1"),
        ("", SpecKind.NEWEST, "2.10.1 2.15.0 2.15.0.post1 2.15.1 2.20.0"),
        ("latest", SpecKind.NEWEST, "2.10.1 2.15.0 2.15.0.post1 2.15.1 2.20.0"),
        ("tensorflow", SpecKind.NEWEST, "2.10.1 2.15.0 2.15.0.post1 2.15.1 2.20.0"),
        ("tensorflow==2.15.1", SpecKind.EXACT, "2.15.1"),
        ("TensorFlow == 2.15.1", SpecKind.EXACT, "2.15.1"),
        ("tensorflow[and-cuda]==2.15.1", SpecKind.EXACT, "2.15.1"),
        ("tf==2.15.1", SpecKind.EXACT, "2.15.1"),
        ("tensorflow>=2.12,<2.16", SpecKind.RANGE, "2.15.0 2.15.0.post1 2.15.1"),
    ],
)
def test_what_is_typed_and_what_it_admits(text: Any, kind: Any, admitted: Any) -> None:
    spec = parse_spec(text, ROWS)
    assert spec.kind is kind
    assert spec.distribution == "tensorflow"
    assert [item.release.text for item in ROWS.rows if spec.admits(item)] == admitted.split()


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("tensorflow-gpu==2.4.1", "tensorflow-gpu"),
        ("tensorflow_gpu==2.4.1", "tensorflow-gpu"),
        ("Tensorflow.GPU==2.4.1", "tensorflow-gpu"),
        ("tf-nightly", "tf-nightly"),
        ("tf_nightly==2.23.0.dev20261026", "tf-nightly"),
        ("nightly", "tf-nightly"),
        ("tensorflow-cpu==2.15.1", "tensorflow-cpu"),
    ],
)
def test_another_name_is_another_distribution(text: Any, distribution: Any) -> None:
    spec = parse_spec(text, ROWS)
    assert spec.distribution == distribution
    assert not any(spec.admits(item) for item in ROWS.rows)


def test_the_distribution_of_the_request_holds_where_the_spec_names_none() -> None:
    assert parse_spec("2.4.1", ROWS, "tensorflow-gpu").distribution == "tensorflow-gpu"
    assert parse_spec("tensorflow==2.4.1", ROWS, "tensorflow-gpu").distribution == "tensorflow"


@pytest.mark.parametrize(
    "text",
    [
        "2.x",
        "two",
        "2.15-",
        "2.15.1 2.16",
        "tensorflow 2.15",
        ">=",
        "=2.15",
        ">=2.12;<2.16",
        "2.15.1.*.1",
        "tensorflow @ https://example.org/x.whl",
        "--tf",
        "-r requirements.txt",
        "2.15\x00",
        "\uff12.15",
        "9" * 300,
        "$(id)",
        "../2.15",
    ],
)
def test_what_cannot_be_read_is_wrong_usage(text: Any) -> None:
    with pytest.raises(UsageError) as caught:
        parse_spec(text, ROWS)
    assert caught.value.code == "bad-tf-spec"
    assert caught.value.hint
    assert caught.value.what.isascii() or "…" in caught.value.what
    assert len(caught.value.what) < 120


def test_near_matches_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        parse_spec("2.15.x", ROWS)
    assert "2.15" in caught.value.why[0]


@pytest.mark.parametrize(
    ("text", "wanted"), [("2.3", "2.3"), ("2.3.4", "2.3.4"), ("<2.4", "2.4"), (">=2.1,<2.4", None), ("", None)]
)
def test_what_a_spec_names(text: Any, wanted: Any) -> None:
    assert parse_spec(text, ROWS).wanted == (Version(wanted) if wanted else None)

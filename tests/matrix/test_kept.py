"""What is kept of our own matrix is what reading it gives, and nothing else is ever taken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from provision.matrix import default_path, kept, load
from provision.model.matrix import Matrix


@pytest.fixture
def matrix() -> Matrix:
    return load(default_path())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(kept, "_AT_REST", 0.0)
    return tmp_path / "__pycache__" / f"kept.{sys.implementation.cache_tag}.0.pickle"


def test_it_is_the_same_matrix(matrix: Matrix, place: Path) -> None:
    kept.keep(place, matrix)
    assert kept.recall(place) == matrix
    assert load() == matrix


def test_older_ones_go(matrix: Matrix, place: Path) -> None:
    kept.keep(place, matrix)
    newer = place.with_name(place.name.replace(".0.", ".1."))
    kept.keep(newer, matrix)
    assert list(place.parent.iterdir()) == [newer]


@pytest.mark.parametrize("damage", [b"", b"no pickle", "half", b"\x80\x04N."])
def test_damage_is_not_taken(matrix: Matrix, place: Path, damage: bytes | str) -> None:
    kept.keep(place, matrix)
    place.write_bytes(place.read_bytes()[:5000] if isinstance(damage, str) else damage)
    assert kept.recall(place) is None


def test_another_file_or_another_place_has_another_name() -> None:
    where, data = default_path(), default_path().read_bytes()
    assert kept.place_of(where, data) == kept.place_of(where, data)
    assert kept.place_of(where, data + b"\n") != kept.place_of(where, data)
    assert kept.place_of(where.with_name("other.yaml"), data) != kept.place_of(where, data)


def test_changed_code_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    where, data = default_path(), default_path().read_bytes()
    before = kept.place_of(where, data)
    code = list(kept._code())
    monkeypatch.setattr(kept, "_code", lambda: iter([(code[0][0], Path(__file__).stat()), *code[1:]]))
    assert kept.place_of(where, data) != before


def test_nothing_is_kept_where_it_is_not_wanted_or_not_possible(
    matrix: Matrix, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_AT_REST", float("inf"))
    kept.keep(place, matrix)
    monkeypatch.setattr(kept, "_AT_REST", 0.0)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    kept.keep(place, matrix)
    assert not place.exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    place.parent.write_text("no folder")
    kept.keep(place, matrix)
    assert kept.recall(place) is None

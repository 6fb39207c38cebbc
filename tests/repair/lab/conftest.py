"""The originals and the bench of doctor's laboratory, and a workshop around each place on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor.lab.bench import Bench
from doctor.lab.conftest import originals, place  # noqa: F401 - fixtures that are used from here on
from repair.lab.workshop import Workshop


@pytest.fixture
def workshop(place: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Workshop]:  # noqa: F811 - it is the fixture
    """Return what gives a copy of an original on a sound machine, with what is needed to repair it."""

    def make(name: str) -> Workshop:
        return Workshop(place(name), monkeypatch)

    return make

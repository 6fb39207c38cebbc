"""What the probes share, on a TensorFlow of our own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import provision.probes

SCRIPTS = Path(provision.probes.__file__).parent / "scripts"
GPU = SimpleNamespace(name="/physical_device:GPU:0")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Import a probe as the child does; it takes its folder off ``sys.path`` itself."""

    def load_one(name: str) -> Any:
        monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
        return importlib.import_module(name)

    yield load_one
    for script in SCRIPTS.glob("*.py"):
        sys.modules.pop(script.stem, None)


def tensorflow(details: Mapping[str, Any] | Exception) -> Any:
    def get_device_details(device: object) -> Mapping[str, Any]:
        if isinstance(details, Exception):
            raise details
        return details

    experimental = SimpleNamespace(get_device_details=get_device_details)
    return SimpleNamespace(config=SimpleNamespace(experimental=experimental, list_physical_devices=lambda kind: [GPU]))


@pytest.mark.parametrize(
    ("details", "model", "capability"),
    [
        ({"device_name": "NVIDIA H200", "compute_capability": (9, 0)}, "NVIDIA H200", "9.0"),
        ({"device_name": "Tesla K80"}, "Tesla K80", None),
        ({}, None, None),
    ],
)
def test_details_as_tensorflow_tells_them(
    load: Callable[[str], Any], details: Mapping[str, Any], model: str | None, capability: str | None
) -> None:
    assert load("_guest").listed(tensorflow(details), "GPU") == [
        {"name": GPU.name, "model": model, "compute_capability": capability}
    ]


def test_details_that_nobody_tells_leave_the_device_listed(load: Callable[[str], Any]) -> None:
    (item,) = load("_guest").listed(tensorflow(AttributeError("no such function")), "GPU")
    assert item == {"name": GPU.name, "details_error": "AttributeError: no such function"}


def test_the_start_is_measured_before_anything_else_starts_the_gpus(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    compute = load("compute")
    monkeypatch.setattr(compute._guest, "timed", lambda *_: (asked.append("timed"), 0.1))
    monkeypatch.setattr(compute._guest, "memory", lambda *_: asked.append("memory"))
    monkeypatch.setattr(compute, "products", lambda *_: asked.append("products"))
    said = compute.one_device(None, None, "GPU:0", 1024)
    assert "error" not in said
    assert asked == ["timed", "memory", "timed", "products", "memory"]


def test_a_clock_that_is_set_back_does_not_bend_a_rate(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = load("_guest")
    times = iter([1000.0, 900.0])
    monkeypatch.setattr(guest.time, "time", lambda: next(times, 900.0))
    value, seconds = guest.timed(lambda word: word.upper(), "done")
    assert value == "DONE"
    assert 0.0 < seconds < 60.0

"""The perf probe's measuring, on a TensorFlow of our own that keeps mirrors as the real one does."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import provision.probes

SCRIPTS = Path(provision.probes.__file__).parent / "scripts"


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import ``perf`` as the child does; it takes its folder off ``sys.path`` itself."""
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    yield importlib.import_module("perf")
    for name in ("perf", "_guest"):
        sys.modules.pop(name, None)


class Tensor:
    """A tensor of a machine where ``identity`` elsewhere copies once and finds its mirror from then on."""

    def __init__(self, machine: Machine, device: str) -> None:
        self.machine = machine
        self.device = device
        self.mirrors: set[str] = set()

    def _copy(self, ctx: object = None, device_name: str = "") -> Tensor:
        self.machine.copies.append((self.device, device_name))
        return Tensor(self.machine, device_name)

    def __getitem__(self, key: object) -> Tensor:
        return Tensor(self.machine, self.device)

    def __add__(self, other: object) -> Tensor:
        assert isinstance(other, Tensor)
        assert other.device == self.device
        return Tensor(self.machine, self.device)

    def numpy(self) -> object:
        return None


class Machine:
    """As much of TensorFlow as `bandwidths` and `product_rate` need."""

    def __init__(self) -> None:
        self.copies: list[tuple[str, str]] = []
        self.current = "CPU:0"

    @contextlib.contextmanager
    def device(self, name: str) -> Iterator[None]:
        before, self.current = self.current, name
        yield
        self.current = before

    def constant(self, value: object) -> Tensor:
        return Tensor(self, self.current)

    def identity(self, tensor: Tensor) -> Tensor:
        if self.current not in tensor.mirrors:
            tensor.mirrors.add(self.current)
            self.copies.append((tensor.device, self.current))
        return Tensor(self, self.current)


NUMPY = SimpleNamespace(ones=lambda shape, dtype: SimpleNamespace(nbytes=shape[0] * shape[1] * 4, dtype=dtype))


def test_every_round_of_the_bandwidth_copies_anew(probe: Any) -> None:
    machine = Machine()
    said = probe.bandwidths(machine, NUMPY, "GPU:1", 1, 0.0)
    # With nothing to fill: a warm-up, one that is timed, and the rounds; one more put the tensor there.
    once = 2 + probe._ROUNDS
    assert machine.copies.count(("CPU:0", "GPU:1")) == once + 1
    assert machine.copies.count(("GPU:1", "CPU:0")) == once
    assert {"to_device", "to_host", "memory"} <= set(said)
    assert all(said[way] > 0 for way in ("to_device", "to_host", "memory"))


def test_the_clock_stops_after_the_last_result_was_fetched(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def timed(function: Any, *arguments: Any) -> tuple[Any, float]:
        events.append("start")
        value = function(*arguments)
        events.append("stop")
        return value, 1.0

    monkeypatch.setattr(probe._guest, "timed", timed)
    seconds = probe.measure(lambda: events.append("queued"), lambda _: events.append("fetched"), 3.0)
    assert seconds == pytest.approx(1.0 / 3.0)
    assert events[-6:] == ["start", "queued", "queued", "queued", "fetched", "stop"]
    assert all(events[at - 1] == "fetched" for at, event in enumerate(events) if event == "stop")


def test_what_was_measured_before_an_end_is_in_the_answer(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[dict[str, Any]] = []

    class Killed(BaseException): ...

    def measured(tf: object, numpy: object, said: dict[str, Any], given: object, tell: Any) -> None:
        said["products"]["float32"] = {"tflops": 50.0}
        if said["device"] == "GPU:1":
            tell("bfloat16 2048 on GPU:1")
            raise Killed

    tensorflow = ModuleType("tensorflow")
    tensorflow.config = Machine()  # type: ignore[attr-defined]
    monkeypatch.setattr(Machine, "set_soft_device_placement", lambda self, wanted: None, raising=False)
    monkeypatch.setattr(Machine, "list_logical_devices", lambda self, kind: [], raising=False)
    monkeypatch.setattr(probe, "one_device", measured)
    monkeypatch.setattr(probe._guest, "arguments", dict)
    monkeypatch.setattr(probe._guest, "answer", lambda said: answers.append({**said, "seen": len(said["devices"])}))
    monkeypatch.setattr(probe._guest, "listed", lambda tf, kind: [])
    monkeypatch.setattr(probe._guest, "start_tensorflow", lambda kind: (tensorflow, ["GPU:0", "GPU:1"]))
    monkeypatch.setitem(sys.modules, "numpy", ModuleType("numpy"))
    probe.main()
    last = answers[-2]
    assert (last["step"], last["seen"]) == ("bfloat16 2048 on GPU:1", 2)
    assert answers[-1]["devices"][1]["products"] == {"float32": {"tflops": 50.0}}
    assert answers[-1]["start_seconds"] >= 0

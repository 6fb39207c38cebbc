"""Every level in turn, on the answers that probes give on a machine with GPUs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from verify.samples import GATE_12, Environment, found, gate_said, gpu, host_of, said

import provision.verify
from provision.model.host import DriverState, GpuProcess
from provision.model.matrix import Row
from provision.model.verdict import Level, Outcome, StageStatus
from provision.probes.launcher import ProbeAnswer
from provision.snapshot import deep
from provision.snapshot.deep import LIMITS
from provision.system import Completed, System
from provision.verify.device import judge_device
from provision.workflows.verify import VerifyResult, verify
from provision.workflows.verify_stages import ALL_REDUCE, PTX_FACTOR, patience

SCHEMA = json.loads((Path(provision.verify.__file__).parent / "receipt.schema.json").read_text())
LISTED = {"name": "/physical_device:GPU:0", "model": "NVIDIA H200", "compute_capability": "9.0"}
CUDA = {"name": "NVIDIA H200", "compute_capability": "9.0"}
EXACT = {"largest": 2e-7, "rms": 6e-7, "tf32": False}
COARSE = {"largest": 3e-5, "rms": 2.9e-4, "tf32": True}
FIT = {"losses": [3.0, 0.5], "seconds": 2.0, "compute_dtype": "float16"}
CONVOLUTION = {"forward": 3e-7, "input_gradient": 4e-7, "filter_gradient": 5e-7}


def place(index: int) -> str:
    return f"/job:localhost/replica:0/task:0/device:GPU:{index}"


def computed(index: int) -> dict[str, Any]:
    return {
        "device": f"GPU:{index}",
        "size": 1024,
        "seconds": {"start": 1.0, "first_kernels": 0.5, "first_product": 0.1},
        "own_kernels": True,
        "exact_product": True,
        "placed": place(index),
        "backing": place(index),
        "modes": {"default": COARSE, "float32": EXACT, "tf32": COARSE},
    }


def trained(index: int) -> dict[str, Any]:
    where = {"placed": place(index)}
    return {
        "device": f"GPU:{index}",
        "convolution": {"modes": {"float32": CONVOLUTION}, **where},
        "compiled": {"seconds": 1.0, "largest": 1e-7, **where},
        "keras": {**FIT, **where},
        "mixed": {**FIT, **where},
    }


def measured(index: int) -> dict[str, Any]:
    return {
        "device": f"GPU:{index}",
        "products": {"float32": {"sizes": [], "tflops": 50.0}, "float16": {"sizes": [], "tflops": 700.0}},
        "bandwidth": {"mebibytes": 256, "to_device": 20.0, "to_host": 18.0, "memory": 4000.0},
        "first_kernel_seconds": 0.7,
    }


class Machine:
    """Answers for the probes as a machine with ``gpus`` H200 would, and remembers what was asked."""

    def __init__(self, environment: Environment, gpus: int) -> None:
        self.environment = environment
        self.gpus = gpus
        self.asked: list[tuple[str, Mapping[str, str], float]] = []
        environment.tensorflow("")
        environment.write("tensorflow/libtensorflow_framework.so.2")

    def answer(
        self,
        system: System,
        python: Path,
        name: str,
        arguments: Mapping[str, Any],
        *,
        timeout: float,
        environ: Mapping[str, str],
    ) -> ProbeAnswer:
        self.asked.append((name, environ, timeout))
        hidden = environ.get("CUDA_VISIBLE_DEVICES") == "-1"
        places = range(0 if hidden else self.gpus)
        mapped = ["/usr/lib/libcuda.so.570.86.15", f"{self.environment.site}/nvidia/cublas/lib/libcublas.so.12"]
        names = [f"GPU:{index}" for index in places]
        common = {"step": "done", "names": names, "mapped": mapped}
        answers: dict[str, Mapping[str, Any]] = {
            "gate": gate_said([found(name) for name in GATE_12]).data or {},
            "import_check": {
                "step": "done",
                "import_seconds": 2.0,
                "versions": {"tensorflow": "2.20.0", "built_with_cuda": True, "build": {}},
                "product": {"size": 256, "exact": True, "error": 1e-7},
                "losses": [2.0, 1.0],
            },
            "device": {
                **common,
                "visible": environ.get("CUDA_VISIBLE_DEVICES"),
                "listed": [LISTED for _ in places],
                "driver": {"init": 0 if names else 100, "devices": [CUDA for _ in places]},
            },
            "compute": {**common, "devices": [computed(index) for index in places]},
            "train": {**common, "devices": [trained(index) for index in places], "growth": {"enabled": True}},
            "allreduce": {**common, "sums": [[3.0, 3.0], [3.0, 3.0]], "expected": 3.0},
            "perf": {**common, "listed": [LISTED for _ in places], "devices": [measured(index) for index in places]},
        }
        completed = Completed((str(python),), 0, "", "", seconds=0.25)
        return ProbeAnswer(answers[name], "", completed)

    def verify(
        self, level: Level, monkeypatch: pytest.MonkeyPatch, timeout: float | None = None, **environ: str
    ) -> VerifyResult:
        monkeypatch.setattr(deep, "run_probe", self.answer)
        hidden = environ.get("CUDA_VISIBLE_DEVICES") == "-1"
        cards = tuple(gpu(index=index, processes=(GpuProcess(77, "python", 900),)) for index in range(self.gpus))
        host = host_of(DriverState.HIDDEN if hidden else DriverState.WORKING, cards)
        system = System(environ={"PATH": os.defpath, **environ})
        result = verify(system, self.environment.prefix, level, host=host, timeout=timeout)
        jsonschema.validate(dict(result.receipt), SCHEMA)
        return result


@pytest.mark.parametrize("level", [Level.COMPUTE, Level.TRAIN, Level.PERF])
def test_one_gpu_is_proved(environment: Environment, monkeypatch: pytest.MonkeyPatch, level: Level) -> None:
    result = Machine(environment, 1).verify(level, monkeypatch)
    assert result.verdict.outcome is Outcome.PROVED, result.verdict
    assert result.verdict.summary == "proved on a GPU: 1024 × 1024 products on GPU:0 right, exact where they must be"
    assert result.receipt["proved"] is True
    assert [stage.level for stage in result.verdict.stages] == list(level.upto)


def test_the_cards_peak_and_its_load_are_in_the_receipt(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Machine(environment, 1).verify(Level.PERF, monkeypatch).verdict.stages[-1]
    peaks = stage.data["devices"][0]["peaks"]
    assert "H200" in peaks["card"]
    assert 0.5 < peaks["share"]["float16"] < 1.0
    assert "GPU 0: python (pid 77) also runs on it, 900 MiB" in stage.details


def test_only_several_gpus_are_summed_over_and_with_a_limit_of_their_own(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(environment, 2)
    assert machine.verify(Level.TRAIN, monkeypatch).verdict.outcome is Outcome.PROVED
    limits = {name: limit for name, _, limit in machine.asked}
    assert limits["allreduce"] == ALL_REDUCE
    assert limits["compute"] == LIMITS[Level.COMPUTE]
    alone = Machine(environment, 1)
    alone.verify(Level.TRAIN, monkeypatch)
    assert "allreduce" not in [name for name, _, _ in alone.asked]


@pytest.mark.parametrize(
    ("capabilities", "release", "log", "factor"),
    [
        (["9.0"], "2.20.0", "", 1.0),
        (["8.6"] * 4, "2.10.1", "", 1.0),
        (["9.0"] * 5, "2.20.0", "", 2.0),
        (["9.0"] * 16, "2.20.0", "", 4.0),
        # No machine code for Hopper, nor any for Blackwell; releases up to 2.9 do not say so themselves.
        (["9.0"], "2.4.1", "", PTX_FACTOR),
        (["8.0", "9.0"], "2.4.1", "", PTX_FACTOR),
        (["9.0"] * 8, "2.15.1", "", 2 * PTX_FACTOR),
        (["12.0"], "2.20.0", "", PTX_FACTOR),
        (
            ["9.0"],
            None,
            "CUDA kernels will be jit-compiled from PTX, which could take 30 minutes or longer.",
            PTX_FACTOR,
        ),
        (["9.0"], None, "", 1.0),
        ([None], "2.20.0", "", 1.0),
        ([], "2.20.0", "", 1.0),
    ],
)
def test_how_much_longer_a_machine_may_take(
    row_of: Callable[[str], Row], capabilities: list[str | None], release: str | None, log: str, factor: float
) -> None:
    listed = [{**LISTED, "compute_capability": capability} for capability in capabilities]
    device = judge_device(said({"step": "done", "listed": listed, "driver": {}}, log=log), None)
    assert patience(device, row_of(release) if release else None) == factor


def test_limits_grow_with_what_the_device_stage_found(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(environment, 8)
    machine.verify(Level.PERF, monkeypatch)
    limits = {name: limit for name, _, limit in machine.asked}
    assert limits["device"] == LIMITS[Level.DEVICE]
    assert limits["allreduce"] == 2 * ALL_REDUCE
    for level in (Level.COMPUTE, Level.TRAIN, Level.PERF):
        assert limits[level.value] == 2 * LIMITS[level]


def test_the_users_time_limit_goes_for_every_probe(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(environment, 2)
    machine.verify(Level.PERF, monkeypatch, timeout=33.0)
    assert {limit for _, _, limit in machine.asked} == {33.0}


def test_negative_control(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(environment, 1)
    result = machine.verify(Level.COMPUTE, monkeypatch, CUDA_VISIBLE_DEVICES="-1")
    assert result.verdict.outcome is Outcome.FAILED
    assert result.verdict.stages[2].cause == "hidden-by-cuda-visible-devices"
    assert result.verdict.stages[3].status is StageStatus.SKIPPED
    asked = [environ.get("CUDA_VISIBLE_DEVICES") for name, environ, _ in machine.asked if name == "device"]
    assert asked == ["-1", None]


def test_the_gate_is_asked_twice_and_once_without_variables(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(environment, 1)
    machine.verify(Level.GATE, monkeypatch, LD_LIBRARY_PATH="/opt/old", HOME="/home/anna")
    asked = [environ for name, environ, _ in machine.asked if name == "gate"]
    bare, user = sorted(asked, key=lambda environ: "LD_LIBRARY_PATH" in environ)
    assert user["LD_LIBRARY_PATH"] == "/opt/old"
    assert not {"LD_LIBRARY_PATH", "HOME"} & set(bare)


def test_the_gate_is_asked_once_where_no_variable_reaches_the_loader(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(environment, 1)
    machine.verify(Level.GATE, monkeypatch, HOME="/home/anna", TF_CLI_CONFIG_FILE="/etc/terraform")
    assert [name for name, _, _ in machine.asked].count("gate") == 1

"""verify on real TensorFlow releases as a user installs them by hand; run with ``-m e2e``.

Four releases stand for the four ways in which the wheels were built: RPATH (2.4), RUNPATH without NVIDIA folders (2.10),
the search path that lost its folders (2.16.1) and today's (2.21.0). The probes' GPU code runs on the CPU here, under the
name of another device; the device list runs under a fake driver.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from thorough import sample

import provision.verify
from provision.host import find_interpreters
from provision.matrix import load
from provision.model.verdict import Level, Outcome, StageStatus
from provision.probes.environment import inspect
from provision.probes.hygiene import guest_environ
from provision.probes.launcher import run_probe
from provision.snapshot.premises import premises_of
from provision.system import System
from provision.verify.answer import Said
from provision.verify.compute import judge_compute
from provision.verify.perf import judge_perf
from provision.verify.train import judge_train
from provision.workflows.verify import VerifyResult, verify

pytestmark = [pytest.mark.e2e, pytest.mark.index]

CU11 = (
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cusparse-cu11==11.7.5.86",
    "nvidia-cudnn-cu11==8.6.0.163",
)
SCHEMA = json.loads((Path(provision.verify.__file__).parent / "receipt.schema.json").read_text())


@dataclass(frozen=True)
class Case:
    release: str
    python: str
    requirements: tuple[str, ...]
    missing: tuple[str, ...]
    total: int


CASES = (
    Case(
        "2.4.1",
        "3.8",
        ("tensorflow==2.4.1", "protobuf<3.21", *CU11),
        (
            "libcudart.so.11.0",
            "libcublas.so.11",
            "libcublasLt.so.11",
            "libcufft.so.10",
            "libcurand.so.10",
            "libcusolver.so.10",
            "libcusparse.so.11",
            "libcudnn.so.8",
        ),
        8,
    ),
    Case(
        "2.10.1",
        "3.10",
        ("tensorflow==2.10.1", "numpy<1.24", *CU11),
        (
            "libcudart.so.11.0",
            "libcublas.so.11",
            "libcublasLt.so.11",
            "libcufft.so.10",
            "libcurand.so.10",
            "libcusolver.so.11",
            "libcusparse.so.11",
            "libcudnn.so.8",
        ),
        8,
    ),
    Case(
        "2.16.1",
        "3.11",
        ("tensorflow[and-cuda]==2.16.1",),
        (
            "libcublas.so.12",
            "libcublasLt.so.12",
            "libcufft.so.11",
            "libcusolver.so.11",
            "libcusparse.so.12",
            "libcudnn.so.8",
        ),
        7,
    ),
    Case("2.21.0", "3.12", ("tensorflow[and-cuda]==2.21.0",), ("libcusolver.so.11",), 7),
)


@dataclass(frozen=True)
class Made:
    case: Case
    prefix: Path

    @property
    def site(self) -> Path:
        return next(self.prefix.glob("lib/python*/site-packages"))

    @property
    def library_folders(self) -> str:
        return ":".join(str(folder) for folder in sorted(self.site.glob("nvidia/*/lib")))

    def verify(self, level: Level, **environ: str) -> VerifyResult:
        system = System(environ={"PATH": os.defpath, **environ})
        result = verify(system, self.prefix, level, matrix=load())
        jsonschema.validate(dict(result.receipt), SCHEMA)
        return result

    def ask(self, probe: str, **arguments: Any) -> Said:
        system = System(environ={"PATH": os.defpath})
        answer = run_probe(
            system,
            self.prefix / "bin/python",
            probe,
            {"kind": "CPU", **arguments},
            timeout=600,
            environ=guest_environ(system.environ).values,
        )
        assert not answer.failure, answer.completed.stderr[-2000:]
        return Said(answer.data, answer.failure, answer.completed.stderr, answer.completed.seconds)

    def premises(self) -> Any:
        system = System(environ={"PATH": os.defpath})
        return premises_of(system, inspect(system, self.prefix), None, None)


@pytest.fixture(scope="module", params=sample(CASES, 1, 3), ids=lambda case: case.release)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    import uv

    case: Case = request.param
    prefix = tmp_path_factory.mktemp("real") / case.release
    program = uv.find_uv_bin()
    # clang, termcolor and wrapt of the old releases' pins never had wheels.
    built = ("--no-binary", "termcolor", "--no-binary", "wrapt") if case.release == "2.4.1" else ()
    # pyenv's shims are on PATH even where no such Python is chosen: only one that answers counts.
    answering = (item.path for item in find_interpreters(System()) if item.version.series.text == case.python)
    python = next(answering, case.python)
    subprocess.run([program, "venv", "-q", "--python", python, str(prefix)], check=True, timeout=300)
    subprocess.run(
        [program, "pip", "install", "-q", "--python", str(prefix / "bin/python"), "--only-binary", ":all:", *built,
         *case.requirements],
        check=True, timeout=1800,
    )  # fmt: skip
    yield Made(case, prefix)
    shutil.rmtree(prefix)


def test_by_hand_the_gate_names_what_is_missing(made: Made) -> None:
    result = made.verify(Level.IMPORT)
    gate, imported = result.verdict.stages
    assert (gate.status, gate.cause) == (StageStatus.FAILED, "library-not-found")
    wanted = f"{len(made.case.missing)} of {made.case.total} CUDA libraries not found: {', '.join(made.case.missing)}"
    assert gate.summary == wanted
    libraries = {item["soname"]: item for item in gate.data["libraries"]}
    assert tuple(name for name, item in libraries.items() if not item["found"]) == made.case.missing
    assert all(item["meant"] and item["version"] for item in libraries.values() if item["found"])
    assert any("tensorflow/libtensorflow_framework.so.2" in line for line in gate.details)
    assert imported.status is StageStatus.PASSED, imported
    assert imported.data["losses"][-1] < imported.data["losses"][0]
    assert result.receipt["matrix"]["release"] == made.case.release
    assert result.verdict.outcome is Outcome.FAILED


def test_ld_library_path_helps_and_is_told(made: Made) -> None:
    stage = made.verify(Level.GATE, LD_LIBRARY_PATH=made.library_folders).verdict.stages[0]
    if made.case.release == "2.4.1":
        assert stage.summary == "1 of 8 CUDA libraries not found: libcusolver.so.10"
    else:
        assert stage.status is StageStatus.PASSED
        assert any("only this shell's LD_LIBRARY_PATH leads to" in line for line in stage.details)


def test_the_fake_driver_is_listed_and_never_proves(made: Made, fake_driver: Path) -> None:
    if made.case.release == "2.4.1":
        (made.site / "tensorflow/libcusolver.so.10").symlink_to("../nvidia/cusolver/lib/libcusolver.so.11")
    search = f"{fake_driver}:{made.library_folders}"
    verdict = made.verify(Level.COMPUTE, LD_LIBRARY_PATH=search).verdict
    stages = {stage.level: stage for stage in verdict.stages}
    assert stages[Level.DEVICE].status is StageStatus.PASSED, stages[Level.DEVICE]
    assert stages[Level.DEVICE].summary.startswith("TensorFlow lists 1 GPU")
    assert stages[Level.COMPUTE].status is StageStatus.FAILED
    assert verdict.outcome is Outcome.FAILED
    hidden = made.verify(Level.COMPUTE, LD_LIBRARY_PATH=search, CUDA_VISIBLE_DEVICES="-1").verdict
    assert (hidden.outcome, hidden.stages[2].cause) == (Outcome.FAILED, "hidden-by-cuda-visible-devices")


def test_without_a_driver_nobody_can_tell(made: Made) -> None:
    if made.case.release == "2.4.1":
        pytest.skip("needs the alias that only create makes")
    verdict = made.verify(Level.PERF, LD_LIBRARY_PATH=made.library_folders).verdict
    assert verdict.outcome in (Outcome.CANNOT_TELL, Outcome.PROVED)
    if verdict.outcome is Outcome.CANNOT_TELL:
        assert verdict.summary.startswith("no GPU was proved")


def test_compute_code_is_right_on_every_release(made: Made) -> None:
    stage = judge_compute(made.premises(), made.ask("compute"), kind="CPU")
    assert stage.status is StageStatus.PASSED, stage
    assert set(stage.data["devices"][0]["modes"]) == {"default", "float32", "tf32"}
    # The same answer, taken for a GPU's, proves nothing.
    assert judge_compute(made.premises(), made.ask("compute")).cause == "ran-elsewhere"


def test_train_code_is_right_on_every_release(made: Made) -> None:
    said, reduced = made.ask("train"), made.ask("allreduce", replicas=2)
    stage = judge_train(made.premises(), said, reduced, kind="CPU")
    assert stage.status is StageStatus.PASSED, stage
    device = stage.data["devices"][0]
    assert device["mixed"]["compute_dtype"] == "float16"
    assert device["mixed"]["weight_dtype"] == "float32"
    assert device["compiled"]["argument"] == ("experimental_compile" if made.case.release == "2.4.1" else "jit_compile")


def test_perf_code_runs_on_every_release(made: Made) -> None:
    stage = judge_perf(made.ask("perf", sizes=[64, 128], mebibytes=4, target=0.01))
    assert stage.status is StageStatus.PASSED, stage
    products = stage.data["devices"][0]["products"]
    assert all(products[mode]["tflops"] > 0 for mode in ("float32", "tf32", "float16", "bfloat16"))
    assert stage.data["devices"][0]["bandwidth"]["memory"] > 0

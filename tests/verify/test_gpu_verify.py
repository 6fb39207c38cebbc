"""verify on a machine with a GPU: name an environment in TFGPU_TEST_ENVIRONMENT and run with ``-m gpu``."""

from __future__ import annotations

import os

import pytest

from provision.host import detect
from provision.matrix import load
from provision.model.host import DriverState
from provision.model.verdict import Level, Outcome, StageStatus, Verdict
from provision.system import System
from provision.workflows.verify import verify

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def environment() -> str:
    named = os.environ.get("TFGPU_TEST_ENVIRONMENT")
    if not named:
        pytest.skip("TFGPU_TEST_ENVIRONMENT names no environment")
    if detect(System(), wide=False).driver_state is not DriverState.WORKING:
        pytest.skip("no working GPU here")
    return named


def run(environment: str, level: Level, **environ: str) -> Verdict:
    system = System(environ={**os.environ, **environ})
    return verify(system, environment, level, matrix=load(), host=detect(system, wide=False)).verdict


def test_every_level_is_proved(environment: str) -> None:
    verdict = run(environment, Level.PERF)
    assert verdict.outcome is Outcome.PROVED, [(stage.level, stage.cause, stage.details) for stage in verdict.stages]
    assert all(stage.status in (StageStatus.PASSED, StageStatus.SKIPPED) for stage in verdict.stages)
    compute = next(stage for stage in verdict.stages if stage.level is Level.COMPUTE)
    for device in compute.data["devices"]:
        assert device["modes"]["float32"]["rms"] < 2e-5
    assert any("libcublas" in path for path in compute.data["mapped"]["inside"] + compute.data["mapped"]["outside"])


@pytest.mark.parametrize("hidden", ["-1", "", "NoDevFiles"])
def test_negative_control(environment: str, hidden: str) -> None:
    verdict = run(environment, Level.COMPUTE, CUDA_VISIBLE_DEVICES=hidden)
    assert not verdict.proved
    assert verdict.outcome is Outcome.FAILED
    device = next(stage for stage in verdict.stages if stage.level is Level.DEVICE)
    assert device.cause == "hidden-by-cuda-visible-devices"

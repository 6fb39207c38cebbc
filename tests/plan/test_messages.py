"""Every message a user can see, held as a file; ``TFGPU_UPDATE_SNAPSHOTS=1`` writes them anew.

The real matrix changes with every release it learns, so these are drawn from the small one in memory.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from plan_builder import (
    CONDA_112,
    CONDA_118,
    CONDA_TF,
    CU118,
    GUESS,
    ROW_2_10,
    ROW_2_20,
    GlibcVersion,
    PythonVersion,
    ccs,
    fault,
    gpu,
    host,
    matrix,
    row,
    source_only,
)

from provision.errors import UsageError
from provision.model.host import Disagreement, DriverState
from provision.model.plan import Plan, Refusal, Request
from provision.plan import decide
from provision.report.failure import failure_text
from provision.report.plan import plan_document, plan_text

FOLDER = Path(__file__).parent / "snapshots"
ALIASED = row(
    ROW_2_10,
    "2.4.1",
    gate=("libcudart.so.11.0", "libcusolver.so.10"),
    aliases={"libcusolver.so.10": "libcusolver.so.11", "libcudart.so.11.0x": "libcudnn.so.8"},
    source_only=(source_only("termcolor", "1.1.0"), source_only("wrapt", "1.12.1")),
    evidence={**ROW_2_10.evidence, "aliases": GUESS, "sets": GUESS, "arch": GUESS},
)
NEWEST = row(ROW_2_20, "2.21.0", glibc=GlibcVersion("2.27"), faults=(fault("search-path", "links are put there"),))
NO_SET = row(ROW_2_20, "2.22.0", sets=(CU118,))
GAP = row(ROW_2_20, "2.23.0", sets=(dataclasses.replace(ROW_2_20.sets[0], sass=ccs("7.5")),))
CONDA_ROW = row(ROW_2_10, conda_sets=(CONDA_112, CONDA_118))
STRICT = dataclasses.replace(CONDA_112, glibc=GlibcVersion("2.28"))
FOREIGN = row(ROW_2_10, "2.11.9", conda_sets=(CONDA_TF,))
ONLY_CONDA = row(ROW_2_10, "2.11.8", sets=(), conda_sets=(CONDA_112,))
MATRIX = matrix(
    ALIASED, CONDA_ROW, row(ROW_2_20, "2.16.1", faults=(fault("search-path", avoid=True),)), ROW_2_20, NEWEST
)
H100 = gpu("9.0", "NVIDIA H100 80GB HBM3", 0)
GT710 = gpu("3.5", "NVIDIA GeForce GT 710", 1)
RTX3090 = gpu("8.6", "NVIDIA GeForce RTX 3090", 0)
RTX5090 = gpu("12.0", "NVIDIA GeForce RTX 5090", 0)
MIG = dataclasses.replace(gpu("8.0", "NVIDIA A100-SXM4-40GB", 0), mig=True, mig_devices=("1g.5gb", "1g.5gb"))

DISAGREEING = dataclasses.replace(
    host("535.104.05", RTX3090, described=False, pythons="3.11.4"),
    disagreements=(Disagreement("driver version", (("nvml", "535.104.05"), ("proc", "535.54.03"))),),
    variables={"CUDA_FORCE_PTX_JIT": "1"},
)

CASES: dict[str, tuple[Request, Any]] = {
    "plan-everyday": (
        Request(),
        host("550.54.15", RTX3090, cuda="12.4", glibc="2.35", described=False, pythons="3.11.4"),
    ),
    "plan-python-is-fetched": (Request("2.20"), host("550.54.15", RTX3090, described=False, pythons="3.7.9")),
    "plan-no-gpu": (Request("2.20"), host(state=DriverState.NO_GPU, glibc="2.35", described=False, pythons="3.11.4")),
    "plan-no-driver-known": (Request("2.20"), host(None, H100)),
    "plan-hopper": (Request("2.20"), host("580.65.06", H100)),
    "plan-hopper-jit": (Request("2.10"), host("550.54.15", H100)),
    "plan-aliases-and-source-archives": (Request("2.4.1"), host("470.57.02", RTX3090)),
    "plan-older-libraries": (Request("2.20"), host("550.54.15", gpu("6.1", "NVIDIA GeForce GTX 1080", 0), RTX3090)),
    "plan-gpu-left-out": (Request("2.20"), host("535.104.05", RTX3090, GT710)),
    "plan-passed-over": (Request(), host("550.54.15", RTX3090, glibc="2.17")),
    "plan-packages": (Request("2.20", PythonVersion("3.11"), ("pandas>=2", "keras-tuner")), host("550.54.15", RTX3090)),
    "plan-mig": (Request("2.20"), host("550.54.15", MIG)),
    "plan-capability-unknown": (Request("2.20"), host("550.54.15", gpu(None, "NVIDIA Graphics Device", 0))),
    "plan-sources-disagree": (Request("2.20"), DISAGREEING),
    **{
        f"plan-state-{state.value}": (
            Request("2.20"),
            host("550.54.15", RTX3090, state=state, described=False, pythons="3.11.4"),
        )
        for state in DriverState
        if state not in {DriverState.WORKING, DriverState.NO_GPU}
    },
    "plan-libraries-jit": (Request("2.23.0"), host("550.54.15", RTX3090)),
    "refused-driver": (Request("2.20"), host("470.57.02", RTX3090, cuda="11.4", described=False, pythons="3.11.4")),
    "refused-driver-wsl": (Request("2.20"), host("472.50", RTX3090, wsl=True)),
    "refused-cuda-only": (Request("2.20"), host(None, RTX3090, cuda="11.4")),
    "refused-ptx": (Request("2.20"), host("535.104.05", H100)),
    "refused-gpu-too-old": (Request("2.20"), host("470.57.02", gpu("3.7", "Tesla K80", 0))),
    "refused-gpu-left-driver": (Request("2.20"), host("590.44.01", gpu("6.1", "NVIDIA GeForce GTX 1080", 0))),
    "refused-driver-older-than-gpu": (Request("2.10"), host("470.57.02", gpu("8.9", "NVIDIA GeForce RTX 4090", 0))),
    "plan-conda": (Request("2.10", backend="conda", conda=("scipy",)), host("470.57.02", gpu("3.7", "Tesla K80", 0))),
    "plan-conda-ada": (Request("2.10", backend="conda"), host("535.104.05", gpu("8.9", "NVIDIA L4", 0))),
    "plan-conda-build": (Request("2.11.9", backend="conda"), host("470.57.02", gpu("3.7", "Tesla K80", 0))),
    "refused-conda-only": (Request("2.11.8"), host("470.57.02", gpu("7.5", "Tesla T4", 0))),
    "refused-blackwell": (Request(), host("580.65.06", RTX5090)),
    "refused-everything": (Request("2.21"), host("340.108", gpu("5.2"), glibc="2.5", cpu="sse2", pythons="3.7")),
    "refused-python": (Request("2.20", PythonVersion("3.8")), host("550.54.15", RTX3090)),
    "refused-glibc": (Request("2.21"), host("550.54.15", RTX3090, glibc="2.17")),
    "refused-musl": (Request("2.20"), host("550.54.15", RTX3090, musl=True)),
    "refused-cpu": (Request("2.20"), host("550.54.15", RTX3090, cpu="sse2")),
    "refused-windows": (Request("2.20"), host("550.54", RTX3090, system="windows")),
    "refused-windows-2.10": (Request("2.10"), host("550.54", RTX3090, system="windows")),
    "refused-macos": (Request(), host(system="macos", machine="aarch64")),
    "refused-aarch64": (Request("2.20"), host("580.65.06", H100, machine="aarch64")),
    "refused-ppc64le": (Request("2.20"), host(machine="ppc64le")),
    "refused-no-set": (Request("2.22.0"), host("550.54.15", RTX3090)),
    "refused-packages": (Request("2.10", requirements=("numpy==1.26.4",)), host("550.54.15", RTX3090)),
    "refused-range": (Request(">=2.16,<2.20"), host("470.57.02", RTX3090)),
    "refused-old-release": (Request("2.3"), host("550.54.15", RTX3090)),
    "refused-unknown-release": (Request("2.15.9"), host("550.54.15", RTX3090)),
    "refused-tensorflow-gpu": (Request("tensorflow-gpu==2.12.0"), host("550.54.15", RTX3090)),
    "refused-nightly": (Request("tf-nightly"), host("550.54.15", RTX3090)),
}


def decided(name: str) -> Plan | Refusal:
    request, machine = CASES[name]
    extra = {
        "refused-no-set": NO_SET,
        "plan-libraries-jit": GAP,
        "plan-conda-build": FOREIGN,
        "refused-conda-only": ONLY_CONDA,
    }.get(name)
    return decide(request, machine, matrix(*MATRIX.rows, extra) if extra else MATRIX)


def hold(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("TFGPU_UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no snapshot {name}; TFGPU_UPDATE_SNAPSHOTS=1 writes it"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_text(name: str) -> None:
    decision = decided(name)
    assert decision.outcome == "refused" if name.startswith("refused") else decision.outcome in ("ok", "caveat")
    hold(f"{name}.txt", plan_text(decision) + "\n")


@pytest.mark.parametrize(
    "name", ["plan-hopper", "plan-gpu-left-out", "plan-no-gpu", "refused-ptx", "refused-old-release"]
)
def test_document(name: str) -> None:
    hold(f"{name}.json", json.dumps(plan_document(decided(name)), indent=2) + "\n")


@pytest.mark.parametrize(
    ("name", "spec"), [("bad-spec", "2.x"), ("bad-spec-near", "2.20.x"), ("bad-spec-long", "9" * 300)]
)
def test_wrong_specs(name: str, spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        decide(Request(spec), host(), MATRIX)
    hold(f"{name}.txt", failure_text(caught.value) + "\n")


def test_no_snapshot_is_left_over() -> None:
    wanted = {f"{name}.txt" for name in (*CASES, "bad-spec", "bad-spec-near", "bad-spec-long")}
    assert {path.name for path in FOLDER.glob("*.txt")} == wanted


def test_every_code_of_a_rule_is_seen_in_some_message() -> None:
    """A code that no case reaches is a message nobody has read."""
    seen = set()
    for name in CASES:
        decision = decided(name)
        found = decision.caveats if isinstance(decision, Plan) else decision.reasons
        seen |= {item.code for item in found}
    sources = (Path(__file__).parents[2] / "provision" / "plan").rglob("*.py")
    written = set()
    for path in sources:
        words = path.read_text(encoding="utf-8").replace("\n", " ").split('"')
        written |= {
            word for before, word in itertools.pairwise(words) if before.rstrip().endswith(("Obstacle(", "Caveat("))
        }
    assert written
    assert not written - seen - {"{system}-unsupported", "fault-{fault.code}", "ptx-for-another-gpu", "library-alias"}


def test_every_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "deciding.md").read_text(encoding="utf-8")
    for name in CASES:
        decision = decided(name)
        found = decision.caveats if isinstance(decision, Plan) else decision.reasons
        for item in found:
            code = "fault-…" if item.code.startswith("fault-") else item.code
            assert f"`{code}`" in page, code

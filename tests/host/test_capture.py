"""A captured machine comes back exactly as it was; a hostile file never does harm."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.errors import InvalidFileError
from provision.host import capture
from provision.model.facts import Attempt, Fact
from provision.model.host import (
    Container,
    CudnnCopy,
    Disagreement,
    DriverState,
    Gpu,
    GpuProcess,
    HostFacts,
    Interpreter,
    Toolkit,
)
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PythonVersion,
)

TRIED = (Attempt("nvml", "failed", "18"), Attempt("libcuda", "timeout", "no answer within 60 s"))
GPU = Gpu(
    name="NVIDIA A100-SXM4-40GB",
    compute_capability=ComputeCapability("8.0"),
    index=3,
    memory_mib=40960,
    memory_used_mib=19,
    uuid="GPU-aa",
    pci_bus_id="00000000:07:00.0",
    mig=True,
    mig_devices=("MIG-1", "MIG-2"),
    processes=(GpuProcess(12, "python", 100), GpuProcess(None, "", None)),
    source="nvml",
)
FULL = HostFacts(
    described=False,
    system=Fact("linux", "uname"),
    machine=Fact("x86_64", "uname"),
    distribution=Fact("ubuntu 22.04", "/etc/os-release", TRIED),
    wsl=Fact(value=False, source="/proc/version"),
    glibc=Fact(GlibcVersion("2.35"), "confstr"),
    cpu_features=Fact(frozenset({"avx", "avx2", "fma"}), "/proc/cpuinfo"),
    driver_state=DriverState.LIBRARY_MISMATCH,
    driver_state_why="because",
    driver=Fact(DriverVersion("550.54.14"), "nvml", TRIED),
    kernel_module=Fact(DriverVersion("535.104.05"), "/sys/module/nvidia/version"),
    driver_cuda=Fact(CudaVersion("12.4"), "nvml"),
    gpus=Fact((GPU, Gpu("unknown", None)), "nvml"),
    device_nodes=Fact(("/dev/nvidia0", "/dev/nvidiactl"), "/dev"),
    container=Fact(Container("docker", gpu_passed=None), "/.dockerenv"),
    toolkits=(Toolkit("/usr/local/cuda", CudaVersion("12.6"), "/usr/local"), Toolkit("/opt/cuda", None, "/opt")),
    cudnn_copies=(CudnnCopy("/usr/lib/libcudnn.so.8", CudnnVersion("8.9.7")), CudnnCopy("/x/libcudnn.so.9", None)),
    nvcc=Fact(CudaVersion("12.6.77"), "/usr/local/cuda/bin/nvcc"),
    pythons=(Interpreter("/usr/bin/python3.11", PythonVersion("3.11.2"), "path", "cpython", "x86_64"),),
    tools={"uv": "/usr/bin/uv", "conda": "/opt/conda/bin/conda"},
    variables={"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
    free_disk_mib=Fact(12345, "statvfs"),
    disagreements=(Disagreement("driver version", (("nvml", "550.54.14"), ("module", "535.104.05")), "reboot"),),
    attempts=TRIED,
)
EMPTY = dataclasses.replace(
    FULL,
    described=True,
    distribution=Fact(None),
    wsl=Fact(None),
    glibc=Fact(None, "musl"),
    cpu_features=Fact(None),
    driver=Fact(None, attempts=TRIED),
    kernel_module=Fact(None),
    driver_cuda=Fact(None),
    gpus=Fact(()),
    device_nodes=Fact(None),
    container=Fact(None),
    toolkits=(),
    cudnn_copies=(),
    nvcc=Fact(None),
    pythons=(),
    tools={},
    variables={},
    free_disk_mib=Fact(None),
    disagreements=(),
    attempts=(),
)


@pytest.mark.parametrize(
    "host", [FULL, EMPTY, dataclasses.replace(EMPTY, gpus=Fact(None))], ids=["full", "empty", "unknown-gpus"]
)
def test_round_trip(host: HostFacts, tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(capture.to_document(host)))
    back = capture.read(file)
    assert back == host
    assert capture.to_document(back) == capture.to_document(host)


def test_every_field_of_the_model_is_in_the_sample() -> None:
    """A field added to the model must be added here, so that the round trip covers it."""
    bare = {field.name for field in dataclasses.fields(HostFacts)}
    assert set(capture.to_document(FULL)["host"]) == bare
    for value in (FULL, GPU):
        for field in dataclasses.fields(value):
            if field.default is not dataclasses.MISSING:
                assert getattr(value, field.name) != field.default, field.name


@pytest.mark.parametrize("state", list(DriverState))
def test_every_state_survives(state: DriverState) -> None:
    host = dataclasses.replace(FULL, driver_state=state)
    assert capture.from_document(json.loads(json.dumps(capture.to_document(host)))).driver_state is state


def test_what_a_newer_version_left_out_takes_its_default() -> None:
    document = capture.to_document(FULL)
    for name in ("toolkits", "tools", "nvcc", "free_disk_mib", "attempts"):
        del document["host"][name]
    host = capture.from_document(document)
    assert (host.toolkits, dict(host.tools), host.nvcc, host.free_disk_mib, host.attempts) == (
        (),
        {},
        Fact(None),
        Fact(None),
        (),
    )


def spoiled(*path: str | int, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(json.loads(json.dumps(capture.to_document(FULL))))
    target: Any = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "not a JSON object"),
        (None, "not a JSON object"),
        ({}, "schema: null"),
        ({"schema": 2, "host": {}}, "schema: 2"),
        ({"schema": "1"}, 'schema: "1"'),
        ({"schema": 1}, "host: null is not an object"),
        ({"schema": 1, "host": {}}, "host.described: missing"),
        (spoiled("host", "described", value="yes"), 'host.described: "yes" is not a bool'),
        (spoiled("host", "described", value=1), "host.described: 1 is not a bool"),
        (spoiled("host", "surprise", value=1), '"surprise" is not known'),
        (spoiled("host", "driver", "value", value=535), "host.driver.value: 535 is not a DriverVersion"),
        (spoiled("host", "driver", "value", value="535; rm -rf"), "is not a DriverVersion"),
        (spoiled("host", "driver", "value", value="1" * 100), "is not a DriverVersion"),
        (spoiled("host", "driver", value="535.104.05"), "is not an object"),
        (spoiled("host", "driver", "source", value=None), "host.driver.source: null is not a str"),
        (spoiled("host", "driver_state", value="fine"), '"fine" is not a DriverState'),
        (spoiled("host", "gpus", "value", value={}), "is not a list"),
        (
            spoiled("host", "gpus", "value", 0, "memory_mib", value=1.5),
            "host.gpus.value[0].memory_mib: 1.5 is not a int",
        ),
        (spoiled("host", "gpus", "value", 0, "memory_mib", value=True), "true is not a int"),
        (spoiled("host", "gpus", "value", 0, "processes", value=[1]), "processes[0]: 1 is not an object"),
        (spoiled("host", "cpu_features", "value", value=["avx", None]), "cpu_features.value[1]"),
        (spoiled("host", "cpu_features", "value", value=["avx", []]), "cpu_features.value[1]"),
        (spoiled("host", "device_nodes", "value", value=["x"] * 5000), "is not a list of at most"),
        (spoiled("host", "tools", value=["uv"]), "is not an object of texts"),
        (spoiled("host", "tools", value={"uv": 1}), "host.tools.uv: 1 is not a str"),
        (spoiled("host", "variables", value={"A": "x" * 100_000}), "host.variables.A"),
        (spoiled("host", "disagreements", 0, "readings", value=[["only one"]]), "has 1 entries, not 2"),
        (spoiled("host", "container", "value", "gpu_passed", value="no"), "gpu_passed"),
        (spoiled("host", "toolkits", value=None), "host.toolkits: null is not a list"),
    ],
)
def test_wrong_documents(document: Any, complaint: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        capture.from_document(document)
    assert caught.value.code == "bad-capture"
    assert complaint in "\n".join(caught.value.why)
    assert "host --json" in (caught.value.hint or "")


def test_all_complaints_come_at_once_and_not_endlessly() -> None:
    document = spoiled("host", "driver", "value", value="x")
    document["host"]["gpus"]["value"] = [1] * 50
    with pytest.raises(InvalidFileError) as caught:
        capture.from_document(document)
    assert len(caught.value.why) == 13
    assert caught.value.why[-1] == "and 39 more"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"\x7fELF" + bytes(1000), "not JSON"),
        (b"[" * 1_000_000, "not JSON"),
        (b'{"schema": 1, "host": ' + b"9" * 10_000 + b"}", ""),
        (b" " * (capture.SIZE_LIMIT + 1), "larger than"),
        (b"NaN", "not a JSON object"),
    ],
    ids=["empty", "not-utf8", "binary", "deep", "huge-number", "large", "nan"],
)
def test_hostile_files(raw: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_bytes(raw)
    start = time.monotonic()
    with pytest.raises(InvalidFileError) as caught:
        capture.read(file)
    assert time.monotonic() - start < 10.0
    assert why in "\n".join(caught.value.why)
    assert all(len(line) < 400 for line in caught.value.why)


def test_a_file_that_is_gone_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(InvalidFileError):
            capture.read(path)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
PLACES = [(name,) for name in capture.to_document(FULL)["host"]] + [
    (name, "value") for name in ("driver", "gpus", "cpu_features", "container", "wsl")
]


@given(place=st.sampled_from(PLACES), value=JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_anywhere_is_read_or_refused(place: tuple[str, ...], value: Any) -> None:
    document = spoiled("host", *place, value=value)
    with contextlib.suppress(InvalidFileError):
        host = capture.from_document(document)
        assert capture.from_document(capture.to_document(host)) == host

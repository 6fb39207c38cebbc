"""The fake driver says what its variables describe, to the bindings that real programs use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NVML = """
import json, pynvml as n
n.nvmlInit()
def gpu(index):
    h = n.nvmlDeviceGetHandleByIndex(index)
    old, new = n.nvmlDeviceGetMemoryInfo(h), n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2)
    assert (old.total, old.used) == (new.total, new.used)
    try:
        mig = n.nvmlDeviceGetMigMode(h)[0]
    except n.NVMLError as error:
        mig = error.value
    parts = []
    for part in range(n.nvmlDeviceGetMaxMigDeviceCount(h)):
        try:
            parts.append(n.nvmlDeviceGetUUID(n.nvmlDeviceGetMigDeviceHandleByIndex(h, part)))
        except n.NVMLError as error:
            assert error.value == n.NVML_ERROR_NOT_FOUND
    processes = [
        [p.pid, p.usedGpuMemory and p.usedGpuMemory >> 20, n.nvmlSystemGetProcessName(p.pid)]
        for p in n.nvmlDeviceGetComputeRunningProcesses(h)
    ]
    return {
        "name": n.nvmlDeviceGetName(h), "cc": list(n.nvmlDeviceGetCudaComputeCapability(h)),
        "uuid": n.nvmlDeviceGetUUID(h), "total": old.total >> 20, "used": old.used >> 20, "mig": mig,
        "parts": len(parts), "processes": processes, "bus": n.nvmlDeviceGetPciInfo(h).busId,
    }
gpus = [gpu(index) for index in range(n.nvmlDeviceGetCount())]
print(json.dumps({"driver": n.nvmlSystemGetDriverVersion(), "cuda": n.nvmlSystemGetCudaDriverVersion(), "gpus": gpus}))
"""
CUDA = """
import ctypes, json
cuda = ctypes.CDLL("libcuda.so.1")
number, text = ctypes.c_int(), ctypes.create_string_buffer(100)
found = {"version": (cuda.cuDriverGetVersion(ctypes.byref(number)), number.value)}
found["init"] = cuda.cuInit(0)
found["count"] = (cuda.cuDeviceGetCount(ctypes.byref(number)), number.value)
found["names"], found["cc"] = [], []
for device in range(number.value if found["count"][0] == 0 else 0):
    assert cuda.cuDeviceGetName(text, 100, device) == 0
    found["names"].append(text.value.decode())
    parts = []
    for attribute in (75, 76):
        assert cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device) == 0
        parts.append(str(number.value))
    found["cc"].append(".".join(parts))
print(json.dumps(found))
"""


def start(folder: Path, code: str, timeout: float = 20, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"LD_LIBRARY_PATH": str(folder), **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def ask(folder: Path, code: str, **environ: str) -> dict[str, Any]:
    done = start(folder, code, **environ)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_nvml_describes_the_machine_that_the_variables_describe(fake_driver: Path) -> None:
    found = ask(
        fake_driver,
        NVML,
        FAKEGPU_COUNT="3",
        FAKEGPU_DRIVER="535.104.05",
        FAKEGPU_CUDA="12.2",
        FAKEGPU_NAMES="NVIDIA A100-SXM4-40GB;Tesla V100;NVIDIA GeForce RTX 3090",
        FAKEGPU_CC="8.0;7.0;8.6",
        FAKEGPU_MEMORY_MIB="40960;16384",
        FAKEGPU_MEMORY_USED_MIB="0;100",
        FAKEGPU_MIG="1;none;0",
        FAKEGPU_MIG_DEVICES="2",
        FAKEGPU_PROCESSES="0:12:800:python;0:13:-:Xorg;2:14:5:a name",
    )
    assert (found["driver"], found["cuda"]) == ("535.104.05", 12020)
    first, second, third = found["gpus"]
    assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA A100-SXM4-40GB", "Tesla V100", "NVIDIA GeForce RTX 3090"]
    assert [gpu["cc"] for gpu in found["gpus"]] == [[8, 0], [7, 0], [8, 6]]
    assert [(gpu["total"], gpu["used"]) for gpu in found["gpus"]] == [(40960, 0), (16384, 100), (16384, 100)]
    assert [gpu["mig"] for gpu in found["gpus"]] == [1, 3, 0], "3 is NVML's NOT_SUPPORTED"
    assert (first["parts"], second["parts"], third["parts"]) == (2, 0, 0)
    assert first["processes"] == [[12, 800, "python"], [13, None, "Xorg"]]
    assert third["processes"] == [[14, 5, "a name"]]
    assert len({gpu["uuid"] for gpu in found["gpus"]}) == len({gpu["bus"] for gpu in found["gpus"]}) == 3


def test_libcuda_describes_the_same_machine(fake_driver: Path) -> None:
    found = ask(fake_driver, CUDA, FAKEGPU_COUNT="2", FAKEGPU_NAMES="A;B", FAKEGPU_CC="6.1;9.0", FAKEGPU_CUDA="11.4")
    assert found == {"version": [0, 11040], "init": 0, "count": [0, 2], "names": ["A", "B"], "cc": ["6.1", "9.0"]}


@pytest.mark.parametrize(
    ("visible", "init", "names"),
    [
        ("", 100, []),
        ("-1", 100, []),
        ("NoDevFiles", 100, []),
        ("1", 0, ["B"]),
        ("2,0", 0, ["C", "A"]),
        ("0,9,1", 0, ["A"]),
    ],
)
def test_libcuda_obeys_cuda_visible_devices(fake_driver: Path, visible: str, init: int, names: list[str]) -> None:
    found = ask(fake_driver, CUDA, FAKEGPU_COUNT="3", FAKEGPU_NAMES="A;B;C", CUDA_VISIBLE_DEVICES=visible)
    assert (found["init"], found["names"]) == (init, names)


def test_nvml_ignores_cuda_visible_devices(fake_driver: Path) -> None:
    assert len(ask(fake_driver, NVML, FAKEGPU_COUNT="2", CUDA_VISIBLE_DEVICES="-1")["gpus"]) == 2


@pytest.mark.parametrize("code", [3, 34, 100, 803, 999])
def test_a_chosen_error_code_of_libcuda(fake_driver: Path, code: int) -> None:
    found = ask(fake_driver, CUDA, FAKEGPU_ERRORS=f"cuDeviceGetName=1;cuInit={code}")
    assert found["init"] == code
    assert found["count"][0] == 3, "3 is NOT_INITIALIZED"


@pytest.mark.parametrize(("function", "code"), [("nvmlInitWithFlags", 18), ("nvmlDeviceGetUUID", 4)])
def test_a_chosen_error_code_of_nvml(fake_driver: Path, function: str, code: int) -> None:
    done = start(fake_driver, NVML, FAKEGPU_ERRORS=f"{function}={code}")
    told = {18: "NVMLError_LibRmVersionMismatch", 4: "NVMLError_NoPermission"}[code]
    assert told in done.stderr


@pytest.mark.parametrize(("code", "function"), [(NVML, "nvmlInitWithFlags"), (CUDA, "cuInit")])
def test_a_function_that_hangs(fake_driver: Path, code: str, function: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        start(fake_driver, code, timeout=1.5, FAKEGPU_HANG=f"somethingElse;{function}")


def test_the_calls_are_logged(fake_driver: Path, tmp_path: Path) -> None:
    ask(fake_driver, CUDA, FAKEGPU_LOG=str(tmp_path / "log"))
    assert (tmp_path / "log").read_text().split()[:3] == ["cuDriverGetVersion", "cuInit", "cuDeviceGetCount"]


def test_no_gpu_and_too_many(fake_driver: Path) -> None:
    assert ask(fake_driver, CUDA, FAKEGPU_COUNT="0")["init"] == 100
    assert ask(fake_driver, CUDA, FAKEGPU_COUNT="999")["count"] == [0, 32]

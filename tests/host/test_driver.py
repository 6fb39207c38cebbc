"""What each source of the driver says, on machines of our own and under the fake driver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provision.host import driver
from provision.host.nvidia_smi import WSL_PROGRAM, ask_nvidia_smi
from provision.host.parsers import SmiState
from provision.host.readings import NvmlReading, PciGpu, Readings, read_cuda, read_nvml
from provision.model.facts import Attempt

if TYPE_CHECKING:
    from conftest import Machine


def gather(machine: Machine, *, limit: float = 20.0, **environ: str) -> Readings:
    return driver.gather(machine.system(**environ), wsl=False, machine="x86_64", limit=limit)


def test_pci_bus(machine: Machine) -> None:
    machine.pci("0000:01:00.0", "0x2204", driver="nvidia")
    machine.pci("0000:01:00.1", "0x1aef", kind="0x040300")
    machine.pci("0000:02:00.0", "0x20b0", kind="0x030200", driver="vfio-pci")
    machine.pci("0000:03:00.0", "0x1eb8")
    machine.pci("0000:04:00.0", "0x73bf", vendor="0x1002")
    machine.pci("0000:05:00.0", "0x22a3", kind="0x068000")
    attempts: list[Attempt] = []
    assert driver._pci(machine.system(), attempts) == (
        PciGpu("0000:01:00.0", "2204", "nvidia"),
        PciGpu("0000:02:00.0", "20B0", "vfio-pci"),
        PciGpu("0000:03:00.0", "1EB8", None),
    )
    assert attempts == [Attempt("/sys/bus/pci/devices", "ok", "3 NVIDIA display devices")]


def test_what_the_module_tells_of_its_gpus(machine: Machine) -> None:
    machine.pci("0000:01:00.0", "0x1b06", driver="nvidia")
    machine.file(
        "/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA GeForce GTX 1080 Ti\nGPU UUID: \t GPU-aa\nBus Location: \t 0000:01:00.0\n",
    )
    told = PciGpu("0000:01:00.0", "1B06", "nvidia", "NVIDIA GeForce GTX 1080 Ti", "GPU-aa")
    assert driver._pci(machine.system(), []) == (told,)


def test_the_module_alone_tells_of_gpus_where_the_bus_is_out_of_sight(machine: Machine) -> None:
    machine.file("/proc/driver/nvidia/gpus/0000:02:00.0/information", "Model: Unknown\n")
    assert driver._pci(machine.system(), []) == (PciGpu("0000:02:00.0", "", "nvidia"),)


def test_a_gpu_that_fell_off_the_bus(machine: Machine, fake_driver: Path) -> None:
    said = gather(machine, **fake(fake_driver, FAKEGPU_ERRORS="nvmlDeviceGetHandleByIndex_v2=15"))
    assert len(said.nvml.troubles) == 1
    assert said.nvml.troubles[0].startswith("GPU 0: ")
    assert Attempt("nvml", "failed", said.nvml.troubles[0]) in said.attempts


def test_no_pci_bus_is_unknown_and_an_empty_one_is_none(machine: Machine) -> None:
    assert driver._pci(machine.system(), []) is None
    machine.folder("/sys/bus/pci/devices")
    assert driver._pci(machine.system(), []) == ()


@pytest.mark.parametrize(
    ("files", "version", "source", "outcomes"),
    [
        ({"/sys/module/nvidia/version": "550.54.14\n"}, "550.54.14", "/sys/module/nvidia/version", ["ok"]),
        (
            {"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  390.48  Thu\n"},
            "390.48",
            "/proc/driver/nvidia/version",
            ["absent", "ok"],
        ),
        ({"/proc/driver/nvidia/version": "nonsense"}, None, "unknown", ["absent", "unreadable"]),
        ({}, None, "unknown", ["absent", "absent"]),
    ],
)
def test_kernel_module(
    machine: Machine, files: dict[str, str], version: str | None, source: str, outcomes: list[str]
) -> None:
    for path, text in files.items():
        machine.file(path, text)
    fact = driver.kernel_module(machine.system(), [])
    assert (str(fact.value) if fact.value else None, fact.source) == (version, source)
    assert [attempt.outcome for attempt in fact.attempts] == outcomes


def test_device_nodes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "nvidia-caps/nvidia-cap1", "null"):
        machine.file(f"/dev/{name}")
    closed = {"nvidia-uvm", "nvidia-modeset", "nvidia-cap1"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name not in closed)
    attempts: list[Attempt] = []
    nodes = driver._nodes(machine.system(), attempts)
    assert set(nodes.present or ()) == {
        "/dev/nvidia0",
        "/dev/nvidiactl",
        "/dev/nvidia-uvm",
        "/dev/nvidia-modeset",
        "/dev/nvidia-caps",
        "/dev/nvidia-caps/nvidia-cap1",
    }
    assert nodes.denied == ("/dev/nvidia-uvm",), "only what CUDA opens counts"
    assert attempts == [Attempt("/dev/nvidia*", "denied", "/dev/nvidia-uvm")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_device_nodes_without_rights(machine: Machine) -> None:
    machine.file("/dev/nvidia0").chmod(0)
    assert driver._nodes(machine.system(), []).denied == ("/dev/nvidia0",)


def test_no_device_nodes(machine: Machine) -> None:
    assert driver._nodes(machine.system(), []).present is None
    machine.folder("/dev")
    assert driver._nodes(machine.system(), []).present == ()


@pytest.mark.parametrize(("byte", "answer"), [("\x01", True), ("\x00", False)])
def test_secure_boot(machine: Machine, byte: str, *, answer: bool) -> None:
    machine.file(driver._SECURE_BOOT, "\x06\x00\x00\x00" + byte)
    assert driver.secure_boot(machine.system()) is answer


def test_secure_boot_unknown(machine: Machine) -> None:
    assert driver.secure_boot(machine.system()) is None


def test_libcudas_in_the_order_of_the_loader(machine: Machine, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "libcuda.so.575.57.08").touch()
    (first / "libcuda.so.1").symlink_to("libcuda.so.575.57.08")
    (second / "libcuda.so.1").touch()
    machine.program(
        "ldconfig",
        f"echo '\tlibcuda.so.1 (libc6,x86-64) => {second}/libcuda.so.1'; echo '\tlibcuda.so.1 (libc6) => {tmp_path}/i386'",
    )
    system = machine.system(LD_LIBRARY_PATH=f"{first}::{tmp_path}/nothing")
    assert driver.libcudas(system, "x86_64") == (str(first / "libcuda.so.575.57.08"), str(second / "libcuda.so.1"))


def test_ldconfig_may_be_missing(machine: Machine) -> None:
    assert driver.ldconfig(machine.system()) == ""


# ---- the children, under the fake driver ------------------------------------------------------------------------


def fake(folder: Path, **told: str) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(folder), **told}


def test_everything_answers(machine: Machine, fake_driver: Path) -> None:
    told = fake(
        fake_driver,
        FAKEGPU_COUNT="2",
        FAKEGPU_NAMES="Tesla T4;NVIDIA H100",
        FAKEGPU_CC="7.5;9.0",
        FAKEGPU_CUDA="12.4",
        FAKEGPU_DRIVER="550.54.14",
        FAKEGPU_PROCESSES="1:77:5:python",
        FAKEGPU_MIG="none;1",
        FAKEGPU_MIG_DEVICES="2",
    )
    said = gather(machine, **told)
    assert said.nvml.ok
    assert (str(said.nvml.driver), str(said.nvml.cuda), said.nvml.library) == (
        "550.54.14",
        "12.4",
        str(fake_driver / "libnvidia-ml.so.1"),
    )
    assert [(gpu.name, str(gpu.compute_capability), gpu.memory_mib, gpu.mig) for gpu in said.nvml.gpus] == [
        ("Tesla T4", "7.5", 24576, None),
        ("NVIDIA H100", "9.0", 24576, True),
    ]
    assert [(process.pid, process.name, process.memory_mib) for process in said.nvml.gpus[1].processes] == [
        (77, "python", 5)
    ]
    assert len(said.nvml.gpus[1].mig_devices) == 2
    assert said.cuda is said.cuda_all
    assert (said.cuda.init, str(said.cuda.version), said.cuda.library) == (0, "12.4", str(fake_driver / "libcuda.so.1"))
    assert [gpu.uuid for gpu in said.cuda.gpus] == [gpu.uuid for gpu in said.nvml.gpus]
    assert said.smi is None, "nvidia-smi is not asked where NVML answered"
    assert said.libcudas == (str(fake_driver / "libcuda.so.1"),)


def test_libcuda_is_asked_with_and_without_the_users_choice(machine: Machine, fake_driver: Path) -> None:
    said = gather(machine, **fake(fake_driver, FAKEGPU_COUNT="3", CUDA_VISIBLE_DEVICES="1,0"))
    assert (len(said.nvml.gpus), len(said.cuda.gpus), len(said.cuda_all.gpus)) == (3, 2, 3)
    assert said.visible == "1,0"
    hidden = gather(machine, **fake(fake_driver, CUDA_VISIBLE_DEVICES="-1"))
    assert (hidden.cuda.init, hidden.cuda.gpus, len(hidden.cuda_all.gpus)) == (100, (), 1)
    assert [attempt.outcome for attempt in hidden.attempts if attempt.source.startswith("libcuda")] == ["failed", "ok"]


@pytest.mark.parametrize(
    ("code", "outcome"), [(4, "denied"), (9, "failed"), (15, "failed"), (18, "failed"), (999, "failed")]
)
def test_nvml_fails(machine: Machine, fake_driver: Path, code: int, outcome: str) -> None:
    said = gather(machine, **fake(fake_driver, FAKEGPU_ERRORS=f"nvmlInitWithFlags={code};nvmlInit_v2={code}"))
    assert (said.nvml.outcome, said.nvml.code, said.nvml.gpus) == (outcome, code, ())
    assert said.nvml.text
    assert said.nvml.library == str(fake_driver / "libnvidia-ml.so.1")


@pytest.mark.parametrize("code", [34, 100, 304, 802, 803, 804, 999, 12345])
def test_cuinit_fails(machine: Machine, fake_driver: Path, code: int) -> None:
    said = gather(machine, **fake(fake_driver, FAKEGPU_ERRORS=f"cuInit={code}"))
    assert (said.cuda.outcome, said.cuda.init, said.cuda.gpus) == ("failed", code, ())
    assert said.cuda.text
    assert str(said.cuda.version) == "12.8", "the version is asked before cuInit"


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlDeviceGetName", "name"),
        ("nvmlDeviceGetUUID", "uuid"),
        ("nvmlDeviceGetCudaComputeCapability", "compute_capability"),
        ("nvmlDeviceGetMemoryInfo", "memory_mib"),
        ("nvmlDeviceGetPciInfo_v3", "pci_bus_id"),
    ],
)
def test_one_question_fails_alone(machine: Machine, fake_driver: Path, function: str, field: str) -> None:
    said = gather(machine, **fake(fake_driver, FAKEGPU_ERRORS=f"{function}=3"))
    (gpu,) = said.nvml.gpus
    values = {name: getattr(gpu, name) for name in ("name", "uuid", "compute_capability", "memory_mib", "pci_bus_id")}
    lost = values.pop(field)
    assert lost in (None, "unknown")
    assert None not in values.values()


def test_a_driver_that_says_zero_is_unknown(machine: Machine, fake_driver: Path) -> None:
    said = gather(machine, **fake(fake_driver, FAKEGPU_CUDA="0.0"))
    assert said.nvml.cuda is None
    assert said.cuda.version is None


def test_hung_driver(machine: Machine, fake_driver: Path) -> None:
    said = gather(machine, limit=1.5, **fake(fake_driver, FAKEGPU_HANG="nvmlInitWithFlags;nvmlInit_v2;cuInit"))
    assert (said.nvml.outcome, said.cuda.outcome) == ("timeout", "timeout")
    assert "within 1.5 s" in said.nvml.text
    assert said.smi is None, "nvidia-smi would hang as well"


@pytest.mark.parametrize("library", ["libcuda.so.1", "libnvidia-ml.so.1"])
def test_a_file_that_is_no_library(machine: Machine, tmp_path: Path, library: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / library).write_text("not a library")
    said = gather(machine, LD_LIBRARY_PATH=str(tmp_path / "broken"))
    reading = said.cuda if library == "libcuda.so.1" else said.nvml
    assert not getattr(reading, "gpus")  # noqa: B009 - two kinds of reading
    assert reading.outcome in ("failed", "absent")


def test_a_library_that_kills_its_process(machine: Machine, fake_driver: Path, tmp_path: Path) -> None:
    """A truncated library with an intact header ends the child with SIGBUS or an error, never this process."""
    (tmp_path / "cut").mkdir()
    whole = (fake_driver / "libcuda.so.1").read_bytes()
    (tmp_path / "cut" / "libcuda.so.1").write_bytes(whole[: len(whole) // 3])
    said = gather(machine, LD_LIBRARY_PATH=str(tmp_path / "cut"))
    assert said.cuda.outcome == "failed"
    assert said.cuda.text


# ---- answers of the probes, as data -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "outcome", "text"),
    [
        ({"import_error": "No module named 'pynvml'"}, "failed", "nvidia-ml-py"),
        ({"init": {"code": 12, "text": "NVML Shared Library Not Found"}}, "absent", "Not Found"),
        ({"init": {"code": 4, "text": "Insufficient Permissions"}}, "denied", "Permissions"),
        ({"init": {"code": None, "text": "odd"}}, "failed", "odd"),
        ({}, "failed", "no answer"),
    ],
)
def test_nvml_answers(data: dict[str, Any], outcome: str, text: str) -> None:
    reading = read_nvml(data)
    assert reading.outcome == outcome
    assert text in reading.text


def test_an_nvml_that_knows_almost_nothing() -> None:
    reading = read_nvml({"init": {"code": 0}, "driver": None, "cuda": None, "gpus": [{"index": 0, "errors": {}}, "?"]})
    assert reading == NvmlReading("ok", 0, gpus=reading.gpus, pci_ids=(None,))
    assert [(gpu.index, gpu.name, gpu.compute_capability) for gpu in reading.gpus] == [(0, "unknown", None)]


@pytest.mark.parametrize(
    ("data", "outcome", "text"),
    [
        (
            {"load_error": ["libcuda.so.1: cannot open shared object file: No such file or directory"]},
            "absent",
            "No such file",
        ),
        ({"load_error": ["libcuda.so.1: file too short"]}, "failed", "too short"),
        ({"init": 100}, "failed", "no CUDA device"),
        ({"init": 4242}, "failed", "CUresult 4242"),
        ({"init": 0, "count_code": 3}, "ok", "not initialized"),
        ({"init": None}, "failed", ""),
    ],
)
def test_libcuda_answers(data: dict[str, Any], outcome: str, text: str) -> None:
    reading = read_cuda(data)
    assert reading.outcome == outcome
    assert text in reading.text
    assert not reading.usable


# ---- nvidia-smi ------------------------------------------------------------------------------------------------------

XML = "<nvidia_smi_log><driver_version>470.82.01</driver_version><cuda_version>11.4</cuda_version><gpu id='1'><product_name>Tesla K80</product_name></gpu></nvidia_smi_log>"
CSV = "0, Tesla K80, GPU-1234abcd, 00000000:01:00.0, 11441, 3, 470.82.01"
TABLE = """| NVIDIA-SMI 470.82.01    Driver Version: 470.82.01    CUDA Version: 11.4     |
|   0  Tesla K80           On   | 00000000:01:00.0 Off |                    0 |
| N/A   30C    P8    26W / 149W |      3MiB / 11441MiB |      0%      Default |"""
FAILED = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."


def smi(**forms: str) -> str:
    """Return a script that answers some forms and refuses the others."""
    cases = {"xml": "-q", "cc": "*compute_cap*", "csv": "--query-gpu=*", "table": "''"}
    lines = "\n".join(f"{pattern}) {forms.get(name, 'echo unsupported; exit 2')};;" for name, pattern in cases.items())
    return f'case "${{1:-}}" in\n{lines}\nesac'


def say(text: str, code: int = 0) -> str:
    return f"cat <<'TEXT'\n{text}\nTEXT\nexit {code}"


@pytest.mark.parametrize(
    ("script", "sources", "memory"),
    [
        pytest.param(smi(xml=say(XML)), ["nvidia-smi -q -x"], None, id="xml"),
        pytest.param(smi(cc=say(f"{CSV}, 3.7")), ["nvidia-smi -q -x", "nvidia-smi --query-gpu"], 11441, id="csv"),
        pytest.param(
            smi(cc=say('Field "compute_cap" is not a valid field to query.', 2), csv=say(CSV)),
            ["nvidia-smi -q -x", "nvidia-smi --query-gpu", "nvidia-smi --query-gpu"],
            11441,
            id="csv-before-compute_cap",
        ),
        pytest.param(
            smi(table=say(TABLE)),
            ["nvidia-smi -q -x", "nvidia-smi --query-gpu", "nvidia-smi --query-gpu", "nvidia-smi"],
            11441,
            id="table",
        ),
    ],
)
def test_the_first_form_that_lists_gpus(machine: Machine, script: str, sources: list[str], memory: int | None) -> None:
    machine.program("nvidia-smi", script.replace("cat ", "/bin/cat "))
    attempts: list[Attempt] = []
    report = ask_nvidia_smi(machine.system(), attempts, 10)
    assert report is not None
    assert [(gpu.name, gpu.memory_mib) for gpu in report.gpus] == [("Tesla K80", memory)]
    assert str(report.driver) == "470.82.01"
    assert [attempt.source for attempt in attempts] == sources
    assert attempts[-1].outcome == "ok"
    assert {attempt.outcome for attempt in attempts[:-1]} <= {"failed"}


@pytest.mark.parametrize(
    ("text", "state", "asked"),
    [
        (FAILED, SmiState.DRIVER_NOT_LOADED, 1),
        ("Failed to initialize NVML: Driver/library version mismatch", SmiState.LIBRARY_MISMATCH, 1),
        ("No devices were found", SmiState.NO_DEVICES, 4),
        ("Segmentation fault", SmiState.UNREADABLE, 4),
    ],
)
def test_nvidia_smi_fails(machine: Machine, text: str, state: SmiState, asked: int) -> None:
    machine.program("nvidia-smi", f'echo "{text}"; exit 9')
    attempts: list[Attempt] = []
    report = ask_nvidia_smi(machine.system(), attempts, 10)
    assert report is not None
    assert report.state is state
    assert len(attempts) == asked


def test_nvidia_smi_hangs(machine: Machine) -> None:
    machine.program("nvidia-smi", "exec /bin/sleep 60")
    attempts: list[Attempt] = []
    assert ask_nvidia_smi(machine.system(), attempts, 0.5) is None
    assert [attempt.outcome for attempt in attempts] == ["timeout"]


def test_no_nvidia_smi(machine: Machine) -> None:
    attempts: list[Attempt] = []
    assert ask_nvidia_smi(machine.system(), attempts, 10) is None
    assert attempts == [Attempt("nvidia-smi", "absent")]


def test_nvidia_smi_of_wsl_is_not_on_path(machine: Machine) -> None:
    path = machine.root / WSL_PROGRAM.lstrip("/")
    machine.program("nvidia-smi", f'echo "{XML}"', folder=path.parent)
    report = ask_nvidia_smi(machine.system(), [], 10)
    assert report is not None
    assert len(report.gpus) == 1

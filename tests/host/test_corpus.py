"""Every sample of program output that lies beside the project is read as its ``expected.yaml`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.host import parsers

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "nvidia"


def samples(*kinds: str) -> list[Any]:
    found = [
        folder
        for kind in kinds
        for folder in sorted((SAMPLES / kind).glob("*/"))
        if (folder / "expected.yaml").is_file()
    ]
    if not found:
        reason = f"no samples of {', '.join(kinds)}: the corpus is not beside this checkout"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    return [pytest.param(folder, id=folder.name) for folder in found]


def read(folder: Path) -> tuple[str, dict[str, Any]]:
    text = next(path for path in folder.iterdir() if path.name != "expected.yaml").read_text(errors="replace")
    return text, yaml.safe_load((folder / "expected.yaml").read_text())


def text_of(value: object) -> str | None:
    return None if value is None else str(value)


def mode_of(word: str | None) -> bool | None:
    return {"Enabled": True, "Disabled": False}.get(word or "")


@pytest.mark.parametrize("folder", samples("smi-table"))
def test_table(folder: Path) -> None:
    text, expected = read(folder)
    report = parsers.parse_smi_table(text)
    assert text_of(report.driver) == expected["driver"]
    cuda = expected["cuda_driver_version"]
    assert (report.cuda_text or None) == cuda
    assert text_of(report.driver_cuda) == (None if cuda in ("N/A", "ERR!") else cuda)
    assert report.state.value == expected.get("state", "ok")
    assert [gpu.index for gpu in report.gpus] == [gpu["index"] for gpu in expected["gpus"]]
    devices = {gpu["index"]: gpu.get("mig_devices", []) for gpu in expected["gpus"]}
    for gpu, wanted in zip(report.gpus, expected["gpus"], strict=True):
        assert gpu.name == wanted["name"]
        assert gpu.memory_mib == wanted["memory_mib"]
        assert gpu.memory_used_mib == wanted["memory_used_mib"]
        assert gpu.mig == mode_of(wanted["mig"])
        own = [device for device in report.mig_devices if device.gpu == gpu.index]
        assert [(device.gpu_instance, device.memory_mib) for device in own] == [
            (device["gi"], device["memory_mib"]) for device in devices[gpu.index]
        ]


@pytest.mark.parametrize("folder", samples("smi-xml"))
def test_xml(folder: Path) -> None:
    text, expected = read(folder)
    report = parsers.parse_smi_xml(text)
    assert text_of(report.driver) == expected["driver"]
    assert text_of(report.driver_cuda) == expected["cuda_driver_version"]
    assert text_of(report.attached) == expected["attached_gpus"]
    for gpu, wanted in zip(report.gpus, expected["gpus"], strict=True):
        assert gpu.name == wanted["name"]
        assert gpu.memory_mib == wanted["memory_mib"]
        assert (gpu.uuid is not None) == wanted["uuid_present"]
        assert gpu.mig == mode_of(wanted["mig"])
        assert text_of(gpu.compute_capability) == wanted["compute_capability"]
        assert len(gpu.mig_devices) == wanted["mig_devices"]


@pytest.mark.parametrize("folder", samples("smi-csv"))
def test_csv(folder: Path) -> None:
    text, expected = read(folder)
    report = parsers.parse_smi_csv(text, parsers.fields_of(expected.get("command", "")))
    assert text_of(report.driver) == expected["driver"]
    assert report.driver_cuda is None
    for gpu, wanted in zip(report.gpus, expected["gpus"], strict=True):
        assert gpu.name == wanted["name"]
        assert gpu.memory_mib == wanted["memory_mib"]
        assert text_of(gpu.compute_capability) == wanted["compute_capability"]
        assert gpu.mig == mode_of(wanted["mig"])


@pytest.mark.parametrize("folder", samples("proc-version"))
def test_proc_version(folder: Path) -> None:
    text, expected = read(folder)
    module = parsers.parse_proc_version(text)
    assert text_of(module.version) == expected["driver"]
    assert module.open == expected["open_kernel_module"]


@pytest.mark.parametrize("folder", samples("toolkit"))
def test_toolkit(folder: Path) -> None:
    text, expected = read(folder)
    assert text_of(parsers.parse_toolkit(text)) == expected.get("cuda_toolkit")
    assert text_of(parsers.parse_cudnn_header(text)) == expected.get("cudnn")


@pytest.mark.parametrize("folder", samples("ldconfig"))
def test_ldconfig(folder: Path) -> None:
    text, expected = read(folder)
    assert sorted({entry.soname for entry in parsers.parse_ldconfig(text)}) == expected["sonames"]

"""The table that plain ``nvidia-smi`` prints, drivers 3xx to 6xx, Linux, Windows and WSL.

What changed over the years: the width, a CUDA version in the header (from 410), a third line with the MIG mode per
GPU (from 450), GI and CI columns for processes (from 450), ``NVIDIA`` before product names (from 465), and ``KMD
Version`` and ``CUDA UMD Version`` instead of ``Driver Version`` and ``CUDA Version`` (610). Long names end in ``...``.
Pasted tables are indented, cut short, or have their runs of blanks collapsed. So columns are never counted: cells are
told apart by the bars, and values by what they look like.
"""

from __future__ import annotations

import dataclasses
import re

from provision.host.parsers import values
from provision.host.parsers.smi import MigDevice, SmiReport, SmiState, failure_in, without_gpus
from provision.model.host import Gpu, GpuProcess
from provision.model.versions import CudaVersion, DriverVersion

_LINE_LIMIT = 400
_GPU_LIMIT = 1024

_SMI = re.compile(r"NVIDIA-SMI\s+(\d[\w.\-]*)")
_DRIVER = re.compile(r"(?:Driver|KMD) Version\s*:\s*([^\s|]+)", re.IGNORECASE)
_CUDA = re.compile(r"CUDA (?:UMD |Driver )?Version\s*:\s*([^\s|]+)", re.IGNORECASE)
_BUS = r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]"
_GPU = re.compile(rf"\|\s*(\d{{1,4}})\s+(\S.*?)\s*\b(On|Off|N/A|TCC|WDDM|WDM|MCDM|ERR!)\s*\|\s*({_BUS}|N/A(?= ))")
_GPU_PLAIN = re.compile(rf"\|\s*(\d{{1,4}})\s+(\S[^|]*?)\s*\|\s*({_BUS})\b")
_MEMORY = re.compile(r"\|\s*(?:(\d+)\s*(?:MiB|MB)|[^|]{1,40}?)\s*/\s*(\d+)\s*(?:MiB|MB)\s*\|", re.IGNORECASE)
_MIG_MODE = re.compile(r"\|\s*\|\s*\|\s*(Enabled|Disabled|N/A)\*?\s*\|")
_MIG_DEVICE = re.compile(
    r"\|\s*(\d{1,4})\s+(\d{1,4}|N/A)\s+(\d{1,4}|N/A)\s+\d{1,4}\s*\|\s*(?:\d+\s*Mi?B|N/A)\s*/\s*(?:(\d+)\s*Mi?B|N/A)"
)
_PROCESS = re.compile(
    r"\|\s*(\d{1,4})\s+(?:(?:N/A|\d{1,4})\s+(?:N/A|\d{1,4})\s+)?(\d{1,9})\s+(?:[CGM](?:\+[CGM]){0,2}\s+)?(\S.*?)"
    r"\s+(?:(\d+)\s*Mi?B|N/A|Unknown Error)\s*\|"
)


def parse_smi_table(text: str) -> SmiReport:
    """Read the table, or the message that stands in its place; never raises.

    Memory is in MiB as printed. A GPU's compute capability is not in the table and stays None.
    """
    text = values.without_colours(text)
    lines = [line[:_LINE_LIMIT] for line in text.splitlines()]
    headers = [place for place, line in enumerate(lines) if _DRIVER.search(line)]
    if not headers:
        gpus, devices = _gpus(lines)  # the head of the table may not have been pasted
        return SmiReport(SmiState.OK, gpus=gpus, mig_devices=devices) if gpus else without_gpus(text)
    header = lines[headers[0]]
    lines = lines[: headers[1]] if len(headers) > 1 else lines  # a second table tells of the same GPUs again
    driver = values.version(DriverVersion, _first(_DRIVER, header))
    cuda_text = _first(_CUDA, header)
    gpus, devices = _gpus(lines)
    failure = None if gpus else failure_in(text)
    return SmiReport(
        state=failure[0] if failure else SmiState.OK,
        driver=driver,
        driver_cuda=values.version(CudaVersion, cuda_text),
        cuda_text=cuda_text,
        smi=_first(_SMI, header),
        gpus=gpus,
        mig_devices=devices,
        message=failure[1] if failure else "",
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""


def _gpus(lines: list[str]) -> tuple[tuple[Gpu, ...], tuple[MigDevice, ...]]:
    """Read the blocks of GPUs, then the MIG devices and the processes that follow them."""
    gpus: list[Gpu] = []
    devices: list[MigDevice] = []
    processes: dict[int, list[GpuProcess]] = {}
    section = "gpus"
    for line in lines:
        if "MIG devices:" in line:
            section = "mig"
        elif "processes:" in line.lower():  # "Compute processes:" up to 340
            section = "processes"
        elif section == "gpus":
            _gpu_line(line, gpus)
        elif section == "mig":
            found = _MIG_DEVICE.search(line)
            if found:
                devices.append(MigDevice(int(found.group(1)), *(values.whole(part) for part in found.groups()[1:])))
        else:
            found = _PROCESS.search(line)
            if found:
                gpu, pid, name, used = found.groups()
                processes.setdefault(int(gpu), []).append(GpuProcess(int(pid), name, int(used) if used else None))
    return tuple(_complete(gpu, devices, processes) for gpu in gpus), tuple(devices)


def _gpu_line(line: str, gpus: list[Gpu]) -> None:
    """Read one line of a GPU's block of two or three: name, then memory, then MIG mode."""
    found = _GPU.search(line)
    plain = None if found else _GPU_PLAIN.search(line)
    if (found or plain) and len(gpus) < _GPU_LIMIT:
        index, name, bus = (found.group(1, 2, 4)) if found else plain.group(1, 2, 3) if plain else ("", "", "")
        product = values.name(name) or "unknown"
        gpus.append(Gpu(product, None, index=int(index), pci_bus_id=values.name(bus), source="nvidia-smi"))
        return
    if not gpus:
        return
    memory = _MEMORY.search(line)
    if memory and gpus[-1].memory_mib is None:
        used, total = memory.groups()
        gpus[-1] = dataclasses.replace(gpus[-1], memory_mib=int(total), memory_used_mib=int(used) if used else None)
    mode = _MIG_MODE.search(line)
    if mode:
        gpus[-1] = dataclasses.replace(gpus[-1], mig={"Enabled": True, "Disabled": False}.get(mode.group(1)))


def _complete(gpu: Gpu, devices: list[MigDevice], processes: dict[int, list[GpuProcess]]) -> Gpu:
    own = tuple(str(device) for device in devices if device.gpu == gpu.index)
    return dataclasses.replace(gpu, mig_devices=own, processes=tuple(processes.get(gpu.index or 0, ())))

"""The smaller formats: the kernel module's file, toolkits, cuDNN headers, the loader's cache, single values."""

from __future__ import annotations

import pytest

from provision.host import parsers
from provision.host.parsers import values
from provision.model.versions import CudaVersion, DriverVersion

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon Dec 30 17:44:08 UTC 2024\nGCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3-AF03-09-1)  Tue Sep 23 10:11:16 UTC 2025\nGCC version:  gcc version 13.3.0\n"
ARM = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  535.183.01  Release Build  (dvs-builder@U16-I3-A06-6-1)\n"


@pytest.mark.parametrize(
    ("text", "version", "is_open"),
    [
        (CLOSED, "550.144.03", False),
        (OPEN, "580.95.05", True),
        (ARM, "535.183.01", True),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  304.137  Thu Sep  6 10:00:00 PDT 2018", "304.137", False),
        ("NVRM version: NVIDIA UNIX Kernel Module for aarch64  35.4.1  Release Build", "35.4.1", False),
        (
            "GCC version: gcc version 4.8.5\nNVRM version: NVIDIA UNIX x86_64 Kernel Module  390.48  Thu",
            "390.48",
            False,
        ),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module", None, False),
        ("GCC version:  gcc version 12.3.0", None, None),
        ("", None, None),
        ("\x00\xff", None, None),
    ],
)
def test_kernel_module(text: str, version: str | None, *, is_open: bool | None) -> None:
    module = parsers.parse_proc_version(text)
    assert (str(module.version) if module.version else None, module.open) == (version, is_open)


def test_gpu_information_leaves_out_what_is_not_known_yet() -> None:
    text = "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 146\nGPU UUID: \t GPU-????????-????-????-????-????????????\nVideo BIOS: \t ??.??.??.??.??\nBus Type: \t PCIe\nBus Location: \t 0000:01:00.0\nGPU Firmware: \t N/A\n"
    assert parsers.parse_gpu_information(text) == {
        "Model": "NVIDIA GeForce RTX 3090",
        "IRQ": "146",
        "Bus Type": "PCIe",
        "Bus Location": "0000:01:00.0",
        "GPU Firmware": "N/A",
    }
    assert "Model" not in parsers.parse_gpu_information("Model: \t Unknown\n")


def nvcc(line: str) -> str:
    return f"nvcc: NVIDIA (R) Cuda compiler driver\nCopyright (c) 2005-2020 NVIDIA Corporation\nBuilt on Wed_Jul_22_19:09:09_PDT_2020\n{line}\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (nvcc("Cuda compilation tools, release 11.0, V11.0.221\nBuild cuda_11.0_bu.TC445_37.28845127_0"), "11.0.221"),
        (nvcc("Cuda compilation tools, release 13.0, V13.0.88\nBuild cuda_13.0.r13.0/compiler.36424714_0"), "13.0.88"),
        (nvcc("Cuda compilation tools, release 10.0, V10.0.130"), "10.0.130"),
        (nvcc("Cuda compilation tools, release 4.0, V0.2.1221"), "4.0"),
        (nvcc("Cuda compilation tools, release 5.5, V5.5.0"), "5.5.0"),
        (nvcc("Cuda compilation tools, release 6.5"), "6.5"),
        (nvcc("Cuda compilation tools, release 12.4, V12.4.131").replace("\n", "\r\n"), "12.4.131"),
        ("nvcc: command not found", None),
        ("", None),
    ],
)
def test_nvcc(text: str, version: str | None) -> None:
    found = parsers.parse_nvcc(text)
    assert (str(found) if found else None) == version
    assert parsers.parse_toolkit(text) == found


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("CUDA Version 10.2.89\n", "10.2.89"),
        ("CUDA Version 9.0.176\nCUDA Patch Version 9.0.176.1\nCUDA Patch Version 9.0.176.2\n", "9.0.176"),
        ("CUDA Version 7.0.28", "7.0.28"),
        ("no such file", None),
    ],
)
def test_version_txt(text: str, version: str | None) -> None:
    found = parsers.parse_version_txt(text)
    assert (str(found) if found else None) == version


JSON = '{\n   "cuda" : {\n      "name" : "CUDA SDK",\n      "version" : "12.1.0"\n   },\n   "cuda_cudart" : {\n      "name" : "CUDA Runtime (cudart)",\n      "version" : "12.1.55"\n   }\n}\n'


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (JSON, "12.1.0"),
        (JSON[:90], "12.1.0"),
        (JSON.replace('"cuda" :', '"sdk" :'), "12.1.55"),
        (JSON.replace('"cuda" :', '"sdk" :')[:-4], "12.1.55"),
        ('{"cuda": {"version": "11.4.20210728"}}', "11.4.20210728"),
        ('{"cuda": {"version": 12}}', None),
        ('{"cuda": []}', None),
        ("[" * 100_000, None),
        ("[]", None),
        ("", None),
    ],
)
def test_version_json(text: str, version: str | None) -> None:
    found = parsers.parse_version_json(text)
    assert (str(found) if found else None) == version


@pytest.mark.parametrize(("text", "plain"), [("12.6.20241114", "12.6"), ("12.6.77", "12.6.77"), ("12.6", "12.6")])
def test_a_date_is_no_patch_number(text: str, plain: str) -> None:
    assert str(parsers.plain_toolkit(CudaVersion(text))) == plain


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "#define CUDNN_MAJOR 8\n#define CUDNN_MINOR 9\n#define CUDNN_PATCHLEVEL 7\n--\n#define CUDNN_VERSION (CUDNN_MAJOR * 1000 + CUDNN_MINOR * 100 + CUDNN_PATCHLEVEL)\n",
            "8.9.7",
        ),
        ("58:#define CUDNN_MAJOR 9\n59:#define CUDNN_MINOR 1\n60:#define CUDNN_PATCHLEVEL 0\n", "9.1.0"),
        ("# define CUDNN_MAJOR      6\n#define CUDNN_MINOR      0\n#define CUDNN_PATCHLEVEL 21", "6.0.21"),
        ("#define CUDNN_MAJOR 7\n#define CUDNN_MINOR 6\n", "7.6"),
        ("#define CUDNN_VERSION 8204", "8.2.4"),
        ("#define CUDNN_VERSION 90300", "9.3.0"),
        ("#define CUDNN_VERSION 4007", "4.0.7"),
        ("#define CUDNN_VERSION 7", None),
        ("#define CUDNN_MAJOR 8", None),
        ("", None),
    ],
)
def test_cudnn_header(text: str, version: str | None) -> None:
    found = parsers.parse_cudnn_header(text)
    assert (str(found) if found else None) == version


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("libcudnn.so.8.6.0", "8.6.0"),
        ("/usr/lib/libcudnn.so.9.1.0", "9.1.0"),
        ("libcudnn.so.8", None),
        ("libcudnn_ops_infer.so.8.6.0", None),
    ],
)
def test_cudnn_file_name(name: str, version: str | None) -> None:
    found = parsers.cudnn_of_file(name)
    assert (str(found) if found else None) == version


CACHE = """\
1204 libs found in cache `/etc/ld.so.cache'
\tlibcuda.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libcuda.so.1
\tlibcuda.so.1 (libc6) => /lib/i386-linux-gnu/libcuda.so.1
\tlibc.so.6 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libc.so.6
\tlibcudnn.so.8 (libc6,x86-64, hwcap: "x86-64-v3") => /opt/my libs/libcudnn.so.8
\tlibcuda.so.1 (libc6,AArch64) => /usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1
Cache generated by: ldconfig (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36
"""


def test_ldconfig() -> None:
    entries = parsers.parse_ldconfig(CACHE)
    assert [(entry.soname, entry.path) for entry in entries if entry.serves("x86_64")] == [
        ("libcuda.so.1", "/lib/x86_64-linux-gnu/libcuda.so.1"),
        ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
        ("libcudnn.so.8", "/opt/my libs/libcudnn.so.8"),
    ]
    assert [entry.path for entry in entries if entry.serves("aarch64")] == [
        "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1"
    ]
    assert len(entries) == 5
    assert parsers.parse_ldconfig("") == ()


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("81920 MiB", 81920),
        ("81920", 81920),
        ("24564MiB", 24564),
        ("16 GiB", 16384),
        ("2048 KiB", 2),
        ("0 MiB", 0),
        ("N/A", None),
        ("", None),
        (None, None),
        ("-1 MiB", None),
        ("12 apples", None),
        ("9" * 30, None),
    ],
)
def test_mebibytes(text: str | None, mib: int | None) -> None:
    assert values.mebibytes(text) == mib


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.2", "12.2"),
        ("N/A", None),
        ("ERR!", None),
        ("535", None),
        (None, None),
        ("1.2.3.x", None),
        ("\u0661.\u0662", None),
    ],
)
def test_versions(text: str | None, number: str | None) -> None:
    found = values.version(DriverVersion, text)
    assert (str(found) if found else None) == number

"""Laws of the parsers: no text makes one raise, and what one reads does not depend on what surrounds it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.host import parsers
from provision.host.parsers.smi import SmiReport

PARSERS: tuple[Callable[[str], object], ...] = (
    parsers.parse_smi_table,
    parsers.parse_smi_xml,
    parsers.parse_smi_csv,
    parsers.parse_proc_version,
    parsers.parse_gpu_information,
    parsers.parse_nvcc,
    parsers.parse_version_txt,
    parsers.parse_version_json,
    parsers.parse_toolkit,
    parsers.parse_cudnn_header,
    parsers.parse_ldconfig,
    parsers.cudnn_of_file,
)
WORDS = st.sampled_from(
    [
        "| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |",
        "|   0  Tesla T4   On | 00000000:00:1E.0 Off | 0 |",
        "| N/A 33C P8 11W / 70W | 0MiB / 15360MiB | 0% Default |",
        "| | | N/A |",
        "| MIG devices: |",
        "|  0    2   0   0  |  25MiB / 11968MiB  | 28 0 |",
        "| Processes: |",
        "|    0   N/A  N/A      2549      G   /usr/lib/xorg/Xorg                           95MiB |",
        "<?xml version='1.0'?>",
        "<!DOCTYPE nvidia_smi_log SYSTEM 'x'>",
        "<nvidia_smi_log>",
        "<gpu id='0'>",
        "<uuid>",
        "</gpu>",
        "<fb_memory_usage><total>1 MiB</total></fb_memory_usage>",
        "name, driver_version, memory.total [MiB]",
        "Tesla T4, 535.104.05, 15360 MiB",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  999.99.99.99",
        "Cuda compilation tools, release 12.2, V12.2.140",
        '{"cuda": {"version": "12.2"}}',
        "#define CUDNN_MAJOR 99999999999",
        "\tlibcuda.so.1 (libc6,x86-64) => /x",
        "Failed to initialize NVML: Driver/library version mismatch",
        "[N/A]",
        "9" * 50,
        "\x00",
        "\u0663\u0664\u0665.\u0661",
        "\r",
    ]
)
LINES = st.lists(st.one_of(WORDS, st.text(max_size=60)), max_size=12).map("\n".join)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
@given(text=st.one_of(st.text(max_size=300), LINES))
@settings(max_examples=120, deadline=None)
def test_no_text_makes_a_parser_raise(parser: Callable[[str], object], text: str) -> None:
    parser(text)


@given(text=st.text(max_size=200), fields=st.lists(st.text(max_size=20), max_size=6))
@settings(max_examples=100, deadline=None)
def test_no_list_of_fields_makes_csv_raise(text: str, fields: list[str]) -> None:
    parsers.parse_smi_csv(text, fields)


@given(
    driver=st.from_regex(r"[3-6][0-9]{2}\.[0-9]{2,3}(\.[0-9]{2})?", fullmatch=True),
    name=st.sampled_from(["Tesla T4", "NVIDIA H100 80GB HBM3", "GeForce GTX TIT...", "NVIDIA RTX 6000 Ada Gene..."]),
    total=st.integers(1, 200_000),
    used=st.integers(0, 200_000),
    indent=st.integers(0, 8),
    noise=st.text(alphabet="abc $>#\n", max_size=40),
)
@settings(max_examples=100, deadline=None)
def test_a_table_reads_back_what_was_put_in(
    *, driver: str, name: str, total: int, used: int, indent: int, noise: str
) -> None:
    table = [
        f"| NVIDIA-SMI {driver:<22}Driver Version: {driver:<16}CUDA Version: 12.2     |",
        "|=========================================+======================+======================|",
        f"|   0  {name:<28}Off | 00000000:00:1E.0 Off |                    0 |",
        f"| N/A   33C    P8              11W /  70W |{used:>7}MiB /{total:>6}MiB |      0%      Default |",
    ]
    report: SmiReport = parsers.parse_smi_table(
        noise + "\n" + "\n".join(" " * indent + line for line in table) + "\n" + noise
    )
    assert str(report.driver) == driver
    assert [(gpu.name, gpu.memory_mib, gpu.memory_used_mib) for gpu in report.gpus] == [(name, total, used)]


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
@pytest.mark.parametrize("unit", ["| ", "a" * 79 + "\n", "<gpu>", ", ", "NVRM version: ", "(libc6", " \t", "9."])
def test_a_large_text_takes_no_time(parser: Callable[[str], object], unit: str) -> None:
    import time

    start = time.monotonic()
    parser(unit * (300_000 // len(unit)))
    assert time.monotonic() - start < 5.0

"""``--query-gpu`` output: any order of fields, with and without header and units, words for nothing, errors."""

from __future__ import annotations

import itertools

import pytest

from provision.host.parsers import SmiState, fields_of, parse_smi_csv

CELLS = {
    "index": "1",
    "name": "NVIDIA GeForce RTX 3080 Ti",
    "uuid": "GPU-12345678-1234-1234-1234-123456789abc",
    "pci.bus_id": "00000000:2D:00.0",
    "driver_version": "550.54.14",
    "memory.total": "12288 MiB",
    "memory.used": "417 MiB",
    "compute_cap": "8.6",
    "mig.mode.current": "Disabled",
}
HEADERS = {"memory.total": "memory.total [MiB]", "memory.used": "memory.used [MiB]"}


@pytest.mark.parametrize(
    "fields", list(itertools.permutations(("name", "driver_version", "memory.total", "compute_cap"))), ids=",".join
)
@pytest.mark.parametrize("form", ["header", "noheader", "nounits", "guessed"])
def test_any_order_and_form(fields: tuple[str, ...], form: str) -> None:
    cells = [CELLS[field] for field in fields]
    line = ", ".join(cell.removesuffix(" MiB") if form == "nounits" else cell for cell in cells)
    header = ", ".join(HEADERS.get(field, field) for field in fields)
    text = f"{header}\n{line}\n" if form == "header" else f"{line}\n"
    report = parse_smi_csv(text, fields if form in ("noheader", "nounits") else ())
    assert report.state is SmiState.OK
    assert str(report.driver) == "550.54.14"
    (gpu,) = report.gpus
    assert (gpu.name, gpu.memory_mib, str(gpu.compute_capability)) == ("NVIDIA GeForce RTX 3080 Ti", 12288, "8.6")


def test_every_field() -> None:
    text = f"{', '.join(HEADERS.get(field, field) for field in CELLS)}\n{', '.join(CELLS.values())}\n"
    (gpu,) = parse_smi_csv(text).gpus
    assert (gpu.index, gpu.uuid, gpu.pci_bus_id, gpu.memory_used_mib, gpu.mig) == (
        1,
        CELLS["uuid"],
        "00000000:2D:00.0",
        417,
        False,
    )


@pytest.mark.parametrize(
    "word",
    [
        "[N/A]",
        "[Not Supported]",
        "[Unknown Error]",
        "[Insufficient Permissions]",
        "N/A",
        "ERR!",
        "[GPU is lost]",
        "[GPU requires reset]",
        "",
    ],
)
def test_words_for_nothing(word: str) -> None:
    report = parse_smi_csv(
        f"name, driver_version, memory.total [MiB], compute_cap, mig.mode.current\nTesla K80, {word}, {word}, {word}, {word}\n"
    )
    assert report.driver is None
    (gpu,) = report.gpus
    assert (gpu.name, gpu.memory_mib, gpu.compute_capability, gpu.mig) == ("Tesla K80", None, None, None)


def test_several_gpus_and_blank_lines() -> None:
    text = "index, name, memory.total [MiB]\n\n0, Tesla T4, 15360 MiB\n1, NVIDIA A10G, 23028 MiB\n\n"
    assert [(gpu.index, gpu.name, gpu.memory_mib) for gpu in parse_smi_csv(text).gpus] == [
        (0, "Tesla T4", 15360),
        (1, "NVIDIA A10G", 23028),
    ]


def test_a_pasted_command_line_tells_the_fields() -> None:
    text = "$ nvidia-smi --query-gpu=driver_version,name --format=csv,noheader\n550.54.14, Tesla T4\n"
    report = parse_smi_csv(text)
    assert (str(report.driver), [gpu.name for gpu in report.gpus]) == ("550.54.14", ["Tesla T4"])


def test_an_error_is_not_taken_for_a_value() -> None:
    report = parse_smi_csv("Failed to initialize NVML: Unknown Error\n", ("driver_version",))
    assert (report.state, report.driver, report.gpus) == (SmiState.UNKNOWN_ERROR, None, ())


def test_one_gpu_lost_and_one_well() -> None:
    text = (
        "name, uuid\nUnable to determine the device handle for GPU 0000:02:00.0: GPU is lost.\nTesla T4, GPU-12345678\n"
    )
    assert [gpu.name for gpu in parse_smi_csv(text).gpus] == ["Tesla T4"]


def test_one_column() -> None:
    assert str(parse_smi_csv("driver_version\n535.161.08\n", ("driver_version",)).driver) == "535.161.08"
    report = parse_smi_csv("535.161.08\n535.161.08\n", ("driver_version",))
    assert str(report.driver) == "535.161.08"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('Field "compute_cap" is not a valid field to query.\n\n', SmiState.UNKNOWN_FIELD),
        ("No devices were found\n", SmiState.NO_DEVICES),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.120\n",
            SmiState.LIBRARY_MISMATCH,
        ),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n",
            SmiState.DRIVER_NOT_LOADED,
        ),
        (
            "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU\n",
            SmiState.GPU_LOST,
        ),
        ("name, driver_version, memory.total [MiB]\n", SmiState.NO_DEVICES),
        ("", SmiState.UNREADABLE),
        ("not quite, a table\n", SmiState.UNREADABLE),
    ],
)
@pytest.mark.parametrize("fields", [(), ("name", "driver_version", "compute_cap")], ids=["unasked", "asked"])
def test_errors(text: str, state: SmiState, fields: tuple[str, ...]) -> None:
    report = parse_smi_csv(text, fields)
    assert report.state is state
    assert report.gpus == ()


@pytest.mark.parametrize(
    ("text", "names", "capabilities"),
    [
        ("name\nTesla V100-SXM2-16GB\nTesla V100-SXM2-16GB\n", ["Tesla V100-SXM2-16GB"] * 2, ["None"] * 2),
        ("compute_cap\r\n8.6\r\n9.0\r\n", ["unknown"] * 2, ["8.6", "9.0"]),
        ('"name","compute_cap"\n"NVIDIA L4","8.9"\n', ["NVIDIA L4"], ["8.9"]),
        ("\x1b[1mname, compute_cap\x1b[0m\nTesla T4, 7.5\x1b[0m\n", ["Tesla T4"], ["7.5"]),
        ("\ufeffname, compute_cap\nTesla T4, 7.5\n", ["Tesla T4"], ["7.5"]),
    ],
    ids=["one column", "one column of numbers", "a spreadsheet's quotes", "colours", "byte order mark"],
)
def test_a_header_is_enough_in_every_dress(text: str, names: list[str], capabilities: list[str]) -> None:
    gpus = parse_smi_csv(text).gpus
    assert [gpu.name for gpu in gpus] == names
    assert [str(gpu.compute_capability) for gpu in gpus] == capabilities


def test_a_name_is_not_taken_for_a_header() -> None:
    report = parse_smi_csv("quadro, 470.82.01, 2048 MiB\n", ("name", "driver_version", "memory.total"))
    assert [gpu.name for gpu in report.gpus] == ["quadro"]


def test_a_list_of_processes_is_no_list_of_gpus() -> None:
    assert parse_smi_csv("pid, process_name, used_gpu_memory [MiB]\n1234, python, 500 MiB\n").gpus == ()


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("nvidia-smi --query-gpu=name,driver_version --format=csv", ("name", "driver_version")),
        ("nvidia-smi --query-gpu name,memory.total --format=csv,noheader", ("name", "memory.total")),
        ("nvidia-smi", ()),
        ("nvidia-smi --query-gpu=name,memory.total,... --format=csv", ()),
    ],
)
def test_fields_of_a_command(command: str, fields: tuple[str, ...]) -> None:
    assert fields_of(command) == fields

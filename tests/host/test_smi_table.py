"""nvidia-smi's table: every generation, WSL, MIG, Windows, pasted and cut tables, and what stands in its place."""

from __future__ import annotations

import pytest

from provision.host.parsers import SmiReport, SmiState, parse_smi_table

OLD = """\
Tue Mar  4 10:11:12 2014
+------------------------------------------------------+
| NVIDIA-SMI 331.38     Driver Version: 331.38         |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  GeForce GTX 690     Off  | 0000:05:00.0     N/A |                  N/A |
| 30%   42C  N/A     N/A /  N/A |    271MiB /  2047MiB |     N/A      Default |
+-------------------------------+----------------------+----------------------+
|   1  GeForce GTX TIT...  Off  | 0000:06:00.0      On |                  N/A |
| 31%   40C    P8    15W / 250W |     11MiB /  6143MiB |      0%      Default |
+-------------------------------+----------------------+----------------------+

+-----------------------------------------------------------------------------+
| Compute processes:                                               GPU Memory |
|  GPU       PID  Process name                                     Usage      |
|=============================================================================|
|    0            Not Supported                                               |
+-----------------------------------------------------------------------------+
"""

MIDDLE = """\
Fri Jan 15 08:00:01 2021
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 418.87.01    Driver Version: 418.87.01    CUDA Version: 10.1     |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  Tesla V100-SXM2...  On   | 00000000:1A:00.0 Off |                    0 |
| N/A   38C    P0    57W / 300W |  15023MiB / 32480MiB |     97%   E. Process |
+-------------------------------+----------------------+----------------------+
|   1  Tesla V100-SXM2...  On   | 00000000:1B:00.0 Off |                    2 |
| N/A   36C    P0    44W / 300W |      0MiB / 32480MiB |      0%      Default |
+-------------------------------+----------------------+----------------------+

+-----------------------------------------------------------------------------+
| Processes:                                                       GPU Memory |
|  GPU       PID   Type   Process name                             Usage      |
|=============================================================================|
|    0     40001      C   python3                                    15012MiB |
|    1     40002    C+G   /opt/some tool/bin/render                       N/A |
+-----------------------------------------------------------------------------+
"""

MODERN = """\
Wed Jun 11 09:12:33 2025
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.133.20             Driver Version: 570.133.20     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:19:00.0 Off |                    0 |
| N/A   31C    P0             71W /  700W |       1MiB /  81559MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA RTX 6000 Ada Gene...    Off |   00000000:3B:00.0 Off |                  Off |
| 30%   35C    P8             21W /  300W |     120MiB /  49140MiB |      0%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+

+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0   N/A  N/A           12345      C   /usr/bin/python3                        10MiB |
|    1   N/A  N/A            2222      G   /usr/lib/xorg/Xorg                     100MiB |
+-----------------------------------------------------------------------------------------+
"""

WSL = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 565.77.01              Driver Version: 566.36         CUDA Version: 12.7     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA GeForce RTX 4090        On  |   00000000:01:00.0  On |                  Off |
|  0%   45C    P8             20W /  450W |    2048MiB /  24564MiB |      1%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+

+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI        PID   Type   Process name                              GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0   N/A  N/A        33      G   /Xwayland                                   N/A      |
+-----------------------------------------------------------------------------------------+
"""

MIG = """\
+---------------------------------------------------------------------------------------+
| NVIDIA-SMI 535.154.05             Driver Version: 535.154.05   CUDA Version: 12.2     |
|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |         Memory-Usage | GPU-Util  Compute M. |
|                                         |                      |               MIG M. |
|=========================================+======================+======================|
|   0  NVIDIA A100-SXM4-40GB          On  | 00000000:07:00.0 Off |                   On |
| N/A   30C    P0              45W / 400W |     37MiB / 40960MiB |     N/A      Default |
|                                         |                      |              Enabled |
+-----------------------------------------+----------------------+----------------------+
|   1  NVIDIA A100-SXM4-40GB          On  | 00000000:0F:00.0 Off |                    0 |
| N/A   30C    P0              45W / 400W |      0MiB / 40960MiB |      0%      Default |
|                                         |                      |            Disabled* |
+-----------------------------------------+----------------------+----------------------+

+---------------------------------------------------------------------------------------+
| MIG devices:                                                                          |
+------------------+--------------------------------+-----------+-----------------------+
| GPU  GI  CI  MIG |                   Memory-Usage |        Vol|      Shared           |
|      ID  ID  Dev |                     BAR1-Usage | SM     Unc| CE ENC DEC OFA JPG    |
|                  |                                |        ECC|                       |
|==================+================================+===========+=======================|
|  0    1   0   0  |              19MiB / 20096MiB  | 42      0 |  3   0    2    0    0 |
|                  |               0MiB / 32767MiB  |           |                       |
+------------------+--------------------------------+-----------+-----------------------+
|  0    5   0   1  |               9MiB /  9984MiB  | 28      0 |  2   0    1    0    0 |
|                  |               0MiB / 16383MiB  |           |                       |
+------------------+--------------------------------+-----------+-----------------------+

+---------------------------------------------------------------------------------------+
| Processes:                                                                            |
|  GPU   GI   CI        PID   Type   Process name                            GPU Memory |
|        ID   ID                                                             Usage      |
|=======================================================================================|
|    0    1    0      98765      C   python                                    1024MiB |
+---------------------------------------------------------------------------------------+
"""

WINDOWS = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 516.94       Driver Version: 516.94       CUDA Version: 11.7     |
|-------------------------------+----------------------+----------------------+
| GPU  Name            TCC/WDDM | Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|                               |                      |               MIG M. |
|===============================+======================+======================|
|   0  NVIDIA GeForce ... WDDM  | 00000000:01:00.0  On |                  N/A |
| N/A   50C    P8     9W /  N/A |    533MiB /  6144MiB |      1%      Default |
|                               |                      |                  N/A |
+-------------------------------+----------------------+----------------------+
"""

NEWEST = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: 13.3     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA B200                    On  |   00000000:1B:00.0 Off |                    0 |
| N/A   28C    P0            140W / 1000W |       0MiB / 183359MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
"""

NO_MEMORY = """\
| NVIDIA-SMI 580.95.05              Driver Version: 580.95.05      CUDA Version: 13.0     |
|=========================================+========================+======================|
|   0  NVIDIA GB10                    On  |   0000000F:01:00.0 Off |                  N/A |
| N/A   45C    P0             13W /  N/A  | Not Supported          |      0%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA T400 4GB                Off |   00000000:02:00.0 Off |                  N/A |
| 38%   45C    P8            N/A /   31W  |     N/A / 4096MiB      |      0%      Default |
|                                         |                        |                  N/A |
"""


JETSON = """\
+---------------------------------------------------------------------------------------+
| NVIDIA-SMI 540.4.0                Driver Version: 540.4.0      CUDA Version: 12.6     |
|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |         Memory-Usage | GPU-Util  Compute M. |
|                                         |                      |               MIG M. |
|=========================================+======================+======================|
|   0  Orin (nvgpu)                  N/A  | N/A              N/A |                  N/A |
| N/A   N/A  N/A               N/A /  N/A | Not Supported        |     N/A          N/A |
|                                         |                      |                  N/A |
+-----------------------------------------+----------------------+----------------------+
"""


def shown(report: SmiReport) -> list[tuple[object, ...]]:
    return [(gpu.index, gpu.name, gpu.memory_mib, gpu.memory_used_mib, gpu.mig, gpu.pci_bus_id) for gpu in report.gpus]


@pytest.mark.parametrize(
    ("text", "driver", "cuda", "smi", "gpus"),
    [
        pytest.param(
            OLD,
            "331.38",
            "",
            "331.38",
            [
                (0, "GeForce GTX 690", 2047, 271, None, "0000:05:00.0"),
                (1, "GeForce GTX TIT...", 6143, 11, None, "0000:06:00.0"),
            ],
            id="331",
        ),
        pytest.param(
            MIDDLE,
            "418.87.01",
            "10.1",
            "418.87.01",
            [
                (0, "Tesla V100-SXM2...", 32480, 15023, None, "00000000:1A:00.0"),
                (1, "Tesla V100-SXM2...", 32480, 0, None, "00000000:1B:00.0"),
            ],
            id="418",
        ),
        pytest.param(
            MODERN,
            "570.133.20",
            "12.8",
            "570.133.20",
            [
                (0, "NVIDIA H100 80GB HBM3", 81559, 1, False, "00000000:19:00.0"),
                (1, "NVIDIA RTX 6000 Ada Gene...", 49140, 120, None, "00000000:3B:00.0"),
            ],
            id="570",
        ),
        pytest.param(
            WSL,
            "566.36",
            "12.7",
            "565.77.01",
            [(0, "NVIDIA GeForce RTX 4090", 24564, 2048, None, "00000000:01:00.0")],
            id="wsl",
        ),
        pytest.param(
            MIG,
            "535.154.05",
            "12.2",
            "535.154.05",
            [
                (0, "NVIDIA A100-SXM4-40GB", 40960, 37, True, "00000000:07:00.0"),
                (1, "NVIDIA A100-SXM4-40GB", 40960, 0, False, "00000000:0F:00.0"),
            ],
            id="mig",
        ),
        pytest.param(
            WINDOWS,
            "516.94",
            "11.7",
            "516.94",
            [(0, "NVIDIA GeForce ...", 6144, 533, None, "00000000:01:00.0")],
            id="windows",
        ),
        pytest.param(
            NEWEST,
            "610.43.02",
            "13.3",
            "610.43.02",
            [(0, "NVIDIA B200", 183359, 0, False, "00000000:1B:00.0")],
            id="610",
        ),
        pytest.param(
            NO_MEMORY,
            "580.95.05",
            "13.0",
            "580.95.05",
            [
                (0, "NVIDIA GB10", None, None, None, "0000000F:01:00.0"),
                (1, "NVIDIA T400 4GB", 4096, None, None, "00000000:02:00.0"),
            ],
            id="no-memory",
        ),
    ],
)
def test_generations(text: str, driver: str, cuda: str, smi: str, gpus: list[tuple[object, ...]]) -> None:
    report = parse_smi_table(text)
    assert report.state is SmiState.OK
    assert (str(report.driver), report.cuda_text, report.smi) == (driver, cuda, smi)
    assert str(report.driver_cuda or "") == cuda
    assert shown(report) == gpus


@pytest.mark.parametrize(
    "text", [OLD, MIDDLE, MODERN, WSL, MIG, WINDOWS, NEWEST], ids=["331", "418", "570", "wsl", "mig", "windows", "610"]
)
def test_a_pasted_table_says_the_same(text: str) -> None:
    whole = parse_smi_table(text)
    indented = "\n".join("    > " + line for line in text.splitlines())
    collapsed = "\n".join(" ".join(line.split()) for line in text.splitlines())
    windows_ends = text.replace("\n", "\r\n")
    for pasted in (indented, collapsed, windows_ends, f"$ nvidia-smi\n{text}\n$ "):
        again = parse_smi_table(pasted)
        assert shown(again) == shown(whole)
        assert again.driver == whole.driver
        assert again.mig_devices == whole.mig_devices


@pytest.mark.parametrize("text", [OLD, MIDDLE, MODERN, MIG, NEWEST], ids=["331", "418", "570", "mig", "610"])
def test_a_table_cut_anywhere_never_says_something_else(text: str) -> None:
    lines = text.splitlines()
    whole = parse_smi_table(text)
    for end in range(len(lines)):
        cut = parse_smi_table("\n".join(lines[:end]))
        assert cut.driver in (None, whole.driver)
        for gpu, full in zip(cut.gpus, whole.gpus, strict=False):
            assert gpu.name == full.name
            assert gpu.memory_mib in (None, full.memory_mib)
            assert gpu.mig in (None, full.mig)


def test_mig_devices_belong_to_their_gpu() -> None:
    report = parse_smi_table(MIG)
    assert [
        (device.gpu, device.gpu_instance, device.compute_instance, device.memory_mib) for device in report.mig_devices
    ] == [(0, 1, 0, 20096), (0, 5, 0, 9984)]
    assert report.gpus[0].mig_devices == ("GI 1 CI 0, 20096 MiB", "GI 5 CI 0, 9984 MiB")
    assert report.gpus[1].mig_devices == ()


@pytest.mark.parametrize(
    ("text", "processes"),
    [
        pytest.param(OLD, [[], []], id="not-supported"),
        pytest.param(MIDDLE, [[(40001, "python3", 15012)], [(40002, "/opt/some tool/bin/render", None)]], id="418"),
        pytest.param(MODERN, [[(12345, "/usr/bin/python3", 10)], [(2222, "/usr/lib/xorg/Xorg", 100)]], id="570"),
        pytest.param(WSL, [[(33, "/Xwayland", None)]], id="wsl"),
        pytest.param(MIG, [[(98765, "python", 1024)], []], id="mig"),
        pytest.param(NEWEST, [[]], id="none"),
    ],
)
def test_processes(text: str, processes: list[list[tuple[object, ...]]]) -> None:
    found = [[(item.pid, item.name, item.memory_mib) for item in gpu.processes] for gpu in parse_smi_table(text).gpus]
    assert found == processes


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("No devices were found", SmiState.NO_DEVICES),
        ("No devices were found\n\n", SmiState.NO_DEVICES),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n",
            SmiState.DRIVER_NOT_LOADED,
        ),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.161\n",
            SmiState.LIBRARY_MISMATCH,
        ),
        ("Failed to initialize NVML: Driver/library version mismatch", SmiState.LIBRARY_MISMATCH),
        ("Failed to initialize NVML: Unknown Error", SmiState.UNKNOWN_ERROR),
        ("Failed to initialize NVML: Driver Not Loaded", SmiState.DRIVER_NOT_LOADED),
        ("Failed to initialize NVML: Insufficient Permissions", SmiState.NO_PERMISSION),
        ("Failed to initialize NVML: GPU access blocked by the operating system\n", SmiState.NO_PERMISSION),
        (
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display Driver is properly installed\nand present in your system.\nPlease also try adding directory that contains libnvidia-ml.so to your system PATH.",
            SmiState.NO_LIBRARY,
        ),
        (
            "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU",
            SmiState.GPU_LOST,
        ),
        ("Unable to determine the device handle for GPU0000:81:00.0: Unknown Error", SmiState.GPU_LOST),
        ("bash: nvidia-smi: command not found", SmiState.NO_PROGRAM),
        ("nvidia-smi: not found", SmiState.NO_PROGRAM),
        ("Command 'nvidia-smi' not found, but can be installed with:", SmiState.NO_PROGRAM),
        ("'nvidia-smi' is not recognized as an internal or external command,", SmiState.NO_PROGRAM),
        ("bash: /usr/bin/nvidia-smi: No such file or directory", SmiState.NO_PROGRAM),
        ('exec: "nvidia-smi": executable file not found in $PATH', SmiState.NO_PROGRAM),
        ("", SmiState.UNREADABLE),
        ("Hello, world", SmiState.UNREADABLE),
    ],
)
def test_what_stands_in_its_place(text: str, state: SmiState) -> None:
    report = parse_smi_table(text)
    assert report.state is state
    assert report.gpus == ()
    assert report.driver is None
    assert (report.message != "") == (state is not SmiState.UNREADABLE)


@pytest.mark.parametrize(("word", "kept"), [("N/A", "N/A"), ("ERR!", "ERR!")])
def test_a_missing_or_stub_libcuda_shows_in_the_cuda_version(word: str, kept: str) -> None:
    report = parse_smi_table(MODERN.replace("12.8 ", f"{word:<5}"))
    assert report.cuda_text == kept
    assert report.driver_cuda is None
    assert str(report.driver) == "570.133.20"


def test_ten_gpus_keep_their_order() -> None:
    block = "|  {0:>2}  Tesla K80           On   | 0000:{0:02X}:00.0     Off |                    0 |\n| N/A   30C    P8    26W / 149W |      {0}MiB / 11439MiB |      0%      Default |\n"
    text = "| NVIDIA-SMI 375.26                 Driver Version: 375.26                    |\n" + "".join(
        block.format(place) for place in range(16)
    )
    assert [(gpu.index, gpu.memory_used_mib) for gpu in parse_smi_table(text).gpus] == [
        (place, place) for place in range(16)
    ]


def test_a_gpu_without_a_bus_id() -> None:
    assert shown(parse_smi_table(JETSON)) == [(0, "Orin (nvgpu)", None, None, None, None)]


def test_a_second_table_does_not_double_the_gpus() -> None:
    assert shown(parse_smi_table(MODERN + WSL)) == shown(parse_smi_table(MODERN))


def test_processes_under_their_old_headline() -> None:
    text = OLD.replace(
        "|    0            Not Supported    ", "|    1      2519  ./a.out      149MiB |\n|    0  Not Supported"
    )
    assert [[process.name for process in gpu.processes] for gpu in parse_smi_table(text).gpus] == [[], ["./a.out"]]


def test_a_gpu_whose_name_cannot_be_read_is_unknown() -> None:
    text = """\
| NVIDIA-SMI 550.90.07              Driver Version: 550.90.07      CUDA Version: 12.4     |
|   0  NVIDIA A100-SXM4-80GB          On  |   00000000:07:00.0 Off |                    0 |
| N/A   31C    P0             87W /  400W |      87MiB /  81920MiB |      0%      Default |
|   1  ERR!                           ERR!|   00000000:0F:00.0 ERR!|                 ERR! |
|ERR!  ERR! ERR!             ERR! / ERR!  |       ERR! /     ERR!  |    ERR!         ERR! |
"""
    well, lost = parse_smi_table(text).gpus
    assert (well.name, well.memory_mib) == ("NVIDIA A100-SXM4-80GB", 81920)
    assert (lost.name, lost.memory_mib, lost.pci_bus_id) == ("unknown", None, "00000000:0F:00.0")


def test_a_paste_without_its_head_still_names_the_gpus() -> None:
    report = parse_smi_table("\n".join(line for line in OLD.splitlines() if "Driver Version" not in line))
    assert (report.state, report.driver) == (SmiState.OK, None)
    assert [gpu.memory_mib for gpu in report.gpus] == [2047, 6143]


def test_colours_of_a_recorded_terminal_are_no_part_of_a_value() -> None:
    coloured = OLD.replace("331.38 ", "\x1b[1m331.38\x1b[0m ").replace("|   0", "\x1b[32m|\x1b[0m   \x1b[36m0")
    assert parse_smi_table(coloured) == parse_smi_table(OLD)


@pytest.mark.parametrize(
    "text",
    [
        "zsh: command not found: nvidia-smi",
        "fish: Unknown command: nvidia-smi",
        "bash: nvidia-smi : commande introuvable",
        "'nvidia-smi' n’est pas reconnu en tant que commande interne",
        "bash: nvidia-smi: Kommando nicht gefunden.",
    ],
)
def test_a_missing_program_in_the_words_of_other_shells(text: str) -> None:
    assert parse_smi_table(text).state is SmiState.NO_PROGRAM

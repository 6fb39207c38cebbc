"""``--for``: every key, combinations, and every way to get it wrong."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.errors import InvalidFileError, UsageError
from provision.host import describe
from provision.host.capture import to_document
from provision.host.distributions import DISTRIBUTIONS, glibc_of, split_release
from provision.model.document import jsonable
from provision.model.host import DriverState, HostFacts
from provision.system import System

SYSTEM = System(environ={})


def of(*texts: str) -> HostFacts:
    return describe(texts, SYSTEM)


def gpus(host: HostFacts) -> list[tuple[str, str]]:
    return [(gpu.name, str(gpu.compute_capability)) for gpu in host.gpus.value or ()]


def test_what_is_not_said_is_assumed_or_unknown() -> None:
    host = of("driver=535.104.05")
    assert host.described
    assert (host.system.value, host.system.source) == ("linux", "assumed")
    assert (host.machine.value, host.machine.source) == ("x86_64", "assumed")
    assert (host.wsl.value, host.wsl.source) == (False, "assumed")
    for fact in (
        host.glibc,
        host.cpu_features,
        host.gpus,
        host.driver_cuda,
        host.kernel_module,
        host.distribution,
        host.device_nodes,
        host.container,
        host.free_disk_mib,
    ):
        assert (fact.value, fact.source) == (None, "not said")
    assert host.pythons == ()
    assert host.variables == {}


@pytest.mark.parametrize(
    ("text", "read", "value"),
    [
        ("driver=535.104.05", lambda host: str(host.driver.value), "535.104.05"),
        ("driver=470", lambda host: str(host.driver.value), "470"),
        (" DRIVER = 535.104.05 ", lambda host: str(host.driver.value), "535.104.05"),
        ("cuda=12.2", lambda host: str(host.driver_cuda.value), "12.2"),
        ("glibc=2.27", lambda host: str(host.glibc.value), "2.27"),
        ("glibc=musl", lambda host: (host.glibc.value, host.glibc.source), (None, "musl")),
        (
            "python=3.8",
            lambda host: [(str(python.version), python.source) for python in host.pythons],
            [("3.8", "given")],
        ),
        ("python=3.8,python=3.11.4", lambda host: [str(python.version) for python in host.pythons], ["3.8", "3.11.4"]),
        ("python=python3.9", lambda host: [str(python.version) for python in host.pythons], ["3.9"]),
        ("arch=aarch64", lambda host: host.machine.value, "aarch64"),
        ("arch=arm64", lambda host: host.machine.value, "aarch64"),
        ("arch=AMD64", lambda host: host.machine.value, "x86_64"),
        ("os=windows", lambda host: (host.system.value, host.wsl.value), ("windows", False)),
        ("os=macOS", lambda host: (host.system.value, host.wsl.value), ("macos", False)),
        ("os=linux", lambda host: (host.system.value, host.system.source), ("linux", "described")),
        ("os=wsl", lambda host: (host.system.value, host.wsl.value), ("linux", True)),
        ("os=WSL2", lambda host: (host.system.value, host.wsl.value), ("linux", True)),
        ("os=wsl,os=ubuntu22.04", lambda host: (host.wsl.value, host.distribution.value), (True, "ubuntu 22.04")),
        ("os=ubuntu22.04,os=wsl", lambda host: (host.wsl.value, host.distribution.value), (True, "ubuntu 22.04")),
        ("os=wsl,os=linux", lambda host: (host.wsl.value, host.distribution.value), (False, None)),
        ("cuda=12.2,driver=535.104.05", lambda host: str(host.driver_cuda.value), "12.2"),
        ("driver=535.104.05,cuda=12.2", lambda host: str(host.driver_cuda.value), "12.2"),
        ("os=ubuntu22.04", lambda host: (host.distribution.value, str(host.glibc.value)), ("ubuntu 22.04", "2.35")),
        ("os=Ubuntu-18.04", lambda host: (host.distribution.value, str(host.glibc.value)), ("ubuntu 18.04", "2.27")),
        ("os=debian:12", lambda host: str(host.glibc.value), "2.36"),
        ("os=rocky 8.9", lambda host: (host.distribution.value, str(host.glibc.value)), ("rocky 8.9", "2.28")),
        ("os=centos7", lambda host: str(host.glibc.value), "2.17"),
        ("os=amazonlinux2023", lambda host: str(host.glibc.value), "2.34"),
        ("os=ubuntu", lambda host: (host.distribution.value, host.glibc.value), ("ubuntu", None)),
        ("os=fedora41", lambda host: host.glibc.value, None),
        ("os=alpine3.19", lambda host: (host.glibc.value, host.glibc.source), (None, "musl")),
        ("os=ubuntu20.04,glibc=2.39", lambda host: str(host.glibc.value), "2.39"),
        ("glibc=2.39,os=ubuntu20.04", lambda host: str(host.glibc.value), "2.39"),
        ("cpu=avx", lambda host: sorted(host.cpu_features.value), ["avx"]),
        ("cpu=avx2+fma", lambda host: sorted(host.cpu_features.value), ["avx", "avx2", "fma"]),
        ("cpu=x86-64-v2", lambda host: "avx" in host.cpu_features.value, False),
        ("cpu=x86-64-v3", lambda host: {"avx", "avx2", "fma"} <= host.cpu_features.value, True),
        ("cpu=none", lambda host: host.cpu_features.value, frozenset()),
    ],
)
def test_keys(text: str, read: Callable[[HostFacts], object], value: object) -> None:
    assert read(of(text)) == value


@pytest.mark.parametrize(
    ("text", "capabilities"),
    [
        ("gpu=8.6", ["8.6"]),
        ("gpu=12.0", ["12.0"]),
        ("gpu=8x H100", ["9.0"] * 8),
        ("gpu=2xRTX 3090", ["8.6"] * 2),
        ("gpu=2x 8.6", ["8.6"] * 2),
        ("gpu=sm_86", ["8.6"]),
        ("gpu=sm90", ["9.0"]),
        ("gpu=sm_120", ["12.0"]),
        ("gpu=8.6 x2", ["8.6", "8.6"]),
        ("gpu=8.6x2", ["8.6", "8.6"]),
        ("gpu=8.6 × 3", ["8.6"] * 3),
        ("gpu=RTX 3090", ["8.6"]),
        ("gpu=NVIDIA GeForce RTX 3090", ["8.6"]),
        ("gpu=rtx 4090 x4", ["8.9"] * 4),
        ("gpu=Tesla T4", ["7.5"]),
        ("gpu=GTX TITAN X", ["5.2"]),
        ("gpu=8.6,gpu=6.1", ["8.6", "6.1"]),
        ("gpu=RTX 3090,gpu=GTX 1080 Ti", ["8.6", "6.1"]),
        ("gpu=none", []),
    ],
)
def test_gpus(text: str, capabilities: list[str]) -> None:
    host = of(text)
    assert [str(gpu.compute_capability) for gpu in host.gpus.value or ()] == capabilities
    assert [gpu.index for gpu in host.gpus.value or ()] == list(range(len(capabilities)))
    assert host.gpus.source == "described"


def test_a_product_keeps_its_name() -> None:
    assert gpus(of("gpu=rtx 3090")) == [("NVIDIA GeForce RTX 3090", "8.6")]


def test_texts_may_be_repeated_and_blanks_between_commas_are_fine() -> None:
    host = of("driver=535.104.05", " gpu=8.6 , ,", "gpu=7.5", "os=wsl")
    assert [capability for _, capability in gpus(host)] == ["8.6", "7.5"]
    assert host.wsl.value


@pytest.mark.parametrize(
    ("word", "system"),
    [("mac", "macos"), ("Darwin", "macos"), ("macos14", "macos"), ("Windows 11", "windows"), ("win", "windows")],
)
def test_other_words_for_a_system(word: str, system: str) -> None:
    assert of(f"os={word}").system.value == system


def test_what_is_said_later_wins_and_a_repetition_contradicts_nothing() -> None:
    assert str(of("driver=535.104.05,gpu=8.6,driver=535.104.05", "driver=550.54.14").driver.value) == "550.54.14"
    assert [str(python.version) for python in of("python=3.8,python=3.11").pythons] == ["3.8", "3.11"]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("driver=535.104.05,gpu=8.6", DriverState.WORKING),
        ("driver=535.104.05", DriverState.WORKING),
        ("gpu=8.6", DriverState.WORKING),
        ("cuda=12.2", DriverState.WORKING),
        ("driver=none,gpu=8.6", DriverState.NOT_INSTALLED),
        ("driver=none", DriverState.NOT_INSTALLED),
        ("gpu=none", DriverState.NO_GPU),
        ("gpu=none,driver=none", DriverState.NO_GPU),
        ("os=linux", DriverState.UNKNOWN),
    ],
)
def test_state(text: str, state: DriverState) -> None:
    assert of(text).driver_state is state


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("driver", "neither key=value nor a file"),
        ("machine.json", "neither key=value nor a file"),
        ("gqu=8.6", "'gqu' is not something"),
        ("=8.6", "'' is not something"),
        ("driver=", "driver= has no value"),
        ("gpu=", "gpu= has no value"),
        ("driver=new", "driver=new is not a version"),
        ("driver=535.104.x", "is not a version"),
        ("driver=-1", "is not a version"),
        ("cuda=twelve", "is not a version"),
        ("cuda=12", "is not a version"),
        ("python=3", "is not a version"),
        ("glibc=2", "is not a version"),
        ("driver=12.2", "driver=12.2 is no driver version"),
        ("cuda=535.104", "cuda=535.104 is no CUDA version"),
        ("glibc=new", "is not a version"),
        ("python=three", "is not a version"),
        ("arch=z80", "arch=z80 is not an architecture"),
        ("os=beos", "os=beos is not a known system"),
        ("cpu=<avx>", "does not name processor features"),
        ("gpu=RTX 3099", "is no known GPU"),
        ("gpu=Radeon RX 7900", "is no known GPU"),
        ("gpu=sm_", "is no known GPU"),
        ("gpu=0.0", "is no compute capability"),
        ("gpu=86.0", "is no compute capability"),
        ("gpu=sm_860", "is no compute capability"),
        ("gpu=8.6 x0", "describes 0 GPUs"),
        ("gpu=8.6 x65", "describes 65 GPUs"),
        ("gpu=8.6 x64,gpu=8.6", "65 GPUs are described"),
        ("gpu=none,gpu=8.6", "gpu=none and another gpu= contradict each other"),
        ("driver=535.104.05,gpu=8.6,driver=550.54.14", "driver=535.104.05 and driver=550.54.14 contradict"),
        ("os=windows,glibc=2.31", "os=windows and glibc=2.31 contradict"),
        ("os=linux,os=macos", "os=macos and os=linux contradict"),
        ("driver=" + "9" * 5000, "too long"),
        ("driver=535.104.05\x00", "is not a version"),
    ],
)
def test_wrong_words(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        of(text)
    assert caught.value.code == "bad-for"
    assert what in caught.value.what
    assert "accepted: arch, cpu, cuda, driver, glibc, gpu, os, python" in caught.value.why[-1]
    assert "--for" in (caught.value.hint or "")


def test_a_wrong_product_names_near_ones() -> None:
    with pytest.raises(UsageError) as caught:
        of("gpu=RTX 3099")
    near = next(line for line in caught.value.why if line.startswith("near: "))
    assert "RTX 309" in near


def test_a_captured_machine_and_what_if(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    captured = of("driver=470.82.01,cuda=11.4,gpu=Tesla T4 x2,os=ubuntu20.04,python=3.8")
    file.write_text(json.dumps(to_document(captured)))
    assert of(str(file)) == captured
    newer = of(str(file), "driver=550.54.14")
    assert str(newer.driver.value) == "550.54.14"
    assert newer.driver_cuda.value is None, "the CUDA version of the old driver must not outlive it"
    assert gpus(newer) == gpus(captured)
    assert gpus(of(str(file), "gpu=9.0")) == [("GPU of compute capability 9.0", "9.0")]
    without = of(str(file), "driver=none")
    assert (without.driver.value, without.driver_state) == (None, DriverState.NOT_INSTALLED)


def test_a_file_whose_name_has_a_comma_or_an_equals_sign(tmp_path: Path) -> None:
    file = tmp_path / "gpu=8.6,here.json"
    file.write_text(json.dumps(to_document(of("driver=535.104.05"))))
    assert str(of(str(file)).driver.value) == "535.104.05"


def test_a_file_that_is_no_host(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text("{}")
    with pytest.raises(InvalidFileError) as caught:
        of(str(file))
    assert caught.value.code == "bad-capture"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        of(str(tmp_path))


@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_text_does_worse_than_a_usage_error(texts: list[str]) -> None:
    with contextlib.suppress(UsageError, InvalidFileError):
        json.dumps(jsonable(describe(texts, System(environ={}))))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["driver", "gpu", "os", "arch", "glibc", "python", "cuda", "cpu"]), st.text(max_size=20)
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_value_does_worse_than_a_usage_error(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(UsageError, InvalidFileError):
        describe([",".join(f"{key}={value}" for key, value in pairs)], System(environ={}))


@pytest.mark.parametrize(
    ("text", "parts"),
    [("ubuntu22.04", ("ubuntu", "22.04")), ("rhel 8", ("rhel", "8")), ("arch", ("arch", "")), ("??", ("??", ""))],
)
def test_split_release(text: str, parts: tuple[str, str]) -> None:
    assert split_release(text) == parts


def test_the_c_library_grows_with_the_release() -> None:
    for name, releases in {
        "ubuntu": ("14.04", "16.04", "18.04", "20.04", "22.04", "24.04"),
        "debian": ("8", "9", "10", "11", "12", "13"),
        "rhel": ("6", "7", "8", "9", "10"),
    }.items():
        versions = [glibc_of(name, release) for release in releases]
        assert None not in versions
        assert versions == sorted(versions, key=lambda version: version.parts if version else ())
    assert glibc_of("rocky", "9.4") == glibc_of("rhel", "9")
    assert glibc_of("ubuntu", "99.04") is None
    assert {"ubuntu", "rocky", "amazon"} <= DISTRIBUTIONS

"""Operating system, C library, processor, WSL and container, each from files of a root folder of our own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from provision.host import machine as rules
from provision.model.facts import Fact
from provision.model.host import Container

if TYPE_CHECKING:
    from conftest import Machine


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n', "ubuntu 22.04"),
        ("ID=arch\nNAME='Arch Linux'\n", "arch"),
        ('ID="rocky"\nID_LIKE="rhel fedora"\nVERSION_ID="9.4"', "rocky 9.4"),
        ("NAME=Nameless\n", None),
        ("\x00\x01", None),
    ],
)
def test_distribution(machine: Machine, text: str, name: str | None) -> None:
    machine.file("/etc/os-release", text)
    assert rules.distribution(machine.system()).value == name


def test_distribution_falls_back_and_keeps_the_attempt(machine: Machine) -> None:
    machine.file("/usr/lib/os-release", "ID=fedora\nVERSION_ID=41\n")
    fact = rules.distribution(machine.system())
    assert (fact.value, fact.source) == ("fedora 41", "/usr/lib/os-release")
    assert [(attempt.source, attempt.outcome) for attempt in fact.attempts] == [("/etc/os-release", "absent")]


def test_no_distribution(machine: Machine) -> None:
    fact = rules.distribution(machine.system())
    assert fact.value is None
    assert len(fact.attempts) == 2


@pytest.mark.parametrize(
    ("files", "answer", "source"),
    [
        ({"/proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n"}, True, "/proc/sys/kernel/osrelease"),
        ({"/proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft\n"}, True, "/proc/sys/kernel/osrelease"),
        ({"/proc/version": "Linux version 5.10.16.3-microsoft-standard-WSL2 (oe-user@oe-host)"}, True, "/proc/version"),
        ({"/proc/version": "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)"}, False, "/proc/version"),
        ({"/proc/sys/kernel/osrelease": "6.6.0-custom\n", "/dev/dxg": ""}, True, "/proc/sys/kernel/osrelease"),
        ({"/dev/dxg": ""}, True, "/dev/dxg"),
        ({}, None, "unknown"),
    ],
)
def test_wsl(machine: Machine, files: dict[str, str], source: str, *, answer: bool | None) -> None:
    for path, text in files.items():
        machine.file(path, text)
    fact = rules.is_wsl(machine.system())
    assert (fact.value, fact.source) == (answer, source)


@pytest.mark.parametrize(
    ("text", "has", "lacks"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu vme sse sse2 avx avx2 fma f16c\nprocessor\t: 1\n",
            {"avx", "avx2", "fma", "sse"},
            {"fpu", "vme"},
        ),
        ("flags : fpu SSE SSE2\n", {"sse", "sse2"}, {"avx"}),
        ("processor : 0\nFeatures\t: fp asimd sve\n", {"asimd", "sve"}, {"avx"}),
    ],
)
def test_cpu(machine: Machine, text: str, has: set[str], lacks: set[str]) -> None:
    machine.file("/proc/cpuinfo", text)
    found = rules.cpu_features(machine.system()).value
    assert found is not None
    assert has <= found
    assert not lacks & found


@pytest.mark.parametrize(("text", "outcome"), [(None, "absent"), ("model name: something\n", "unreadable")])
def test_no_cpu_flags_is_unknown_not_none(machine: Machine, text: str | None, outcome: str) -> None:
    if text is not None:
        machine.file("/proc/cpuinfo", text)
    fact = rules.cpu_features(machine.system())
    assert fact.value is None
    assert [attempt.outcome for attempt in fact.attempts] == [outcome]


def test_glibc_of_the_running_system(machine: Machine) -> None:
    fact = rules.glibc(machine.system())
    if hasattr(os, "confstr_names") and "CS_GNU_LIBC_VERSION" in os.confstr_names:
        assert fact.source == "confstr"
        assert fact.value is not None
        assert fact.value.major == 2


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'ldd (Ubuntu GLIBC 2.35-0ubuntu3.8) 2.35'; echo 'Copyright (C) 2022'", "2.35"),
        ("echo 'ldd (GNU libc) 2.17'", "2.17"),
        ("echo 'ldd (Debian GLIBC 2.36-9+deb12u10) 2.36'", "2.36"),
    ],
)
def test_glibc_from_ldd(machine: Machine, monkeypatch: pytest.MonkeyPatch, script: str, version: str) -> None:
    def refuse(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", refuse)
    machine.program("ldd", script)
    fact = rules.glibc(machine.system())
    assert (str(fact.value), fact.source) == (version, "ldd --version")
    assert [attempt.source for attempt in fact.attempts] == ["confstr"]


@pytest.mark.parametrize("by", ["loader", "ldd"])
def test_musl_is_another_library_not_an_unknown_one(machine: Machine, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.setattr(os, "confstr", lambda name: None)
    if by == "loader":
        machine.file("/lib/ld-musl-x86_64.so.1")
    else:
        machine.program("ldd", "echo 'musl libc (x86_64)' >&2; exit 1")
    fact = rules.glibc(machine.system())
    assert (fact.value, fact.source) == (None, "musl")


def test_no_glibc_to_be_found(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda name: "something else")
    fact = rules.glibc(machine.system())
    assert (fact.value, fact.source) == (None, "unknown")
    assert [(attempt.source, attempt.outcome) for attempt in fact.attempts] == [
        ("confstr", "unreadable"),
        ("ldd --version", "failed"),
    ]


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({}, {}, None),
        ({"/.dockerenv": ""}, {}, "docker"),
        ({"/run/.containerenv": ""}, {}, "podman"),
        ({"/.singularity.d/labels.json": "{}"}, {}, "apptainer"),
        ({}, {"APPTAINER_CONTAINER": "/x.sif"}, "apptainer"),
        ({}, {"SINGULARITY_CONTAINER": "/x.sif"}, "apptainer"),
        ({"/.dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"/var/run/secrets/kubernetes.io/serviceaccount/token": ""}, {}, "kubernetes"),
        ({}, {"container": "lxc"}, "lxc"),
        ({"/run/systemd/container": "systemd-nspawn\n"}, {}, "systemd-nspawn"),
        ({"/proc/1/cgroup": "12:devices:/docker/0123abcd\n"}, {}, "docker"),
        ({"/proc/1/cgroup": "3:cpu:/kubepods/burstable/pod1/abc\n"}, {}, "kubernetes"),
        ({"/proc/1/cgroup": "1:name=systemd:/machine.slice/libpod-abc.scope\n"}, {}, "podman"),
        ({"/proc/1/cgroup": "4:memory:/lxc/web\n"}, {}, "lxc"),
        ({"/proc/1/cgroup": "0::/init.scope\n"}, {}, None),
    ],
)
def test_container_kinds(machine: Machine, files: dict[str, str], environ: dict[str, str], kind: str | None) -> None:
    for path, text in files.items():
        machine.file(path, text)
    assert rules.container_kind(machine.system(**environ))[0] == kind


@pytest.mark.parametrize(
    ("nodes", "host_has_gpu", "answers", "passed"),
    [
        (("/dev/nvidia0",), True, True, True),
        (("/dev/nvidia0",), False, False, True),
        ((), True, False, False),
        ((), False, False, None),
        ((), False, True, True),
        (None, True, False, None),
    ],
)
def test_whether_a_gpu_was_passed_in(
    machine: Machine, nodes: tuple[str, ...] | None, *, host_has_gpu: bool, answers: bool, passed: bool | None
) -> None:
    machine.file("/.dockerenv")
    fact = rules.container(machine.system(), nodes, host_has_gpu=host_has_gpu, gpu_answers=answers)
    assert fact.value == Container("docker", passed)


def test_outside_a_container(machine: Machine) -> None:
    assert rules.container(machine.system(), (), host_has_gpu=True) == Fact(None, "no mark of a container")


@pytest.mark.parametrize(
    ("name", "normal"),
    [("AMD64", "x86_64"), ("arm64", "aarch64"), ("x86_64", "x86_64"), (" X64 ", "x86_64"), ("riscv64", "riscv64")],
)
def test_architecture_names(name: str, normal: str) -> None:
    assert rules.normal_architecture(name) == normal

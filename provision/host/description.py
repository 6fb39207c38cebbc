"""Another machine, described in words: ``--for driver=535.104.05,gpu=8.6,os=ubuntu22.04``.

What is not said is no obstacle: operating system and architecture are assumed to be Linux on x86_64, everything else
stays unknown with the source ``not said``, and no rule decides against an unknown.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from provision.errors import UsageError
from provision.host.distributions import DISTRIBUTIONS, glibc_of, split_release
from provision.host.machine import MUSL, normal_architecture
from provision.host.paths import is_file
from provision.host.products import capability_of_name, near_names
from provision.model.facts import Fact
from provision.model.host import DriverState, Gpu, HostFacts, Interpreter
from provision.model.versions import ComputeCapability, CudaVersion, Dotted, DriverVersion, GlibcVersion, PythonVersion
from provision.system import System

D = TypeVar("D", bound=Dotted)

DESCRIBED = "described"
ASSUMED = "assumed"
NOT_SAID = "not said"
NO_DRIVER = "described as none"

_EXAMPLE = "for example `--for driver=535.104.05,gpu=8.6` or `--for 'gpu=RTX 3090 x2,os=ubuntu22.04'`"
_TEXT_LIMIT = 4096
_GPU_LIMIT = 64
_FIRST_BRANCH = 100
"""Drivers count from the hundreds, CUDA in tens: taking one for the other is the classic mistake of this field."""
_NEWEST_MAJOR = 19
"""Well beyond today's 12: a GPU that is not known yet may be asked about, a typing error may not."""
_ARCHITECTURES = ("x86_64", "aarch64", "i686", "ppc64le", "armv7l")

_REPEATED = ("gpu", "python", "os")
"""What may be said twice; a distribution and ``wsl`` are both an ``os``."""
_WITHOUT_GLIBC = ("windows", "macos")

_CPU_LEVELS = {
    "none": "",
    "x86-64-v1": "sse sse2",
    "x86-64-v2": "sse sse2 sse4_1 sse4_2 ssse3 popcnt",
    "x86-64-v3": "sse sse2 sse4_1 sse4_2 ssse3 popcnt avx avx2 fma f16c bmi1 bmi2",
    "x86-64-v4": "sse sse2 sse4_1 sse4_2 ssse3 popcnt avx avx2 fma f16c bmi1 bmi2 avx512f",
}
"""The levels of the x86-64 psABI, as far as anything here asks for their parts; ``none`` is a processor without any."""

_IMPLIED = {"avx2": ("avx",), "fma": ("avx",), "f16c": ("avx",), "avx512f": ("avx2", "fma", "avx")}


def describe(texts: Sequence[str], system: System) -> HostFacts:
    """Return the machine that the ``--for`` values describe.

    Each text is the path of a captured ``host --json``, or a comma-separated list of ``key=value``. What is said later
    wins, so ``--for machine.json --for driver=550.54.14`` asks "and with a newer driver?". ``gpu`` may be repeated and
    together the values are all GPUs of the machine.

    Raises:
        UsageError: code ``bad-for``, naming what is accepted.
        InvalidFileError: code ``bad-capture``, for a file that is not a captured host.
    """
    host = nothing_said()
    said: list[tuple[str, str]] = []
    for text in texts:
        path = _existing_file(text, system)
        if path is not None:
            from provision.host import capture  # noqa: PLC0415 - most descriptions are words

            host = dataclasses.replace(capture.read(path), described=True)
        else:
            pairs = list(_pairs(text))
            _agree(pairs)
            said.extend(pairs)
    if not any(text.strip() for text in texts):
        raise _bad("--for is empty")
    gpus: list[Gpu] = []
    if ("gpu", "none") in {(key, value.lower()) for key, value in said} and len({v for k, v in said if k == "gpu"}) > 1:
        raise _bad("gpu=none and another gpu= contradict each other")
    # A driver brings its CUDA version and a distribution its C library: what was said of those themselves comes after.
    for key, value in sorted(said, key=lambda pair: pair[0] in ("cuda", "glibc")):
        if key == "gpu":
            gpus.extend(_gpus(value))
        else:
            host = _KEYS[key](host, value)
    if any(key == "gpu" for key, _ in said):
        host = _with_gpus(host, gpus)
    return _with_state(host, {key for key, _ in said})


def nothing_said() -> HostFacts:
    """Return a Linux machine of which nothing is known."""
    return HostFacts(
        described=True,
        system=Fact("linux", ASSUMED),
        machine=Fact("x86_64", ASSUMED),
        distribution=Fact(None, NOT_SAID),
        wsl=Fact(value=False, source=ASSUMED),
        glibc=Fact(None, NOT_SAID),
        cpu_features=Fact(None, NOT_SAID),
        driver_state=DriverState.UNKNOWN,
        driver_state_why="neither a driver nor a GPU was described",
        driver=Fact(None, NOT_SAID),
        kernel_module=Fact(None, NOT_SAID),
        driver_cuda=Fact(None, NOT_SAID),
        gpus=Fact(None, NOT_SAID),
        device_nodes=Fact(None, NOT_SAID),
        container=Fact(None, NOT_SAID),
        nvcc=Fact(None, NOT_SAID),
        free_disk_mib=Fact(None, NOT_SAID),
    )


def _existing_file(text: str, system: System) -> Path | None:
    """Return the file that ``text`` names; a relative name is taken from the working folder."""
    path = system.path(text.strip())
    return path if text.strip() and is_file(path) else None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > _TEXT_LIMIT:
        raise _bad("--for is too long", f"{len(text)} characters; at most {_TEXT_LIMIT}")
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not part.strip():
            continue
        if not equals:
            raise _bad(f"{part.strip()!r} is neither key=value nor a file", "no file of that name exists")
        if key != "gpu" and key not in _KEYS:
            raise _bad(f"{key!r} is not something a machine is described by")
        if not value:
            raise _bad(f"{key}= has no value")
        yield key, value


def _agree(pairs: Sequence[tuple[str, str]]) -> None:
    """Refuse a description that says two things about one fact; a later ``--for`` may still change an earlier one."""
    first: dict[str, str] = {}
    for key, value in pairs:
        if key not in _REPEATED and first.setdefault(key, value).lower() != value.lower():
            raise _bad(f"{key}={first[key]} and {key}={value} contradict each other")
    for key, value in pairs:
        if key == "os" and _system_word(value) in _WITHOUT_GLIBC:
            others = [
                f"os={word}" for name, word in pairs if name == "os" and _system_word(word) != _system_word(value)
            ]
            others += [f"glibc={first['glibc']}"] if "glibc" in first else []
            if others:
                raise _bad(f"os={value} and {others[0]} contradict each other")


def _bad(what: str, *why: str) -> UsageError:
    accepted = f"accepted: {', '.join(sorted([*_KEYS, 'gpu']))}, or a file written by `tfgpu-provision host --json`"
    return UsageError(what, code="bad-for", why=(*why, accepted), hint=_EXAMPLE)


# One function per key: the host and the value → the host with it.


def _driver(host: HostFacts, value: str) -> HostFacts:
    if value.lower() == "none":
        nothing = Fact[DriverVersion](None, NO_DRIVER)
        return dataclasses.replace(host, driver=nothing, kernel_module=nothing, disagreements=())
    version = _version(DriverVersion, "driver", value, "a number such as 535.104.05, or none")
    if version.major < _FIRST_BRANCH:
        raise _bad(f"driver={value} is no driver version", "the CUDA version that a driver supports is cuda=")
    # The driver's CUDA version follows from the branch table, which the plan looks up; a captured one is now stale.
    return dataclasses.replace(
        host,
        driver=Fact(version, DESCRIBED),
        driver_cuda=Fact(None, NOT_SAID),
        kernel_module=Fact(None, NOT_SAID),
        disagreements=(),
    )


def _cuda(host: HostFacts, value: str) -> HostFacts:
    version = _version(CudaVersion, "cuda", value, "the highest CUDA version that the driver supports, such as 12.2")
    if version.major >= _FIRST_BRANCH:
        raise _bad(f"cuda={value} is no CUDA version", "the version of a driver is driver=")
    return dataclasses.replace(host, driver_cuda=Fact(version, DESCRIBED))


def _glibc(host: HostFacts, value: str) -> HostFacts:
    if value.lower() == MUSL:
        return dataclasses.replace(host, glibc=Fact(None, MUSL))
    version = _version(GlibcVersion, "glibc", value, "a number such as 2.31, or musl")
    return dataclasses.replace(host, glibc=Fact(version, DESCRIBED))


def _python(host: HostFacts, value: str) -> HostFacts:
    version = _version(PythonVersion, "python", value.lower().removeprefix("python"), "a number such as 3.11")
    machine = host.machine.value or ""
    found = Interpreter(path="", version=version, source="given", machine=machine)
    earlier = tuple(python for python in host.pythons if python.source == "given")
    return dataclasses.replace(host, pythons=(*earlier, found))


def _arch(host: HostFacts, value: str) -> HostFacts:
    name = normal_architecture(value)
    if name not in _ARCHITECTURES:
        raise _bad(f"arch={value} is not an architecture", f"known: {', '.join(_ARCHITECTURES)}")
    return dataclasses.replace(host, machine=Fact(name, DESCRIBED))


def _cpu(host: HostFacts, value: str) -> HostFacts:
    features: set[str] = set()
    for word in re.split(r"[+\s]+", value.lower()):
        if word in _CPU_LEVELS:
            features.update(_CPU_LEVELS[word].split())
        elif re.fullmatch(r"[a-z][a-z0-9_]{1,20}", word):
            features.update((word, *_IMPLIED.get(word, ())))
        else:
            raise _bad(
                f"cpu={value} does not name processor features",
                f"flags as in /proc/cpuinfo joined by +, such as avx2+fma, or one of: {', '.join(_CPU_LEVELS)}",
            )
    return dataclasses.replace(host, cpu_features=Fact(frozenset(features), DESCRIBED))


def _system_word(value: str) -> str:
    """Return ``macos`` and ``windows`` for their other names and releases, every other word in lower case."""
    word = value.lower()
    if re.fullmatch(r"mac|darwin|osx|macos ?\d*(\.\d+)*", word):
        return "macos"
    return "windows" if re.fullmatch(r"win(dows)? ?(10|11)?", word) else word


def _os(host: HostFacts, value: str) -> HostFacts:
    word = _system_word(value)
    if word in ("linux", "windows", "macos"):
        return dataclasses.replace(
            host,
            system=Fact(word, DESCRIBED),
            wsl=Fact(value=False, source=DESCRIBED),
            distribution=Fact(None, NOT_SAID),
        )
    if word in ("wsl", "wsl2"):
        return dataclasses.replace(host, system=Fact("linux", DESCRIBED), wsl=Fact(value=True, source=DESCRIBED))
    name, release = split_release(word)
    if name not in DISTRIBUTIONS:
        raise _bad(
            f"os={value} is not a known system",
            f"known: linux, windows, macos, wsl, or a distribution: {', '.join(sorted(DISTRIBUTIONS))}",
            "with its release, such as ubuntu22.04 or rhel8",
        )
    host = dataclasses.replace(
        host,
        system=Fact("linux", DESCRIBED),
        distribution=Fact(f"{name} {release}".strip(), DESCRIBED),
    )
    if name == "alpine":
        return dataclasses.replace(host, glibc=Fact(None, MUSL))
    version = glibc_of(name, release)
    source = f"what {name} {release} ships" if version else NOT_SAID
    return dataclasses.replace(host, glibc=Fact(version, source))


_KEYS: Mapping[str, Callable[[HostFacts, str], HostFacts]] = {
    "driver": _driver,
    "cuda": _cuda,
    "os": _os,
    "arch": _arch,
    "glibc": _glibc,
    "python": _python,
    "cpu": _cpu,
}


def _version(kind: type[D], key: str, value: str, accepted: str) -> D:
    version = kind.parse(value)
    if version is None or (kind is not DriverVersion and "." not in version.text):
        raise _bad(f"{key}={value} is not a version", f"{key} takes {accepted}")
    return version


def _gpus(value: str) -> list[Gpu]:
    """Read ``8.6``, ``sm_86`` or ``RTX 3090``, each with ``x2`` behind it or ``2x`` before; ``none`` is no GPU."""
    if value.lower() == "none":
        return []
    value = re.sub(r"^(\d{1,4})\s?[x×]\s?(?=\S)(.+)$", r"\2 x\1", value)
    found = re.fullmatch(r"(.*?)(?:\s+|(?<=\d\.\d))[x×*]\s?(\d{1,4})", value)
    text, count = (found.group(1).strip(), int(found.group(2))) if found else (value, 1)
    if not 1 <= count <= _GPU_LIMIT:
        raise _bad(f"gpu={value} describes {count} GPUs", f"at least 1 and at most {_GPU_LIMIT}")
    name, capability = _one_gpu(text)
    return [Gpu(name=name, compute_capability=capability, source=DESCRIBED)] * count


def _one_gpu(text: str) -> tuple[str, ComputeCapability]:
    number = re.fullmatch(r"(?:(?:cc|compute)[ _]?)?(\d{1,2}\.\d)|sm_?(\d{2,3})", text.lower())
    if number:
        dotted, sm = number.groups()
        capability = ComputeCapability(dotted) if dotted else ComputeCapability.from_sm(sm)
        if not 1 <= capability.major <= _NEWEST_MAJOR:
            raise _bad(f"gpu={text} is no compute capability", "8.6 is one, for example")
        return f"GPU of compute capability {capability}", capability
    product = capability_of_name(text)
    if product:
        return product
    near = near_names(text)
    raise _bad(
        f"gpu={text} is no known GPU",
        *((f"near: {', '.join(near)}",) if near else ()),
        "gpu takes a compute capability such as 8.6 or a product name such as RTX 3090, with x2 for two of them",
    )


def _with_gpus(host: HostFacts, gpus: Sequence[Gpu]) -> HostFacts:
    if len(gpus) > _GPU_LIMIT:
        raise _bad(f"{len(gpus)} GPUs are described", f"at most {_GPU_LIMIT}")
    numbered = tuple(dataclasses.replace(gpu, index=index) for index, gpu in enumerate(gpus))
    return dataclasses.replace(host, gpus=Fact(numbered, DESCRIBED))


def _with_state(host: HostFacts, said: set[str]) -> HostFacts:
    """Derive the driver's state from what was said; a captured machine keeps its own unless that was changed."""
    if not said & {"driver", "cuda", "gpu"}:
        return host
    if host.gpus.value == ():
        state, why = DriverState.NO_GPU, "described without a GPU"
    elif host.driver.source == NO_DRIVER:
        state, why = DriverState.NOT_INSTALLED, "described without a driver"
    else:
        state, why = DriverState.WORKING, "taken to work, as described"
    return dataclasses.replace(host, driver_state=state, driver_state_why=why)

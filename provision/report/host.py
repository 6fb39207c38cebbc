"""A machine as a person reads it: one line per category, facts indented, and every CUDA version by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.model.facts import Attempt, Fact
from provision.model.host import DriverState, Gpu, HostFacts

_WIDTH = 12
_CPU = (("avx", "AVX"), ("avx2", "AVX2"), ("fma", "FMA"), ("avx512f", "AVX-512"))
_SYSTEMS = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}


def host_text(host: HostFacts, *, verbose: bool = False) -> str:
    """Return the report; ``verbose`` adds where each fact comes from and what was tried."""
    lines = [
        *_machine(host),
        *_driver(host),
        *_gpus(host),
        *_cuda(host),
        *_lying_around(host),
        *_disagreements(host),
    ]
    if verbose:
        lines += _evidence(host)
    if host.described:
        lines += ["", "this is a described machine: nothing of it was read here; what was not said is no obstacle"]
    return "\n".join(_printable(line) for line in lines)


def _printable(line: str) -> str:
    """Return the line without control characters: a captured machine may come from anywhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _line(title: str, text: str) -> str:
    return f"{title:<{_WIDTH}}{text}"


def _more(text: str) -> str:
    return _line("", text)


def _known(fact: Fact[Any], otherwise: str = "unknown") -> str:
    return str(fact.value) if fact.known else otherwise


def _assumed(fact: Fact[Any]) -> str:
    return " (assumed)" if fact.source == "assumed" else ""


def _machine(host: HostFacts) -> Iterator[str]:
    system = _SYSTEMS.get(host.system.value or "", host.system.value or "unknown system") + _assumed(host.system)
    place = f"{host.distribution.value}, {system}" if host.distribution.known else system
    yield _line(
        "Machine", f"{place}{' under WSL' if host.wsl.value else ''}, {_known(host.machine)}{_assumed(host.machine)}"
    )
    if host.system.value == "linux":
        musl = host.glibc.source == "musl"
        yield _more("C library: musl, not glibc" if musl else f"glibc {_known(host.glibc)}")
    features = host.cpu_features.value
    if features is None:
        yield _more("CPU features unknown")
    else:
        has = [title for flag, title in _CPU if flag in features]
        lacks = [title for flag, title in _CPU[:3] if flag not in features]
        words = [*(["with " + ", ".join(has)] if has else []), *(["without " + ", ".join(lacks)] if lacks else [])]
        yield _more(f"CPU {' and '.join(words)}")
    if host.container.value:
        passed = {
            True: "a GPU is passed in",
            False: "no GPU is passed in",
            None: "whether a GPU is passed in cannot be told",
        }
        yield _line("Container", f"{host.container.value.kind}, {passed[host.container.value.gpu_passed]}")


def _driver(host: HostFacts) -> Iterator[str]:
    number = f"{host.driver.value}" if host.driver.known else "none" if _no_driver(host) else "version unknown"
    windows = " (the Windows number)" if host.wsl.value and host.driver.known else ""
    yield _line("Driver", f"{number}{windows}, {host.driver_state.value}: {host.driver_state_why}")
    if host.kernel_module.known:
        yield _more(f"kernel module {host.kernel_module.value}")
    if host.device_nodes.value:
        yield _more(f"device files: {', '.join(host.device_nodes.value)}")


def _no_driver(host: HostFacts) -> bool:
    return host.driver_state in (DriverState.NO_GPU, DriverState.NOT_INSTALLED)


def _gpus(host: HostFacts) -> Iterator[str]:
    if host.gpus.value is None:
        yield _line("GPUs", "unknown")
        return
    if not host.gpus.value:
        yield _line("GPUs", "none")
    for place, gpu in enumerate(host.gpus.value):
        yield _line("GPUs" if place == 0 else "", _gpu(gpu, place))
        for device in gpu.mig_devices:
            yield _more(f"  MIG device {device}")
        for process in gpu.processes:
            used = f", {process.memory_mib} MiB" if process.memory_mib is not None else ""
            yield _more(f"  in use by {process.name or 'a process'} (pid {process.pid}{used})")


def _gpu(gpu: Gpu, place: int) -> str:
    parts = [f"{gpu.index if gpu.index is not None else place}: {gpu.name}"]
    parts.append(f"compute capability {gpu.compute_capability or 'unknown'}")
    if gpu.memory_mib is not None:
        used = f" ({gpu.memory_used_mib} MiB used)" if gpu.memory_used_mib is not None else ""
        parts.append(f"{gpu.memory_mib} MiB{used}")
    if gpu.mig is not None:
        parts.append(f"MIG {'on' if gpu.mig else 'off'}")
    if gpu.uuid:
        parts.append(gpu.uuid)
    return ", ".join(parts)


def _cuda(host: HostFacts) -> Iterator[str]:
    yield "CUDA versions"
    yield f"  the driver supports    {_known(host.driver_cuda)}"
    kits = [f"{kit.cuda or 'unknown version'} in {kit.path}" for kit in host.toolkits]
    if host.nvcc.known:
        kits.append(f"nvcc {host.nvcc.value} on PATH")
    none = "not described" if host.described and not host.toolkits else "none"
    yield f"  toolkits installed     {'; '.join(kits) or none}"
    copies = [f"{copy.version or 'unknown version'} in {copy.path}" for copy in host.cudnn_copies]
    if copies:
        yield f"  cuDNN copies           {'; '.join(copies)}"
    yield "  a release is built for see `tfgpu-provision matrix list`"
    if kits or copies:
        yield "  (TensorFlow from a wheel uses the libraries of its own environment, not the toolkits above)"


def _lying_around(host: HostFacts) -> Iterator[str]:
    if host.pythons:
        usable = [
            f"{python.version} ({python.source})" for python in host.pythons if python.implementation == "cpython"
        ]
        others = [
            f"{python.version} ({python.implementation})"
            for python in host.pythons
            if python.implementation != "cpython"
        ]
        yield _line("Pythons", ", ".join(usable) or "none that TensorFlow has wheels for")
        if others:
            yield _more(f"of another kind: {', '.join(others)}")
    elif not host.described:
        yield _line("Pythons", "none found")
    if host.tools:
        yield _line("Tools", ", ".join(host.tools))
    for place, (name, value) in enumerate(host.variables.items()):
        yield _line("Variables" if place == 0 else "", f"{name}={value}")
    if host.free_disk_mib.known:
        yield _line("Disk", f"{(host.free_disk_mib.value or 0) / 1024:.1f} GiB free here")


def _disagreements(host: HostFacts) -> Iterator[str]:
    for found in host.disagreements:
        yield _line("Disagree", f"{found.what}: {', '.join(f'{value} ({source})' for source, value in found.readings)}")
        yield _more(found.meaning)


def _evidence(host: HostFacts) -> list[str]:
    lines = ["", "Where it comes from"]
    for name in (
        "driver",
        "kernel_module",
        "driver_cuda",
        "gpus",
        "device_nodes",
        "container",
        "glibc",
        "cpu_features",
        "wsl",
    ):
        fact: Fact[Any] = getattr(host, name)
        lines.append(f"  {name.replace('_', ' '):<16}{fact.source}")
    lines += [f"  python {python.version}: {python.path}" for python in host.pythons]
    lines += [f"  {name}: {path}" for name, path in host.tools.items()]
    if host.attempts:
        lines += ["What was asked", *(_attempt(attempt) for attempt in host.attempts)]
    return lines


def _attempt(attempt: Attempt) -> str:
    return f"  {attempt.source}: {attempt.outcome}{f', {attempt.detail}' if attempt.detail else ''}"

"""What could be otherwise: another system, Python, driver or GPU, each as a machine that can be judged again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from provision.model.facts import Fact
from provision.model.host import Gpu, HostFacts
from provision.model.matrix import Matrix, Row
from provision.model.plan import Request
from provision.model.versions import ComputeCapability, DriverVersion
from provision.plan.backends import narrowed
from provision.plan.judging import reached_capabilities
from provision.plan.machine import branch_name, driver_reach, family_floor
from provision.plan.naming import capability_range
from provision.plan.rules.libraries import eligible, serves

SUPPOSED = "supposed"
"""The source of facts of a machine that is only supposed."""


@dataclasses.dataclass(frozen=True)
class Situation:
    """A request and the machine it is made on: what is, or what could be."""

    request: Request
    host: HostFacts


@dataclasses.dataclass(frozen=True)
class Change:
    """Something that could be otherwise: its kind, what it is called, and the situation with it.

    ``limit`` holds as long as nothing else changes.
    """

    kind: str
    what: str
    then: Situation
    limit: str = ""


Changer = Callable[[Situation, Row, Matrix], Iterator[Change]]


def _wsl(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:  # noqa: ARG001 - as every changer
    """Yield WSL 2: the Linux wheels under the Windows driver that is there.

    Source: TensorFlow install guide (WSL 2 on Windows 10 21H2 or later).
    """
    moved = dataclasses.replace(
        situation.host,
        system=Fact("linux", SUPPOSED),
        wsl=Fact(value=True, source=SUPPOSED),
        glibc=Fact(None, SUPPOSED),
        pythons=(),
    )
    what = "WSL 2 on this machine (`wsl --install`, then the same command inside)"
    yield Change("system", what, Situation(situation.request, moved))


def _linux(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:  # noqa: ARG001 - as every changer
    """Yield another machine: Linux on x86_64."""
    host = dataclasses.replace(
        situation.host, system=Fact("linux", SUPPOSED), machine=Fact("x86_64", SUPPOSED), pythons=()
    )
    yield Change("system", "Linux on x86_64", Situation(situation.request, host))


def _c_library(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:  # noqa: ARG001 - as every changer
    """Yield a system with the C library that wheel and packages ask for, for instance in a container."""
    wanted = (item.glibc for item in narrowed(row, situation.request.backend).sets if item.glibc is not None)
    oldest = max((row.glibc, *wanted))
    host = dataclasses.replace(situation.host, glibc=Fact(oldest, SUPPOSED))
    what = f"a system or container that has glibc {oldest} or newer"
    yield Change("system", what, Situation(situation.request, host))


def _processor(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:  # noqa: ARG001 - as every changer
    """Yield a processor with the instruction sets that the wheel uses."""
    here = situation.host.cpu_features.value or frozenset()
    host = dataclasses.replace(situation.host, cpu_features=Fact(here | set(row.cpu_features), SUPPOSED))
    what = f"a processor that has {', '.join(name.upper() for name in row.cpu_features)}"
    yield Change("system", what, Situation(situation.request, host))


def _pythons(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:  # noqa: ARG001 - as every changer
    """Yield the newest Python that the release has a wheel for."""
    series = max(row.pythons)
    request = dataclasses.replace(situation.request, python=series)
    yield Change("python", f"Python {series}", Situation(request, situation.host))


def _drivers(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:
    """Yield drivers to try: newer ones, oldest first, then older ones, newest first.

    They are the floor of the CUDA family and the first driver of every branch, so the first newer one that works is
    the oldest that does.
    """
    here = driver_reach(situation.host, matrix)
    numbers = {DriverVersion(branch_name(branch, windows=here.windows)) for branch in matrix.branches}
    family = matrix.family(row.cuda)
    if family is not None:
        numbers.add(family_floor(family, windows=here.windows))
    ordered = sorted(numbers)
    newer = [number for number in ordered if here.version is None or number > here.version]
    older = [number for number in ordered if here.version is not None and number < here.version]
    for number in newer:
        limit = _last_branch(number, situation.host, matrix)
        yield Change("driver", f"driver {number} or newer", with_driver(situation, number), limit)
    for number in reversed(older):
        yield Change("driver", f"a driver of branch {number.branch}", with_driver(situation, number))


def _last_branch(number: DriverVersion, host: HostFacts, matrix: Matrix) -> str:
    """Return how far "or newer" reaches where a GPU of the machine leaves the driver."""
    lives = [matrix.generations.get(gpu.compute_capability) for gpu in host.gpus.value or () if gpu.compute_capability]
    branch = matrix.branch_of(number, windows=driver_reach(host, matrix).windows)
    ends = [
        (life.last_driver_branch, life.architecture)
        for life in lives
        if life and life.last_driver_branch and branch and life.last_driver_branch >= branch.branch
    ]
    return f", up to branch {min(ends)[0]}, the last for {min(ends)[1]}" if ends else ""


def with_driver(situation: Situation, number: DriverVersion) -> Situation:
    """Return the situation with another driver; what it supports then follows from the branch table."""
    host = dataclasses.replace(
        situation.host,
        driver=Fact(number, SUPPOSED),
        kernel_module=Fact(number, SUPPOSED),
        driver_cuda=Fact(None, SUPPOSED),
    )
    return Situation(situation.request, host)


def _gpus(situation: Situation, row: Row, matrix: Matrix) -> Iterator[Change]:
    """Yield the range of GPUs with which the release would run under the driver that is there, by its newest."""
    sets = eligible(narrowed(row, situation.request.backend))
    reached = reached_capabilities(row, driver_reach(situation.host, matrix), matrix)
    fitting = [item for item in reached if any(serves(libraries, item) for libraries in sets)]
    if fitting:
        what = f"a GPU of {capability_range(fitting, matrix)}"
        yield Change("gpu", what, with_gpu(situation, fitting[-1]))


def with_gpu(situation: Situation, capability: ComputeCapability) -> Situation:
    """Return the situation with one GPU of a compute capability instead of its own."""
    gpu = Gpu(name=f"GPU of compute capability {capability}", compute_capability=capability, source=SUPPOSED)
    return Situation(situation.request, dataclasses.replace(situation.host, gpus=Fact((gpu,), SUPPOSED)))


CHANGERS: tuple[tuple[tuple[str, ...], Changer], ...] = (
    (("windows-unsupported",), _wsl),
    (("macos-unsupported", "architecture-unsupported"), _linux),
    (("glibc-too-old", "musl-unsupported"), _c_library),
    (("cpu-too-old",), _processor),
    (("python-unsupported",), _pythons),
    (("driver-too-old", "driver-too-old-for-gpu", "driver-too-old-for-ptx", "gpu-left-driver"), _drivers),
    (
        (
            "gpu-too-old",
            "gpu-unserved",
            "ptx-for-another-gpu",
            "libraries-lack-gpu",
            "gpu-left-driver",
            "driver-too-old-for-gpu",
        ),
        _gpus,
    ),
)
"""Obstacle codes, and the change that could remove them; in the order in which several are made."""

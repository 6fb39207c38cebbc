"""One release against one machine: every rule in order, and what they say put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from provision.model.host import Gpu, HostFacts
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.plan import Caveat, GpuServed, GpuService, Plan, Refusal, Request
from provision.model.versions import ComputeCapability, PythonVersion
from provision.plan.backends import CONDA, narrowed
from provision.plan.evidence import claim
from provision.plan.finding import Finding, Findings, caveats, obstacles
from provision.plan.machine import DriverReach, driver_reach
from provision.plan.naming import capability_range, release_name
from provision.plan.pins import conda_pins_of, pins_of
from provision.plan.rules import driver, gpu, libraries, platform, python, release, requirements

MachineRule = Callable[[Row, HostFacts, Matrix], Findings]
GpuRule = Callable[[Row, Gpu, DriverReach, Matrix], Findings]
ReleaseRule = Callable[[Row, LibrarySet], Findings]

MACHINE_RULES: tuple[MachineRule, ...] = (
    platform.operating_system,
    platform.architecture,
    platform.c_library,
    platform.processor,
    platform.disagreements,
    driver.driver_state,
    driver.family,
    driver.variables,
)
"""What holds for the whole machine."""

GPU_RULES: tuple[GpuRule, ...] = (
    gpu.lifecycle,
    gpu.not_served,
    gpu.code_inside,
    gpu.specific_ptx,
    gpu.jit_driver,
    gpu.mig,
)
"""What holds for one GPU; where another GPU is served, the GPU is left out instead of the release."""

RELEASE_RULES: tuple[ReleaseRule, ...] = (
    release.faults,
    release.aliases,
    release.source_only,
    release.missing_tools,
    release.derived_claims,
)
"""What is to be said about a release and its libraries wherever they are used."""


@dataclass
class _GpuFindings:
    """One GPU and what its rules said."""

    gpu: Gpu
    findings: list[Finding] = field(default_factory=list)

    @property
    def served(self) -> bool:
        return not obstacles(self.findings)


def judge(row: Row, host: HostFacts, matrix: Matrix, python: PythonVersion | None = None) -> Plan | Refusal:
    """Return whether one release runs on a machine, without alternatives; never raises."""
    request = Request(tf=row.release.text, python=python, distribution=row.distribution)
    return judge_request(request, row, host, matrix)


def judge_request(request: Request, row: Row, host: HostFacts, matrix: Matrix) -> Plan | Refusal:
    """Return what ``row`` would mean for the request: a plan, or every obstacle at once.

    The rules see the row with the sets of the request's backend; plan and refusal hold it whole.
    """
    whole, row = row, narrowed(row, request.backend)
    conda = request.backend == CONDA
    chosen_python = python.choose(row, host, request.python, brought=conda)
    findings: list[Finding] = [*chosen_python.findings, *libraries.has_set(row, matrix, request.backend)]
    for machine_rule in MACHINE_RULES:
        findings += machine_rule(row, host, matrix)
    reach = driver_reach(host, matrix)
    each = [_GpuFindings(item, [*_gpu_findings(row, item, reach, matrix)]) for item in host.gpus.value or ()]
    chosen = _library_set(row, each, reach, matrix)
    for item in each:
        if chosen is not None:
            item.findings += libraries.gpu_in_set(row, item.gpu, chosen)
    served = [item for item in each if item.served]
    if served or not each:
        findings += [finding for item in served for finding in item.findings]
        findings += [_left_out(row, item, served) for item in each if not item.served]
    else:
        findings += [finding for item in each for finding in item.findings]
    if chosen is not None:
        findings += libraries.set_remarks(row, chosen, [item.gpu for item in served])
        findings += platform.c_library_of_set(row, host, chosen)
        for release_rule in RELEASE_RULES:
            findings += release_rule(row, chosen)
        pins = pins_of(row, chosen)
        findings += requirements.conflicts(request.requirements, pins)
    in_the_way = obstacles(findings)
    if in_the_way or chosen is None:
        return Refusal(request, host, whole, in_the_way, (), matrix.digest)
    known = [item for item in each if item.gpu.compute_capability is not None]
    if not known:
        findings.append(_widest(row, chosen, reach, matrix))
    return Plan(
        request=request,
        host=host,
        row=whole,
        library_set=chosen,
        python=chosen_python.series,
        pins=pins,
        gpus=tuple(_served(row, item) for item in each),
        widest=not known,
        caveats=caveats(findings),
        matrix_digest=matrix.digest,
        conda_pins=conda_pins_of(row, chosen, request.python or chosen_python.series) if conda else (),
    )


def _gpu_findings(row: Row, item: Gpu, reach: DriverReach, matrix: Matrix) -> Findings:
    for rule in GPU_RULES:
        yield from rule(row, item, reach, matrix)


def _library_set(row: Row, each: Sequence[_GpuFindings], reach: DriverReach, matrix: Matrix) -> LibrarySet | None:
    """Return the set for the GPUs that the release itself serves, or for the widest range where none is known."""
    candidates = [item.gpu for item in each if item.served] or [item.gpu for item in each]
    if any(gpu.compute_capability is not None for gpu in candidates):
        return libraries.best_for(row, candidates)
    sets = libraries.eligible(row)
    if len(sets) > 1:
        return libraries.widest(row, reached_capabilities(row, reach, matrix))
    return sets[0] if sets else None


def reached_capabilities(row: Row, reach: DriverReach, matrix: Matrix) -> tuple[ComputeCapability, ...]:
    """Return the compute capabilities, oldest first, that a release itself serves under the driver of a machine.

    Capabilities of embedded boards, which no driver branch ever served, are left out.
    """
    return tuple(
        capability
        for capability, generation in sorted(matrix.generations.items())
        if not (generation.first_driver_branch is None and generation.last_driver_branch is None)
        and not obstacles(_gpu_findings(row, Gpu(capability.text, capability), reach, matrix))
    )


def _left_out(row: Row, item: _GpuFindings, served: Sequence[_GpuFindings]) -> Caveat:
    """Say that one GPU of several is left out: TensorFlow should not see it."""
    first = obstacles(item.findings)[0]
    numbers = [str(other.gpu.index) for other in served if other.gpu.index is not None]
    hide = (
        f"; hide it with CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={','.join(numbers)}"
        if len(numbers) == len(served)
        else "; hide it from TensorFlow"
    )
    return Caveat(
        "gpu-left-out",
        f"{item.gpu.name} is left out, {release_name(row)} does not serve it: {first.what}{hide}",
        first.certainty,
        first.source,
    )


def _served(row: Row, item: _GpuFindings) -> GpuServed:
    """Return how the plan reaches one GPU, in one line."""
    capability = item.gpu.compute_capability
    in_the_way = obstacles(item.findings)
    if in_the_way:
        return GpuServed(item.gpu, GpuService.NONE, "left out: see the caveats")
    if capability is None:
        return GpuServed(item.gpu, GpuService.UNKNOWN, "its compute capability is not known")
    found = gpu.reach(row, capability)
    if found.service is GpuService.JIT:
        return GpuServed(item.gpu, found.service, f"the driver compiles PTX for {found.ptx} on first use")
    part = sum(modules.count or 0 for modules in gpu.jit_modules(row, capability))
    return GpuServed(
        item.gpu,
        found.service,
        f"machine code for {found.sass} is inside"
        + (f"; {part} kernels are PTX, compiled on first use" if part else ""),
    )


def _widest(row: Row, chosen: LibrarySet, reach: DriverReach, matrix: Matrix) -> Caveat:
    """Say that no GPU is known, and for which ones the plan is made.

    A remark, not a caveat: on a machine without a GPU nothing is wrong with the plan.
    """
    reached = [item for item in reached_capabilities(row, reach, matrix) if libraries.serves(chosen, item)]
    return Caveat(
        "widest-range",
        f"no GPU is known here: the plan serves the widest range of GPUs, {capability_range(reached, matrix)}",
        *claim(row, "arch"),
        notable=False,
    )

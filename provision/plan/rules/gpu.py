"""One GPU and the code inside a release: machine code, PTX and the driver that would have to compile it."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.facts import Certainty
from provision.model.host import Gpu
from provision.model.matrix import Matrix, PtxModules, Row
from provision.model.plan import Caveat, GpuService, Obstacle
from provision.model.versions import ComputeCapability, PtxIsa
from provision.plan import unserved
from provision.plan.evidence import claim
from provision.plan.finding import Findings
from provision.plan.machine import DriverReach, branch_name, first_driver_for
from provision.plan.naming import gpu_name, release_name

_JIT_RULE = "NVIDIA, CUDA Compatibility: applications that compile device code to PTX will not work on older drivers"
_MIG_GUIDE = "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"


@dataclass(frozen=True)
class Reach:
    """How the code inside a release gets to a compute capability: the machine code or the PTX that it takes."""

    service: GpuService
    sass: ComputeCapability | None = None
    ptx: ComputeCapability | None = None


def reach(row: Row, capability: ComputeCapability) -> Reach:
    """Return how ``row``'s own kernels reach a GPU.

    Machine code for X.Y runs on X.Z with Z at least Y and never across majors; PTX for X.Y compiles for every later
    capability, unless its target has the suffix ``a``.

    Source: CUDA programming guide, compute capabilities and binary compatibility.
    """
    sass = [code for code in row.sass if code.major == capability.major and code <= capability]
    if sass:
        return Reach(GpuService.NATIVE, sass=max(sass))
    ptx = [code for code in row.ptx if code <= capability]
    if ptx:
        return Reach(GpuService.JIT, ptx=max(ptx))
    return Reach(GpuService.NONE)


def jit_modules(row: Row, capability: ComputeCapability) -> tuple[PtxModules, ...]:
    """Return the PTX inside a release that the driver must compile for a GPU.

    Modules with machine code for the GPU's major need none. Modules that are PTX alone are left out: they are what the
    device linker was given (NCCL's kernels), and its result stands beside them as machine code. Where nobody read what
    stands beside the PTX, it is taken to be all there is for its own major.

    Source: fatbin entries of the wheel, module by module.
    """
    native = reach(row, capability).service is GpuService.NATIVE
    return tuple(
        modules
        for modules in row.ptx_modules
        if _fits(modules, capability)
        and (
            _needed(modules, capability)
            if modules.native is not None
            else not native or modules.compute_capability.major == capability.major
        )
    )


def _fits(modules: PtxModules, capability: ComputeCapability) -> bool:
    """Whether PTX can be compiled for a GPU; a target with the suffix ``a`` fits exactly its own capability."""
    if modules.specific:
        return modules.compute_capability == capability
    return modules.compute_capability <= capability


def _needed(modules: PtxModules, capability: ComputeCapability) -> bool:
    """Whether modules, whose machine code is known, have none for a GPU although they have some for others."""
    beside = modules.native or ()
    return bool(beside) and not any(code.major == capability.major and code <= capability for code in beside)


def lifecycle(row: Row, gpu: Gpu, driver: DriverReach, matrix: Matrix) -> Findings:  # noqa: ARG001 - as every rule
    """Refuse a GPU that left the driver, or that the driver does not know yet.

    470 is the last branch for Kepler, 580 the last for Maxwell, Pascal and Volta.

    Source: NVIDIA's deprecation schedule; the ``generations`` table of matrix.yaml.
    """
    capability = gpu.compute_capability
    generation = matrix.generations.get(capability) if capability else None
    if generation is None or driver.version is None:
        return
    number = driver.branch.branch if driver.branch else None
    what = f"{gpu_name(gpu)}, {generation.architecture},"
    evidence = generation.evidence
    last, first = generation.last_driver_branch, generation.first_driver_branch
    if last is not None and number is not None and number > last:
        limit = next((branch for branch in matrix.branches if branch.branch == last), None)
        needs = f"a driver of branch {branch_name(limit, windows=driver.windows) if limit else last} or older"
        yield Obstacle(
            "gpu-left-driver",
            f"{driver.text} no longer drives {what} whose last branch is {last}",
            needs,
            evidence.certainty,
            evidence.source,
        )
    if first is not None and (number is None or number < first):
        entry = next((branch for branch in matrix.branches if branch.branch >= first), None)
        name = branch_name(entry, windows=driver.windows) if entry else str(first)
        yield Obstacle(
            "driver-too-old-for-gpu",
            f"{driver.text} does not know {what} yet: its first branch is {first}",
            f"driver {name} or newer",
            evidence.certainty,
            evidence.source,
        )


def not_served(row: Row, gpu: Gpu, driver: DriverReach, matrix: Matrix) -> Findings:  # noqa: ARG001 - as every rule
    """Refuse GPUs that the matrix knows as not served by any wheel of this release (Blackwell).

    Source: the ``unserved`` entries of matrix.yaml that name a compute capability.
    """
    if gpu.compute_capability is None:
        return
    for entry in unserved.of_gpu(matrix, row.release.release, gpu.compute_capability):
        yield Obstacle(
            "gpu-unserved",
            f"{gpu_name(gpu)}: {entry.why}",
            entry.instead,
            entry.evidence.certainty,
            entry.evidence.source,
        )


def code_inside(row: Row, gpu: Gpu, driver: DriverReach, matrix: Matrix) -> Findings:  # noqa: ARG001 - as every rule
    """Refuse a GPU for which the release has neither machine code nor PTX; say where everything goes through PTX.

    Source: SASS and PTX really inside the wheel (fatbin headers).
    """
    capability = gpu.compute_capability
    if capability is None:
        yield Caveat(
            "gpu-capability-unknown",
            f"the compute capability of {gpu.name} is not known: whether {release_name(row)} serves it cannot be told",
            Certainty.REPORTED,
            gpu.source,
        )
        return
    certainty, source = claim(row, "arch", "sass")
    found = reach(row, capability)
    if found.service is GpuService.NONE:
        oldest = min((*row.sass, *row.ptx), default=None)
        start = f"starts at compute capability {oldest}" if oldest else "is for no GPU at all"
        yield Obstacle(
            "gpu-too-old",
            f"the code inside {release_name(row)} {start}; {gpu_name(gpu)} is not reached by it",
            f"a GPU of compute capability {oldest} or newer" if oldest else "another release",
            certainty,
            source,
        )
    elif found.service is GpuService.JIT:
        yield Caveat(
            "ptx-jit",
            f"{release_name(row)} has no machine code for {gpu_name(gpu)}: the driver compiles its PTX for {found.ptx} "
            "on first use, which can take minutes, and keeps the result in ~/.nv/ComputeCache",
            certainty,
            source,
        )


def specific_ptx(row: Row, gpu: Gpu, driver: DriverReach, matrix: Matrix) -> Findings:  # noqa: ARG001 - as every rule
    """Refuse a GPU that would need PTX which was made for exactly one other capability (``sm_90a``).

    Such PTX gives CUDA_ERROR_INVALID_PTX elsewhere, however new the driver.

    Source: CUDA programming guide, architecture-specific features; PTX targets read out of the wheel.
    """
    capability = gpu.compute_capability
    if capability is None:
        return
    native = reach(row, capability).service is GpuService.NATIVE
    foreign = [
        item
        for item in row.ptx_modules
        if item.specific
        and item.compute_capability != capability
        and (_needed(item, capability) if item.native is not None else not native)
    ]
    if foreign and reach(row, capability).service is not GpuService.NONE:
        count = sum(item.count or 0 for item in foreign)
        targets = ", ".join(sorted({f"{item.target}" for item in foreign}))
        yield Obstacle(
            "ptx-for-another-gpu",
            f"{count or 'some'} kernels of {release_name(row)} exist for newer GPUs only as PTX for exactly "
            f"{targets}, which cannot be compiled for {gpu_name(gpu)}",
            f"a GPU of compute capability {min(item.compute_capability for item in foreign)}, or an older one",
            *claim(row, "ptx", "arch"),
        )


def jit_driver(row: Row, gpu: Gpu, driver: DriverReach, matrix: Matrix) -> Findings:
    """Hold the PTX that a GPU needs against the PTX ISA that the driver compiles.

    Minor-version compatibility does not cover PTX: a driver compiles PTX up to the ISA of its own CUDA version and
    gives CUDA_ERROR_UNSUPPORTED_PTX_VERSION above it. Derived from what is inside the wheels.

    Source: NVIDIA, CUDA Compatibility (minor-version compatibility, limitations); PTX ISA release notes.
    """
    capability = gpu.compute_capability
    if capability is None:
        return
    found = reach(row, capability)
    if found.service is GpuService.NONE:
        return
    isa, count = _needed_isa(row, capability, matrix)
    if isa is None:
        return
    if driver.ptx is None and driver.version is not None:
        return  # older than every branch with a known CUDA version: the driver's own rules refuse it
    partly = f"{count or 'some'} kernels of" if found.service is GpuService.NATIVE else "all kernels of"
    kernels = f"{partly} {release_name(row)} reach {gpu_name(gpu)} as PTX {isa}"
    if driver.ptx is None or driver.ptx < isa:
        first = first_driver_for(isa, matrix, windows=driver.windows)
        needs = f"driver {first[1]} or newer (CUDA {first[0]})" if first else f"a driver that compiles PTX {isa}"
        if driver.ptx is None:
            yield Caveat("ptx-driver-unknown", f"{kernels}: needs {needs}", Certainty.DERIVED, _JIT_RULE, notable=False)
            return
        yield Obstacle(
            "driver-too-old-for-ptx",
            f"{kernels}; {driver.text} compiles PTX up to {driver.ptx} (PTX is outside minor-version compatibility)",
            needs,
            Certainty.DERIVED,
            _JIT_RULE,
        )
    elif found.service is GpuService.NATIVE:
        yield Caveat(
            "ptx-jit-part",
            f"{kernels}: {driver.text} compiles them on first use",
            Certainty.DERIVED,
            _JIT_RULE,
            notable=False,
        )


def _needed_isa(row: Row, capability: ComputeCapability, matrix: Matrix) -> tuple[PtxIsa | None, int]:
    """Return the newest PTX ISA that a GPU needs, and of how many kernels; None where it needs none.

    Where all of a release's code would go through PTX that nobody read, it is taken to be that of its CUDA version.
    """
    modules = jit_modules(row, capability)
    if modules:
        return max(item.isa for item in modules), sum(item.count or 0 for item in modules)
    if reach(row, capability).service is GpuService.JIT:
        return matrix.ptx_isa_of(row.cuda), 0
    return None, 0


def mig(row: Row, gpu: Gpu, driver: DriverReach, matrix: Matrix) -> Findings:  # noqa: ARG001 - as every rule
    """Say that a GPU is cut into instances: a program sees one of them, and none where none was made.

    Source: NVIDIA, MIG user guide (CUDA enumerates a single MIG device per process).
    """
    if gpu.mig is not True:
        return
    if gpu.mig_devices:
        what = f"{gpu_name(gpu)} is in MIG mode: a program sees one of its {len(gpu.mig_devices)} MIG devices"
    else:
        what = f"{gpu_name(gpu)} is in MIG mode without any MIG device: `nvidia-smi mig -cgi … -C` makes one"
    yield Caveat("mig", what, Certainty.VENDOR, _MIG_GUIDE, notable=not gpu.mig_devices)

"""The GPU contract of a plan: on which machines what it fixes works, worked out with the rules that made the plan."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from provision.host.description import nothing_said
from provision.model.document import jsonable
from provision.model.facts import Certainty, Fact
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.lock import Contract, GpuFloor, LockRequest
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.plan import Plan, Refusal, Request
from provision.model.versions import ComputeCapability, DriverVersion, GlibcVersion
from provision.plan.judging import judge_request

_SAID_ALONG = frozenset(
    {"evidence", "line", "note", "why", "what", "handled", "sets", "conda_sets", "wheel", "wheel_sha256"}
)
"""Fields of a row and of a set that say why and where, not what is installed and on what it runs."""


def contract_for(
    plan: Plan,
    matrix: Matrix,
    *,
    request: LockRequest | None = None,
    target: str = "",
    machine_text: str = "",
    glibc: GlibcVersion | None = None,
    gpus: tuple[GpuFloor, ...] | None = None,
) -> Contract:
    """Return the contract of what a plan fixes.

    Args:
        plan: release, Python and library set; its host is the machine that was meant.
        matrix: the one it was made with.
        request: what was asked for; by default what the plan's own request says.
        target: name of the machine that was meant.
        machine_text: that machine in words.
        glibc: the oldest one that the resolved packages admit, where they ask for more than the release does.
        gpus: what `gpu_floors` says of the plan, where that is known already.
    """
    row, libraries = plan.row, plan.library_set
    known = {gpu.compute_capability for gpu in plan.host.gpus.value or () if gpu.compute_capability is not None}
    asked = request or LockRequest(
        plan.request.tf,
        plan.request.python.text if plan.request.python else "",
        plan.request.requirements,
        plan.request.conda,
    )
    floors = (row.glibc, *filter(None, (libraries.glibc, glibc)))
    return Contract(
        request=asked,
        target=target,
        machine_text=machine_text,
        made_for=tuple(sorted(known)),
        without_gpu=plan.host.gpus.value == (),
        backend=plan.request.backend,
        distribution=row.distribution,
        release=row.release,
        python=plan.python.series,
        library_set=libraries.ident,
        cuda=libraries.cuda,
        cudnn=libraries.cudnn,
        driver_floor=driver_floor(row, matrix),
        gpus=tuple(gpu_floors(plan, matrix)) if gpus is None else gpus,
        system="linux",
        machine="x86_64",
        glibc=max(floors, key=lambda version: version.parts),
        cpu_features=row.cpu_features,
        row_digest=row_digest(row, libraries),
        matrix_digest=matrix.digest,
        derived=tuple(sorted({item.code for item in plan.caveats if item.certainty is Certainty.DERIVED})),
    )


def driver_floor(row: Row, matrix: Matrix) -> DriverVersion:
    """Return the oldest Linux driver on which CUDA of the release's family runs (minor-version compatibility)."""
    family = matrix.families.get(row.cuda.major)
    return family.linux_min if family else DriverVersion("0")


def gpu_floors(plan: Plan, matrix: Matrix) -> Iterator[GpuFloor]:
    """Yield every compute capability that the release with this very set serves, with the oldest driver for it.

    Each is judged by the rules of `provision.plan` on described machines: with the family's floor first, then with the
    first driver of each later branch. Embedded boards, which no driver branch ever served, are left out.
    """
    floor = driver_floor(plan.row, matrix)
    row = narrowed(plan.row, plan.library_set)
    # A release asked for exactly, so that nothing but the machine can be in the way.
    request = Request(row.release.text, plan.python, distribution=row.distribution, backend=plan.request.backend)
    drivers = [floor, *(DriverVersion(str(item.branch)) for item in matrix.branches if item.branch > floor.branch)]
    for capability, generation in sorted(matrix.generations.items()):
        if generation.first_driver_branch is None and generation.last_driver_branch is None:
            continue
        derived = False
        for driver in drivers:
            answer = judge_request(request, row, _machine(capability, driver), matrix)
            if not isinstance(answer, Refusal):
                yield GpuFloor(capability, driver, derived)
                break
            # Where a rule that is known refuses as well, it is that one which decides.
            derived = all(reason.certainty is Certainty.DERIVED for reason in answer.reasons)


def narrowed(row: Row, libraries: LibrarySet) -> Row:
    """Return a row that has no other library set than this one."""
    return dataclasses.replace(
        row,
        sets=tuple(item for item in row.sets if item.ident == libraries.ident),
        conda_sets=tuple(item for item in row.conda_sets if item.ident == libraries.ident),
    )


def row_digest(row: Row, libraries: LibrarySet) -> str:
    """Return the sha256 of what a row and one of its sets say, whatever their evidence.

    What is empty does not count, so that a field which later rows may fill leaves today's locks alone.
    """
    document = {"row": _told(jsonable(row)), "set": _told(jsonable(libraries))}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _told(item) for key, item in value.items() if key not in _SAID_ALONG}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    return [_told(item) for item in value] if isinstance(value, list) else value


def _machine(capability: ComputeCapability, driver: DriverVersion) -> HostFacts:
    """Return a Linux machine with one GPU of which nothing else is known, so that nothing else decides."""
    said = "contract"
    gpu = Gpu(f"GPU of compute capability {capability}", capability, index=0, source=said)
    return dataclasses.replace(
        nothing_said(),
        driver_state=DriverState.WORKING,
        driver_state_why="",
        driver=Fact(driver, said),
        gpus=Fact((gpu,), said),
    )

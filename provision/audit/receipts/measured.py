"""What a receipt measured: judged again by the rules of verify, and held against what is known of drivers and GPUs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from provision.audit.receipts.form import ComputedForm, ComputeForm, DeviceForm, MachineForm, MappedForm, ReceiptForm
from provision.matrix import find_product
from provision.matrix.shape import CAPABILITY, GPU_NAME
from provision.model.certified import Objection
from provision.model.host import DriverState
from provision.model.matrix import Matrix
from provision.model.versions import ComputeCapability, CudaVersion, DriverVersion
from provision.verify.compute import device_cause
from provision.verify.numerics import Arithmetic, arithmetic, float32_tolerance, tf32_tolerance

F = TypeVar("F", bound=BaseModel)
_SHOWN = 60
_FIRST_WITH_TF32 = ComputeCapability("8.0")
_LEAST_ERROR = 1e-9
"""Relative root mean square: no sum of a thousand rounded products comes nearer in float32."""
_LAST_DIGITS = 1e-6


@dataclass(frozen=True)
class Measured:
    """What was measured, as far as it can be read, and what speaks against it.

    ``gpus`` holds name and compute capability of each model that computed, in order.
    """

    gpus: tuple[tuple[str, str], ...] = ()
    driver: str = ""
    mapped: MappedForm | None = None
    objections: tuple[Objection, ...] = ()


def measured_of(form: ReceiptForm) -> Measured:
    """Return what a receipt measured; of one that proves nothing by its own words nothing is asked."""
    if not form.proved:
        return Measured()
    machine = form.machine
    if machine is None:
        return Measured(objections=(_redacted("the machine"),))
    hidden = tuple(_hidden(machine))
    if hidden:
        return Measured(objections=hidden)
    device, compute = _said(form, "device", DeviceForm), _said(form, "compute", ComputeForm)
    if device is None or compute is None:
        what = "what its device and compute stages measured is not there, or not of the form that verify writes"
        return Measured(driver=machine.driver or "", objections=(Objection("redacted", what),))
    listed = [(item.model or "", item.compute_capability or "") for item in device.listed]
    kinds = tuple(dict.fromkeys(_computed(compute.devices, listed, machine)))
    return Measured(
        gpus=kinds,
        driver=machine.driver or "",
        mapped=compute.mapped,
        objections=(*_machine(machine, listed), *_products(compute, kinds), *_named(kinds)),
    )


def driver_objections(form: ReceiptForm, found: Measured, matrix: Matrix) -> Iterator[Objection]:
    """Yield what cannot be by what the matrix knows of driver branches and GPUs."""
    machine, driver = form.machine, DriverVersion.parse(found.driver)
    branch = matrix.branch_of(driver, windows=bool(machine.wsl)) if machine and driver else None
    if machine is None or branch is None:
        return
    cuda = CudaVersion.parse(machine.driver_cuda or "")
    # Forward compatibility lets a driver say more than its own, and nothing lets it say less.
    if cuda is not None and cuda < branch.max_cuda:
        yield Objection("contradicts-itself", f"driver {driver} supports CUDA {branch.max_cuda}, and it says {cuda}")
    for name, capability in found.gpus:
        life = matrix.generations.get(ComputeCapability(capability)) if capability else None
        first, last = (life.first_driver_branch, life.last_driver_branch) if life else (None, None)
        if (first and branch.branch < first) or (last and branch.branch > last):
            yield Objection("contradicts-itself", f"driver {driver} does not serve {name} ({capability})")


def _redacted(what: str) -> Objection:
    return Objection("redacted", f"{what} is not in it, and that is what it is to prove")


def _hidden(machine: MachineForm) -> Iterator[Objection]:
    """What was taken out; placeholders stand in angle brackets."""
    if DriverVersion.parse(machine.driver or "") is None:
        yield _redacted("the driver's version")
    if not machine.gpus:
        yield _redacted("the GPU")
    for gpu in machine.gpus:
        if not re.fullmatch(GPU_NAME, gpu.name, re.ASCII):
            yield _redacted(f"the name of a GPU ({gpu.name[:_SHOWN]!a})")
        if not re.fullmatch(CAPABILITY, gpu.compute_capability or "", re.ASCII):
            yield _redacted(f"the compute capability of {gpu.name[:_SHOWN]!a}")


def _said(form: ReceiptForm, level: str, kind: type[F]) -> F | None:
    data: Any = next((stage.data for stage in form.stages if stage.level == level), None)
    try:
        return kind.model_validate(data)
    except ValidationError:
        return None


def _computed(
    devices: Sequence[ComputedForm], listed: Sequence[tuple[str, str]], machine: MachineForm
) -> Iterator[tuple[str, str]]:
    """Yield name and capability of each GPU that computed; a release that names no model is told by the driver."""
    known = list(dict.fromkeys((gpu.name, gpu.compute_capability or "") for gpu in machine.gpus))
    for device in devices:
        place = int(device.device.partition(":")[2])
        name, capability = listed[place] if place < len(listed) else ("", "")
        if name and capability:
            yield name, capability
        elif len(known) == 1:
            yield known[0]
        else:
            yield "", ""


def _machine(machine: MachineForm, listed: Sequence[tuple[str, str]]) -> Iterator[Objection]:
    if (machine.system, machine.machine, machine.driver_state) != ("linux", "x86_64", DriverState.WORKING.value):
        said = f"{machine.system}, {machine.machine}, driver {machine.driver_state}"[:_SHOWN]
        yield Objection("contradicts-itself", f"no GPU computes here: {said!a}")
    for name, capability in listed:
        # CUDA calls an instance of a divided GPU by the GPU's name and its own.
        there = any(
            capability == gpu.compute_capability and f"{name} MIG ".startswith(f"{gpu.name} MIG ")
            for gpu in machine.gpus
        )
        if name and capability and not there:
            yield Objection("contradicts-itself", f"TensorFlow lists {name[:_SHOWN]!a}, which the driver does not list")


def _products(compute: ComputeForm, kinds: Sequence[tuple[str, str]]) -> Iterator[Objection]:
    """Judge the products again: the rules are those by which the receipt came to be."""
    names = [device.device for device in compute.devices]
    if len(set(names)) != len(names):
        yield Objection("contradicts-itself", "one GPU computes twice in it")
    for device in compute.devices:
        cause = device_cause(device.model_dump(), "", "GPU")
        if cause:
            yield Objection("contradicts-itself", f"it passed, and verify says of what it measured: {cause.what}")
        if any(mode.rms < _LEAST_ERROR or mode.largest <= 0 for mode in device.modes.values()):
            yield Objection("contradicts-itself", f"{device.device}: products in float32 are never that exact")
        if not device.seconds or any(value <= 0 for value in device.seconds.values()):
            yield Objection("contradicts-itself", f"{device.device} computed in no time")
    size = compute.devices[0].size
    for mode, bound in (("float32", float32_tolerance(size)), ("tf32", tf32_tolerance(size))):
        if not math.isclose(compute.tolerance.get(mode, 0.0), bound, rel_tol=_LAST_DIGITS):
            yield Objection("contradicts-itself", f"its bound for {mode} is not that of {size} × {size} products")
    old = any(capability and ComputeCapability(capability) < _FIRST_WITH_TF32 for _, capability in kinds)
    exact = all(
        arithmetic(mode.rms) is Arithmetic.FLOAT32 for device in compute.devices for mode in device.modes.values()
    )
    if old and len(kinds) == 1 and not exact:
        yield Objection("contradicts-itself", f"a GPU of compute capability {kinds[0][1]} has no TF32, and it used it")
    if not any("libcuda" in path or "libnvidia-ptxjit" in path for path in compute.mapped.outside):
        yield Objection("contradicts-itself", "the driver's library was not in the process")


def _named(kinds: Sequence[tuple[str, str]]) -> Iterator[Objection]:
    for name, capability in kinds:
        if not name:
            yield Objection("redacted", "several models of GPU are in the machine, and it does not say which computed")
            continue
        product = find_product(name)
        if product is not None and product.compute_capability.text != capability:
            known = product.compute_capability
            yield Objection("contradicts-itself", f"{name} has compute capability {known}, and it says {capability}")

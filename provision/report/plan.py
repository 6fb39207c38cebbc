"""A plan or a refusal as a person reads it, or as JSON; both drawn from the same value."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.facts import Certainty
from provision.model.host import Gpu, HostFacts
from provision.model.plan import Caveat, GpuService, Obstacle, Pin, Plan, Refusal
from provision.plan.alternatives import create_command
from provision.plan.naming import gpu_name, machine_name
from provision.report.words import in_words

_DERIVED = " (derived, not tried on hardware)"
_SYSTEMS = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}


def plan_document(decision: Plan | Refusal) -> dict[str, Any]:
    """Return the JSON document of a decision; every key is there whatever the outcome."""
    plan = decision if isinstance(decision, Plan) else None
    refusal = decision if isinstance(decision, Refusal) else None
    row = decision.row
    return {
        "schema": SCHEMA_VERSION,
        "outcome": decision.outcome,
        "row": row.release.text if row else None,
        "tensorflow": plan.row.release.text if plan else None,
        "distribution": row.distribution if row else None,
        "python": plan.python.text if plan else None,
        "library_set": plan.library_set.ident if plan else None,
        "cuda": plan.library_set.cuda.text if plan else None,
        "cudnn": plan.library_set.cudnn.text if plan else None,
        "backend": decision.request.backend,
        "channel": plan.library_set.channel if plan else "",
        "pins": [pin.requirement for pin in plan.pins] if plan else [],
        "pins_why": {pin.requirement: pin.why for pin in plan.pins} if plan else {},
        "conda_pins": [pin.requirement for pin in plan.conda_pins] if plan else [],
        "conda_pins_why": {pin.requirement: pin.why for pin in plan.conda_pins} if plan else {},
        "gpus": [_gpu_document(served.gpu, served.service, served.why) for served in plan.gpus] if plan else [],
        "widest": plan.widest if plan else False,
        "caveats": jsonable(plan.caveats) if plan else [],
        "reasons": jsonable(refusal.reasons) if refusal else [],
        "alternatives": jsonable(refusal.alternatives) if refusal else [],
        "passed_over": [{"release": name, "codes": list(codes)} for name, codes in plan.passed_over] if plan else [],
        "host": _host_document(decision.host),
        "matrix_digest": decision.matrix_digest,
    }


def _gpu_document(gpu: Gpu, service: GpuService, why: str) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "name": gpu.name,
        "compute_capability": jsonable(gpu.compute_capability),
        "service": service.value,
        "why": why,
    }


def _host_document(host: HostFacts) -> dict[str, Any]:
    """Return the few facts a decision rests on; no host name, no user, no UUID."""
    return {
        "described": host.described,
        "system": host.system.value,
        "machine": host.machine.value,
        "distribution": host.distribution.value,
        "wsl": host.wsl.value,
        "glibc": jsonable(host.glibc.value),
        "driver": jsonable(host.driver.value),
        "driver_cuda": jsonable(host.driver_cuda.value),
        "driver_state": host.driver_state.value,
        "gpus": None
        if host.gpus.value is None
        else [{"name": gpu.name, "compute_capability": jsonable(gpu.compute_capability)} for gpu in host.gpus.value],
        "pythons": sorted({python.version.text for python in host.pythons}),
    }


def plan_text(decision: Plan | Refusal) -> str:
    """Return the decision in plain lines."""
    return "\n".join(_plan_lines(decision) if isinstance(decision, Plan) else refusal_lines(decision))


def refusal_lines(refusal: Refusal) -> Iterator[str]:
    """Yield ``error: …``, every reason indented, and what would work after an empty line."""
    yield f"error: {_headline(refusal)} [{_first_code(refusal)}]"
    several = len(refusal.reasons) > 1
    for reason in refusal.reasons:
        yield f"  {reason.what}{_mark(reason)}" + (f" [{reason.code}]" if several else "")
        if several and reason.needs:
            yield f"    needs {reason.needs}"
    if refusal.alternatives:
        yield ""
    for alternative in refusal.alternatives:
        yield f"hint: {alternative.what}" + (f": `{alternative.command}`" if alternative.command else "")


def _headline(refusal: Refusal) -> str:
    where = machine_name(refusal.host)
    asked = refusal.request.tf.strip()
    if refusal.row is None:
        name = asked if asked.lower().startswith("t") else f"TensorFlow {asked}"
        return f"{name} cannot be served" if asked else f"no TensorFlow release runs on {where}"
    release = refusal.row.release.text
    if asked and (release in asked or release.startswith(asked.removesuffix(".*") + ".")):
        return f"TensorFlow {release} cannot run on {where}"
    which = f"TensorFlow {asked}" if asked and asked not in ("latest", "newest") else "TensorFlow"
    return f"no release of {which} runs on {where}; {release} comes nearest"


def _first_code(refusal: Refusal) -> str:
    return refusal.reasons[0].code if refusal.reasons else "refused"


def _mark(said: Caveat | Obstacle) -> str:
    return _DERIVED if said.certainty is Certainty.DERIVED else ""


def _plan_lines(plan: Plan) -> Iterator[str]:
    libraries = plan.library_set
    yield (
        f"TensorFlow {plan.row.release} on Python {plan.python}, with CUDA {libraries.cuda} and cuDNN {libraries.cudnn}"
    )
    yield f"for {_machine(plan.host)}"
    for served in plan.gpus:
        yield f"  {gpu_name(served.gpu)}: {served.why}"
    yield from _section("caveats", (f"{item.what}{_mark(item)} [{item.code}]" for item in plan.caveats if item.notable))
    yield from _section("notes", (f"{item.what}{_mark(item)}" for item in plan.caveats if not item.notable))
    yield from _section(f"packages of {libraries.channel}", _pin_lines(plan.conda_pins))
    yield from _section("packages of the index" if plan.conda_pins else "packages", _pin_lines(plan.pins))
    if plan.request.requirements or plan.request.conda:
        yield from _section("resolved together with", (*plan.request.conda, *plan.request.requirements))
    yield from _section("newer releases passed over", _passed_over(plan))
    yield ""
    yield f"next{', on that machine' if plan.host.described else ''}: `{create_command(plan.row, plan.request)}`"


def _pin_lines(pins: Sequence[Pin]) -> Iterator[str]:
    width = max((len(pin.requirement) for pin in pins), default=0)
    yield from (f"{pin.requirement:<{width}}  {pin.why}" for pin in pins)


def _passed_over(plan: Plan) -> Iterator[str]:
    """Yield releases that were passed over for the same reasons together, ``2.19.1 to 2.16.1: driver too old``."""
    for codes, group in itertools.groupby(plan.passed_over, key=lambda item: item[1]):
        names = [name for name, _ in group]
        which = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        yield f"{which}: {', '.join(in_words(code) for code in codes) or 'not the one asked for'}"


def _section(title: str, lines: Any) -> Iterator[str]:
    found = [f"  {line}" for line in lines]
    if found:
        yield from ("", f"{title}:", *found)


def _machine(host: HostFacts) -> str:
    """Return one line on the machine: driver, GPUs, system; unknown things say so."""
    driver = f"driver {host.driver.value}" if host.driver.value else "no known driver"
    if host.driver.value and host.driver_cuda.value:
        driver += f" (CUDA {host.driver_cuda.value})"
    if host.gpus.value is None:
        gpus = "GPUs not known"
    else:
        gpus = (
            f"{len(host.gpus.value)} GPU" + ("" if len(host.gpus.value) == 1 else "s") if host.gpus.value else "no GPU"
        )
    system = _SYSTEMS.get(host.system.value or "", host.system.value or "unknown system")
    if host.wsl.value:
        system += " (WSL)"
    glibc = f", glibc {host.glibc.value}" if host.glibc.value else ""
    return f"{machine_name(host)}: {driver}, {gpus}, {system} {host.machine.value or ''}".rstrip() + glibc

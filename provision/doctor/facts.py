"""What a snapshot says, less what only checks need: for the JSON document, and the log's harmless lines."""

from __future__ import annotations

from typing import Any

from provision.model.doctor import Noise
from provision.model.document import jsonable
from provision.model.environment_facts import EnvironmentFacts, GateFacts
from provision.model.host import HostFacts
from provision.model.log import LogFacts
from provision.model.plan import Plan
from provision.model.snapshot import Snapshot
from provision.model.verdict import Stage


def facts_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return versions and the like that were read; a key is None where that was not looked at."""
    judged = snapshot.judged
    return {
        "machine": _machine(snapshot.host) if snapshot.host else None,
        "environment": _environment(snapshot.environment) if snapshot.environment else None,
        "planner": None if judged is None else "runs" if isinstance(judged, Plan) else "refuses",
        "log": _log(snapshot.log) if snapshot.log else None,
        "script": {"name": snapshot.script.name, "files": snapshot.script.files} if snapshot.script else None,
        "deep": snapshot.deep,
    }


def noise_of(snapshot: Snapshot) -> tuple[Noise, ...]:
    """Return the harmless lines of the log, one of each family and meaning."""
    found: dict[tuple[str, str], Noise] = {}
    for signal in snapshot.log.signals if snapshot.log else ():
        if not signal.meaning:
            continue
        key = (signal.family, signal.meaning)
        first = found.get(key)
        found[key] = (
            Noise(first.line, first.text, first.meaning, first.times + 1)
            if first
            else Noise(signal.line, signal.text, signal.meaning)
        )
    return tuple(found.values())


def _machine(host: HostFacts) -> dict[str, Any]:
    gpus = host.gpus.value
    return {
        "described": host.described,
        "system": host.system.value,
        "machine": host.machine.value,
        "distribution": host.distribution.value,
        "glibc": jsonable(host.glibc.value),
        "wsl": host.wsl.value,
        "container": host.container.value.kind if host.container.value else None,
        "driver_state": host.driver_state.value,
        "driver": jsonable(host.driver.value),
        "driver_cuda": jsonable(host.driver_cuda.value),
        "gpus": None
        if gpus is None
        else [
            {"name": gpu.name, "compute_capability": jsonable(gpu.compute_capability), "memory_mib": gpu.memory_mib}
            for gpu in gpus
        ],
        "variables": dict(host.variables),
    }


def _environment(seen: EnvironmentFacts) -> dict[str, Any]:
    distribution = seen.distribution
    return {
        "path": seen.path,
        "kind": seen.env.kind if seen.env else None,
        "managed": seen.env.managed if seen.env else None,
        "python": jsonable(seen.python),
        "tensorflow": distribution.version if distribution else None,
        "distribution": distribution.name if distribution else None,
        "cuda_build": seen.cuda_build,
        "built_cuda": jsonable(seen.built_cuda),
        "built_cudnn": jsonable(seen.built_cudnn),
        "packages": len(seen.packages),
        "files_checked": seen.checked,
        "libraries": _libraries(seen.gate),
        "tools": {tool.name: tool.found for tool in seen.tools},
        "deep": [_stage(stage) for stage in (seen.deep_import, seen.deep_device) if stage is not None],
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "level": stage.level.value,
        "status": stage.status.value,
        "cause": stage.cause,
        "summary": stage.summary,
        "details": list(stage.details),
    }


def _libraries(gate: GateFacts | None) -> list[dict[str, Any]] | None:
    if gate is None:
        return None
    return [
        {"soname": item.soname, "file": item.file, "version": item.version, "inside": item.inside}
        for item in gate.libraries
    ]


def _log(log: LogFacts) -> dict[str, Any]:
    return {"name": log.name, "lines": log.lines, "kinds": list(log.kinds), "signals": len(log.signals)}

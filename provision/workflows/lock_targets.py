"""The machines a lock is made for: named on the command line, in the project, or the one we run on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import UsageError
from provision.host import describe, detect
from provision.model.host import HostFacts
from provision.model.lock import Contract
from provision.system import System
from provision.workflows.common import FOR_VARIABLE
from provision.workflows.settings import Settings

_NAMED = re.compile(r"(?P<name>[^:=,/]*):(?P<machine>.+)\Z", re.DOTALL)
_MOST = 64
"""Targets of one project; far above any real one."""


@dataclass(frozen=True)
class Named:
    """A target as it was written: a name, empty for the only one, and a machine, empty for this one."""

    name: str
    machine: str


@dataclass(frozen=True)
class LockTarget:
    """A target that was looked at.

    Attributes:
        name: empty for the only one.
        machine: in words, empty for this one.
        host: what is known of it.
    """

    name: str
    machine: str
    host: HostFacts


def named_targets(for_: Sequence[str], settings: Settings, system: System) -> tuple[Named, ...]:
    """Return what ``--for`` names, else ``[tool.tfgpu.targets]``, else ``TFGPU_FOR``, else this machine.

    Raises:
        UsageError: ``bad-target`` for a name that cannot be used, or that two targets have.
    """
    texts = [*for_] or [f"{name}:{machine}" for name, machine in settings.table("targets").items()]
    if not texts and (said := system.environ.get(FOR_VARIABLE, "").strip()):
        texts = [said]
    found = [_named(text, alone=len(texts) == 1) for text in texts]
    names = [item.name for item in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _bad(f"two targets are called {twice[0]}", "write a name before each: --for laptop:driver=535,gpu=8.6")
    if len(found) > _MOST:
        raise _bad(f"{len(found)} targets", f"at most {_MOST} are taken")
    return tuple(found) or (Named("", ""),)


def look_at_target(named: Named, system: System, recorded: Contract | None) -> LockTarget:
    """Return a target with what is known of its machine.

    Args:
        named: the target.
        system: the door.
        recorded: the contract of its lock, where that is to say which machine was meant when nothing else does.

    Raises:
        UsageError: ``bad-for``, with the target's name.
        InvalidFileError: a captured machine that is wrong.
    """
    if not named.machine and recorded is not None:
        return LockTarget(named.name, recorded.machine_text, describe((machine_of(recorded),), system))
    if not named.machine:
        return LockTarget(named.name, "", detect(system, wide=False))
    text = named.machine.replace("'", "").replace('"', "")
    try:
        host = describe((text,), system)
    except UsageError as error:
        if named.name:
            raise UsageError(
                f"target {named.name}: {error.what}", code=error.code, why=error.why, hint=error.hint
            ) from error
        raise
    # A captured machine is a file of this place; what counts of it is what a contract can say.
    return LockTarget(named.name, _words(host) if system.path(text.strip()).is_file() else text, host)


def machine_of(contract: Contract) -> str:
    """Return the machine that a lock was made for in words, as far as the lock tells.

    A lock made on a machine that was not described says its GPUs but not its driver; the oldest one on which they are
    served stands for it.
    """
    if contract.machine_text:
        return contract.machine_text
    if contract.without_gpu:
        return "gpu=none"
    floors = [floor.driver for floor in contract.gpus if floor.compute_capability in contract.made_for]
    gpus = [f"gpu={capability}" for capability in contract.made_for]
    return ",".join([*([f"driver={max(floors, key=lambda item: item.parts)}"] if floors else []), *gpus]) or "os=linux"


def _words(host: HostFacts) -> str:
    """Return a captured machine in words: what decides, and nothing that tells whose it is."""
    words = []
    if host.driver.value is not None:
        words.append(f"driver={host.driver.value}")
    if host.driver_cuda.value is not None:
        words.append(f"cuda={host.driver_cuda.value}")
    if host.gpus.value is not None:
        known = [f"gpu={gpu.compute_capability}" for gpu in host.gpus.value if gpu.compute_capability is not None]
        words += known or ([] if host.gpus.value else ["gpu=none"])
    if host.wsl.value:
        words.append("os=wsl")
    if host.glibc.value is not None:
        words.append(f"glibc={host.glibc.value}")
    return ",".join(words) or "os=linux"


def _named(text: str, *, alone: bool) -> Named:
    found = _NAMED.match(text)
    if found is None:
        return Named("" if alone else _made_name(text), text)
    from provision.lock.contract import TARGET_NAME  # noqa: PLC0415 - one target alone has no name

    name = found["name"].strip()
    if not TARGET_NAME.match(name):
        raise _bad(
            f"{name[:40]!a} cannot be the name of a target",
            "a name has small letters, digits and -, begins with a letter or digit, and has at most 40 characters",
        )
    return Named(name, found["machine"])


def _made_name(text: str) -> str:
    """Return ``driver-535-gpu-rtx-3060`` for ``driver=535,gpu=RTX 3060``, ``node7`` for ``captured/node7.json``."""
    said = Path(text).stem if text.endswith(".json") else text
    return re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")[:40].strip("-") or "machine"


def _bad(what: str, why: str) -> UsageError:
    return UsageError(
        what,
        code="bad-target",
        why=(why,),
        hint="for example `--for laptop:driver=535,gpu='RTX 3060' --for ci:gpu=none`, or a table [tool.tfgpu.targets]",
    )

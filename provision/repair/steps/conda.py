"""conda packages of a conda environment, brought to what is asked for in its copy: rattler solves, fetches and links.

What is installed is pinned to its exact build, so that as little as possible changes. Only where that has no solution
everything but Python and TensorFlow's version may give way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine, find_extra
from provision.backends.conda.history import append_history
from provision.backends.conda.installed import installed_packages
from provision.backends.conda.specs import name_of
from provision.backends.uv import usable_cache
from provision.errors import ToolFailedError
from provision.model.created import Denial
from provision.model.lock import CondaLocked
from provision.model.remedy import CondaInstall
from provision.model.repair import PackageChange
from provision.repair.context import StageContext
from provision.system import System

_LINUX = "5.10"
_TENSORFLOW = ("tensorflow", "tensorflow-gpu", "tensorflow-base")


@dataclass(frozen=True)
class _Attempt:
    """One way to solve: whom to ask, what stays exactly, what may give way."""

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    pinned: tuple[CondaLocked, ...]
    locked: tuple[CondaLocked, ...] = ()


def install_conda(
    system: System, context: StageContext, wanted: Sequence[CondaInstall], scratch: Path, remarks: list[str]
) -> tuple[PackageChange, ...] | Denial:
    """Bring the copy's conda packages to what is wanted; return what changed.

    Args:
        system: the door.
        context: of the repair.
        wanted: the steps; those that share a channel are solved together.
        scratch: an empty folder, for a cache where the usual one cannot be written.
        remarks: gets what rattler did not do.

    Raises:
        UsageError: a specification is none.
        InvalidFileError: a record in ``conda-meta``, or a ``.condarc``, is wrong.
        ToolFailedError: as `Engine.solve` and `Engine.exchange`.
    """
    try:
        find_extra()
    except ToolFailedError as error:
        typed = " ".join(dict.fromkeys(spec for step in wanted for spec in step.specs))
        by_hand = f"conda install -p {context.prefix} {typed}"
        return Denial(error.code, error.what, error.why, f"{error.hint}; or type: {by_hand}")
    config = CondaConfig.load(system)
    changes: list[PackageChange] = []
    for channel in dict.fromkeys(step.channel for step in wanted):
        steps = [step for step in wanted if step.channel == channel]
        engine = Engine(system, config, offline=context.offline)
        if not usable_cache(engine.cache):
            engine.use_cache(scratch / "conda")
        try:
            made = _exchange(system, context, engine, steps, remarks)
        finally:
            engine.close()
        if isinstance(made, Denial):
            return made
        changes += made
    return tuple(changes)


def _exchange(
    system: System, context: StageContext, engine: Engine, steps: Sequence[CondaInstall], remarks: list[str]
) -> tuple[PackageChange, ...] | Denial:
    """Do what the steps of one channel ask for."""
    specs = tuple(dict.fromkeys(spec for step in steps for spec in step.specs))
    again = {name_of(spec) for step in steps if step.again for spec in step.specs}
    before = {item.name: item for item in installed_packages(context.stage)}
    context.watch.step("solving conda packages")
    after = _solved(context, engine, _attempts(steps[0].channel, specs, again, tuple(before.values())))
    if isinstance(after, Denial):
        return after
    new = {item.name: item for item in after}
    changed = tuple(name for name, item in new.items() if name in again or not _same(before.get(name), item))
    gone = tuple(item for name, item in before.items() if name not in new or name in changed)
    if not changed and not gone:
        return ()
    context.watch.step(f"installing {len(changed)} conda packages")
    kept = [item if name in changed else before.get(name, item) for name, item in new.items()]
    engine.exchange(kept, changed, context.stage, context.prefix, requested=specs)
    append_history(
        context.stage,
        "tfgpu-provision repair",
        gone=gone,
        new=[new[name] for name in changed],
        requested=specs,
        when=system.now(),
    )
    scripts = [path for path in engine.skipped_scripts if any(f"/.{name}-post" in path for name in changed)]
    remarks += [f"scripts of conda packages are never run: {', '.join(scripts)}"] if scripts else []
    names = sorted({*changed, *(item.name for item in gone)})
    return tuple(PackageChange(name, _text(before.get(name)), _text(new.get(name))) for name in names)


def _solved(context: StageContext, engine: Engine, attempts: Iterable[_Attempt]) -> tuple[CondaLocked, ...] | Denial:
    """Return everything that is to be there, by the first way that has a solution; else why the last has none."""
    virtual = _machine(context)
    denial = None
    for attempt in attempts:
        answer = engine.solve(attempt.specs, attempt.channels, virtual, locked=attempt.locked, pinned=attempt.pinned)
        if not isinstance(answer, Denial):
            return answer
        denial = answer
    return denial or Denial("conda-conflict", "nothing was asked for", (), "")


def _attempts(
    channel: str, specs: Sequence[str], again: set[str], there: tuple[CondaLocked, ...]
) -> Iterator[_Attempt]:
    channels = _channels(channel, there)
    named = {name_of(spec) for spec in specs} - again
    # A record of an old conda says no sha256: the channel's own record of the same build does.
    anew = tuple(item for item in there if item.name in again and not item.sha256)
    stay = tuple(item for item in there if item.name not in named and item not in anew)
    every = tuple(dict.fromkeys((*specs, *(item.requirement for item in anew), *(item.name for item in stay))))
    yield _Attempt(channels[:1], every, stay)
    if len(channels) > 1:
        yield _Attempt(channels, every, stay)
    python = tuple(item for item in stay if item.name == "python")
    versions = tuple(f"{item.name}={item.version}" for item in stay if item.name in _TENSORFLOW)
    loose = tuple(dict.fromkeys((*specs, *versions, *(item.name for item in stay))))
    yield _Attempt(channels, loose, python, stay)


def _channels(channel: str, there: tuple[CondaLocked, ...]) -> tuple[str, ...]:
    """Return the channel that is meant, by the address that the prefix knows it by, then the others of the prefix."""
    used = [name for name, _ in Counter(item.channel for item in there if "://" in item.channel).most_common()]
    meant = next((item for item in used if channel and item.rstrip("/").endswith(f"/{channel}")), channel)
    return tuple(dict.fromkeys((*([meant] if meant else []), *used)))


def _machine(context: StageContext) -> dict[str, str]:
    """Return the virtual packages: what this machine has, and for a driver that is not there what TensorFlow needs."""
    host, seen = context.snapshot.host, context.seen
    cuda = (host.driver_cuda.value if host else None) or (
        seen.library_set.cuda if seen.library_set else seen.row.cuda if seen.row else seen.built_cuda
    )
    glibc = (host.glibc.value if host else None) or seen.glibc
    return {
        "__archspec": "1=x86_64",
        "__linux": _LINUX,
        "__unix": "0",
        **({"__cuda": cuda.text} if cuda else {}),
        **({"__glibc": glibc.text} if glibc else {}),
    }


def _same(one: CondaLocked | None, other: CondaLocked) -> bool:
    return one is not None and (one.version, one.build, one.subdir) == (other.version, other.build, other.subdir)


def _text(item: CondaLocked | None) -> str:
    return f"{item.version}={item.build}" if item else ""

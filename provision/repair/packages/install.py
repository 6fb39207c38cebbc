"""From what a repair wants of packages to exact ones with hashes, and from those to files.

uv's resolver answers what fits together. It is asked about what is to be installed only; what stays in the environment
takes part by its demands, and what is installed is preferred, so that as little as possible changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from provision.backends.drift import same_version
from provision.backends.exact import Exact, install_exactly
from provision.backends.layout import site_packages_of
from provision.backends.resolve import build_tools
from provision.backends.scripts import settle_scripts
from provision.backends.uv import Sources, Uv
from provision.model.created import Denial
from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.lock import Locked, normalised
from provision.model.matrix import Matrix, Row
from provision.model.progress import Observer
from provision.model.remedy import Install, Step, Uninstall
from provision.model.repair import PackageChange
from provision.model.versions import TfVersion
from provision.probes.environment import TENSORFLOW_DISTRIBUTIONS
from provision.repair.packages.files import (
    Claims,
    forget_former,
    installed,
    overwritten,
    restore_shared,
    take_away,
    tangled,
    unreadable_aside,
)
from provision.repair.packages.limits import named, own_packages, same_public
from provision.repair.packages.remarks import remarks_on
from provision.repair.packages.resolution import Resolver


@dataclass(frozen=True)
class PackagePlan:
    """What is taken away and what is installed, exactly.

    Attributes:
        exact: what is there afterwards, with hashes; only what differs is installed.
        first: normalised names that are taken away before anything is installed; some of them come back.
        changes: every distribution that changes, as foreseen.
        remarks: what the user should know about these changes.
        scratch: folder for files that uv reads, and for a cache where the usual one cannot be used.
        offline: never use the network.
    """

    exact: Exact
    scratch: Path
    first: tuple[str, ...] = ()
    changes: tuple[PackageChange, ...] = ()
    remarks: tuple[str, ...] = ()
    offline: bool = False


def resolve_packages(
    uv: Uv,
    seen: EnvironmentFacts,
    row: Row | None,
    steps: Sequence[Install | Uninstall],
    scratch: Path,
    *,
    offline: bool,
) -> PackagePlan | Denial:
    """Return exactly what has to change, or why nothing that fits together exists.

    Args:
        uv: the engine.
        seen: the environment; its Python runs.
        row: of the release that will be there afterwards, None where the matrix has none.
        steps: what is wanted.
        scratch: folder for files that uv reads and writes; it is made where it is not there, and has to stay until
            the packages are installed.
        offline: ask no index, only what is remembered of it.

    Raises:
        ToolFailedError: the network, the index or uv failed.
    """
    if denial := _protected(seen):
        return denial
    scratch.mkdir(parents=True, exist_ok=True)
    own = own_packages(seen)
    resolver = Resolver(uv, seen, own, row, scratch, offline)
    asked = _asked(steps, resolver.versions)
    changing = {*asked.leaving, *named((*asked.whole, *asked.alone))}
    found: dict[str, Locked] = {}
    if asked.whole:
        answer = resolver.whole(asked.whole, changing)
        if isinstance(answer, Denial):
            return answer
        found = {item.name: item for item in answer}
    if asked.alone:
        answer = resolver.alone(asked.alone, changing, tuple(found.values()))
        if isinstance(answer, Denial):
            return answer
        found |= {item.name: item for item in answer if item.name not in named(asked.whole)}
    again, direct = set(asked.again), {*named(asked.whole), *named(asked.alone)}
    again |= direct & {fault.package for fault in seen.faults}
    site = _site(seen)
    again |= direct & tangled(site)
    wanted = _wanted(found, own, asked.leaving, direct)
    touched = _touched(wanted, resolver.versions, asked.leaving, again)
    spoiled = [name for name in overwritten(site, touched) if name in own and own[name].installer != "conda"]
    if spoiled:
        answer = resolver.alone([f"{name}=={own[name].version}" for name in spoiled], changing)
        if isinstance(answer, Denial):
            return answer
        wanted |= {item.name: item for item in answer}
        again |= set(spoiled)
        touched |= set(spoiled)
    exact = _exact(resolver, wanted, again)
    before = _joined(installed(site))
    after = {name: version for name, version in before.items() if name not in asked.leaving}
    after |= {item.name: item.version for item in wanted.values()}
    changes = _changes(before, after, touched)
    first = tuple(sorted(name for name in asked.leaving if name in own))
    return PackagePlan(exact, scratch, first, changes, remarks_on(seen, own, changes), offline)


def row_after(matrix: Matrix, seen: EnvironmentFacts, steps: Sequence[Step]) -> Row | None:
    """Return the matrix row of the release that steps install, else of the one that is there."""
    for step in steps:
        for text in step.requirements if isinstance(step, Install) else ():
            asked = Requirement(text)
            exact = [clause.version for clause in asked.specifier if clause.operator == "=="]
            if normalised(asked.name) in TENSORFLOW_DISTRIBUTIONS and exact:
                try:
                    release = TfVersion(exact[0])
                except ValueError:
                    continue
                return matrix.row(release, normalised(asked.name)) or matrix.row(release)
    return seen.row


def install_packages(uv: Uv, plan: PackagePlan, stage: Path, final: Path, watch: Observer) -> tuple[PackageChange, ...]:
    """Carry a plan out on a copy of the environment; return what has changed in it.

    Args:
        uv: the engine.
        plan: of `resolve_packages`.
        stage: the copy; uv replaces files and writes into none, which may be hard links.
        final: the environment, where its files will stand: scripts name it, and what several distributions share is
            taken back from it.
        watch: is told each step.

    Raises:
        ToolFailedError: ``network``, ``hash-mismatch``, ``offline-miss``, ``cache-damaged``, ``no-space`` …
        OSError: something in the copy cannot be read or written.
    """
    site = site_packages_of(stage)
    before = installed(site)
    marked = (stage / ".lock").exists()
    wanted = tuple(
        item
        for item in plan.exact.wanted
        if item.name in {*plan.exact.anew, *plan.first} or not _is(before.get(item.name, ()), item.version)
    )
    replaced = {item.name for item in wanted if item.name in before}
    gone = {name for name in plan.first if name in before}
    claims = Claims.of(site, gone | replaced)
    with unreadable_aside(site):
        if gone:
            watch.step(f"taking away {len(gone)} packages")
        if unlisted := gone | (replaced & tangled(site)):
            take_away(uv, stage, unlisted)
        if wanted:
            watch.step(f"installing {len(wanted)} packages")
            exact = Exact(wanted, tuple(sorted(replaced - unlisted)), plan.exact.sources, plan.exact.build_tools)
            install_exactly(
                uv, stage, exact, offline=plan.offline, spare_cache=lambda: plan.scratch / "cache", say=watch.step
            )
    forget_former(site, {item.name: item.version for item in wanted})
    restore_shared(stage, final, claims)
    settle_scripts(stage, site, final)
    if not marked:
        (stage / ".lock").unlink(missing_ok=True)  # uv's own, of the copy
    after = installed(site)
    return _changes(_joined(before), _joined(after), {*gone, *(item.name for item in wanted)})


def _protected(seen: EnvironmentFacts) -> Denial | None:
    """Refuse what is marked as none of an installer's business (PEP 668); the base environment of conda may be."""
    marker = _site(seen).parent / "EXTERNALLY-MANAGED"
    if seen.env is None or seen.env.kind == "venv" or not marker.is_file():
        return None
    return Denial(
        "externally-managed",
        f"{seen.env.prefix} is marked as managed by something else (PEP 668)",
        (f"{marker} forbids installers to change its packages",),
        "build an environment beside it: `tfgpu-provision repair --into PATH`, or `tfgpu-provision create PATH`",
    )


@dataclass(frozen=True)
class _Asked:
    """What the steps come to: requirements with and without their needs, and names."""

    whole: tuple[str, ...]
    alone: tuple[str, ...]
    again: frozenset[str]
    leaving: frozenset[str]


def _asked(steps: Sequence[Install | Uninstall], versions: Mapping[str, str]) -> _Asked:
    whole: dict[str, None] = {}
    alone: dict[str, None] = {}
    again: set[str] = set()
    leaving: set[str] = set()
    for step in steps:
        if isinstance(step, Uninstall):
            leaving |= {normalised(name) for name in step.names}
            continue
        texts = [_at_version(text, versions) if step.again else text for text in step.requirements]
        again |= set(named(texts)) if step.again else set()
        (alone if step.alone else whole).update(dict.fromkeys(texts))
    return _Asked(tuple(whole), tuple(alone), frozenset(again), frozenset(leaving))


def _at_version(text: str, versions: Mapping[str, str]) -> str:
    """Return a requirement at the version that is there, where it names none itself."""
    requirement = Requirement(text)
    found = versions.get(normalised(requirement.name))
    return text if str(requirement.specifier) or found is None else f"{text}=={found}"


def _wanted(
    found: Mapping[str, Locked], own: Mapping[str, Package], leaving: Collection[str], direct: Collection[str]
) -> dict[str, Locked]:
    """Return an answer less the user's own builds of the very version."""

    def own_build(item: Locked) -> bool:
        there = own.get(item.name)
        if there is None or item.name in leaving or item.name in direct:
            return False
        return not same_version(there.version, item.version) and same_public(there.version, item.version)

    return {name: item for name, item in found.items() if not own_build(item)}


def _touched(
    wanted: Mapping[str, Locked], versions: Mapping[str, str], leaving: Collection[str], again: Collection[str]
) -> set[str]:
    """Return the names of what goes, comes, or is replaced."""
    return {name for name in leaving if name in versions} | {
        name
        for name, item in wanted.items()
        if name in again or name in leaving or not same_version(versions.get(name, ""), item.version)
    }


def _exact(resolver: Resolver, wanted: Mapping[str, Locked], again: Collection[str]) -> Exact:
    """Return what is installed; the few packages without a wheel are built, by tools that are locked as well."""
    built = [normalised(item.name) for item in resolver.exceptions if normalised(item.name) in wanted]
    missing = [name for name in built if not same_version(resolver.versions.get(name, ""), wanted[name].version)]
    tools = None
    if missing or set(built) & set(again):
        tools = build_tools(resolver.uv, resolver.target, resolver.scratch)
    anew = tuple(sorted(name for name in again if name in wanted))
    return Exact(tuple(wanted.values()), anew, Sources(tuple(built)), tools)


def _changes(before: Mapping[str, str], after: Mapping[str, str], names: Collection[str]) -> tuple[PackageChange, ...]:
    return tuple(PackageChange(name, before.get(name, ""), after.get(name, "")) for name in sorted(names))


def _is(there: Sequence[str], version: str) -> bool:
    return len(there) == 1 and same_version(there[0], version)


def _joined(versions: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    return {name: " and ".join(sorted(found)) for name, found in versions.items()}


def _site(seen: EnvironmentFacts) -> Path:
    return Path(str(seen.env.site_packages)) if seen.env else site_packages_of(Path(seen.path))

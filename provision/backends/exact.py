"""Exact packages into a folder that stands for an environment, each looked at afterwards by its own hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provision.backends.drift import distributions, file_drifts, same_version
from provision.backends.layout import site_packages_of
from provision.backends.uv import Sources, Uv, failed
from provision.errors import ToolFailedError
from provision.lock.requirements import install_text
from provision.model.lock import Locked
from provision.system import Completed


@dataclass(frozen=True)
class Exact:
    """What is installed.

    Attributes:
        wanted: with the hashes that uv accepts.
        anew: normalised names whose files are replaced even where that version is there.
        sources: what may be built.
        build_tools: file with the lock of what builds; None where nothing is built.
    """

    wanted: tuple[Locked, ...]
    anew: tuple[str, ...] = ()
    sources: Sources = field(default_factory=Sources)
    build_tools: Path | None = None

    def only(self, names: Sequence[str]) -> Exact:
        """Return the part of these names; all of it is replaced."""
        wanted = tuple(item for item in self.wanted if item.name in names)
        return Exact(wanted, tuple(names), self.sources, self.build_tools)


def install_exactly(
    uv: Uv,
    prefix: Path,
    exact: Exact,
    *,
    offline: bool,
    spare_cache: Callable[[], Path],
    say: Callable[[str], None],
) -> None:
    """Install packages and look at what was installed; from the cache, else from the network.

    Installed files are links to uv's cache. Whoever wrote into one in place damaged the cache with it: what is found
    damaged is fetched anew.

    Args:
        uv: the engine.
        prefix: the folder, a copy of an environment.
        exact: what to install.
        offline: never use the network.
        spare_cache: gives a folder to keep the cache in where the usual one cannot be cleaned.
        say: is told each step.

    Raises:
        ToolFailedError: ``network``, ``hash-mismatch``, ``offline-miss``, ``cache-damaged`` …
    """
    _install(uv, prefix, exact, offline=offline)
    bad = damaged(prefix, exact.wanted)
    if not bad:
        return
    say(f"fetching {len(bad)} packages anew: the cache has them damaged as well")
    if offline:
        raise _cache_damaged(bad, "run it without --offline: they have to be fetched anew")
    if not uv.forget(bad).ok:
        uv.use_cache(spare_cache())
    _install(uv, prefix, exact.only(bad), offline=False)
    if left := damaged(prefix, exact.only(bad).wanted):
        raise _cache_damaged(left, "run `uv cache clean`, then the command again")


def damaged(prefix: Path, wanted: Sequence[Locked]) -> tuple[str, ...]:
    """Return the names of those whose installed files are not what their RECORD says; every file is hashed."""
    # An uninstalled version may have left a folder with files that its RECORD did not name.
    versions = {item.name: item.version for item in wanted}
    installed = [
        item
        for item in distributions(site_packages_of(prefix))
        if item.name in versions and same_version(item.version, versions[item.name])
    ]
    found, _ = file_drifts(prefix, installed, deep=True)
    return tuple(item.name for item in found)


def _install(uv: Uv, prefix: Path, exact: Exact, *, offline: bool) -> None:
    text = install_text(exact.wanted)

    def attempt(*, without_network: bool) -> Completed:
        return uv.install(
            text,
            prefix,
            exact.sources,
            offline=without_network,
            build_constraints=exact.build_tools,
            reinstall=exact.anew,
        )

    done = attempt(without_network=True)
    if not done.ok and not offline:
        done = attempt(without_network=False)
    if not done.ok:
        raise failed(done, "downloading and installing")


def _cache_damaged(names: Sequence[str], hint: str) -> ToolFailedError:
    return ToolFailedError(
        "uv's cache holds damaged packages",
        code="cache-damaged",
        why=tuple(f"{name}: installed files are not what its RECORD says" for name in names),
        hint=hint,
    )

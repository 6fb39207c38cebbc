"""Files of distributions that uv cannot take away, or that several distributions share."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provision.backends.drift import distributions, same_version
from provision.backends.installed_files import InstalledFile, digest_of, installed_files
from provision.backends.layout import site_packages_of
from provision.backends.uv import Uv, failed
from provision.model.environment_facts import IMPORTED_MODULES
from provision.repair.packages.limits import is_version
from provision.snapshot.distributions import info_folders

_METADATA = re.compile(r"\A[^~].*\.(dist|egg)-info\Z")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._]*[A-Za-z0-9])?\Z")
_SHARED_TOPS = frozenset({"google", "nvidia", "bin", "lib", "lib64", "share", "etc", "__pycache__"})
"""Folders in which files of many distributions lie."""


@dataclass(frozen=True)
class Claims:
    """Files that distributions say are theirs, relative to site-packages, by normalised path."""

    paths: frozenset[str]

    @classmethod
    def of(cls, site: Path, names: Collection[str]) -> Claims:
        """Return what these distributions claim."""
        return cls(
            frozenset(
                os.path.normpath(file.path)
                for item in distributions(site)
                if item.name in names
                for file in installed_files(item.info) or ()
            )
        )


def installed(site: Path) -> Mapping[str, tuple[str, ...]]:
    """Return every distribution by its normalised name; it has several versions where metadata was left over."""
    found: dict[str, tuple[str, ...]] = {}
    for name, version in info_folders(site):
        found[name] = (*found.get(name, ()), version)
    return found


@contextmanager
def unreadable_aside(site: Path) -> Iterator[None]:
    """Keep metadata whose name uv cannot read out of its sight: it would refuse to work at all."""
    aside = site.with_name(f"{site.name}.aside")
    names = [path.name for path in site.iterdir() if _METADATA.search(path.name) and not _readable(path.name)]
    if not names:
        yield
        return
    aside.mkdir()
    for name in names:
        (site / name).rename(aside / name)
    try:
        yield
    finally:
        for name in names:
            (aside / name).rename(site / name)
        aside.rmdir()


def take_away(uv: Uv, stage: Path, names: Collection[str]) -> None:
    """Remove distributions from a copy of an environment, by hand those of which uv does not know the files.

    Raises:
        ToolFailedError: uv failed.
        OSError: something cannot be removed.
    """
    site = site_packages_of(stage)
    for (name, _), info in info_folders(site).items():
        if name in names and not _knows_files(info):
            _by_hand(site, name, info)
    left = sorted(name for name in installed(site) if name in names)
    if left:
        done = uv.uninstall(left, stage)
        if not done.ok:
            raise failed(done, "taking packages away")
    for (name, _), info in info_folders(site).items():
        if name in names:
            _remove(info)  # its RECORD did not name itself


def forget_former(site: Path, versions: Mapping[str, str]) -> None:
    """Remove the metadata of other versions of what was installed; uv leaves a folder in which others put files.

    Args:
        site: site-packages.
        versions: normalised name to version of what was installed.
    """
    for (name, version), info in info_folders(site).items():
        if name in versions and not same_version(version, versions[name]):
            _remove(info)


def tangled(site: Path) -> frozenset[str]:
    """Return the names of the distributions that do not say which files are theirs, or of which two are there."""
    twice = {name for name, versions in installed(site).items() if len(versions) > 1}
    return frozenset(twice | {name for (name, _), info in info_folders(site).items() if not _knows_files(info)})


def overwritten(site: Path, going: Collection[str]) -> tuple[str, ...]:
    """Return the distributions that stay and have lost files to some that go.

    Two builds of a library write into the same files; when one goes, what it had overwritten has to come back.
    """
    claimed = Claims.of(site, going).paths
    return tuple(
        item.name
        for item in distributions(site)
        if item.name not in going
        if any(
            os.path.normpath(file.path) in claimed and not _as_said(site, file)
            for file in installed_files(item.info, _worth) or ()
        )
    )


def restore_shared(stage: Path, final: Path, claims: Claims) -> tuple[str, ...]:
    """Bring back from the environment what went from its copy with others, although one that stays claims it too.

    Args:
        stage: the copy.
        final: the environment.
        claims: of what was taken away or replaced.
    """
    site = site_packages_of(stage)
    there = final / site.relative_to(stage)
    restored = []
    for item in distributions(site) if claims.paths else ():
        for file in installed_files(item.info) or ():
            name = os.path.normpath(file.path)
            path, source = os.path.normpath(site / name), os.path.normpath(there / name)
            inside = path.startswith(f"{stage}{os.sep}")
            if name in claims.paths and inside and not os.path.lexists(path) and os.path.lexists(source):
                _bring(source, path)
                restored.append(os.path.relpath(path, stage))
    return tuple(restored)


def _bring(source: str, target: str) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _worth(path: str) -> bool:
    return not path.endswith("/__init__.py") and not path.startswith("..")


def _as_said(site: Path, file: InstalledFile) -> bool:
    return not file.digest or digest_of(os.path.normpath(site / file.path)) == file.digest


def _readable(file: str) -> bool:
    stem, kind = file.rsplit(".", 1)
    name, *rest = stem.split("-")
    if kind == "egg-info" and not rest:
        return True
    return _NAME.match(name) is not None and bool(rest) and is_version(rest[0])


def _knows_files(info: Path) -> bool:
    """Whether metadata says which files belong to it: a RECORD (PEP 376), or what setuptools wrote before."""
    return (info / "RECORD").is_file() or (info.name.endswith(".egg-info") and (info / "top_level.txt").is_file())


def _by_hand(site: Path, name: str, info: Path) -> None:
    """Remove what is known of a distribution that does not list its files, less what others claim."""
    others = Claims.of(site, {item.name for item in distributions(site) if item.info != info}).paths
    kept = {os.path.normpath(site / path) for path in others}
    for top in _tops(name, info):
        for path in (site / top, site / f"{top}.py"):
            if path.is_dir() and not path.is_symlink():
                _clear(path, kept)
            elif os.fspath(path) not in kept:
                path.unlink(missing_ok=True)
    _remove(info)


def _remove(info: Path) -> None:
    if info.is_dir() and not info.is_symlink():
        shutil.rmtree(info)
    else:
        info.unlink(missing_ok=True)


def _tops(name: str, info: Path) -> Iterator[str]:
    """Yield the names of its modules, as it says itself or as its name says; never what is outside of the folder."""
    try:
        said: Sequence[str] = (info / "top_level.txt").read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        said = [*(module for module, of in IMPORTED_MODULES.items() if of == name), name.replace("-", "_")]
    for top in dict.fromkeys(said):
        if top.isidentifier() and top not in _SHARED_TOPS:
            yield top


def _clear(folder: Path, kept: Collection[str]) -> None:
    for path in sorted(folder.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()
        elif os.fspath(path) not in kept:
            path.unlink()
    with suppress(OSError):
        folder.rmdir()

"""The copy beside an environment, and the steps of a repair carried out there.

The copy shares its files with the environment by hard links, and the environment may share them with caches and with
other environments. So nothing in the copy is ever written to: what changes is written beside and renamed, or removed.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from provision.backends.clone import clone, clone_failed
from provision.backends.layout import site_packages_of
from provision.backends.scripts import naming, settle_scripts
from provision.errors import ToolFailedError
from provision.model.created import Denial
from provision.model.environment import RECORD_FOLDER
from provision.model.remedy import CondaInstall, Install, PointKernel, Relocate, Remove, Step, Uninstall, Unset, Wire
from provision.model.repair import PackageChange
from provision.repair.context import StageContext
from provision.repair.files.patch import REPAIRS
from provision.repair.steps.rewire import is_wired, rewire
from provision.system import System, remove_tree

__all__ = ["Carried", "StageContext", "build_stage", "carry_out", "untouched"]

_NEVER = ("bin", "lib", "lib64", "conda-meta", RECORD_FOLDER)
"""Folders at the root of an environment that no step may remove whole."""

_WIDE = (Install, Uninstall, CondaInstall, Relocate)
"""Steps that may change anything anywhere."""

_WIRED = frozenset(("tensorflow", "nvidia", "__pycache__"))
"""Folders of site-packages in which wiring makes and removes files."""
_METADATA = (".dist-info", ".egg-info")
"""Kinds of folder in which a RECORD is corrected when a file of it is rewritten."""

Kind = TypeVar("Kind", bound=Step)


@dataclass(frozen=True)
class Carried:
    """What was done in the copy.

    Attributes:
        packages: distributions and conda packages that changed.
        outside: files outside of the environment that change (Jupyter kernels): their new content is where
            `provision.repair.files.patch.outside_image` says, for `with_outside`.
        remarks: what the steps could not do, one line each; the proof decides whether it matters.
    """

    packages: tuple[PackageChange, ...] = ()
    outside: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()


def untouched(prefix: Path, steps: Sequence[Step]) -> tuple[Path, ...]:
    """Return the folders of packages, and those of TensorFlow, in which no step changes anything; raises OSError.

    They hold nearly all files, and wiring makes its links beside them. Where packages change there are none.
    """
    return () if any(isinstance(step, _WIDE) for step in steps) else tuple(_shared(prefix, steps))


def build_stage(prefix: Path, stage: Path, shared: Sequence[Path] = ()) -> tuple[str, ...]:
    """Copy an environment by hard links into ``stage``, which is absent or empty; our folder of repairs is left out.

    Args:
        prefix: the environment.
        stage: where the copy is made.
        shared: folders that become links to the environment's, see `untouched`.

    Returns:
        Those, relative, for `provision.repair.files.patch.difference`.

    Raises:
        ToolFailedError: code ``clone-failed``.
    """
    try:
        stage.mkdir(exist_ok=True)
        clone(prefix, stage, left_out=(prefix / RECORD_FOLDER / REPAIRS, *shared))
        for folder in shared:
            (stage / folder.relative_to(prefix)).symlink_to(folder)
    except OSError as error:
        raise clone_failed(error, prefix) from error
    return tuple(folder.relative_to(prefix).as_posix() for folder in shared)


def _shared(prefix: Path, steps: Sequence[Step]) -> Iterator[Path]:
    touched = [path for step in steps if isinstance(step, Remove) for path in step.paths]
    touched += [step.file for step in steps if isinstance(step, Unset | PointKernel)]
    site_packages = site_packages_of(prefix)
    inside = [f"{path.rpartition(f'/{site_packages.name}/')[2]}/" for path in touched]
    if any(f"{site_packages}/".startswith(f"{path}/") for path in touched):
        return
    for parent, kept in ((site_packages, _WIRED), (site_packages / "tensorflow", frozenset[str]())):
        if parent.is_symlink() or not parent.is_dir():
            continue
        with os.scandir(parent) as entries:
            folders = sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        for folder in folders:
            name = f"{folder.relative_to(site_packages)}/"
            if folder.name in kept or (folder.suffix in _METADATA and not _only_wired(steps)):
                continue
            if not any(path.startswith(name) or name.startswith(path) for path in inside):
                yield folder


def carry_out(system: System, steps: Sequence[Step], context: StageContext) -> Carried | Denial:
    """Carry steps out in the copy: removals, packages, conda packages, texts, kernels, and wiring last.

    Steps are what is wanted, not a script: they are grouped by kind, and what several of them ask for is done once.
    Wiring is made anew as well where packages changed under it.

    Args:
        system: the door.
        steps: of a plan; kernels that lie outside among them, where the user asked for that.
        context: of the repair.

    Returns:
        What was done; a Denial where no packages fit together, or nothing is there that could be wired.

    Raises:
        ToolFailedError: uv, rattler, the network or the disk failed, or a step would leave the environment.
        InvalidFileError: a file of the environment that has to be read is not what it should be.
    """
    remarks: list[str] = []
    try:
        for step in _of(Remove, steps):
            for path in step.paths:
                _remove(context, path)
        packages = _packages(context, steps, remarks)
        if isinstance(packages, Denial):
            return packages
        conda = _conda(system, context, _of(CondaInstall, steps), remarks)
        if isinstance(conda, Denial):
            return conda
        outside = _texts(context, steps, remarks)
        wire = bool(_of(Wire, steps))
        if wire or ((packages or conda) and is_wired(context)):
            wired = rewire(system, context, must=wire)
            if isinstance(wired, Denial):
                return wired
            remarks += wired
        _settle(context, steps)
    except OSError as error:
        raise ToolFailedError(
            "the copy of the environment could not be changed",
            code="no-space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "stage-failed",
            why=(f"{error.filename or context.prefix}: {error.strerror or error}",),
            hint="check rights and free space there",
        ) from error
    return Carried((*packages, *conda), outside, tuple(dict.fromkeys(remarks)))


def _only_wired(steps: Sequence[Step]) -> bool:
    """Whether no file that a RECORD names is rewritten: links, aliases and the hook of wiring stand in none."""
    return all(isinstance(step, Wire) for step in steps)


def _of(kind: type[Kind], steps: Sequence[Step]) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(step for step in steps if isinstance(step, kind)))


def _remove(context: StageContext, path: str) -> None:
    there = context.staged(path)
    inside = there.relative_to(context.stage)
    if len(inside.parts) == 1 and inside.name in _NEVER:
        raise ToolFailedError(
            "a repair would remove a folder that the environment cannot do without",
            code="path-outside",
            why=(str(path),),
            hint="report this",
        )
    if there.is_dir() and not there.is_symlink():
        remove_tree(there)
    else:
        there.unlink(missing_ok=True)


def _packages(context: StageContext, steps: Sequence[Step], remarks: list[str]) -> tuple[PackageChange, ...] | Denial:
    wanted = [step for step in steps if isinstance(step, Install | Uninstall)]
    if not wanted:
        return ()
    from provision.backends.uv import usable_cache  # noqa: PLC0415 - many repairs change no package
    from provision.repair.packages.install import install_packages, resolve_packages, row_after  # noqa: PLC0415 - the same

    # uv's cache stays the user's own, so that nothing is fetched twice; where it cannot be used, one of ours is.
    with tempfile.TemporaryDirectory(prefix="packages-", dir=context.stage.parent) as name:
        scratch = Path(name)
        if not usable_cache(context.uv.cache):
            context.uv.use_cache(scratch / "cache")
        context.watch.step("resolving what has to change")
        row = row_after(context.matrix, context.seen, wanted)
        plan = resolve_packages(context.uv, context.seen, row, wanted, scratch, offline=context.offline)
        if isinstance(plan, Denial):
            return plan
        remarks += plan.remarks
        return install_packages(context.uv, plan, context.stage, context.prefix, context.watch)


def _conda(
    system: System, context: StageContext, wanted: Sequence[CondaInstall], remarks: list[str]
) -> tuple[PackageChange, ...] | Denial:
    if not wanted:
        return ()
    from provision.repair.steps.conda import install_conda  # noqa: PLC0415 - few environments are conda's

    with tempfile.TemporaryDirectory(prefix="conda-", dir=context.stage.parent) as name:
        return install_conda(system, context, wanted, Path(name), remarks)


def _texts(context: StageContext, steps: Sequence[Step], remarks: list[str]) -> tuple[Path, ...]:
    """Rewrite scripts, start files and kernels; return those that lie outside."""
    outside: list[Path] = []
    moves, unsets, kernels = _of(Relocate, steps), _of(Unset, steps), _of(PointKernel, steps)
    if moves:
        from provision.repair.steps.relocate import relocate  # noqa: PLC0415 - rare

        context.watch.step("naming the folder where the environment stands now")
        for move in moves:
            relocate(context, move.former)
    if unsets:
        from provision.repair.steps.scripts import unset  # noqa: PLC0415 - rare

        for item in unsets:
            remarks += unset(context, item.file, item.variable)
    if kernels:
        from provision.repair.steps.kernels import point  # noqa: PLC0415 - rare

        for kernel in kernels:
            outside += point(context, kernel.file, remarks)
    return tuple(outside)


def _settle(context: StageContext, steps: Sequence[Step]) -> None:
    """Let scripts that were written for the copy name the environment, and make sure that nothing names the copy."""
    site_packages = Path(context.env.site_packages)
    if not _only_wired(steps):
        settle_scripts(context.stage, site_packages, context.prefix)
    candidates = [
        *(context.stage / "bin").iterdir(),
        context.stage / "pyvenv.cfg",
        *site_packages.glob("*.pth"),
        *(context.stage / RECORD_FOLDER).glob("*"),
        *context.stage.glob("etc/conda/*/*"),
    ]
    named = naming(candidates, str(context.stage))
    if named:
        raise ToolFailedError(
            "what was changed in the copy cannot be moved into its place",
            code="not-movable",
            why=tuple(f"{path.relative_to(context.stage)} names the copy" for path in named),
            hint="report this",
        )

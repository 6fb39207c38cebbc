"""Make, look over and take away the wiring of an environment.

Law of this file: what is about to be done stands in the record before the first step, nothing that exists is written
to or replaced, and only what still is as we made it is taken away.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from provision.errors import ToolFailedError
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.matrix import LibrarySet, Row
from provision.system import sync_directory, write_atomic
from provision.wiring.hook import ALIASES, MODULE, START, cuda_data_dir, hook_files
from provision.wiring.libraries import read_shelf
from provision.wiring.links import Link, plan_links
from provision.wiring.record import (
    Record,
    RecordedFile,
    RecordedLink,
    read_record,
    record_path,
    sha256_of,
    write_record,
)
from provision.wiring.report import WiringReport


def wire(env: EnvRef, row: Row, library_set: LibrarySet) -> WiringReport:
    """Make every CUDA library that ``row`` asks for visible to the TensorFlow of this environment.

    Everything follows from the environment's real files; ``row`` and ``library_set`` say what is meant. Done twice it
    changes nothing; after an update of TensorFlow or of a wheel it replaces what no longer fits.

    Raises:
        InvalidFileError: no readable framework library, or a record that is wrong.
        ToolFailedError: the disk refused; what was made stands in the record, so `wire` and `unwire` both go on.
    """
    root, site_packages = Path(env.prefix), Path(env.site_packages)
    _refuse_outside(root, site_packages)
    former = read_record(env)
    ours = _ours(root, former)
    shelf = read_shelf(env, ours, _preferred(env, library_set))
    plan = plan_links(shelf, row)
    data_dir, data_links = cuda_data_dir(env, library_set)
    files = hook_files(root, site_packages, plan, data_dir)
    links, foreign_links = _possible_links(root, (*plan.links, *data_links), ours)
    possible, foreign_files = _possible_files(root, files, ours)
    record = Record(
        tensorflow=str(row.release),
        library_set=library_set.ident,
        framework=(_below(root, shelf.framework.path), shelf.framework.path.stat().st_size),
        links=links,
        files=possible,
        cuda_data_dir=data_dir,
        made_folders=_made(former, root, site_packages, links),
    )
    if record != former or _look(root, record).state != "whole":
        _apply(env, former, record, files)
    return replace(
        _look(root, record),
        foreign=(*foreign_links, *foreign_files),
        unfound=plan.unfound,
        unreadable=tuple(shelf.damaged.values()),
        system=plan.system,
    )


def inspect(env: EnvRef) -> WiringReport:
    """Compare the environment with its record; changes nothing. Raises InvalidFileError for a record that is wrong."""
    record = read_record(env)
    return WiringReport("unwired") if record is None else _look(Path(env.prefix), record)


def unwire(env: EnvRef) -> WiringReport:
    """Take the wiring away and give back the tree as it was; what somebody changed is left and told as ``changed``.

    Raises InvalidFileError for a record that is wrong, ToolFailedError where the disk refuses.
    """
    record = read_record(env)
    if record is None:
        return WiringReport("unwired")
    root = Path(env.prefix)
    changed = _look(root, record).changed
    try:
        _remove(root, record.links, record.files)
        _remove_bytecode(Path(env.site_packages))
        record_path(env).unlink()
        for folder in record.made_folders:
            with suppress(OSError):  # somebody else has put something there meanwhile
                (root / folder).rmdir()
    except OSError as error:
        raise _disk("the wiring could not be taken away completely", error) from error
    return WiringReport("unwired", changed=changed)


def _preferred(env: EnvRef, library_set: LibrarySet) -> dict[str, Path]:
    """Return where the libraries of the set are; those of wheels below site-packages, those of conda below the root."""
    wheels = (
        (soname, Path(env.site_packages) / path) for pin in library_set.pins for soname, path in pin.libraries.items()
    )
    conda = ((soname, Path(env.prefix) / path) for pin in library_set.conda for soname, path in pin.libraries.items())
    return dict((*wheels, *conda))


def _possible_links(
    root: Path, links: Iterable[Link], ours: frozenset[Path]
) -> tuple[tuple[RecordedLink, ...], tuple[str, ...]]:
    """Separate the links that can be made from those that have something of somebody else in their way."""
    possible, foreign = [], []
    for link in links:
        name = _below(root, link.path)
        if (link.path.is_symlink() or link.path.exists()) and link.path not in ours:
            foreign.append(name)
        else:
            possible.append(RecordedLink(name, os.path.relpath(link.target, link.path.parent), link.asked_by))
    return tuple(possible), tuple(foreign)


def _possible_files(
    root: Path, files: Mapping[Path, bytes], ours: frozenset[Path]
) -> tuple[tuple[RecordedFile, ...], tuple[str, ...]]:
    """Separate the files likewise; one that is there with the very content wanted counts as possible."""
    possible, foreign = [], []
    for path, content in files.items():
        there = path.is_symlink() or path.exists()
        if there and path not in ours and not _holds(path, sha256_of(content)):
            foreign.append(_below(root, path))
        else:
            possible.append(RecordedFile(_below(root, path), sha256_of(content)))
    return tuple(possible), tuple(foreign)


def _ours(root: Path, record: Record | None) -> frozenset[Path]:
    """Return what the record names and what still is as it says, absolute."""
    if record is None:
        return frozenset()
    links = (root / link.path for link in record.links if _points(root / link.path, link.target))
    files = (root / file.path for file in record.files if _holds(root / file.path, file.sha256))
    return frozenset((*links, *files))


def _apply(env: EnvRef, former: Record | None, record: Record, files: Mapping[Path, bytes]) -> None:
    root = Path(env.prefix)
    _refuse_leaks(root, _names(record))
    try:
        # While one record becomes another, both stand on disk, so that a kill in between loses nothing.
        write_record(env, _both(former, record) if former else record)
        if former:
            _remove(
                root,
                [link for link in former.links if link not in record.links],
                [file for file in former.files if file not in record.files],
            )
        for link in record.links:
            if not _points(root / link.path, link.target):
                (root / link.path).parent.mkdir(parents=True, exist_ok=True)
                (root / link.path).symlink_to(link.target)
        # The module before the start line, which without its module complains at every start of the interpreter.
        for file in sorted(record.files, key=lambda item: item.path.endswith(START)):
            if not _holds(root / file.path, file.sha256):
                (root / file.path).parent.mkdir(exist_ok=True)
                write_atomic(root / file.path, files[root / file.path])
        for folder in {(root / name).parent for name in _names(record)}:
            sync_directory(folder)
        if former:
            write_record(env, record)
    except OSError as error:
        raise _disk("the environment could not be wired", error) from error


def _names(record: Record) -> tuple[str, ...]:
    return (*(link.path for link in record.links), *(file.path for file in record.files))


def _both(former: Record, record: Record) -> Record:
    return replace(
        record,
        links=tuple(dict.fromkeys((*former.links, *record.links))),
        files=tuple(dict.fromkeys((*former.files, *record.files))),
    )


def _remove(root: Path, links: Iterable[RecordedLink], files: Iterable[RecordedFile]) -> None:
    # The start line goes before the module that it names.
    for file in sorted(files, key=lambda item: not item.path.endswith(START)):
        if _holds(root / file.path, file.sha256):
            (root / file.path).unlink()
    for link in links:
        if _points(root / link.path, link.target):
            (root / link.path).unlink()


def _remove_bytecode(site_packages: Path) -> None:
    if not (site_packages / MODULE).exists():
        for path in (site_packages / "__pycache__").glob(f"{Path(MODULE).stem}.*.pyc"):
            path.unlink()


def _look(root: Path, record: Record) -> WiringReport:
    missing, changed, dangling = [], [], []
    for link in record.links:
        path = root / link.path
        if not path.is_symlink() and not path.exists():
            missing.append(link.path)
        elif not _points(path, link.target):
            changed.append(link.path)
        elif not path.exists():
            dangling.append(link.path)
    for file in record.files:
        path = root / file.path
        if not path.is_symlink() and not path.exists():
            missing.append(file.path)
        elif not _holds(path, file.sha256):
            changed.append(file.path)
    framework, size = record.framework
    fits = (root / framework).is_file() and (root / framework).stat().st_size == size
    return WiringReport(
        state="damaged" if missing or changed or dangling else "whole" if fits else "stale",
        tensorflow=record.tensorflow,
        library_set=record.library_set,
        links={link.path: link.target for link in record.links},
        files=tuple(file.path for file in record.files),
        cuda_data_dir=record.cuda_data_dir,
        missing=tuple(missing),
        changed=tuple(changed),
        dangling=tuple(dangling),
    )


def _points(path: Path, target: str) -> bool:
    return path.is_symlink() and str(path.readlink()) == target


def _holds(path: Path, sha256: str) -> bool:
    try:
        return not path.is_symlink() and sha256_of(path.read_bytes()) == sha256
    except OSError:
        return False


def _made(former: Record | None, root: Path, site_packages: Path, links: Iterable[RecordedLink]) -> tuple[str, ...]:
    """Return the folders that wiring or the hook makes, innermost first."""
    known = former.made_folders if former else ()
    first = (root / RECORD_FOLDER / ALIASES, root / RECORD_FOLDER, site_packages / "__pycache__")
    above = {parent for link in links for parent in (root / link.path).parents} - set(first)
    deepest = sorted(above, key=lambda path: (-len(path.parts), path))
    fresh = tuple(_below(root, path) for path in (*deepest, *(() if former else first)) if not path.exists())
    return (*(name for name in fresh if name not in known), *known)


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _refuse_outside(root: Path, site_packages: Path) -> None:
    """Refuse an environment whose packages are links to somewhere else: a link made there would leak out of it."""
    folders = (site_packages, site_packages / "tensorflow", site_packages / "nvidia")
    outside = [item for item in folders if item.exists() and root.resolve() not in item.resolve().parents]
    if outside or root not in site_packages.parents:
        where = outside[0] if outside else site_packages
        raise ToolFailedError(
            "this environment cannot be wired, because its packages lie outside it",
            code="wiring-outside",
            why=(f"{where} is {where.resolve()}, and the environment is {root.resolve()}",),
            hint="name the environment by its real path, and install with copies or hard links, not symbolic ones",
        )


def _refuse_leaks(root: Path, names: Iterable[str]) -> None:
    """Refuse to make something in a folder that is only a link to one outside."""
    home = root.resolve()
    for folder in sorted({(root / name).parent for name in names}):
        if home not in (there := folder.resolve(), *there.parents):
            raise ToolFailedError(
                "this environment cannot be wired, because one of its folders is a link to another place",
                code="wiring-outside",
                why=(f"{folder} is {there}",),
                hint="install with copies or hard links, not symbolic ones",
            )


def _disk(what: str, error: OSError) -> ToolFailedError:
    return ToolFailedError(
        what,
        code="wiring-failed",
        why=(f"{error.filename or 'a file'}: {error.strerror or error}",),
        hint="make room or give rights there, and repeat: what was done is recorded and is continued",
    )

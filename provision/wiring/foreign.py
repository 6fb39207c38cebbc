"""What stands where wiring has to be made and is not as we made it: taken away, in a copy of the environment only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from provision.errors import InvalidFileError
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.wiring.apply import inspect
from provision.wiring.hook import MODULE, START
from provision.wiring.record import record_path


def make_way(env: EnvRef, *, unrecorded: bool = False) -> None:
    """Remove what our record names and somebody changed; where it cannot be read, every link that may be ours.

    Only for an environment that nobody uses, such as a copy that is being repaired. Raises OSError.

    Args:
        env: the copy.
        unrecorded: remove every link also where there is no record: in an environment that we made, none is by hand.
    """
    try:
        report = inspect(env)
    except InvalidFileError:
        record_path(env).unlink()
        unrecorded = True
    else:
        for name in report.changed:
            _unlink(Path(env.prefix) / name)
        unrecorded = unrecorded and report.state == "unwired"
    if unrecorded:
        _forget_all(Path(env.site_packages))


def make_way_for(env: EnvRef, foreign: tuple[str, ...]) -> bool:
    """Remove those of the paths `wire` called foreign that are links or bear our names; return whether one was."""
    hooks = {Path(env.site_packages) / name for name in (MODULE, START)}
    root = Path(env.prefix)
    ours = [root / name for name in foreign if name.startswith(f"{RECORD_FOLDER}/") or root / name in hooks]
    links = [root / name for name in foreign if (root / name).is_symlink()]
    removed = [_unlink(path) for path in dict.fromkeys((*ours, *links))]
    return any(removed)


def drop_dangling(env: EnvRef) -> tuple[str, ...]:
    """Remove links to libraries that are gone, beside TensorFlow and in NVIDIA's wheels; return them, relative.

    No wheel installs a link there: they are ours or made by hand. Raises OSError.
    """
    site_packages = Path(env.site_packages)
    gone = []
    for folder in (site_packages / "tensorflow", *sorted(site_packages.glob("nvidia/*/lib"))):
        for path in _links(folder):
            if not path.exists():
                path.unlink()
                gone.append(path.relative_to(env.prefix).as_posix())
    return tuple(gone)


def _links(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if entry.is_symlink() and ".so" in entry.name]
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from sorted(found)


def _forget_all(site_packages: Path) -> None:
    """Nothing says which links are ours: no wheel installs one, so every link below these folders is."""
    for folder in ("tensorflow", "nvidia"):
        for path in (site_packages / folder).rglob("*.so*"):
            if path.is_symlink():
                path.unlink()
    for name in (MODULE, START):
        with suppress(FileNotFoundError):
            (site_packages / name).unlink()


def _unlink(path: Path) -> bool:
    if path.is_symlink() or path.is_file():
        path.unlink()
        return True
    return False

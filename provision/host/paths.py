"""Looking at files without ever failing: what may not be looked at is not there for us.

`pathlib` raises where a folder may not be searched or a name is too long; LD_LIBRARY_PATH and HOME may name anything.
"""

from __future__ import annotations

from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether the path is a file, links followed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether the path is a folder, links followed."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def resolve(path: Path) -> Path | None:
    """Return the path with every link resolved, None where nothing is there or links go round."""
    try:
        return path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None


def link_target(path: Path) -> str | None:
    """Return the last part of where a link points, None for what is no link."""
    try:
        return path.readlink().name
    except (OSError, ValueError):
        return None


def glob(folder: Path, pattern: str) -> list[Path]:
    """Return what matches below the folder, sorted."""
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []

"""Where the locks of a project lie, and in which formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.errors import InvalidFileError, UsageError
from provision.model.lock import LockFormat
from provision.workflows.settings import Settings

FORMATS: Mapping[str, tuple[LockFormat, ...]] = {
    "venv": (LockFormat.REQUIREMENTS, LockFormat.PYLOCK),
    "conda": (LockFormat.CONDA_LOCK, LockFormat.EXPLICIT),
}
"""What each backend can be locked as, the default first."""


def project_folder(settings: Settings, folder: Path) -> Path:
    """Return where a project's files lie: beside the pyproject.toml with our table, else where one stands."""
    return settings.base if settings.base is not None and settings.values else folder


def lock_folder(settings: Settings, folder: Path) -> Path:
    """Return the folder in which the locks of a project lie."""
    named = _setting(settings)
    if named is None:
        return project_folder(settings, folder)
    return named if _is_folder(settings.text("lock") or "", named) else named.parent


def lock_file(settings: Settings) -> Path | None:
    """Return the one file that ``[tool.tfgpu] lock`` names, None where it names a folder or nothing.

    Raises:
        InvalidFileError: ``invalid-settings``, for a path that leaves the project.
    """
    named = _setting(settings)
    return None if named is None or _is_folder(settings.text("lock") or "", named) else named


def formats_for(backend: str, asked: Sequence[str], file: Path | None) -> tuple[LockFormat, ...]:
    """Return the formats to write, each once.

    Args:
        backend: ``venv`` or ``conda``.
        asked: their names; empty for the one that the file's name suggests, else the backend's default.
        file: the one file that was named.

    Raises:
        UsageError: ``bad-format``, for one that does not exist or that the backend cannot have.
    """
    possible = FORMATS[backend]
    names = [item.value for item in possible]
    for name in asked:
        if name not in names:
            raise UsageError(
                f"a {backend} environment cannot be locked as {name[:40]!a}",
                code="bad-format",
                hint=f"formats of {backend}: {', '.join(names)}",
            )
    if asked:
        return tuple(dict.fromkeys(LockFormat(name) for name in asked))
    suggested = {".toml": LockFormat.PYLOCK, ".lock": LockFormat.EXPLICIT}.get(file.suffix if file else "")
    return (suggested,) if suggested in possible else (possible[0],)


def paths_for(
    names: Sequence[str],
    formats: Sequence[LockFormat],
    settings: Settings,
    folder: Path,
    output: str | None,
) -> dict[tuple[str, LockFormat], Path]:
    """Return the file of each target in each format.

    Args:
        names: of the targets.
        formats: to write.
        settings: whose ``lock`` names a file or a folder.
        folder: where one stands.
        output: the value of ``-o``, a file or (existing, or with ``/`` at its end) a folder.

    Raises:
        UsageError: ``one-file``, where several locks would go into one file.
    """
    where = folder / output if output else None
    file = where if where is not None and not _is_folder(output or "", where) else None
    if where is None:
        file = lock_file(settings)
    keys = [(name, kind) for name in names for kind in formats]
    if file is None:
        from provision.lock.files import default_name  # noqa: PLC0415 - where no file is named

        parent = where if where is not None else lock_folder(settings, folder)
        return {(name, kind): parent / default_name(kind, name) for name, kind in keys}
    if len(keys) > 1:
        raise UsageError(
            f"{len(keys)} locks cannot go into the one file {file.name}",
            code="one-file",
            why=(f"targets: {', '.join(name or 'this machine' for name in names)}",),
            hint="name a folder, with a / at its end: `-o locks/`",
        )
    return {keys[0]: file}


def named_file(settings: Settings, folder: Path, output: str | None) -> Path | None:
    """Return the one file that is named by ``-o`` or by the settings."""
    if not output:
        return lock_file(settings)
    where = folder / output
    return None if _is_folder(output, where) else where


def _is_folder(text: str, path: Path) -> bool:
    return text.endswith("/") or path.is_dir()


def _setting(settings: Settings) -> Path | None:
    path = settings.path("lock")
    if path is None or settings.base is None:
        return None
    base = settings.base.resolve()
    if not path.resolve().is_relative_to(base):
        raise InvalidFileError(
            "[tool.tfgpu] is wrong",
            code="invalid-settings",
            why=(f"lock: {settings.text('lock')} is outside of the project",),
            hint="name a file or a folder of the project, or use -o",
        )
    return path

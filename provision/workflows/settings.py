"""Settings of the project one stands in: ``[tool.tfgpu]`` in the nearest pyproject.toml."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.errors import InvalidFileError

_KNOWN: dict[str, type | tuple[type, ...]] = {
    "tf": str,
    "python": str,
    "matrix": str,
    "backend": str,
    "requirements": list,
    "conda": list,
    "channels": list,
    "targets": dict,
    "format": (str, list),
    "lock": str,
}
_BACKENDS = ("venv", "conda")
_LIMIT = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What the project's ``[tool.tfgpu]`` says; empty where there is none.

    Paths are relative to the folder of the pyproject.toml, which is ``base``.
    """

    base: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self, key: str) -> str | None:
        """Return a string setting."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def path(self, key: str) -> Path | None:
        """Return a setting that names a file, made absolute."""
        text = self.text(key)
        return self.base / text if text and self.base else None

    def strings(self, key: str) -> tuple[str, ...]:
        """Return a list-of-strings setting; one string alone is a list of one."""
        value = self.values.get(key, ())
        return (value,) if isinstance(value, str) else tuple(value)

    def table(self, key: str) -> dict[str, str]:
        """Return a setting that is a table of strings, in its order."""
        return dict(self.values.get(key, {}))


def load_settings(folder: Path) -> Settings:
    """Read the nearest pyproject.toml at or above ``folder``; raises InvalidFileError for one that is wrong."""
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        try:
            if not path.is_file():
                continue
            with path.open("rb") as stream:
                raw = stream.read(_LIMIT + 1)
        except OSError:
            continue
        return _parse(path, raw)
    return Settings()


def nearest_project(folder: Path) -> Path | None:
    """Return the nearest pyproject.toml at or above ``folder``, None where there is none."""
    return next((path for parent in (folder, *folder.parents) if (path := parent / "pyproject.toml").is_file()), None)


def read_table(path: Path, raw: bytes) -> object:
    """Return what a pyproject.toml has as ``[tool.tfgpu]``, right or wrong, None where it has none.

    Raises:
        InvalidFileError: it is no TOML, or too large.
    """
    table = _loaded(path, raw).get("tool", {})
    return table.get("tfgpu") if isinstance(table, dict) else None


def _too_large(path: Path) -> InvalidFileError:
    return InvalidFileError(
        f"{path.name} is larger than {_LIMIT} bytes", code="invalid-settings", why=(str(path),), hint="correct the file"
    )


def _loaded(path: Path, raw: bytes) -> dict[str, Any]:
    # Most folders have no pyproject.toml.
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415
    else:
        import tomli as tomllib  # noqa: PLC0415

    try:
        if len(raw) > _LIMIT:
            raise _too_large(path)
        document: dict[str, Any] = tomllib.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise InvalidFileError(
            f"{path.name} cannot be read",
            code="invalid-settings",
            why=(f"{path}: {error}",),
            hint="correct the file, or run the command in another folder",
        ) from error
    return document


def _parse(path: Path, raw: bytes) -> Settings:
    table = _loaded(path, raw).get("tool", {})
    table = table.get("tfgpu", {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        table = {"tfgpu": table}
    wrong = [f"{path}: [tool.tfgpu] {complaint}" for complaint in _complaints(table)]
    if wrong:
        raise InvalidFileError(
            "[tool.tfgpu] is wrong",
            code="invalid-settings",
            why=tuple(wrong),
            hint=f"known settings: {', '.join(sorted(_KNOWN))}",
        )
    return Settings(path.parent, table)


def _complaints(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        kind = _KNOWN.get(key)
        if kind is None:
            yield f"{key}: not a setting"
        elif not isinstance(value, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            yield f"{key}: must be a {' or a '.join(item.__name__ for item in kinds)}"
        elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
            yield f"{key}: every entry must be a str"
        elif isinstance(value, dict):
            yield from (f"{key}.{name}: must be a str" for name, item in value.items() if not isinstance(item, str))
        elif key == "backend" and value not in _BACKENDS:
            yield f"{key}: must be one of {', '.join(_BACKENDS)}"

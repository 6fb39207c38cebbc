"""Where things are in an environment that uv or conda made, from its files alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from provision.model.environment import EnvRef


def env_ref(prefix: Path) -> EnvRef:
    """Return the environment at a prefix, as uv or conda lays it out."""
    inside = PurePosixPath(prefix)
    kind = "conda" if (prefix / "conda-meta").is_dir() else "venv"
    return EnvRef(inside, inside / "bin" / "python", PurePosixPath(site_packages_of(prefix)), kind, managed=True)


def site_packages_of(prefix: Path) -> Path:
    """Return the one ``lib/pythonX.Y/site-packages`` of an environment; conda adds a link ``python3.1`` to 3.10 on."""
    found = sorted(path for path in prefix.glob("lib/python3*/site-packages") if not path.parent.is_symlink())
    return found[0] if found else prefix / "lib" / "python3" / "site-packages"

"""Which package indexes uv and pip are configured to use, in the order of `provision.audit.reading.index`."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LIMIT = 1 << 20


def indexes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the addresses of the indexes, the first one first; an empty one stands for pypi-simple's own default."""
    first: list[str] = []
    more: list[str] = []
    uv = _uv_settings(environ)
    first += _words(environ, "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    more += _words(environ, "UV_INDEX", "UV_EXTRA_INDEX_URL")
    for entry in uv.get("index", ()) if isinstance(uv.get("index"), list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("url"), str):
            (first if entry.get("default") is True else more).append(entry["url"])
    for table in (uv, uv.get("pip", {})):
        if isinstance(table, dict):
            first += _texts(table.get("index-url"))
            more += _texts(table.get("extra-index-url"))
    first += _words(environ, "PIP_INDEX_URL")
    more += _words(environ, "PIP_EXTRA_INDEX_URL")
    for settings in _pip_settings(environ):
        first += settings.get("index-url", "").split()
        more += settings.get("extra-index-url", "").split()
    # uv writes `name=address`.
    addresses = [
        item if "://" in item.split("=", 1)[0] else item.split("=", 1)[-1] for item in (first[:1] or [""]) + more
    ]
    return tuple(dict.fromkeys(addresses))


def _words(environ: Mapping[str, str], *names: str) -> list[str]:
    return [word for name in names for word in environ.get(name, "").split()]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or "~").expanduser()


def _uv_settings(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the first of uv's files that is there: the one named, the user's, the system's."""
    if environ.get("UV_NO_CONFIG", "") not in {"", "0", "false"}:
        return {}
    base = Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config")
    named = environ.get("UV_CONFIG_FILE")
    places = [Path(named)] if named else [base / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    return next(filter(None, map(_toml, places)), {})


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return dict(tomllib.loads(path.read_bytes()[:_LIMIT].decode("utf-8")))
    except (OSError, ValueError):
        return {}


def _pip_settings(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield ``[global]`` of pip's files, the strongest first."""
    base = Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config")
    named = environ.get("PIP_CONFIG_FILE")
    places = [Path(sys.prefix) / "pip.conf", base / "pip" / "pip.conf", _home(environ) / ".pip" / "pip.conf"]
    for path in [*([Path(named)] if named else []), *places, Path("/etc/pip.conf")]:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(path.read_bytes()[:_LIMIT].decode("utf-8"))
        except (OSError, ValueError, configparser.Error):
            continue
        if parser.has_section("global"):
            yield dict(parser.items("global"))

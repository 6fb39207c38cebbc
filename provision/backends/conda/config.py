"""What the user has configured for conda: channels, mirrors, proxies, certificates and caches.

The places and their order are conda's own (later ones win; lists of a later one come first, maps are merged):

1. ``/etc/conda/`` and ``/var/lib/conda/``: ``.condarc``, ``condarc``, ``condarc.d/*.yml``
2. ``$CONDA_ROOT``, ``$XDG_CONFIG_HOME/conda``, ``~/.config/conda``, ``~/.conda``: the same three
3. ``~/.condarc``, ``$CONDA_PREFIX/.condarc``, ``$CONDARC``
4. ``CONDA_*`` variables of the keys that are read here

rattler's and pixi's own files (mirrors, authentication, proxies) are read by rattler itself, in the worker.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.backends.conda import channels as addresses
from provision.errors import InvalidFileError
from provision.system import System

_FOLDERS = ("/etc/conda", "/var/lib/conda", "$CONDA_ROOT", "$XDG_CONFIG_HOME/conda", "~/.config/conda", "~/.conda")
_SINGLE = ("~/.condarc", "$CONDA_PREFIX/.condarc", "$CONDARC")
_LISTS = {"channels": ",", "default_channels": ",", "pkgs_dirs": os.pathsep, "envs_dirs": os.pathsep}
_MAPS = ("custom_channels", "custom_multichannels", "proxy_servers")
_SCALARS = ("channel_alias", "channel_priority", "ssl_verify", "offline")
_ALIASES = {"channel": "channels", "verify_ssl": "ssl_verify", "envs_path": "envs_dirs"}
_TRUE, _FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")
_DEFAULTS = ("main", "r")
"""What `defaults` means where no default_channels are configured: the same two channels by their names at the alias."""
_FOREIGN = ("RUST_BACKTRACE", "RUST_LOG", "LD_PRELOAD", "LD_LIBRARY_PATH")
_FOREIGN_PREFIXES = ("CONDA_OVERRIDE_", "PYTHON", "TFGPU_")


@dataclass(frozen=True)
class CondaConfig:
    """The configuration; credentials may stand in it, but are neither shown nor written.

    Attributes:
        channels: names or addresses, the strongest first.
        channel_alias: what completes a name; empty for the usual one.
        default_channels: what ``defaults`` means; empty for the usual ones.
        custom_channels: name to the address before it.
        custom_multichannels: name to names and addresses.
        channel_priority: ``strict`` or ``disabled``; conda's ``flexible`` is taken as strict.
        proxies: ``http`` and ``https`` to an address.
        ssl_verify: whether certificates are checked, or the file of those that are trusted.
        package_caches: conda's own caches; they are not ours to write.
        envs_dirs: where named environments live.
        offline: never use the network.
        cache: where rattler keeps what it fetched.
        read_from: files that were read, in order.
    """

    channels: tuple[str, ...] = field(default=("conda-forge",), repr=False)
    channel_alias: str = field(default="", repr=False)
    default_channels: tuple[str, ...] = field(default=(), repr=False)
    custom_channels: Mapping[str, str] = field(default_factory=dict, repr=False)
    custom_multichannels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    channel_priority: str = "strict"
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    ssl_verify: bool | Path = True
    package_caches: tuple[Path, ...] = ()
    envs_dirs: tuple[Path, ...] = ()
    offline: bool = False
    cache: Path = Path("~/.cache/tfgpu-provision/conda")
    read_from: tuple[str, ...] = ()

    @classmethod
    def load(cls, system: System) -> CondaConfig:
        """Read every place; raises InvalidFileError, code ``condarc-invalid``, naming the file and the key."""
        merged: dict[str, Any] = {}
        read = []
        for name in _places(system):
            content = _read(system, name)
            if content is not None:
                read.append(name)
                _merge(merged, content)
        _merge(merged, _from_variables(system.environ))
        home = Path(_home(system.environ))
        return cls(
            channels=merged.get("channels") or ("conda-forge",),
            channel_alias=merged.get("channel_alias", ""),
            default_channels=merged.get("default_channels", ()),
            custom_channels=merged.get("custom_channels", {}),
            custom_multichannels=merged.get("custom_multichannels", {}),
            channel_priority="disabled" if merged.get("channel_priority") in ("disabled", "false") else "strict",
            proxies={key: value for key, value in merged.get("proxy_servers", {}).items() if value},
            ssl_verify=_verify(merged.get("ssl_verify", "true"), home),
            package_caches=tuple(_below(home, item) for item in merged.get("pkgs_dirs", ())),
            envs_dirs=tuple(_below(home, item) for item in merged.get("envs_dirs", ())),
            offline=merged.get("offline", "") in _TRUE,
            cache=_cache(system.environ, home),
            read_from=tuple(read),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every credential in it, so that it can be struck out of what tools say."""
        known = (
            *self.channels,
            self.channel_alias,
            *self.default_channels,
            *self.custom_channels.values(),
            *(item for items in self.custom_multichannels.values() for item in items),
            *self.proxies.values(),
        )
        return tuple(secret for item in known for secret in addresses.split(item).secrets)

    def expanded(self, names: Iterable[str]) -> tuple[str, ...]:
        """Turn names into addresses, with credentials where the configuration has them."""
        return addresses.expand(names, self.custom_channels, self._multi, self.channel_alias, self._configured)

    @property
    def _multi(self) -> Mapping[str, tuple[str, ...]]:
        return {"defaults": self.default_channels or _DEFAULTS, **self.custom_multichannels}

    @property
    def _configured(self) -> tuple[str, ...]:
        """Addresses that stand in the configuration, with their credentials."""
        known = (*self.channels, *self.default_channels, *(i for t in self.custom_multichannels.values() for i in t))
        return tuple(item for item in known if "://" in item)

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return what rattler runs in: the user's environment, less what would change what is chosen."""
        kept = {
            name: value
            for name, value in environ.items()
            if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
        }
        if isinstance(self.ssl_verify, Path):
            kept["SSL_CERT_FILE"] = str(self.ssl_verify)
        elif "SSL_CERT_FILE" not in kept and kept.get("REQUESTS_CA_BUNDLE"):
            kept["SSL_CERT_FILE"] = kept["REQUESTS_CA_BUNDLE"]
        return kept


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or str(Path.home())


def _cache(environ: Mapping[str, str], home: Path) -> Path:
    """Return our own cache: every package in it was held against its hash on the way in, by rattler or by us."""
    if environ.get("RATTLER_CACHE_DIR"):
        return _below(home, environ["RATTLER_CACHE_DIR"])
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _below(home, base) / "tfgpu-provision" / "conda"


def _below(home: Path, text: str) -> Path:
    if text == "~" or text.startswith("~/"):
        return home / text[2:]
    return home / text


def _places(system: System) -> Iterator[str]:
    environ = {"HOME": _home(system.environ), **system.environ}
    for folder in _FOLDERS:
        base = _resolved(folder, environ)
        if base:
            yield f"{base}/.condarc"
            yield f"{base}/condarc"
            yield from (name for name in system.glob(f"{base}/condarc.d", "*") if name.endswith((".yml", ".yaml")))
    for single in _SINGLE:
        name = _resolved(single, environ)
        if name:
            yield name


def _resolved(text: str, environ: Mapping[str, str]) -> str:
    """Put variables in; empty where one of them is not set."""
    text = text.replace("~", environ["HOME"], 1) if text.startswith("~") else text
    missing = [m for m in _VARIABLE.finditer(text) if not environ.get(m["braced"] or m["plain"])]
    text = _VARIABLE.sub(lambda m: environ.get(m["braced"] or m["plain"], ""), text)
    return "" if missing or not text.startswith("/") else text


def _read(system: System, name: str) -> dict[str, Any] | None:
    try:
        text = system.read_text(name)
    except OSError:
        return None
    import yaml  # noqa: PLC0415 - only who has such a file pays for it

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # The line itself is not quoted: a password may stand in it.
        place = f"line {mark.line + 1}" if mark else "it"
        raise _invalid(name, f"{place} is not YAML") from error
    except (ValueError, RecursionError) as error:
        raise _invalid(name, "it is not YAML") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _invalid(name, "it is not a table of keys")
    found: dict[str, Any] = {}
    for key, value in content.items():
        known = _ALIASES.get(key, key) if isinstance(key, str) else ""
        if value is not None and known in (*_LISTS, *_MAPS, *_SCALARS):
            found[known] = _shaped(name, known, value, system.environ)
    return found


def _shaped(name: str, key: str, value: Any, environ: Mapping[str, str]) -> Any:
    def text(item: Any) -> str:
        if isinstance(item, bool):
            return str(item).lower()
        if not isinstance(item, str | int | float):
            raise _invalid(name, f"{key} has a value that is no text")
        # conda puts variables in too; one that is not set stays as it is written.
        return _VARIABLE.sub(lambda m: environ.get(m["braced"] or m["plain"], m[0]), str(item))

    if key in _SCALARS:
        return text(value).lower() if key in ("channel_priority", "offline") else text(value)
    if key in _LISTS:
        items = value if isinstance(value, list) else [value]
        return tuple(text(item) for item in items)
    if not isinstance(value, dict):
        raise _invalid(name, f"{key} is not a table")
    if key == "custom_multichannels":
        return {
            text(one): tuple(text(item) for item in (many if isinstance(many, list) else [many]))
            for one, many in value.items()
        }
    return {text(one): "" if other is None else text(other) for one, other in value.items()}


def _from_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, delimiter in _LISTS.items():
        text = environ.get(f"CONDA_{key.upper()}", "")
        if text:
            found[key] = tuple(item.strip() for item in text.split(delimiter) if item.strip())
    for key in _SCALARS:
        text = environ.get(f"CONDA_{key.upper()}", "")
        if text:
            found[key] = text.lower() if key in ("channel_priority", "offline") else text
    return found


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if key in _LISTS:
            into[key] = tuple(dict.fromkeys((*value, *into.get(key, ()))))
        elif key in _MAPS:
            into[key] = {**into.get(key, {}), **value}
        else:
            into[key] = value


def _verify(text: str, home: Path) -> bool | Path:
    if text.lower() in _FALSE:
        return False
    if text.lower() in (*_TRUE, "truststore", ""):
        return True
    return _below(home, text)


def _invalid(name: str, why: str) -> InvalidFileError:
    return InvalidFileError(
        f"{name} cannot be used", code="condarc-invalid", why=(why,), hint="correct it, or move it away"
    )

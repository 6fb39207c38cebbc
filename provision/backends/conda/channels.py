"""Addresses of channels with and without credentials."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

_TOKEN = re.compile(r"/t/(?P<token>[^/\s]+)(?=/|$)")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(
    r"(?<=[?&])(?P<name>[\w.-]*(?:token|key|secret|signature|sig|password)[\w.-]*)=[^&\s]+", re.IGNORECASE
)


@dataclass(frozen=True)
class Credentials:
    """What opens one channel; never shown, never written.

    Attributes:
        address: the channel's address without them.
        user: name and password as they stand in an address, empty where there are none.
        token: of an address ``/t/TOKEN/``.
        query: what stood behind the question mark.
    """

    address: str
    user: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    query: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not be seen."""
        name, _, password = self.user.partition(":")
        coded = base64.b64encode(unquote(self.user).encode()).decode() if self.user else ""
        return tuple(filter(None, (self.token, password or name, unquote(password), coded, self.query)))


def split(address: str) -> Credentials:
    """Take the credentials out of an address; a name (``conda-forge``) comes back as it is."""
    if "://" not in address:
        return Credentials(address.rstrip("/") or address)
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    # In a path on this disk a folder may be called `t`; its neighbour is no token.
    token = None if parts.scheme == "file" else _TOKEN.search(parts.path)
    path = _TOKEN.sub("", parts.path, count=1) if token else parts.path
    bare = urlunsplit((parts.scheme, host, path.rstrip("/"), "", ""))
    return Credentials(bare, user, token["token"] if token else "", parts.query)


def stripped(address: str) -> str:
    """Return an address without user, password, token, query and fragment."""
    return split(address).address


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text of a tool without credentials: those that are known, and whatever looks like one."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return _QUERY.sub(r"\g<name>=***", _TOKEN.sub("/t/***", _USER_INFO.sub("", text)))


def access(channels: Iterable[Credentials]) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return how rattler gets at channels with credentials: mirrors for tokens, its own authentication for users.

    A record then keeps the address without credentials, because rattler writes the original and not the mirror.
    """
    mirrors: dict[str, list[str]] = {}
    users: dict[str, Any] = {}
    for item in channels:
        parts = urlsplit(item.address)
        if item.token:
            path = f"/t/{item.token}{parts.path}"
            mirrors[item.address] = [urlunsplit((parts.scheme, parts.netloc, path, "", ""))]
        if item.user:
            name, _, password = item.user.partition(":")
            users[parts.netloc] = {"BasicHTTP": {"username": unquote(name), "password": unquote(password)}}
    return mirrors, users


def expand(
    names: Iterable[str],
    custom: Mapping[str, str],
    multi: Mapping[str, tuple[str, ...]],
    alias: str,
    configured: Iterable[str] = (),
) -> tuple[str, ...]:
    """Turn names into addresses as conda does: multichannels first, then ``custom_channels``, then ``channel_alias``.

    An address without credentials gets those of the configured address that is otherwise the same. What is left a
    name is completed by rattler's own alias.
    """
    found: list[str] = []
    open_to = {stripped(item): item for item in (*configured, *_completed(custom), *([alias] if alias else []))}
    for name in names:
        if name in multi:
            found += expand(multi[name], custom, {}, alias, configured)
        elif "://" in name:
            found.append(_opened(name, open_to))
        elif name.startswith("/"):
            found.append(f"file://{quote(name)}")
        elif key := next((key for key in (name, name.split("/", 1)[0]) if key in custom), ""):
            found.append(f"{custom[key].rstrip('/')}/{name}")
        else:
            found.append(f"{alias.rstrip('/')}/{name}" if alias else name)
    return tuple(dict.fromkeys(found))


def _completed(custom: Mapping[str, str]) -> Iterable[str]:
    return (f"{before.rstrip('/')}/{name}" for name, before in custom.items())


def _opened(address: str, open_to: Mapping[str, str]) -> str:
    """Return an address with the credentials of the longest configured address that it stands below."""
    if split(address).secrets:
        return address
    fitting = [item for item in open_to if address == item or address.startswith(f"{item}/")]
    if not fitting:
        return address
    best = max(fitting, key=len)
    return f"{open_to[best].rstrip('/')}{address[len(best) :]}"

"""The worker's solving: rattler's records in, plain JSON out. Imported by the worker only."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rattler import (
    BuildString,
    Channel,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    PackageRecord,
    RepoDataRecord,
    Version,
)
from rattler import exceptions as failures
from rattler import solve as rattler_solve
from rattler.channel import ChannelPriority

_CHUNK = 1 << 20


class NoHashError(Exception):
    """A channel gives no sha256 for a package that is not on this disk."""


async def solve(
    request: dict[str, Any],
    specs: list[MatchSpec],
    channels: list[Channel],
    gateway: Gateway,
    priority: ChannelPriority,
) -> dict[str, Any]:
    """Solve with exactly the virtual packages of the request."""
    before = request["before"]
    try:
        records = await rattler_solve(
            channels,
            # With a version alone, rattler loads only what matches it, and then takes from a weaker channel what the
            # stronger one has in another version: strict priority needs every record of the name, and what all of
            # them depend on. One channel has no weaker one.
            [*specs, *(MatchSpec(spec.name.normalized) for spec in specs)] if len(channels) > 1 else specs,
            gateway=gateway,
            platforms=request["subdirs"],
            locked_packages=[record_of(item) for item in request["locked"]],
            pinned_packages=[record_of(item) for item in request["pinned"]],
            virtual_packages=[_virtual(name, text) for name, text in request["virtual"].items()],
            channel_priority=priority,
            # rattler puts UTC over whatever zone a time has, so it is given without one.
            exclude_newer=dt.datetime.fromtimestamp(before / 1000, dt.timezone.utc).replace(tzinfo=None)
            if before is not None
            else None,
            # Exactly the channels that were asked for, none that they name themselves.
            channel_relations="disabled",
        )
    except failures.SolverError as error:
        return {
            "ok": False,
            "kind": "solver",
            "message": str(error),
            "available": await _available(request, specs, channels, gateway),
            "channels": request["channels"],
        }
    bases = {channel.base_url.rstrip("/"): name for channel, name in zip(channels, request["channels"], strict=True)}
    # What is installed already and stays is not fetched: old records of conda have no sha256.
    there = {(item["name"], item["version"], item["build"]) for item in request["pinned"]}
    return {"ok": True, "packages": [_plain(record, bases, there) for record in records]}


def _virtual(name: str, text: str) -> GenericVirtualPackage:
    version, _, build = text.partition("=")
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build or "0"))


async def _available(
    request: dict[str, Any], specs: list[MatchSpec], channels: list[Channel], gateway: Gateway
) -> dict[str, list[str]]:
    """Return the versions that the channels have of what was asked for, oldest first."""
    names = sorted({spec.name.normalized for spec in specs})
    try:
        found = await gateway.query(channels, request["subdirs"], names, recursive=False, channel_relations="disabled")
    except failures.GatewayError:
        return {}
    versions: dict[str, dict[str, Version]] = {}
    for records in found:
        for record in records:
            versions.setdefault(record.name.normalized, {})[str(record.version)] = record.version
    return {
        name: [text for text, _ in sorted(items.items(), key=lambda pair: pair[1])] for name, items in versions.items()
    }


def _plain(record: RepoDataRecord, bases: dict[str, str], there: set[tuple[str, str, str]]) -> dict[str, Any]:
    url = str(record.url)
    base = url.rsplit("/", 2)[0]
    sha256, md5 = record.sha256, record.md5
    if sha256 is None and (record.name.normalized, str(record.version), str(record.build)) not in there:
        path = path_of(url)
        if path is None:
            raise NoHashError(f"{record.file_name} has no hash sha256 in {bases.get(base, base)}")
        sha256, md5 = hashes_of(path)
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": record.subdir,
        "channel": bases.get(base, base),
        "url": url,
        "md5": md5.hex() if md5 else "",
        "sha256": sha256.hex() if sha256 else "",
        "size": record.size,
        "depends": list(record.depends),
        "constrains": list(record.constrains),
    }


def record_of(item: dict[str, Any]) -> RepoDataRecord:
    """Return rattler's record of a locked package."""
    number = item["build"].rpartition("_")[2]
    record = PackageRecord(
        name=item["name"],
        version=item["version"],
        build=BuildString(item["build"]),
        build_number=int(number) if number.isdigit() else 0,
        subdir=item["subdir"],
        noarch=_noarch(item),
        depends=list(item["depends"]),
        constrains=list(item["constrains"]),
        sha256=bytes.fromhex(item["sha256"]) if item["sha256"] else None,
        md5=bytes.fromhex(item["md5"]) if item["md5"] else None,
        size=item["size"],
    )
    file_name = unquote(urlsplit(item["url"]).path.rsplit("/", 1)[1])
    return RepoDataRecord(record, file_name=file_name, url=item["url"], channel=item["url"].rsplit("/", 2)[0])


def _noarch(item: dict[str, Any]) -> Any:
    if item["subdir"] != "noarch":
        return None
    return "python" if any(text.split(" ")[0] == "python" for text in item["depends"]) else "generic"


def path_of(url: str) -> str | None:
    """Return the file behind a ``file://`` address, None for any other."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else None


def hashes_of(path: str) -> tuple[bytes, bytes]:
    """Return sha256 and md5 of a file."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.digest(), md5.digest()


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

"""``conda-lock.yml`` version 1, written with conda-lock's own models; read by `provision.lock.conda_lock_reader`.

The format drops `constrains`, channels and sizes, and demands an address for what comes from the package index. What
it has no room for stands in ``metadata.custom_metadata``, which conda-lock keeps: the GPU contract, a digest of the
packages it was made for, and a note beside each package.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from provision.errors import ToolFailedError
from provision.lock.conda_lock_reader import parse, parse_foreign
from provision.lock.conda_parts import (
    CONTRACT,
    DIGEST,
    NOTE,
    PLATFORM,
    address_fault,
    compact,
    digest_of,
    note_of,
)
from provision.lock.conda_sources import Sources, sources_of
from provision.lock.contract import contract_document
from provision.model.lock import CondaLocked, Lock, Locked

__all__ = ["Artifact", "parse", "parse_foreign", "render"]


@dataclass(frozen=True)
class Artifact:
    """Where one distribution of the package index is; the format demands it.

    Attributes:
        url: its address; credentials in it are left out of what is written.
        sha256: hexadecimal; must be one of the lock's hashes.
        depends: normalised names of the distributions that it needs, for the order of installation.
    """

    url: str
    sha256: str
    depends: tuple[str, ...] = ()


def render(
    lock: Lock,
    content_hash: Mapping[str, str],
    artifacts: Mapping[str, Artifact] | None = None,
    sources: Sources | None = None,
) -> str:
    """Return the text of ``conda-lock.yml``, the same for the same arguments.

    Args:
        lock: with the conda packages and those of the package index.
        content_hash: platform → conda-lock's hash of the files beside the lock
            (`provision.backends.conda.content_hash.content_hash`).
        artifacts: normalised name → the one artifact that is locked. The format holds one address for each
            distribution, so the lock is for this artifact alone; a distribution with a `url` of its own needs none.
        sources: what the files beside the lock say, `sources_of` by default.

    Raises:
        ToolFailedError: code ``extra-missing`` without conda-lock; ``lock-format`` where the format cannot hold the
            lock: a conda package without md5, a distribution without an address.
    """
    said = sources or sources_of(lock)
    chosen = {item.name: _artifact(item, artifacts or {}) for item in lock.packages}
    packages = tuple(Locked(item.name, item.version, (chosen[item.name].sha256,)) for item in lock.packages)
    custom = {
        CONTRACT: compact(contract_document(lock)),
        DIGEST: digest_of(lock.conda, packages),
        **{f"{NOTE}{item.name}": note_of(item) for item in sorted(lock.conda, key=lambda item: item.name)},
    }
    models = _models()
    file = models.Lockfile(
        package=[
            *(_conda_entry(models, item) for item in lock.conda),
            *(_pip_entry(models, item, chosen[item.name]) for item in packages),
        ],
        metadata=models.LockMeta(
            content_hash=dict(content_hash),
            channels=[{"url": _clean_channel(channel), "used_env_vars": ()} for channel in said.channels],
            platforms=[PLATFORM],
            sources=[said.environment_name],
            custom_metadata=custom,
        ),
    )
    file.alphasort_inplace()
    head = (
        "# Written by tfgpu-provision in the format of conda-lock; do not edit.\n"
        "# Install it with `tfgpu-provision create --locked FILE` or `conda-lock install -p PREFIX FILE`.\n"
    )
    body: str = yaml.safe_dump(file.to_v1().dict_for_output(), sort_keys=False)
    return head + body


def _models() -> Any:
    # Importing any part of conda-lock imports all of it: a second.
    try:
        return importlib.import_module("conda_lock.lockfile.v2prelim.models")
    except ImportError as error:
        raise ToolFailedError(
            "conda-lock is not installed; it writes conda-lock.yml",
            code="extra-missing",
            why=(str(error),),
            hint="pip install 'tfgpu-provision[conda]'",
        ) from None


def _conda_entry(models: Any, item: CondaLocked) -> Any:
    if not item.md5:
        raise _cannot_hold(
            f"{item.requirement} of {item.channel} has no md5, and conda-lock.yml demands one",
            "write the explicit format: `--format explicit`",
        )
    if fault := address_fault(item.url):
        raise _cannot_hold(f"{item.requirement}: {fault}", "use a channel whose address is https:// or file://")
    return models.LockedDependency(
        name=item.name,
        version=item.version,
        manager="conda",
        platform=PLATFORM,
        dependencies=_dependencies(item.depends),
        url=item.url,
        hash={"md5": item.md5, "sha256": item.sha256},
        build=item.build,
        categories={"main"},
    )


def _pip_entry(models: Any, item: Locked, artifact: Artifact) -> Any:
    return models.LockedDependency(
        name=item.name,
        version=item.version,
        manager="pip",
        platform=PLATFORM,
        dependencies=dict.fromkeys(sorted(artifact.depends), "*"),
        url=artifact.url,
        hash={"sha256": artifact.sha256},
        categories={"main"},
    )


def _artifact(item: Locked, artifacts: Mapping[str, Artifact]) -> Artifact:
    found = artifacts.get(item.name)
    if found is None and item.url and len(item.hashes) == 1:
        found = Artifact(item.url, item.hashes[0])
    if found is None:
        raise _cannot_hold(
            f"it is not known where {item.requirement} comes from, and conda-lock.yml demands an address",
            "write the explicit format, which needs no address: `--format explicit`",
        )
    if found.sha256 not in item.hashes:
        raise _cannot_hold(f"the artifact of {item.requirement} is not one that was locked", "lock again")
    parts = urlsplit(found.url)
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    if fault := address_fault(url):
        raise _cannot_hold(f"{item.requirement}: {fault}", "write the explicit format: `--format explicit`")
    return Artifact(url, found.sha256, found.depends)


def _clean_channel(channel: str) -> str:
    if "://" in channel and (fault := address_fault(channel)):
        raise _cannot_hold(f"channel: {fault}", "name the channel without credentials; they belong into .condarc")
    return channel


def _cannot_hold(why: str, hint: str) -> ToolFailedError:
    return ToolFailedError("conda-lock.yml cannot hold this lock", code="lock-format", why=(why,), hint=hint)


def _dependencies(specs: tuple[str, ...]) -> dict[str, str]:
    """Return MatchSpecs as the format has them: name → version, with the build where just one spec names it."""
    by_name: dict[str, list[str]] = {}
    for spec in specs:
        name, _, rest = spec.strip().partition(" ")
        by_name.setdefault(name, []).append(rest.strip())
    return {
        name: rests[0] if len(rests) == 1 else ",".join(rest.split()[0] for rest in rests if rest)
        for name, rests in sorted(by_name.items())
        if not name.startswith("__")
    }

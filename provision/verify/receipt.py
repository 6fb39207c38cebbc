"""A verdict as the document that is kept: what was proved, on what, when, without names of people or machines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.host import Gpu, HostFacts
from provision.model.matrix import LibrarySet, Row
from provision.model.verdict import Verdict
from provision.verify.row_digest import row_digest

_SHORTEST_NAME = 3


@dataclass(frozen=True)
class Identity:
    """What must not be in a receipt unless asked: home folder, user name, host name; empty where unknown."""

    home: str = ""
    user: str = ""
    host: str = ""


@dataclass(frozen=True)
class Circumstances:
    """What a receipt says beside the verdict.

    Attributes:
        tool: version of this program.
        when: ISO time in UTC.
        prefix: the environment's root; paths below it are written relative to ``{env}``.
        packages: every distribution in it.
        lock_sha256: of its ``.tfgpu/lock.txt``, None where there is none.
        host: the machine, None where it was not read.
        row: the matrix row compared with.
        library_set: the set of wheels compared with.
        matrix_digest: of the matrix they come from, empty where unknown.
        kept: the user's variables that bear on the answer and were kept.
        dropped: those that were left out.
    """

    tool: str
    when: str
    prefix: str
    packages: Mapping[str, str]
    lock_sha256: str | None
    host: HostFacts | None
    row: Row | None
    library_set: LibrarySet | None
    matrix_digest: str
    kept: Mapping[str, str]
    dropped: Mapping[str, str]


def receipt_document(verdict: Verdict, around: Circumstances, identity: Identity | None) -> dict[str, Any]:
    """Return the receipt; with ``identity`` its names are taken out, with None (the user asked) they stay."""
    environment = {key: value for key, value in verdict.environment.items() if key != "prefix"}
    document = {
        "schema": SCHEMA_VERSION,
        "kind": "tfgpu-receipt",
        "tool": around.tool,
        "created": around.when,
        "level": verdict.level.value,
        "outcome": verdict.outcome.value,
        "proved": verdict.proved,
        "summary": verdict.summary,
        "environment": {**environment, "packages": dict(sorted(around.packages.items()))},
        "lock_sha256": around.lock_sha256,
        "matrix": {
            "sha256": around.matrix_digest or None,
            "release": around.row.release.text if around.row else None,
            "set": around.library_set.ident if around.library_set else None,
            "row": row_digest(around.row, around.library_set) if around.row and around.library_set else None,
        },
        "machine": machine_document(around.host, identify=identity is None) if around.host else None,
        "variables": {"kept": dict(around.kept), "dropped": dict(around.dropped)},
        "stages": jsonable(verdict.stages),
    }
    plain = Scrubber(around.prefix, identity)
    document = {key: plain.value(value) for key, value in document.items()}
    if identity is None:
        document["environment"]["path"] = around.prefix
    return document


def machine_document(host: HostFacts, *, identify: bool) -> dict[str, Any]:
    """Return what of a machine decides GPU use: system, driver, GPUs; UUIDs only where asked."""
    return {
        "system": host.system.value,
        "machine": host.machine.value,
        "distribution": host.distribution.value,
        "glibc": jsonable(host.glibc.value),
        "wsl": host.wsl.value,
        "container": host.container.value.kind if host.container.value else None,
        "driver_state": host.driver_state.value,
        "driver": jsonable(host.driver.value),
        "driver_cuda": jsonable(host.driver_cuda.value),
        "gpus": [_gpu(gpu, identify=identify) for gpu in host.gpus.value or ()],
    }


def _gpu(gpu: Gpu, *, identify: bool) -> dict[str, Any]:
    document = {
        "name": gpu.name,
        "compute_capability": jsonable(gpu.compute_capability),
        "memory_mib": gpu.memory_mib,
        "mig": gpu.mig,
    }
    return {**document, "uuid": gpu.uuid} if identify else document


class Scrubber:
    """Replaces the environment's root by ``{env}``, and people's and machines' names by placeholders."""

    def __init__(self, prefix: str, identity: Identity | None) -> None:
        replaced: list[tuple[str, str]] = []
        if len(prefix) > 1:
            replaced.append((_path(prefix), "{env}"))
        if identity:
            if len(identity.home) > 1:
                replaced.append((_path(identity.home), "~"))
            replaced.append((r"(?<=/home/)[^/\s:;'\"]+|(?<=/Users/)[^/\s:;'\"]+", "<user>"))
            if len(identity.user) >= _SHORTEST_NAME and identity.user != "root":
                replaced.append((rf"\b{re.escape(identity.user)}\b", "<user>"))
            if len(identity.host) >= _SHORTEST_NAME and identity.host != "localhost":
                replaced.append((rf"(?<![\w./-]){re.escape(identity.host)}(?![\w/-])", "<host>"))
        self._replaced = [(re.compile(pattern), word) for pattern, word in replaced]

    def text(self, text: str) -> str:
        """Return one string cleaned."""
        for pattern, word in self._replaced:
            text = pattern.sub(word, text)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON-ready value with every string in it cleaned, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _path(folder: str) -> str:
    """Return a pattern for a folder as a whole path or the beginning of one."""
    return rf"(?<![\w.-]){re.escape(folder.rstrip('/'))}(?![\w.-])"

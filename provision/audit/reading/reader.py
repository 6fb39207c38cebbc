"""What reads wheels: one session, one cache, one limit of what may be downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version
from pydantic import TypeAdapter, ValidationError
from typing_extensions import Self

from provision.audit.reading import index
from provision.audit.reading.archive import Archive
from provision.audit.reading.cache import Cache, Kept, cache_folder
from provision.audit.reading.configured import indexes
from provision.audit.reading.index import Found, Located
from provision.audit.reading.net import Net
from provision.audit.reading.source import LocalSource, Source, open_source
from provision.errors import ToolFailedError
from provision.model.artifact import Artifact
from provision.model.document import jsonable
from provision.system import System

_LISTING_AGE = 3600.0
"""Seconds for which an answer of the index stands; a release that it does not have is asked for again."""


@dataclass
class Reader:
    """Use as a context manager; several threads may share one.

    Attributes:
        system: the door.
        net: the session.
        cache: what was read before, and where it is kept.
        download: whether a server that does no ranges may be asked for a whole wheel.
        fresh: whether the index is asked in any case, and not only where its answer is older than an hour.
    """

    system: System = field(default_factory=System)
    net: Net = field(default_factory=Net)
    cache: Cache = field(default_factory=lambda: Cache(cache_folder()))
    download: bool = False
    fresh: bool = False
    _pages: dict[str, Mapping[Version, Found]] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.net.__exit__()

    def versions(self, distribution: str, *, fresh: bool = False) -> Mapping[Version, Found]:
        """Return every version of a distribution with its wheels.

        The index is asked once, and not at all where its answer was kept within the last hour. Raises as
        `index.versions`.
        """
        if fresh or distribution not in self._pages:
            kept = None if fresh or self.fresh else self._listed(distribution)
            self._pages[distribution] = self._asked(distribution) if kept is None else kept
        return self._pages[distribution]

    def _asked(self, distribution: str) -> Mapping[Version, Found]:
        found = index.versions(self.net, distribution, environ=self.system.environ)
        # What lies in a folder is named by its path, which is none of the cache's business.
        places = [item for release in found.values() for item in release.places.values()]
        if all(item.address for item in places):
            self.cache.keep_listing(self._index, distribution, jsonable([item.artifact for item in places]))
        return found

    def _listed(self, distribution: str) -> Mapping[Version, Found] | None:
        try:
            known = TypeAdapter(tuple[Artifact, ...]).validate_python(
                self.cache.listing(self._index, distribution, _LISTING_AGE)
            )
        except ValidationError:
            return None
        wheels: dict[Version, list[Located]] = {}
        for artifact in known:
            wheels.setdefault(Version(artifact.version), []).append(Located(artifact))
        return {version: index.found_of(distribution, version, found) for version, found in wheels.items()}

    def recall(self, name: str) -> Any:
        """Return what was worked out of the index's answers and kept within the last hour, None where nothing was.

        A ``name`` ends in a hyphen, as that of no distribution does.
        """
        return None if self.fresh else self.cache.listing(self._index, name, _LISTING_AGE)

    def remember(self, name: str, found: list[Any]) -> None:
        """Keep what was worked out of the index's answers."""
        self.cache.keep_listing(self._index, name, found)

    @property
    def _index(self) -> str:
        return "\n".join(indexes(self.system.environ))

    def find(self, distribution: str, version: str) -> Found:
        """Return every wheel of a release; raises as `index.find`."""
        known = self.versions(distribution)
        return index.find(
            known if Version(version) in known else self.versions(distribution, fresh=True), distribution, version
        )

    def locate(self, text: str, *, python: str = "") -> Located:
        """Return the wheel that ``NAME==VERSION``, a file or an address names; raises as `index.locate`."""
        return index.locate(self.find, text, python=python)

    def kept(self, located: Located) -> Kept:
        """Return what is kept of a wheel; nothing where its hash is only what somebody typed."""
        return self.cache.of(located.artifact.sha256 if located.trusted else "")

    def source(self, located: Located) -> Source:
        """Return the bytes of a wheel; raises as `open_source`."""
        if located.path is not None:
            return LocalSource(located.path)
        artifact = located.artifact
        address = located.address or self._address(artifact)
        if isinstance(address, Path):
            return LocalSource(address)
        return open_source(
            self.net,
            address,
            self.kept(located),
            filename=artifact.filename,
            sha256=artifact.sha256,
            download=self.download,
        )

    def _address(self, artifact: Artifact) -> str | Path:
        """Ask the index where a wheel is that is known by its name only; its hash must be the one that is known."""
        located = self._place(artifact, fresh=False)
        if located is None or not (located.address or located.path):
            located = self._place(artifact, fresh=True)
        if located is None or artifact.sha256 not in {"", located.artifact.sha256}:
            raise ToolFailedError(
                f"the index has no {artifact.filename} with the sha256 that is known",
                code="wheel-not-readable",
                why=(f"known is {artifact.sha256}", f"it has {located.artifact.sha256 if located else 'none'}"),
                hint="check which index uv and pip are configured to use",
            )
        return located.path or located.address

    def _place(self, artifact: Artifact, *, fresh: bool) -> Located | None:
        found = self.versions(artifact.distribution, fresh=fresh).get(Version(artifact.version))
        return found.named(artifact.filename) if found else None

    def archive(self, located: Located) -> Archive:
        """Return the members of a wheel; raises as `Archive` and `open_source`."""
        return Archive(self.source(located), located.artifact.filename)

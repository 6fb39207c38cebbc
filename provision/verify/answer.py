"""What a probe brought back, as the judges see it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.model.matrix import LibrarySet, Row


@dataclass(frozen=True)
class Said:
    """One probe's answer.

    Attributes:
        data: its JSON object, None where it died or hung before it said anything.
        failure: empty, ``timeout``, ``signal SIGBUS``, ``exit 1``, ``no answer`` or ``not started``.
        log: what stood on its standard error: TensorFlow's own log and tracebacks.
        seconds: wall time.
    """

    data: Mapping[str, Any] | None
    failure: str = ""
    log: str = ""
    seconds: float = 0.0

    def get(self, *keys: str) -> Any:
        """Return a nested value, None where any part of the way is missing."""
        value: Any = self.data
        for key in keys:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value


@dataclass(frozen=True)
class Premises:
    """What is known about the environment before anything of it runs.

    Attributes:
        prefix: its root, as its interpreter names it.
        site_packages: the folder that holds the tensorflow package.
        real_roots: both of them with every link resolved, as the kernel names files that are mapped.
        managed: whether this tool created it.
        tensorflow: version of the distribution, None where none is installed.
        distribution: its name.
        others: further distributions that bring a tensorflow package, ``name version``.
        shadow: what stands before the distribution's package on the path, None where nothing does.
        user_site: whether the user's own site folder, which is left out, has a TensorFlow.
        cuda_build: what ``build_info.py`` says, None where it does not.
        wheels: normalised distribution name to installed version.
        files: SONAME to its path below site-packages, for every CUDA library in the environment.
        row: the matrix row of the release, None where there is none.
        library_set: the set meant to be in it, None where unknown.
    """

    prefix: str
    site_packages: str
    managed: bool = False
    tensorflow: str | None = None
    distribution: str | None = None
    others: tuple[str, ...] = ()
    shadow: str | None = None
    user_site: bool = False
    cuda_build: bool | None = None
    wheels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    row: Row | None = None
    library_set: LibrarySet | None = None
    real_roots: tuple[str, ...] = ()

    def inside(self, path: str) -> bool:
        """Whether a path is below the environment's root or its site-packages."""
        plain = posixpath.normpath(path)
        return any(plain.startswith(root.rstrip("/") + "/") for root in self._roots)

    def shown(self, path: str) -> str:
        """Return a path relative to site-packages or the environment where it is inside, else as it is."""
        # The loader says tensorflow/../nvidia/…, as it stands in the RUNPATH.
        plain = posixpath.normpath(path)
        for root in self._roots:
            if plain.startswith(root.rstrip("/") + "/"):
                return plain[len(root.rstrip("/")) + 1 :]
        return plain

    @property
    def _roots(self) -> tuple[str, ...]:
        """The narrower folder first, so that a path is shown relative to it."""
        return tuple(sorted({self.site_packages, self.prefix, *self.real_roots}, key=len, reverse=True))

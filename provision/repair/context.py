"""What every step of a repair is given: the environment, its copy, and where a path of the one lies in the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from provision.backends.layout import env_ref
from provision.errors import ToolFailedError
from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import Matrix
from provision.model.progress import Observer
from provision.model.snapshot import Snapshot
from provision.repair.files.patch import REPAIRS

if TYPE_CHECKING:
    from provision.backends.uv import Uv


@dataclass(frozen=True)
class StageContext:
    """One repair that is being carried out on a copy.

    Attributes:
        prefix: the environment's root, absolute; it is only read.
        stage: the root of its copy, made by `provision.repair.stage.build_stage`.
        seen: what was found in the environment.
        snapshot: everything that doctor judged.
        matrix: the matrix in force.
        uv: downloads and installs.
        watch: is told each step.
        offline: never use the network.
    """

    prefix: Path
    stage: Path
    seen: EnvironmentFacts
    snapshot: Snapshot
    matrix: Matrix
    uv: Uv
    watch: Observer
    offline: bool = False

    @property
    def env(self) -> EnvRef:
        """The copy, as an environment."""
        seen = self.seen.env
        if seen is None:
            return env_ref(self.stage)
        stage = PurePosixPath(self.stage)
        python, site_packages = _below(seen.python, seen.prefix), _below(seen.site_packages, seen.prefix)
        if python is None or site_packages is None:
            # A Python that was given by its file, or packages outside: the copy has its own layout.
            return replace(env_ref(self.stage), kind=seen.kind, managed=seen.managed)
        return replace(seen, prefix=stage, python=stage / python, site_packages=stage / site_packages)

    def staged(self, path: str | Path) -> Path:
        """Return where an absolute path of the environment lies in the copy; its last part may be a link or absent.

        Raises:
            ToolFailedError: code ``path-outside``: it is none of the environment's, or links lead out of the copy.
        """
        for root in self._roots:
            inside = _below(path, root)
            if inside is None or ".." in inside.parts or not inside.parts:
                continue
            if inside.parts[:2] == (RECORD_FOLDER, REPAIRS):
                break
            there = self.stage / inside
            home = self.stage.resolve()
            if home in (parent := there.parent.resolve(), *parent.parents):
                return there
        raise ToolFailedError(
            "a repair would change something outside of the environment",
            code="path-outside",
            why=(f"{path} does not lie in {self.prefix}",),
            hint="report this; change it by hand if it is meant",
        )

    def holds(self, path: str | Path) -> bool:
        """Whether an absolute path lies in the environment."""
        return any(_below(path, root) is not None for root in self._roots)

    @property
    def _roots(self) -> tuple[str, ...]:
        """The environment under every name by which facts may call it: a link on the way gives it two."""
        seen = self.seen
        names = (self.prefix, seen.env.prefix if seen.env else "", seen.path, self.prefix.resolve())
        return tuple(dict.fromkeys(str(name) for name in names if str(name).startswith("/")))


def _below(path: object, root: object) -> PurePosixPath | None:
    try:
        return PurePosixPath(str(path)).relative_to(str(root))
    except ValueError:
        return None

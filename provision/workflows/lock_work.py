"""From plans to lock files: resolve each, draft all, and write them together or not at all."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provision.backends.resolve import LockResolution, lock_platform, resolve_lock
from provision.backends.uv import Target, Uv, any_python
from provision.errors import InvalidFileError, ToolFailedError
from provision.model.lock import CondaLocked, GpuFloor, Lock, Locked, LockFormat, LockRequest, normalised
from provision.model.matrix import Matrix
from provision.model.plan import Plan
from provision.model.progress import Observer
from provision.model.versions import GlibcVersion
from provision.system import System
from provision.system.files import write_all_atomic
from provision.workflows.lock_request import LockOptions
from provision.workflows.lock_targets import LockTarget

if TYPE_CHECKING:
    from provision.model.created import Denial
    from provision.model.locked import LockedTarget

_LIMIT = 1 << 25
"""Bytes of a lock file that is read; `provision.lock` has its own, lower limits for each format."""
_NO_CACHE = ("cache-unusable", "no-permission")
"""Codes with which uv says that it cannot write its cache; it does so before it asks the index."""


@dataclass(frozen=True)
class Standing:
    """A lock file that is there: its bytes and what they say."""

    data: bytes
    lock: Lock


def read_standing(path: Path) -> Standing | None:
    """Return the lock at a path, None where there is nothing.

    Raises:
        InvalidFileError: what is there is not a lock that we can read; it is left alone.
    """
    if not path.exists() and not path.is_symlink():
        return None
    if not path.is_file():
        raise InvalidFileError(
            f"{path.name} is not a file", code="bad-lock", why=(str(path),), hint="name another one with -o"
        )
    from provision.lock.files import parse  # noqa: PLC0415 - where a lock is new there is none to read

    with path.open("rb") as stream:
        data = stream.read(_LIMIT + 1)
    try:
        return Standing(data, parse(path.name, data))
    except InvalidFileError as error:
        raise InvalidFileError(
            error.what,
            code=error.code,
            why=error.why,
            hint=f"restore {path.name}, or remove it and lock anew, or name another file with -o",
        ) from error


@dataclass(frozen=True)
class Made:
    """What a backend resolved."""

    packages: tuple[Locked, ...]
    conda: tuple[CondaLocked, ...] = ()
    source_only: tuple[str, ...] = ()
    build_tools: tuple[Locked, ...] = ()
    glibc: GlibcVersion | None = None
    pylock: str = ""
    too_new: tuple[str, ...] = ()


@dataclass(frozen=True)
class LockWork:
    """Everything that is decided before the first resolution.

    Attributes:
        matrix: all of it, whatever day is asked for.
        request: what is asked for, with the day and the leave to build.
        paths: where each target goes in each format.
        standing: the locks that are there.
    """

    system: System
    options: LockOptions
    folder: Path
    matrix: Matrix
    request: LockRequest
    paths: Mapping[tuple[str, LockFormat], Path]
    standing: Mapping[tuple[str, LockFormat], Standing]
    watch: Observer
    _made: dict[object, Made | Denial] = field(default_factory=dict)

    def make(self, targets: Sequence[LockTarget], plans: Sequence[Plan]) -> tuple[LockedTarget, ...]:
        """Resolve and draft for every target, then write all files, or none where one target is denied.

        Raises:
            ToolFailedError: uv, the network or the disk failed; no lock was touched.
        """
        uv = Uv(self.system, offline=self.options.offline)
        texts: dict[Path, bytes] = {}
        with tempfile.TemporaryDirectory(prefix="tfgpu-") as name:
            scratch = Path(name)
            try:
                drafts = self._drafts(uv, targets, plans, scratch, texts)
            except ToolFailedError as error:
                if error.code not in _NO_CACHE:
                    raise
                uv.use_cache(scratch / "cache")
                drafts = self._drafts(uv, targets, plans, scratch, texts)
        from provision.workflows.lock_draft import held_where_denied  # noqa: PLC0415 - see _one

        held = held_where_denied(drafts)
        if held is None and not self.options.check and texts:
            self.watch.step(f"writing {len(texts)} {'file' if len(texts) == 1 else 'files'}")
            write_all_atomic(texts)
        return held or tuple(drafts)

    def previous(self, name: str) -> Lock | None:
        """Return the lock that a target has."""
        return next((item.lock for (target, _), item in self.standing.items() if target == name), None)

    def kinds(self, name: str) -> list[LockFormat]:
        """Return the formats that a target gets."""
        return [kind for target, kind in self.paths if target == name]

    def target_of(self, plan: Plan) -> Target:
        """Return for which Python and platform a plan is resolved."""
        return Target(any_python(), plan.python.series.text, lock_platform(plan.row.glibc))

    def _drafts(
        self, uv: Uv, targets: Sequence[LockTarget], plans: Sequence[Plan], scratch: Path, texts: dict[Path, bytes]
    ) -> list[LockedTarget]:
        return [self._one(uv, target, plan, scratch, texts) for target, plan in zip(targets, plans, strict=True)]

    def _one(self, uv: Uv, target: LockTarget, plan: Plan, scratch: Path, texts: dict[Path, bytes]) -> LockedTarget:
        @functools.cache
        def floors() -> tuple[GpuFloor, ...]:
            from provision.workflows.lock_draft import beforehand  # noqa: PLC0415 - see below

            return beforehand(plan, self.matrix, self.kinds(target.name))

        # While uv waits for the index, the rules can say which machines the release serves, and what is needed for
        # the file is loaded.
        made = self._resolved(uv, target, plan, scratch, meanwhile=floors)
        from provision.workflows.lock_draft import denied, draft  # noqa: PLC0415 - see above

        if not isinstance(made, Made):
            return denied(target, plan, made)
        return draft(self, target, plan, made, floors=floors(), uv=uv, scratch=scratch, texts=texts)

    def _resolved(
        self, uv: Uv, target: LockTarget, plan: Plan, scratch: Path, meanwhile: Callable[[], object]
    ) -> Made | Denial:
        """Resolve for a target; targets that come to the same are resolved once."""
        previous = self._kept(self.previous(target.name))
        key = (plan.pins, plan.conda_pins, plan.python, plan.library_set.ident, plan.row.release, previous)
        if key not in self._made:
            which = f" for {target.name}" if target.name else ""
            self.watch.step(f"resolving {plan.row.distribution} {plan.row.release}{which}")
            if plan.request.backend == "conda":
                self._made[key] = self._conda(plan, previous)
            else:
                self._made[key] = self._venv(uv, plan, previous, scratch, meanwhile)
        return self._made[key]

    def _venv(
        self, uv: Uv, plan: Plan, previous: Lock | None, scratch: Path, meanwhile: Callable[[], object]
    ) -> Made | Denial:
        keep = (*previous.packages, *previous.build_tools) if previous is not None else ()
        found = resolve_lock(
            uv,
            plan,
            self.target_of(plan),
            allow_source=self.request.allow_source,
            scratch=scratch,
            keep=keep,
            as_of=self.request.as_of,
            meanwhile=meanwhile,
        )
        if not isinstance(found, LockResolution):
            return found
        return Made(found.locked, (), found.source_only, found.build_tools, found.glibc, found.pylock, found.too_new)

    def _conda(self, plan: Plan, previous: Lock | None) -> Made | Denial:
        from provision.model.created import Denial  # noqa: PLC0415 - rattler and all with it is loaded for conda only
        from provision.workflows.conda_lock_resolve import resolve_conda  # noqa: PLC0415

        found = resolve_conda(
            self.system,
            plan,
            self.request,
            previous=previous,
            offline=self.options.offline,
            observer=self.watch,
            conda_exe=self.options.conda_exe,
        )
        return found if isinstance(found, Denial) else Made(*found)

    def _kept(self, previous: Lock | None) -> Lock | None:
        """Return what of a lock may not change its version."""
        if previous is None or self.options.upgrade:
            return None
        free = {normalised(name) for name in self.options.upgrade_packages}
        return dataclasses.replace(
            previous,
            packages=tuple(item for item in previous.packages if item.name not in free),
            conda=tuple(item for item in previous.conda if normalised(item.name) not in free),
            build_tools=tuple(item for item in previous.build_tools if item.name not in free),
        )

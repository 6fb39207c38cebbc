"""From plans to lock files: resolve each, render all, and write them together or not at all."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from provision.backends.resolve import LockResolution, lock_platform, pylock_of, resolve_lock
from provision.backends.uv import Sources, Target, Uv, any_python
from provision.errors import InvalidFileError
from provision.lock.changes import changes
from provision.lock.files import parse, render
from provision.model.created import Denial
from provision.model.lock import CondaLocked, Lock, Locked, LockFormat, LockRequest, normalised
from provision.model.locked import LockedTarget, LockFile, LockOutcome
from provision.model.matrix import Matrix
from provision.model.plan import Plan
from provision.model.progress import Observer
from provision.model.versions import GlibcVersion
from provision.system import System
from provision.system.files import write_all_atomic
from provision.workflows.contract import contract_for, gpu_floors
from provision.workflows.lock_conda_files import beside_files, conda_texts
from provision.workflows.lock_request import LockOptions
from provision.workflows.lock_targets import LockTarget

_LIMIT = 1 << 25
"""Bytes of a lock file that is read; `provision.lock` has its own, lower limits for each format."""


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
class _Made:
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
        uv: the engine, and whether its cache can be written; that is found out while the matrix is read.
    """

    system: System
    options: LockOptions
    folder: Path
    matrix: Matrix
    request: LockRequest
    paths: Mapping[tuple[str, LockFormat], Path]
    standing: Mapping[tuple[str, LockFormat], Standing]
    watch: Observer
    uv: Future[tuple[Uv, bool]]
    _made: dict[object, _Made | Denial] = field(default_factory=dict)

    def make(self, targets: Sequence[LockTarget], plans: Sequence[Plan]) -> tuple[LockedTarget, ...]:
        """Resolve and render for every target, then write all files, or none where one target is denied.

        Raises:
            ToolFailedError: uv, the network or the disk failed; no lock was touched.
        """
        drafts: list[LockedTarget] = []
        texts: dict[Path, bytes] = {}
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfgpu-")))
            uv, usable = self.uv.result()
            if not usable:
                uv.use_cache(scratch / "cache")
            for target, plan in zip(targets, plans, strict=True):
                drafts.append(self._one(uv, target, plan, scratch, texts))
        if any(draft.denial for draft in drafts):
            return tuple(
                draft if draft.denial else dataclasses.replace(draft, outcome=LockOutcome.HELD, lock=None, files=())
                for draft in drafts
            )
        if not self.options.check and texts:
            self.watch.step(f"writing {len(texts)} {'file' if len(texts) == 1 else 'files'}")
            write_all_atomic(texts)
        return tuple(drafts)

    def previous(self, name: str) -> Lock | None:
        """Return the lock that a target has."""
        return next((item.lock for (target, _), item in self.standing.items() if target == name), None)

    def _one(self, uv: Uv, target: LockTarget, plan: Plan, scratch: Path, texts: dict[Path, bytes]) -> LockedTarget:
        with ThreadPoolExecutor(max_workers=1) as beside:
            # While the resolver waits for the index, the rules can say which machines the release serves.
            floors = beside.submit(lambda: tuple(gpu_floors(plan, self.matrix)))
            made = self._resolved(uv, target, plan, scratch)
        if isinstance(made, Denial):
            return LockedTarget(target.name, target.machine, LockOutcome.REFUSED, plan=plan, denial=made)
        contract = contract_for(
            plan,
            self.matrix,
            request=self.request,
            target=target.name,
            machine_text=target.machine,
            glibc=made.glibc,
            gpus=floors.result(),
        )
        lock = Lock(contract, made.packages, made.conda, made.source_only, made.build_tools)
        kinds = [kind for name, kind in self.paths if name == target.name]
        pylock = self._pylock(uv, plan, made, scratch) if LockFormat.PYLOCK in kinds else ""
        files = [
            self._file(target.name, kind, lock, lambda kind, final: self._text(uv, kind, final, pylock, scratch), texts)
            for kind in kinds
        ]
        outcomes = {file.outcome for file in files}
        worst = next(iter(outcomes - {LockOutcome.UNCHANGED}), LockOutcome.UNCHANGED)
        return LockedTarget(
            target.name,
            target.machine,
            worst,
            plan=plan,
            lock=lock,
            files=tuple(files),
            remarks=tuple(_remarks(made, self.request, self.options, self.previous(target.name))),
        )

    def _file(
        self,
        name: str,
        kind: LockFormat,
        lock: Lock,
        draw: Callable[[LockFormat, Lock], tuple[str, Mapping[str, str]]],
        texts: dict[Path, bytes],
    ) -> LockFile:
        """Return what is to be done for one file, and put what is to be written into ``texts``."""
        path = self.paths[name, kind]
        shown = _shown(path, self.folder)
        before = self.standing.get((name, kind))
        if before is not None and before.lock.contract.row_digest == lock.contract.row_digest:
            # Another matrix that says the same of this release makes no other lock.
            digest = before.lock.contract.matrix_digest
            lock = dataclasses.replace(lock, contract=dataclasses.replace(lock.contract, matrix_digest=digest))
        text, beside = draw(kind, lock)
        new = beside_files(path, beside) if beside else {}
        if before is None or before.data != text.encode():
            new[path] = text.encode()
        if not new:
            return LockFile(shown, kind, LockOutcome.UNCHANGED)
        texts.update(new)
        outcome = LockOutcome.STALE if self.options.check else LockOutcome.WRITTEN
        found = changes(before.lock, lock) if before is not None else ()
        return LockFile(shown, kind, outcome, missing=before is None, changes=tuple(found))

    def _text(self, uv: Uv, kind: LockFormat, lock: Lock, pylock: str, scratch: Path) -> tuple[str, Mapping[str, str]]:
        """Return the text of a lock, and of what belongs beside it."""
        if lock.contract.backend == "conda":
            return conda_texts(uv, lock, kind, scratch)
        return render(lock, kind, pylock=pylock), {}

    def _resolved(self, uv: Uv, target: LockTarget, plan: Plan, scratch: Path) -> _Made | Denial:
        """Resolve for a target; targets that come to the same are resolved once."""
        previous = self._kept(self.previous(target.name))
        key = (plan.pins, plan.conda_pins, plan.python, plan.library_set.ident, plan.row.release, previous)
        if key not in self._made:
            which = f" for {target.name}" if target.name else ""
            self.watch.step(f"resolving {plan.row.distribution} {plan.row.release}{which}")
            if plan.request.backend == "conda":
                self._made[key] = self._conda(plan, previous)
            else:
                self._made[key] = self._venv(uv, plan, previous, scratch)
        return self._made[key]

    def _venv(self, uv: Uv, plan: Plan, previous: Lock | None, scratch: Path) -> _Made | Denial:
        keep = (*previous.packages, *previous.build_tools) if previous is not None else ()
        found = resolve_lock(
            uv,
            plan,
            _target(plan),
            allow_source=self.request.allow_source,
            scratch=scratch,
            keep=keep,
            as_of=self.request.as_of,
        )
        if not isinstance(found, LockResolution):
            return found
        return _Made(found.locked, (), found.source_only, found.build_tools, found.glibc, found.pylock, found.too_new)

    def _conda(self, plan: Plan, previous: Lock | None) -> _Made | Denial:
        from provision.workflows.conda_lock_resolve import resolve_conda  # noqa: PLC0415 - rattler is loaded for conda only

        found = resolve_conda(
            self.system,
            plan,
            self.request,
            previous=previous,
            offline=self.options.offline,
            observer=self.watch,
            conda_exe=self.options.conda_exe,
        )
        return found if isinstance(found, Denial) else _Made(*found)

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

    def _pylock(self, uv: Uv, plan: Plan, made: _Made, scratch: Path) -> str:
        """Return uv's own form of the resolution; what was added to it from the matrix has to be looked up."""
        if self.request.allow_source or not plan.row.source_only:
            return made.pylock
        return pylock_of(uv, made.packages, _target(plan), Sources(made.source_only), scratch)


def _target(plan: Plan) -> Target:
    return Target(any_python(), plan.python.series.text, lock_platform(plan.row.glibc))


def _remarks(made: _Made, request: LockRequest, options: LockOptions, previous: Lock | None) -> Sequence[str]:
    found = []
    if request.as_of:
        found.append(f"nothing that was uploaded after {request.as_of} is in it; `--as-of none` lifts that")
    if made.too_new:
        found.append(f"newer than {request.as_of}, and taken because the matrix fixes it: {', '.join(made.too_new)}")
    if previous is not None:
        had = {item.name for item in (*previous.packages, *previous.build_tools)}
        had |= {normalised(item.name) for item in previous.conda}
        unknown = [name for name in options.upgrade_packages if normalised(name) not in had]
        found += [f"{name} was not in the lock: there is nothing to upgrade" for name in unknown]
    return found


def _shown(path: Path, folder: Path) -> str:
    """Return a path as seen from the project."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return str(path)

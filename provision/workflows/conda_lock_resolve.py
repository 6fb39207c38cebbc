"""The conda side of ``lock --backend conda``: both halves resolved for the machine of a plan, not for this one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.backends.resolve import LockResolution, lock_platform, resolve_lock
from provision.backends.uv import Target, Uv, any_python, usable_cache
from provision.model.created import Denial
from provision.model.lock import CondaLocked, Lock, Locked, LockRequest
from provision.model.plan import Plan
from provision.model.progress import Observer
from provision.model.versions import GlibcVersion
from provision.system import System
from provision.workflows.conda_solve import engine_for, glibc_of, index_plan, provided_by, python_of, solve

Both = tuple[tuple[Locked, ...], tuple[CondaLocked, ...], tuple[str, ...], tuple[Locked, ...], GlibcVersion, str]
"""Index half, conda half, names of what is built, what builds it, the oldest glibc, and uv's own form (PEP 751)."""


def resolve_conda(
    system: System,
    plan: Plan,
    request: LockRequest,
    *,
    previous: Lock | None,
    offline: bool,
    observer: Observer,
    conda_exe: str | None,
) -> Both | Denial:
    """Resolve a plan for the conda backend.

    Args:
        system: the door.
        plan: for any machine.
        request: channels, the day, and whether packages may be built.
        previous: a lock whose versions stay where they fit, None to take the newest.
        offline: use caches only.
        observer: told what happens.
        conda_exe: a conda, mamba or micromamba that solves.

    Raises:
        UsageError, ToolFailedError: as the engines.
    """
    with tempfile.TemporaryDirectory(prefix="tfgpu-") as name:
        scratch = Path(name)
        engine = engine_for(system, offline=offline)
        if not usable_cache(engine.cache):
            engine.use_cache(scratch / "conda")
        observer.step(f"solving conda packages for CUDA {plan.library_set.cuda}")
        conda = solve(
            system,
            plan,
            request.channels,
            engine=engine,
            conda_exe=conda_exe,
            locked=previous.conda if previous else (),
            as_of=request.as_of,
        )
        if isinstance(conda, Denial):
            return conda
        uv = Uv(system, offline=offline)
        if not usable_cache(uv.cache):
            uv.use_cache(scratch / "cache")
        glibc = glibc_of(plan)
        found = resolve_lock(
            uv,
            index_plan(plan),
            Target(any_python(), python_of(conda).text, lock_platform(glibc)),
            allow_source=request.allow_source,
            scratch=scratch,
            keep=(*previous.packages, *previous.build_tools) if previous else (),
            as_of=request.as_of,
            provided=provided_by(conda),
        )
        if not isinstance(found, LockResolution):
            return found
        needed = max((glibc, found.glibc), key=lambda version: version.parts)
        return found.locked, conda, found.source_only, found.build_tools, needed, found.pylock

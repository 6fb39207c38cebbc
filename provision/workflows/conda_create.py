"""create with the conda backend: CUDA and Python from conda packages, TensorFlow from the package index."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provision.backends.conda.activation import write_activation
from provision.backends.conda.engine import Engine
from provision.backends.conda.history import write_history
from provision.backends.conda.register import register
from provision.backends.layout import site_packages_of
from provision.backends.places import Place
from provision.backends.record import read_locked, write_record
from provision.backends.resolve import Resolution, resolve
from provision.backends.scripts import settle_scripts
from provision.backends.transaction import Transaction
from provision.backends.unlock import resolution_of
from provision.backends.uv import Uv, failed, usable_cache
from provision.errors import RolledBackError, ToolFailedError
from provision.lock.requirements import install_text
from provision.model.created import CreateResult, Denial
from provision.model.environment import RECORD_FOLDER
from provision.model.host import Interpreter
from provision.model.lock import CondaLocked, Lock, Locked, normalised
from provision.system import start_thread
from provision.workflows.conda_solve import (
    engine_for,
    index_plan,
    index_target,
    provided_by,
    python_of,
    solve,
    specs_of,
)
from provision.workflows.conda_watch import CondaWatch
from provision.workflows.create_build import Build, preload
from provision.workflows.create_ready import Foreseen, Ready
from provision.workflows.create_watch import UvWatch
from provision.workflows.create_work import Work, usable_or

_UNPACKED_PER_PACKED = 2.6
"""Bytes on disk for each byte of a package: 11.8.0 of cudatoolkit and 8.9 of cuDNN (measured 2026-11-21)."""


@dataclass(frozen=True)
class CondaWork(Work):
    """One create of a conda environment with everything decided."""

    def foresee(self, scratch: Path) -> Foreseen | Denial:
        """Resolve both halves."""
        engine = engine_for(self.system, offline=self.options.offline)
        if not usable_cache(engine.cache):
            engine.use_cache(scratch / "conda")
        uv = self._uv(UvWatch(self.watch))
        if not usable_cache(uv.cache):
            uv.use_cache(scratch / "cache")
        found = self._both(engine, uv, lambda: scratch)
        if isinstance(found, Denial):
            return found
        conda, resolution = found
        return Foreseen(_listed(conda, resolution.locked), "", ())

    def prepare(self, transaction: Transaction) -> Ready | Denial:
        """Resolve both halves, and return what has only to be built."""
        events, said = UvWatch(self.watch), CondaWatch(self.watch)
        engine = engine_for(self.system, offline=self.options.offline, on_line=said)
        engine.start()  # it is needed for the installation whoever solves
        if not usable_cache(engine.cache):
            engine.use_cache(transaction.scratch() / "conda")
        uv = self._uv(events)
        cache = usable_or(uv, transaction.scratch)
        found = self._both(engine, uv, transaction.scratch)
        if isinstance(found, Denial):
            return found
        conda, resolution = found
        said.expect(conda)
        python = Interpreter(
            str(transaction.staging / "bin" / "python"), python_of(conda), "conda", "cpython", "x86_64"
        )
        build = CondaBuild(
            self.system,
            uv,
            self.plan,
            self.matrix,
            python,
            transaction,
            self.watch,
            events,
            allow_source=self.options.allow_source,
            lock=self.lock_used,
            engine=engine,
            cache=cache,
            conda=conda,
            resolution=resolution,
        )
        packages = _listed(conda, resolution.locked)
        return Ready(build, packages, "", build.fill, build.finish, lambda: _remarks(engine))

    def placed(self, before: Place) -> None:
        """List the environment where conda looks for them; one that it replaced stood under the same path."""
        del before
        register(self.system, self.target)

    def holds(self, place: Place, lock: Lock) -> bool:
        """Compare both halves."""
        made_of = {item["sha256"] for item in _conda_of(place)}
        return super().holds(place, lock) and made_of == {item.sha256 for item in lock.conda}

    def gone(self, place: Place) -> tuple[str, ...]:
        """Return what is missing of both halves."""
        records = {f"{item['name']}-{item['version']}-{item['build']}" for item in _conda_of(place)}
        absent = tuple(name for name in sorted(records) if not (place.path / "conda-meta" / f"{name}.json").is_file())
        return (*absent, *(super().gone(place) if read_locked(place.path) else ()))

    def _existing(self, place: Place, found: tuple[str, ...]) -> CreateResult:
        result = super()._existing(place, found)
        if result.denial is None:
            # A create that was killed after the rename did not come to it.
            register(self.system, self.target)
        return result

    def _both(
        self, engine: Engine, uv: Uv, scratch: Callable[[], Path]
    ) -> tuple[tuple[CondaLocked, ...], Resolution] | Denial:
        start_thread(preload)
        if self.lock is not None:
            return self.lock.conda, resolution_of(self.lock, scratch, allow_source=self.options.allow_source)
        with self.clock.stage("solve"):
            self.watch.step(f"solving conda packages for CUDA {self.plan.library_set.cuda}")
            conda = solve(
                self.system, self.plan, self.options.channels, engine=engine, conda_exe=self.options.conda_exe
            )
        if isinstance(conda, Denial):
            return conda
        self.watch.step(f"resolving {self.plan.row.distribution} {self.plan.row.release}")
        with self.clock.stage("resolve"):
            resolution = resolve(
                uv,
                index_plan(self.plan),
                index_target(python_of(conda), self.plan.host.glibc.value or self.plan.row.glibc),
                allow_source=self.options.allow_source,
                scratch=scratch,
                provided=provided_by(conda),
            )
        return resolution if isinstance(resolution, Denial) else (conda, resolution)


@dataclass(frozen=True)
class CondaBuild(Build):
    """The new conda environment in its staging folder; ``interpreter`` is the one that conda brings there."""

    engine: Engine = field(kw_only=True)
    cache: Path = field(kw_only=True)
    conda: tuple[CondaLocked, ...] = field(kw_only=True)
    resolution: Resolution = field(kw_only=True)

    def fill(self) -> None:
        """Fill the prefix with both halves, each artifact held against its sha256.

        Raises:
            ToolFailedError: ``no-space``, ``conda-network``, ``conda-hash-mismatch``, ``offline-miss`` …
            RolledBackError: ``conflict``: conda brought a distribution that the index half brings as well.
        """
        self._check_space()
        self.watch.step(f"installing {len(self.conda)} conda packages")
        final = self.transaction.target
        self.engine.install(self.conda, self.prefix, final, requested=specs_of(self.plan))
        self._check_overlap()
        (self.prefix / RECORD_FOLDER).mkdir(exist_ok=True)
        locked, tools = self.resolution.locked, self.resolution.build_tools
        if tools is not None:
            shutil.copyfile(tools, self.prefix / RECORD_FOLDER / tools.name)
        if locked:
            self.watch.step(f"installing {len(locked)} packages of the index")
            self._install_index(install_text(locked), tools)
        self.check_exceptions()
        settle_scripts(self.prefix, site_packages_of(self.prefix), final)

    def _install_index(self, text: str, tools: Path | None) -> None:
        sources = self.resolution.sources
        done = self.uv.install(text, self.prefix, sources, offline=True, build_constraints=tools)
        if not done.ok and not self.uv.offline:
            self.watch.step("downloading what is not in the cache")
            with self.events.measuring(self.cache):
                done = self.uv.install(text, self.prefix, sources, offline=False, build_constraints=tools)
        if not done.ok:
            raise failed(done, "downloading and installing")

    def finish(self) -> None:
        """Make the libraries visible, then write what conda and we want to know of the environment later."""
        told = self.make_visible()
        if told:
            folder = os.path.relpath(site_packages_of(self.prefix) / told, self.prefix)
            flag = f"--xla_gpu_cuda_data_dir=$CONDA_PREFIX{'' if folder == '.' else f'/{folder}'}"
            write_activation(self.prefix, {"XLA_FLAGS": flag}, self.transaction.target)
        command = f"tfgpu-provision create --tf {self.plan.row.release} --backend conda"
        write_history(self.prefix, command, self.conda, specs_of(self.plan), self.system.now())
        write_record(
            self.prefix,
            self.system,
            self.plan,
            self.resolution.locked,
            python=self.interpreter.version.text,
            transaction=self.transaction.ident,
            lock=self.lock,
            conda=self.conda,
        )

    def check_movable(self) -> None:
        """Make sure that no text in it names the staging folder, conda's records included."""
        super().check_movable()
        self.check_texts([*self.prefix.glob("conda-meta/*"), *self.prefix.glob("etc/conda/*/*")])

    def _check_overlap(self) -> None:
        """What conda really brought counts, not what its packages' names let expect."""
        brought = {
            normalised(info.name.removesuffix(".dist-info").rpartition("-")[0]): info.name
            for info in site_packages_of(self.prefix).glob("*.dist-info")
        }
        twice = [item for item in self.resolution.locked if item.name in brought]
        if twice:
            raise RolledBackError(
                "conda packages bring distributions that the package index would bring as well",
                code="conflict",
                why=tuple(f"{item.requirement} of the index, {brought[item.name]} of conda" for item in twice),
                hint="ask for them in one of the two worlds only, or leave the conda package out",
            )

    def _check_space(self) -> None:
        """Refuse what cannot fit; what is in the cache already is a hardlink and needs no room."""
        packages = self.engine.cache / "pkgs"
        absent = [item for item in self.conda if not any(packages.glob(f"{item.name}-{item.version}-{item.build}*"))]
        need = int(sum(item.size or 0 for item in absent) * _UNPACKED_PER_PACKED) >> 20
        free = self.system.free_mib(self.prefix)
        if free is not None and free < need:
            raise ToolFailedError(
                "there is not enough space on the disk",
                code="no-space",
                why=(f"{self.prefix.parent}: {free} MiB free, about {need} MiB needed",),
                hint="free some space, or choose a path on another disk",
            )


def _conda_of(place: Place) -> Sequence[Mapping[str, str]]:
    """Return the conda packages that an environment's record names."""
    return tuple(place.record.document.get("conda") or ()) if place.record else ()


def _listed(conda: tuple[CondaLocked, ...], locked: tuple[Locked, ...]) -> tuple[str, ...]:
    return (*(item.requirement for item in conda), *(item.requirement for item in locked))


def _remarks(engine: Engine) -> tuple[str, ...]:
    scripts = engine.skipped_scripts
    return (
        *(f"two conda packages bring the same file: {line}" for line in engine.clobbered),
        *([f"scripts of conda packages are never run: {', '.join(scripts)}"] if scripts else []),
    )

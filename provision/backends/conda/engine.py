"""The side of the conda engine that talks: it asks the worker and retells its answers.

rattler is one shared library of 80 MB that may panic, hang or eat memory; so it lives in a child that dies with us
(`provision.backends.conda.worker`). One child serves the solve and the install of an engine, line by line: a request is
one JSON object on its standard input, so that no credential ever stands in an argument; the answer is one JSON line,
and progress comes as JSON lines on standard error. One that has ended, of itself or because its time was up, is
replaced with the next request; after an install it is ended.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.backends.conda import channels as addresses
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.specs import check_package, check_specs
from provision.errors import ToolFailedError, UsageError
from provision.system import System
from provision.system.files import remove_tree

if TYPE_CHECKING:
    from provision.model.created import Denial
    from provision.model.lock import CondaLocked

_SOLVE = 900.0
_INSTALL = 6 * 3600.0
_MARK = "TFGPU-CONDA "


def find_extra() -> None:
    """Raise ToolFailedError, code ``extra-missing``, where py-rattler is not installed; imports nothing."""
    if importlib.util.find_spec("rattler") is None:
        raise ToolFailedError(
            "conda environments need py-rattler, which is not installed",
            code="extra-missing",
            why=("it is in the extra `conda`",),
            hint="pip install 'tfgpu-provision[conda]'",
        )


class Engine:
    """One rattler with its cache; `close` ends it, and so does an install.

    Args:
        system: the door.
        config: channels, credentials, proxies, caches.
        offline: never use the network; ``file://`` channels are still read.
        on_line: is told each event of the worker, a JSON object in one line (`event` says which).
    """

    def __init__(
        self,
        system: System,
        config: CondaConfig,
        *,
        offline: bool = False,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.offline = offline or config.offline
        self.clobbered: tuple[str, ...] = ()
        """After an install: files that two packages bring, ``path: kept from A, not from B``."""
        self.skipped_scripts: tuple[str, ...] = ()
        """After an install: post-link scripts, which are never run."""
        self._system = system
        self._config = config
        self._on_line = on_line
        self._cache = config.cache
        self._named: tuple[str, ...] = ()
        self._secrets: set[str] = set()
        self._worker = system.converse(
            # -I: neither PYTHONPATH nor the folder one stands in has a say in what runs there.
            [sys.executable, "-I", "-m", "provision.backends.conda.worker"],
            env=config.environ(system.environ),
            on_line=self._tell if on_line else None,
        )

    def start(self) -> None:
        """Start the worker now, so that rattler is loaded while this process still has other things to do.

        Where that is not possible, the first request says why.
        """
        with contextlib.suppress(OSError):
            self._worker.start()

    def close(self) -> None:
        """End the worker, which otherwise waits for more until this process ends."""
        self._worker.close()

    @property
    def cache(self) -> Path:
        """Where packages and what channels say of themselves are kept."""
        return self._cache

    def use_cache(self, folder: Path) -> None:
        """Keep the cache in another folder from now on."""
        self._cache = folder

    def know(self, channels: Sequence[str]) -> None:
        """Remember channels as they were asked for, with their credentials, for packages that come from a lock."""
        self._named = tuple(dict.fromkeys((*self._named, *channels)))

    def solve(
        self,
        specs: Sequence[str],
        channels: Sequence[str],
        virtual: Mapping[str, str],
        *,
        locked: Sequence[CondaLocked] = (),
        pinned: Sequence[CondaLocked] = (),
        as_of: str = "",
        subdirs: Sequence[str] = ("linux-64", "noarch"),
    ) -> tuple[CondaLocked, ...] | Denial:
        """Choose packages; the same inputs and channels give the same answer, sorted by name.

        Args:
            specs: MatchSpecs, ours and the user's.
            channels: names or addresses, the first is the strongest; empty for those of the configuration.
            virtual: virtual packages by name (``{"__cuda": "11.2", "__archspec": "1=x86_64"}``); nothing of this
                machine is added.
            locked: packages to prefer where they still fit.
            pinned: packages that stay exactly as they are where their names are among what is needed; their channels
                need not be asked.
            as_of: ISO date; nothing newer is taken.
            subdirs: whose packages may be taken.

        Raises:
            UsageError: a spec or the date is not one (``conda-spec-invalid``, ``as-of-invalid``).
            ToolFailedError: ``conda-network``, ``conda-denied``, ``conda-offline-miss``, ``conda-channel-not-found``,
                ``conda-no-hash``, ``no-space``, ``extra-missing``, ``conda-engine-failed``, ``timeout``.
        """
        wanted = tuple(channels) or self._config.channels
        check_specs(specs, wanted)
        self.know(wanted)
        answer = self._ask(
            {
                "action": "solve",
                "specs": [self._placed(spec) for spec in specs],
                "virtual": dict(sorted(virtual.items())),
                "locked": [asdict(item) for item in locked],
                "pinned": [asdict(item) for item in pinned],
                "before": _end_of(as_of),
                "subdirs": list(subdirs),
            },
            wanted,
            timeout=_SOLVE,
            doing="solving",
        )
        if answer.get("kind") == "solver":
            from provision.backends.conda.explain import denial_of  # noqa: PLC0415 - few solves fail

            return denial_of(answer, specs, virtual, wanted)
        from provision.model.lock import CondaLocked  # noqa: PLC0415 - the worker starts sooner without it

        return tuple(
            sorted(
                (
                    CondaLocked(**{**item, "depends": tuple(item["depends"]), "constrains": tuple(item["constrains"])})
                    for item in answer["packages"]
                ),
                key=lambda item: (item.name, item.version, item.build),
            )
        )

    def install(
        self, packages: Sequence[CondaLocked], prefix: Path, final: Path, *, requested: Sequence[str] = ()
    ) -> None:
        """Fill an empty folder with packages whose files name the place to which it will be renamed.

        Args:
            packages: complete, as solved or read from a lock.
            prefix: absent or empty; on failure it is as it was.
            final: the path that goes into the files.
            requested: MatchSpecs that were asked for, for ``conda-meta``.

        Raises:
            InvalidFileError: a package of a lock is not one (``conda-package-invalid``).
            ToolFailedError: as `solve`, and ``conda-hash-mismatch``, ``path-exists``.
        """
        there = prefix.exists()
        if prefix.is_symlink() or (there and (not prefix.is_dir() or any(prefix.iterdir()))):
            raise ToolFailedError(
                "conda packages go into an empty folder only",
                code="path-exists",
                why=(f"{prefix} has something in it",),
            )
        for item in packages:
            check_package(item)
        done = False
        try:
            self._link(packages, prefix, final, changed=None, requested=requested)
            done = True
        finally:
            if not done:
                remove_tree(prefix)
                if there:
                    prefix.mkdir()

    def exchange(
        self,
        packages: Sequence[CondaLocked],
        changed: Sequence[str],
        prefix: Path,
        final: Path,
        *,
        requested: Sequence[str] = (),
    ) -> None:
        """Exchange packages of a filled prefix, which is a copy that may be thrown away; files are replaced.

        Args:
            packages: everything that the prefix holds afterwards.
            changed: names of those that are installed anew; the others are not touched, looked at or fetched.
            prefix: the copy.
            final: the path that goes into the files.
            requested: MatchSpecs that were asked for, for ``conda-meta``.

        Raises:
            InvalidFileError, ToolFailedError: as `install`; the prefix is then in no particular state.
        """
        for item in packages:
            if item.name in changed:
                check_package(item)
        self._link(packages, prefix, final, changed=changed, requested=requested)

    def _link(
        self,
        packages: Sequence[CondaLocked],
        prefix: Path,
        final: Path,
        *,
        changed: Sequence[str] | None,
        requested: Sequence[str],
    ) -> None:
        try:
            answer = self._ask(
                {
                    "action": "install",
                    "packages": [asdict(item) for item in packages],
                    "changed": None if changed is None else sorted(changed),
                    "prefix": os.fspath(prefix),
                    "final": os.fspath(final),
                    "requested": list(requested),
                },
                tuple(dict.fromkeys((*self._config.channels, *(item.channel for item in packages)))),
                timeout=_INSTALL,
                doing="installing",
            )
            self.clobbered = tuple(answer["clobbered"])
            self.skipped_scripts = tuple(answer["scripts"])
        finally:
            # Nothing is asked after an install, and an idle rattler holds memory.
            self.close()

    def _placed(self, spec: str) -> str:
        """Put a channel's address where a spec has its name; rattler knows only its own alias."""
        channel, separator, rest = spec.strip().rpartition("::")
        found = self._config.expanded([channel]) if separator else ()
        return f"{addresses.stripped(found[0])}::{rest}" if len(found) == 1 else spec

    def _ask(self, request: dict[str, Any], channels: Sequence[str], *, timeout: float, doing: str) -> dict[str, Any]:
        find_extra()
        opened = tuple(addresses.split(item) for item in self._config.expanded(channels))
        known = tuple(
            addresses.split(item) for item in self._config.expanded((*self._config.channels, *self._named, *channels))
        )
        mirrors, users = addresses.access(known)
        secrets = {text for item in known for text in item.secrets} | set(self._config.secrets)
        request |= {
            "channels": [item.address for item in opened],
            "mirrors": mirrors,
            "users": users,
            "offline": self.offline,
            "cache": os.fspath(self._cache),
            "priority": self._config.channel_priority,
            "verify": self._config.ssl_verify is not False,
            "proxies": dict(self._config.proxies),
        }
        self._secrets |= secrets
        completed = self._worker.ask(json.dumps(request), timeout=timeout)
        answer = _answer(completed.stdout)
        if answer and (answer.get("ok") or answer.get("kind") == "solver"):
            return answer
        from provision.backends.conda.explain import failure_of  # noqa: PLC0415 - few requests fail

        raise failure_of(completed, answer, doing, lambda text: addresses.redacted(text, secrets))

    def _tell(self, line: str) -> None:
        if self._on_line is not None and line.startswith("{"):
            self._on_line(addresses.redacted(line, self._secrets))


def _answer(stdout: str) -> dict[str, Any] | None:
    for line in reversed(stdout.splitlines()):
        if line.startswith(_MARK):
            try:
                data = json.loads(line[len(_MARK) :])
            except ValueError:
                return None
            return data if isinstance(data, dict) else None
    return None


def _end_of(as_of: str) -> int | None:
    """Return the last millisecond of an ISO day in UTC."""
    if not as_of:
        return None
    try:
        day = dt.date.fromisoformat(as_of)
    except ValueError as error:
        raise UsageError(
            f"{as_of!r} is not a date", code="as-of-invalid", why=(str(error),), hint="write it as 2021-03-01"
        ) from error
    start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.timezone.utc)
    return int(start.timestamp() * 1000) + 86_400_000 - 1

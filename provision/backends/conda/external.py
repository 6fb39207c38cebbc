"""``--conda-exe``: a conda, mamba or micromamba of the user's solves and installs, through conda-lock.

It gives the answers of `provision.backends.conda.engine.Engine`. Credentials are left to that program's own
configuration. Two things it cannot do: look back in time (``--as-of``), and, but for micromamba, fill a folder that is
renamed afterwards; `External.can_relocate` tells, and then the embedded engine installs what was solved.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from provision.backends.conda import channels as addresses
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.specs import check_specs
from provision.errors import InvalidFileError, ToolFailedError, UsageError
from provision.lock.conda_lock import parse_foreign
from provision.model.created import Denial
from provision.model.lock import CondaLocked
from provision.system import Completed, System
from provision.system.files import remove_tree

_QUICK = 60.0
_SOLVE = 1800.0
_INSTALL = 6 * 3600.0
_PROGRAMS = ("conda", "mamba", "micromamba")
_VERSION = re.compile(r"^(?:(?P<program>conda|mamba|micromamba) )?(?P<version>\d+(?:\.\d+)+)\S*$", re.MULTILINE)
_READS_SHA256 = {"conda": (24, 9), "mamba": (2, 1), "micromamba": (2, 1)}
"""Since when a program reads sha256 in explicit files (conda pull request 14048, mamba pull request 3866)."""
_UNSOLVABLE = (
    *("UnsatisfiableError", "PackagesNotFoundError", "ResolvePackageNotFound", "nothing provides", "does not exist"),
    *(
        "Could not solve for environment",
        "solver_problems",
        "not available from current channels",
        "conflicting requests",
    ),
)
_NETWORK = ("CondaHTTPError", "Connection", "Could not resolve host", "Download error", "timed out", "HTTP 000")
_FOREIGN = ("CONDA_FLAGS", "CONDA_SUBDIR", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_LOCK_")
"""Beginnings of variables that would change what conda-lock, or what it starts, does."""
_QUOTED = 20


def find_program(system: System, text: str) -> str:
    """Return the path of the program that ``--conda-exe`` names, by name or by path.

    Raises:
        UsageError: code ``conda-exe-invalid``: not conda, mamba or micromamba, or not there.
    """
    name = Path(text).name
    found = system.which(text) if text.isprintable() and not text.startswith("-") and name in _PROGRAMS else None
    if found is None:
        why = f"{name!r} is not one of {', '.join(_PROGRAMS)}" if name not in _PROGRAMS else "there is no such program"
        raise UsageError(
            f"{text[:200]!r} cannot be used as conda",
            code="conda-exe-invalid",
            why=(why,),
            hint="give the name or the path of one that is installed, or leave --conda-exe out: none is needed",
        )
    return str(Path(found).absolute())


class External:
    """One installed conda, mamba or micromamba, behind conda-lock.

    Args:
        system: the door.
        program: from `find_program`.
        config: channels and caches; credentials in it are not handed on.
        offline: never use the network.
        on_line: is told each line that conda-lock writes.
    """

    def __init__(
        self,
        system: System,
        program: str,
        config: CondaConfig,
        *,
        offline: bool = False,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.offline = offline or config.offline
        self._system = system
        self._program = program
        self._config = config
        self._on_line = on_line

    @property
    def can_relocate(self) -> bool:
        """Whether it can fill a folder whose files name another place."""
        return Path(self._program).name == "micromamba"

    def solve(
        self, specs: Sequence[str], channels: Sequence[str], virtual: Mapping[str, str], *, as_of: str = ""
    ) -> tuple[CondaLocked, ...] | Denial:
        """Choose packages, sorted by name; their constraints are not known afterwards, conda-lock drops them.

        Args:
            specs: MatchSpecs, ours and the user's.
            channels: names or addresses, the first is the strongest; empty for those of the configuration.
            virtual: virtual packages by name (``{"__cuda": "11.2", "__archspec": "1=x86_64"}``).
            as_of: must be empty.

        Raises:
            UsageError: ``conda-spec-invalid``, ``as-of-unsupported``.
            ToolFailedError: ``extra-missing``, ``timeout``, ``conda-network``, ``conda-lock-failed``.
        """
        if as_of:
            raise UsageError(
                "--as-of and --conda-exe do not go together",
                code="as-of-unsupported",
                why=("conda-lock cannot leave out what was uploaded later",),
                hint="leave --conda-exe out: the embedded engine can",
            )
        wanted = tuple(dict.fromkeys(addresses.stripped(item) for item in (*channels,) or self._config.channels))
        check_specs(specs, wanted)
        environment = {"channels": [*wanted, "nodefaults"], "platforms": ["linux-64"], "dependencies": list(specs)}
        packages = {name: value.replace("=", " ", 1) for name, value in {"__unix": "0", **virtual}.items()}
        with tempfile.TemporaryDirectory(prefix="tfgpu-") as name:
            folder = Path(name)
            _dump(folder / "environment.yml", environment)
            _dump(folder / "virtual-packages.yml", {"subdirs": {"linux-64": {"packages": packages}}})
            (folder / "names.json").write_text("{}", encoding="utf-8")
            done = self._conda_lock(
                [
                    *("lock", "--conda", self._program, "--file", "environment.yml", "--lockfile", "conda-lock.yml"),
                    *("--virtual-package-spec", "virtual-packages.yml", "--pypi_to_conda_lookup_file", "names.json"),
                ],
                folder,
                _SOLVE,
            )
            if not done.ok:
                return self._denied(done, specs, wanted) or _raise(self._failed(done, "solving"))
            text = self._system.read_text(folder / "conda-lock.yml", limit=8 << 20)
        try:
            return parse_foreign(text, f"what conda-lock wrote with {self._program}")[0]
        except InvalidFileError as error:
            raise ToolFailedError(error.what, code="conda-lock-failed", why=error.why) from error

    def install(
        self, packages: Sequence[CondaLocked], prefix: Path, final: Path, *, requested: Sequence[str] = ()
    ) -> None:
        """Fill an empty folder; on failure it is gone.

        Args:
            packages: complete; every one is fetched by its address and held against its sha256.
            prefix: absent or empty.
            final: the path that goes into the files; must be ``prefix`` where `can_relocate` is False.
            requested: taken for the likeness with `Engine.install`; the program notes what it likes.

        Raises:
            ToolFailedError: ``path-exists``, ``conda-exe-too-old``, ``conda-exe-cannot-move``, ``timeout``,
                ``conda-network``, ``conda-lock-failed``.
        """
        del requested
        if prefix.is_symlink() or (prefix.exists() and (not prefix.is_dir() or any(prefix.iterdir()))):
            raise ToolFailedError(
                "conda packages go into an empty folder only",
                code="path-exists",
                why=(f"{prefix} has something in it",),
            )
        self._check_version()
        if final != prefix and not self.can_relocate:
            raise ToolFailedError(
                f"{self._program} cannot fill a folder that is renamed afterwards",
                code="conda-exe-cannot-move",
                hint="leave --conda-exe out, or name a micromamba",
            )
        flags = {"CONDA_FLAGS": f"--relocate-prefix {shlex.quote(str(final))}"} if final != prefix else {}
        lines = ["# platform: linux-64", "@EXPLICIT", *(f"{item.url}#{item.sha256}" for item in packages)]
        with tempfile.TemporaryDirectory(prefix="tfgpu-") as name:
            # The name must not end in .yml: conda-lock would take it for an environment to be solved.
            (Path(name) / "packages.lock").write_text("\n".join(lines) + "\n", encoding="utf-8")
            done = self._conda_lock(
                ["install", "--conda", self._program, "--prefix", str(prefix), "packages.lock"],
                Path(name),
                _INSTALL,
                flags,
            )
        missing = [] if not done.ok else self._missing(packages, prefix)
        if done.ok and not missing:
            return
        remove_tree(prefix)
        if missing:
            raise ToolFailedError(
                f"{self._program} left out packages without a word",
                code="conda-lock-failed",
                why=tuple(item.requirement for item in missing[:_QUOTED]),
                hint="its package cache may be damaged: clean it, or leave --conda-exe out",
            )
        raise self._failed(done, "installing")

    def _missing(self, packages: Sequence[CondaLocked], prefix: Path) -> list[CondaLocked]:
        records = [f"{item.name}-{item.version}-{item.build}.json" for item in packages]
        return [
            item
            for item, record in zip(packages, records, strict=True)
            if not (prefix / "conda-meta" / record).is_file()
        ]

    def _check_version(self) -> None:
        done = self._system.run([self._program, "--version"], timeout=_QUICK, env=self._environ({}))
        found = _VERSION.search(done.stdout)
        name = Path(self._program).name
        version = tuple(int(part) for part in found["version"].split(".")) if done.ok and found else ()
        if version < _READS_SHA256[name]:
            shown = found["version"] if found else "an unknown version"
            needed = ".".join(str(part) for part in _READS_SHA256[name])
            raise ToolFailedError(
                f"{self._program} is too old to check what it installs",
                code="conda-exe-too-old",
                why=(f"it is {shown}; sha256 of packages is checked from {name} {needed} on",),
                hint="update it, or leave --conda-exe out: none is needed",
            )

    def _conda_lock(
        self, arguments: list[str], folder: Path, limit: float, more: Mapping[str, str] | None = None
    ) -> Completed:
        argv = [sys.executable, "-m", "conda_lock", *arguments]
        return self._system.run(argv, timeout=limit, env=self._environ(more or {}), cwd=folder, on_line=self._told())

    def _environ(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = self._config.environ(self._system.environ)
        kept = {
            name: value for name, value in kept.items() if name not in _FOREIGN and not name.startswith("CONDA_LOCK_")
        }
        offline = {"CONDA_OFFLINE": "true", "MAMBA_OFFLINE": "true"} if self.offline else {}
        return {**kept, **offline, **more}

    def _told(self) -> Callable[[str], None] | None:
        listener = self._on_line
        if listener is None:
            return None
        secrets = self._config.secrets
        return lambda line: listener(addresses.redacted(line, secrets))

    def _denied(self, done: Completed, specs: Sequence[str], channels: Sequence[str]) -> Denial | None:
        if done.timed_out or not any(mark in done.stderr for mark in _UNSOLVABLE):
            return None
        return Denial(
            "conda-conflict",
            f"{Path(self._program).name} finds no packages that fit together",
            (*self._complaint(done), f"asked for: {', '.join(specs)}", f"channels: {', '.join(channels)}"),
            "loosen one of the conda packages, or leave --conda-exe out for a closer explanation",
        )

    def _failed(self, done: Completed, doing: str) -> ToolFailedError:
        if "No module named conda_lock" in done.stderr:
            return ToolFailedError(
                "conda-lock is not installed; --conda-exe needs it",
                code="extra-missing",
                hint="pip install 'tfgpu-provision[conda]'",
            )
        code = "conda-network" if any(mark in done.stderr for mark in _NETWORK) else "conda-lock-failed"
        return ToolFailedError(
            f"conda-lock with {self._program} failed while {doing}",
            code="timeout" if done.timed_out else code,
            why=self._complaint(done) or (f"it ended with {done.returncode} and said nothing",),
            hint="leave --conda-exe out to use the embedded engine",
        )

    def _complaint(self, done: Completed) -> tuple[str, ...]:
        """Return what the program said, without conda-lock's traceback around it."""
        text = addresses.redacted(done.stderr, self._config.secrets)
        lines = [
            line.rstrip() for line in text.split("Traceback (most recent call last)")[0].splitlines() if line.strip()
        ]
        start = next((at for at, line in enumerate(lines) if line.startswith("Could not lock")), 0)
        end = next((at for at, line in enumerate(lines) if line.startswith("    Command: ")), len(lines))
        return tuple(_plain(line) for line in lines[start:end][:_QUOTED])


def _plain(line: str) -> str:
    """Return a line of the program; micromamba says it in Python's form of a JSON document."""
    return "".join(char for char in line if char.isprintable())[:500]


def _dump(path: Path, document: Any) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=1000), encoding="utf-8")


def _raise(error: ToolFailedError) -> Denial:
    raise error

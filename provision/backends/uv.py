"""uv, the engine that resolves, downloads, checks hashes and fills environments.

Everything that varies (requirements, locks) reaches uv through its standard input, never as an argument, so that
nothing a user passes can become one of its options. Which index is used is uv's own configuration; no option here
names one, and nothing that is written does.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import ToolFailedError
from provision.system import Completed, System

_QUICK = 120.0
"""Seconds for what uses no network."""
_RESOLVE = 900.0
_DOWNLOAD = 6 * 3600.0
"""Seconds for a download of up to 4 GB over a slow line; uv itself gives up on a stalled connection after 30 s."""

_FOREIGN = (
    # Where uv would work, instead of where we say.
    *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIR"),
    *("UV_WORKING_DIRECTORY", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_ENV_FILE"),
    # What would be installed, instead of what the plan says.
    *("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_RESOLUTION", "UV_PRERELEASE"),
    *("UV_FORK_STRATEGY", "UV_TORCH_BACKEND", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD"),
    *("UV_NO_BUILD_PACKAGE", "UV_NO_BUILD_ISOLATION", "UV_COMPILE_BYTECODE", "UV_NO_DEPS", "UV_CUSTOM_COMPILE_COMMAND"),
    # Whether hashes are checked.
    *("UV_REQUIRE_HASHES", "UV_NO_VERIFY_HASHES", "UV_VERIFY_HASHES"),
    # How the virtual environment looks.
    *("UV_VENV_SEED", "UV_VENV_CLEAR", "UV_VENV_RELOCATABLE"),
    # How uv talks.
    *("UV_QUIET", "UV_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "RUST_LOG", "RUST_BACKTRACE"),
    # What Python would load before it answers uv.
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "__PYVENV_LAUNCHER__"),
)


def find_uv() -> str:
    """Return the uv executable that came with our own dependency; raises ToolFailedError, code ``uv-missing``."""
    import uv  # noqa: PLC0415 - commands that do not create must not pay for it

    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise ToolFailedError(
            "uv is not where its package should have put it",
            code="uv-missing",
            why=(str(error).splitlines()[0],),
            hint="reinstall it: `pip install --force-reinstall uv`",
        ) from error


@dataclass(frozen=True)
class Target:
    """For which Python and platform to resolve.

    Attributes:
        interpreter: the Python on this machine whose tags count, or any Python where ``series`` is given.
        series: ``3.8`` where another machine is meant.
        platform: uv's name of the platform, for example ``x86_64-manylinux_2_28``, where another machine is meant.
    """

    interpreter: str
    series: str | None = None
    platform: str | None = None


@dataclass(frozen=True)
class Sources:
    """What may be built from source: nothing, some names, or everything."""

    names: tuple[str, ...] = ()
    everything: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The same for uv."""
        if self.everything:
            return ()
        return ("--only-binary=:all:", *(f"--no-binary={name}" for name in self.names))


@dataclass(frozen=True)
class AsOf:
    """A look back in time.

    Attributes:
        day: ISO date; what was uploaded on a later day (UTC) is not taken.
        exempt: normalised names of packages that are taken however new they are.
    """

    day: str
    exempt: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """The same for uv, which reads a bare date in the time zone of the machine."""
        after = dt.date.fromisoformat(self.day) + dt.timedelta(days=1)
        return [
            f"--exclude-newer={after.isoformat()}T00:00:00Z",
            *(f"--exclude-newer-package={name}=2999-01-01T00:00:00Z" for name in self.exempt),
        ]


class Uv:
    """One uv with its cache.

    Args:
        system: the door.
        offline: never use the network.
        fallback_cache: where to keep the cache if the usual place cannot be written.
        on_line: is told each line that uv says.
    """

    def __init__(
        self,
        system: System,
        *,
        offline: bool = False,
        on_line: Callable[[str], None] | None = None,
        binary: str | None = None,
    ) -> None:
        self.binary = binary or find_uv()
        self.offline = offline
        self._system = system
        self._on_line = on_line
        self._environ = environment_for_uv(system.environ)

    @property
    def cache(self) -> Path | None:
        """Where uv keeps what it downloaded; None where it cannot say."""
        done = self._run(["cache", "dir"], timeout=_QUICK)
        return Path(done.stdout.strip()) if done.ok and done.stdout.strip() else None

    def use_cache(self, folder: Path) -> None:
        """Keep the cache in another folder from now on."""
        self._environ["UV_CACHE_DIR"] = os.fspath(folder)

    def resolve(
        self,
        requirements: str,
        target: Target,
        sources: Sources,
        overrides: Path | None,
        *,
        offline: bool = False,
        constraints: Path | None = None,
    ) -> Completed:
        """Run the resolver; on success its standard output is a requirements file with hashes.

        Args:
            requirements: the text of a requirements file.
            target: for which Python and platform.
            sources: what may be built from source.
            overrides: file with demands that replace those of packages.
            offline: ask no index, only what is remembered of it.
            constraints: file with versions that hold for whatever is asked for.
        """
        argv = ["pip", "compile", f"--python={target.interpreter}", "--generate-hashes", "--no-header", "--no-annotate"]
        if target.series:
            argv.append(f"--python-version={target.series}")
        if target.platform:
            argv.append(f"--python-platform={target.platform}")
        if overrides:
            argv.append(f"--overrides={overrides}")
        argv += [f"--constraints={constraints}"] if constraints else []
        argv += [*(["--offline"] if offline else []), "--no-sources", "--quiet", *sources.options, "-"]
        return self._run(argv, timeout=_RESOLVE, stdin=requirements)

    def lock(
        self,
        requirements: str,
        target: Target,
        sources: Sources,
        overrides: Path | None,
        output: Path,
        *,
        as_of: AsOf | None = None,
        dependencies: bool = True,
        constraints: Path | None = None,
        offline: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> Completed:
        """Run the resolver for another machine; on success ``output`` holds a ``pylock.toml`` with the files it admits.

        Args:
            requirements: the text of a requirements file.
            target: for which Python and platform.
            sources: what may be built from source.
            overrides: file with demands that replace those of packages.
            output: a file whose name is ``pylock.toml``; the versions in it are kept where they fit.
            as_of: take nothing that was uploaded later.
            dependencies: False for a list that is complete already.
            constraints: file with versions that hold for whatever is asked for.
            offline: ask no index, only what is remembered of it.
            meanwhile: what to do while uv works, see `System.run`.
        """
        argv = ["pip", "compile", f"--python={target.interpreter}", "--generate-hashes", "--no-header"]
        argv += ["--format=pylock.toml", f"--output-file={output}"]
        argv += [f"--python-version={target.series}"] if target.series else []
        argv += [f"--python-platform={target.platform}"] if target.platform else []
        argv += [f"--overrides={overrides}"] if overrides else []
        argv += as_of.options if as_of else []
        argv += [f"--constraints={constraints}"] if constraints else []
        argv += [*([] if dependencies else ["--no-deps"]), *(["--offline"] if offline else [])]
        argv += ["--no-sources", "--quiet", *sources.options, "-"]
        return self._run(argv, timeout=_RESOLVE, stdin=requirements, meanwhile=meanwhile)

    def make_venv(self, folder: Path, python: str, prompt: str) -> Completed:
        """Make an empty virtual environment that may be moved (its scripts and activation do not name its path)."""
        argv = ["venv", "--relocatable", "--no-project", f"--python={python}", f"--prompt={prompt}", "--", str(folder)]
        return self._run(argv, timeout=_QUICK)

    def install(
        self,
        lock: str,
        folder: Path,
        sources: Sources,
        *,
        offline: bool,
        build_constraints: Path | None,
        reinstall: Sequence[str] = (),
    ) -> Completed:
        """Install exactly what a lock names; uv refuses any artifact whose sha256 is not in it.

        Args:
            lock: the lock's text.
            folder: the environment.
            sources: what may be built from source.
            offline: take everything from the cache. uv then asks no index at all, which is what makes a warm create
                fast; archives in the cache are checked by the hash that uv computed when it unpacked them.
            build_constraints: a lock of the build tools, for what is built from source; their hashes count too.
            reinstall: normalised names of what is replaced even where that version is there.
        """
        argv = ["pip", "install", f"--python={folder}", "--require-hashes", "--no-deps", "--no-sources"]
        if build_constraints:
            argv.append(f"--build-constraints={build_constraints}")
        argv += [f"--reinstall-package={name}" for name in reinstall]
        argv += [*(["--offline"] if offline else []), *sources.options, "--requirements=-"]
        return self._run(argv, timeout=_DOWNLOAD, stdin=lock, talk=True)

    def uninstall(self, names: Sequence[str], folder: Path) -> Completed:
        """Take packages out of an environment, by their normalised names."""
        argv = ["pip", "uninstall", f"--python={folder}", "--requirements=-"]
        return self._run(argv, timeout=_QUICK, stdin="".join(f"{name}\n" for name in names))

    def forget(self, names: Sequence[str]) -> Completed:
        """Throw what the cache holds of some packages away; they are fetched anew when they are needed."""
        return self._run(["cache", "clean", "--", *names], timeout=_QUICK)

    def install_python(self, series: str) -> Completed:
        """Fetch a Python that uv manages."""
        return self._run(["python", "install", "--no-bin", "--", series], timeout=_RESOLVE, talk=True)

    def find_python(self, series: str) -> str | None:
        """Return a Python that uv manages, None where it has none of that series."""
        argv = ["python", "find", "--no-project", "--managed-python", "--no-python-downloads", "--", series]
        done = self._run(argv, timeout=_QUICK)
        return done.stdout.strip() or None if done.ok else None

    def _run(
        self,
        argv: list[str],
        *,
        timeout: float,
        stdin: str | None = None,
        talk: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> Completed:
        options = ["--color=never", "--no-progress"] if not talk else ["--color=never"]
        if self.offline and "--offline" not in argv:
            options.append("--offline")
        # From the root folder uv sees no project whose settings could change what is installed.
        return self._system.run(
            [self.binary, *options, *argv],
            timeout=timeout,
            env=self._environ,
            cwd=Path("/"),
            stdin=stdin,
            on_line=self._on_line if talk else None,
            meanwhile=meanwhile,
        )


def environment_for_uv(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment uv runs in: the user's, less what would change what is installed and where.

    What says *from* where (index, certificates, proxies, credentials, cache, link mode, timeouts, `UV_EXCLUDE_NEWER`)
    stays.
    """
    kept = {name: value for name, value in environ.items() if name not in _FOREIGN}
    kept["UV_NO_PROGRESS"] = "1"
    kept["NO_COLOR"] = "1"
    return kept


def failed(done: Completed, doing: str) -> ToolFailedError:
    """Return the error for a uv that failed while ``doing`` something, with its cause as the code."""
    from provision.backends.uv_talk import cause_of, quoted  # noqa: PLC0415 - uv seldom fails

    code = cause_of(done.stderr)
    if done.timed_out:
        return ToolFailedError(
            f"uv did not finish {doing} in time",
            code="timeout",
            why=(f"it was ended after {done.seconds:.0f} s",),
            hint="run the command again: what was downloaded completely is kept",
        )
    if done.returncode < 0:
        return ToolFailedError(
            f"uv was killed while {doing}",
            code="uv-killed",
            why=(f"signal {-done.returncode}", *quoted(done.stderr)[-3:]),
            hint="often memory or a file size limit (`ulimit -a`); run the command again",
        )
    return ToolFailedError(
        f"{_WHAT.get(code, 'uv failed')} while {doing}", code=code, why=quoted(done.stderr), hint=_HINTS.get(code)
    )


_WHAT = {
    "no-space": "the disk is full",
    "hash-mismatch": "an artifact is not what the lock says",
    "offline-miss": "something needed is not in uv's cache, and the network is off,",
    "network": "the network or the package index failed",
    "index-denied": "the package index refused access",
    "cache-unusable": "uv's cache cannot be used",
    "no-permission": "a file or folder cannot be written",
    "package-not-found": "the package index does not have a package",
    "no-wheel": "a package has no wheel",
    "conflict": "the requirements contradict each other",
    "build-failed": "a package could not be built from source",
}

_HINTS = {
    "no-space": "free some space, or set UV_CACHE_DIR to a folder on a larger disk, then run the command again",
    "hash-mismatch": "a download was damaged, or the index offers another file under the same name; "
    "`uv cache clean` and try again, and do not install it elsewhere meanwhile",
    "offline-miss": "run the command once without --offline",
    "network": "check the connection, proxy (HTTPS_PROXY) and index settings of uv, then run the command again: "
    "what was downloaded completely is kept",
    "build-failed": "its build needs what this machine lacks: ask for a version that has a wheel",
    "index-denied": "check the credentials of uv's index settings",
    "cache-unusable": "set UV_CACHE_DIR to a folder that you can write",
    "no-permission": "check the rights of the folder, or choose another path",
}


def usable_cache(cache: Path | None) -> bool:
    """Whether uv's cache folder can be written, or made."""
    if cache is None:
        return False
    here = cache
    while not here.exists() and here != here.parent:
        here = here.parent
    try:
        with tempfile.TemporaryFile(dir=here):
            return here.is_dir()
    except OSError:
        return False


def any_python() -> str:
    """Return a Python for uv to run where the interpreter does not matter: ours."""
    return sys.executable

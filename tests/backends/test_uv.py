"""What is asked of uv, and in which environment; uv itself is real in tests/create."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from provision.backends.interpreter import ask, choose, fetch, given
from provision.backends.resolve import platform_name
from provision.backends.space import check_space, need_mib, same_file_system
from provision.backends.uv import Sources, Target, Uv, environment_for_uv, failed, find_uv, usable_cache
from provision.errors import ToolFailedError, UsageError
from provision.model.host import Interpreter
from provision.model.versions import GlibcVersion, PythonVersion
from provision.system import Completed, System


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """A program that answers with its arguments, its standard input and its environment as JSON."""
    body = f"""exec {sys.executable} -c 'import json,os,sys
print(json.dumps([sys.argv[1:], sys.stdin.read(), dict(os.environ), os.getcwd()]))' "$@" """
    return script(tmp_path / "uv", body)


def test_uv_comes_with_our_own_dependency() -> None:
    done = System().run([find_uv(), "--version"], timeout=30)
    assert done.stdout.startswith("uv ")


def test_requirements_go_through_standard_input_only(echo: str) -> None:
    hostile = "--index-url=http://evil.example\n"
    done = Uv(System(), binary=echo).resolve(hostile, Target("/python"), Sources(("wrapt",)), None)
    arguments, said, environ, folder = json.loads(done.stdout)
    assert said == hostile
    assert not [item for item in arguments if "evil" in item]
    assert arguments[-1] == "-"
    assert {"--generate-hashes", "--only-binary=:all:", "--no-binary=wrapt"} <= set(arguments)
    assert not [item for item in arguments if "index" in item]
    assert folder == "/"
    assert environ["NO_COLOR"] == "1"


def test_a_lock_is_installed_with_required_hashes_and_nothing_else(echo: str, tmp_path: Path) -> None:
    uv = Uv(System(), binary=echo)
    done = uv.install("six==1.0\n", tmp_path, Sources(), offline=True, build_constraints=None)
    arguments, said, _, _ = json.loads(done.stdout)
    assert said == "six==1.0\n"
    assert {"--require-hashes", "--no-deps", "--offline", "--only-binary=:all:"} <= set(arguments)
    assert "--compile-bytecode" not in arguments


@pytest.mark.parametrize("offline", [True, False])
def test_offline_reaches_every_call(echo: str, tmp_path: Path, *, offline: bool) -> None:
    uv = Uv(System(), binary=echo, offline=offline)
    for done in (
        uv.resolve("", Target("/python", "3.8", "x86_64-manylinux_2_28"), Sources(everything=True), None),
        uv.make_venv(tmp_path, "/python", "-prompt"),
        uv.install("", tmp_path, Sources(), offline=False, build_constraints=None),
    ):
        arguments = json.loads(done.stdout)[0]
        assert ("--offline" in arguments) is offline
        assert "-prompt" not in arguments


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("UV_DEFAULT_INDEX", True),
        ("UV_INDEX_URL", True),
        ("UV_CACHE_DIR", True),
        ("UV_LINK_MODE", True),
        ("UV_EXCLUDE_NEWER", True),
        ("HTTPS_PROXY", True),
        ("SSL_CERT_FILE", True),
        ("HOME", True),
        ("UV_CONSTRAINT", False),
        ("UV_NO_VERIFY_HASHES", False),
        ("UV_PYTHON", False),
        ("UV_PRERELEASE", False),
        ("VIRTUAL_ENV", False),
        ("PYTHONPATH", False),
        ("PYTHONHOME", False),
        ("FORCE_COLOR", False),
    ],
)
def test_where_from_is_the_users_business_and_what_is_ours(name: str, kept: bool) -> None:  # noqa: FBT001
    assert (name in environment_for_uv({name: "x"})) is kept


def completed(stderr: str, returncode: int = 1, *, timed_out: bool = False) -> Completed:
    return Completed(("uv",), returncode, "", stderr, timed_out)


@pytest.mark.parametrize(
    ("done", "code"),
    [
        (completed("error: x\n  cause: Hash mismatch"), "hash-mismatch"),
        (completed("", -9), "uv-killed"),
        (completed("", -9, timed_out=True), "timeout"),
        (completed("error: new"), "uv-failed"),
    ],
)
def test_a_failure_has_a_code_and_says_what_was_done(done: Completed, code: str) -> None:
    error = failed(done, "installing")
    assert error.code == code
    assert "installing" in error.what


@pytest.mark.parametrize(
    ("glibc", "name"),
    [
        ("2.17", "x86_64-manylinux_2_17"),
        ("2.27", "x86_64-manylinux_2_17"),
        ("2.28", "x86_64-manylinux_2_28"),
        ("2.36", "x86_64-manylinux_2_36"),
        ("2.99", "x86_64-manylinux_2_40"),
        ("2.12", "x86_64-manylinux_2_17"),
    ],
)
def test_a_glibc_has_a_platform_name(glibc: str, name: str) -> None:
    assert platform_name(GlibcVersion(glibc)) == name


def test_uv_knows_the_platform_names_that_are_used() -> None:
    said = System().run([find_uv(), "pip", "compile", "--python-platform", "x", "-"], timeout=30).stderr
    for glibc in ("2.17", "2.28", "2.31", "2.40"):
        assert platform_name(GlibcVersion(glibc)) in said


def python(
    path: str, version: str, source: str, implementation: str = "cpython", machine: str = "x86_64"
) -> Interpreter:
    return Interpreter(path, PythonVersion(version), source, implementation, machine)


FOUND = (
    python("/usr/bin/python3.8", "3.8.19", "path"),
    python("/conda/bin/python", "3.8.20", "conda"),
    python("/pyenv/3.8.18", "3.8.18", "pyenv"),
    python("/pyenv/3.9.1", "3.9.1", "pyenv", "pypy"),
    python("/arm/python", "3.10.1", "path", machine="aarch64"),
    python("/free/python", "3.13.1", "uv", "cpython-freethreading"),
)


@pytest.mark.parametrize(
    ("wanted", "path", "looked"),
    [
        ("3.8", "/pyenv/3.8.18", 0),
        ("3.8.20", "/conda/bin/python", 0),
        ("3.8.1", None, 0),
        ("3.9", None, 1),
        ("3.10", None, 1),
        ("3.13", None, 1),
        ("3.7", None, 0),
    ],
)
def test_the_best_interpreter_is_chosen(wanted: str, path: str | None, looked: int) -> None:
    found, reasons = choose(FOUND, PythonVersion(wanted))
    assert (found.path if found else None) == path
    assert len(reasons) == looked


def test_a_given_python_is_asked_what_it_is(tmp_path: Path) -> None:
    found = given(System(), Path(sys.executable))
    assert found.version.series.text == f"{sys.version_info.major}.{sys.version_info.minor}"
    for body, part in {
        "exit 3": "does not run",
        "echo hello": "does not answer",
        """echo '["pypy","3.9.1","x86_64",64,"/p","",true]'""": "it is pypy",
        """echo '["cpython","3.9.1","aarch64",64,"/p","",true]'""": "x86_64",
        """echo '["cpython","3.9.1","x86_64",32,"/p","",true]'""": "32-bit",
        """echo '["cpython","3.13.1","x86_64",64,"/p","t",true]'""": "free-threaded",
    }.items():
        with pytest.raises(UsageError) as failure:
            given(System(), Path(script(tmp_path / "python", body)))
        assert failure.value.code == "python-unusable"
        assert part in failure.value.why[0]
    assert ask(System(), str(tmp_path / "absent")) == "it does not run"


def test_a_python_that_nobody_has_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    body = 'case "$*" in *install*) echo "error: Failed to install cpython-3.6" >&2;; esac; exit 1'
    uv = Uv(System(), binary=script(tmp_path / "uv", body))
    with pytest.raises(ToolFailedError) as failure:
        fetch(System(), uv, PythonVersion("3.6"), FOUND, ("/x: it does not run",))
    error = failure.value
    assert error.code == "python-not-found"
    assert "found: 3.8, 3.9, 3.10, 3.13" in error.why
    assert any("Failed to install cpython-3.6" in line for line in error.why)
    assert "uv python install 3.6" in (error.hint or "")
    offline = Uv(System(), binary=uv.binary, offline=True)
    with pytest.raises(ToolFailedError) as failure:
        fetch(System(), offline, PythonVersion("3.6"), (), ())
    assert any("--offline" in line for line in failure.value.why)


def test_a_python_that_uv_has_is_taken(tmp_path: Path) -> None:
    uv = Uv(System(), binary=script(tmp_path / "uv", f"echo {sys.executable}"))
    found = fetch(System(), uv, PythonVersion("3.11"), (), ())
    assert (found.path, found.source) == (sys.executable, "uv")


def test_a_cache_that_cannot_be_written_is_recognised(tmp_path: Path) -> None:
    assert usable_cache(tmp_path / "not/yet/there")
    assert not usable_cache(Path("/proc/no/cache"))
    assert not usable_cache(None)
    (tmp_path / "file").write_text("")
    assert not usable_cache(tmp_path / "file/cache")


class _Libraries:
    cuda = type("Cuda", (), {"major": 11})


class _Plan:
    library_set = _Libraries


@pytest.mark.parametrize(
    ("cached", "linked", "need"),
    [(True, True, (0, 300)), (True, False, (0, 4700)), (False, True, (4700, 300)), (False, False, (4700, 4700))],
)
def test_the_space_needed(*, cached: bool, linked: bool, need: tuple[int, int]) -> None:
    assert need_mib(_Plan, cached=cached, linked=linked) == need  # type: ignore[arg-type]


def test_unknown_free_space_is_no_obstacle_and_too_little_is(tmp_path: Path) -> None:
    for free in (None, 5001):
        check_space(_disk(free), _Plan, tmp_path, tmp_path, cached=False)  # type: ignore[arg-type]
    with pytest.raises(ToolFailedError, match="not enough space"):
        check_space(_disk(4999), _Plan, tmp_path, tmp_path, cached=False)  # type: ignore[arg-type]
    check_space(_disk(4999), _Plan, tmp_path, tmp_path, cached=True)  # type: ignore[arg-type]


def _disk(free: int | None) -> System:
    class Disk(System):
        def free_mib(self, path: Path) -> int | None:
            return free

    return Disk()


def test_file_systems_are_told_apart(tmp_path: Path) -> None:
    assert same_file_system(tmp_path / "a/b", tmp_path / "c")
    assert not same_file_system(Path("/proc/x"), tmp_path)

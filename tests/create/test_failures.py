"""Everything that can go wrong, and that nothing which existed is harmed by it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from create.conftest import World
from create.small_world import NEW, OLD, beside, make_build_tools, make_source, make_wheel, matrix_text, snapshot

from provision.backends.journal import Journal
from provision.backends.transaction import journal_path
from provision.cli.main import main


def _unreachable(world: World) -> None:
    world.environ["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple/"


def _index_fails(world: World) -> None:
    world.index.faults["/simple/"] = "500"


def _download_fails(world: World) -> None:
    world.index.faults["tensorflow"] = "500"


def _download_cut(world: World) -> None:
    world.index.faults["nvidia_cudnn"] = "cut"


def _other_bytes(world: World) -> None:
    world.index.faults["nvidia_cudnn"] = "swap"


def _wiring_fails(world: World) -> None:
    make_wheel(world.index.folder, "nvidia-cudnn-cu11", "8.6.0.1", {"nvidia/cudnn/lib/other.so": b""})


FAULTS: dict[str, tuple[Callable[[World], None], set[str]]] = {
    "unreachable": (_unreachable, {"network"}),
    "index-fails": (_index_fails, {"network"}),
    "download-fails": (_download_fails, {"network"}),
    "download-cut": (_download_cut, {"network", "hash-mismatch", "uv-failed"}),
    "other-bytes": (_other_bytes, {"hash-mismatch", "uv-failed"}),
    "wiring": (_wiring_fails, {"wiring-incomplete"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_leaves_nothing_behind_and_the_next_create_succeeds(world: World, fault: str) -> None:
    original = {path.name: path.read_bytes() for path in world.index.folder.iterdir()}
    environ = dict(world.environ)
    spoil, codes = FAULTS[fault]
    for path in world.index.folder.iterdir():
        path.unlink()  # the wheels are hardlinks that other tests share
        path.write_bytes(original[path.name])
    spoil(world)
    error = world.failure(code=5)
    assert error["code"] in codes, error
    assert error["hint"] or error["why"]
    assert list(world.folder.iterdir()) == []
    world.index.faults.clear()
    world.environ.update(environ)
    for name, content in original.items():
        (world.index.folder / name).write_bytes(content)
    shutil.rmtree(world.environ["UV_CACHE_DIR"], ignore_errors=True)
    assert world.document()["outcome"] == "created"


@pytest.mark.parametrize("fault", ["unreachable", "other-bytes", "wiring"])
def test_a_failed_replace_leaves_the_old_environment_byte_for_byte(world: World, fault: str) -> None:
    world.document()
    before = snapshot(world.target)
    for path in world.index.folder.iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    shutil.rmtree(world.environ["UV_CACHE_DIR"])
    FAULTS[fault][0](world)
    world.failure("--replace", tf=NEW, code=5)
    assert snapshot(world.target) == before
    assert beside(world.target) == []


def test_a_failed_verification_is_rolled_back(world: World) -> None:
    """The small TensorFlow cannot compute, so the real verification fails it."""
    error = world.failure(verify=True, code=6)
    assert error["code"] == "verification-failed"
    assert any(line.startswith(("gate:", "import:")) for line in error["why"]), error
    assert list(world.folder.iterdir()) == []


def test_a_replace_whose_verification_fails_keeps_the_old_one(world: World) -> None:
    world.document()
    before = snapshot(world.target)
    assert world.failure("--replace", tf=NEW, verify=True, code=6)["code"] == "verification-failed"
    assert snapshot(world.target) == before


def test_a_full_disk_is_named_and_leaves_nothing(world: World) -> None:
    """A file size limit makes every larger write fail, as a full disk does."""
    big = world.index.folder / f"tensorflow-{OLD}-py3-none-any.whl"
    big.unlink()
    make_wheel(
        world.index.folder, "tensorflow", OLD, {"tensorflow/big.bin": os.urandom(1 << 21)}, requires=("numpy", "six")
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = world.spawn("--json", preexec_fn=limit)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 5, out
    assert json.loads(out)["error"]["code"] in ("no-space", "uv-killed")
    assert list(world.folder.iterdir()) == []


def test_too_little_space_is_told_before_anything_is_downloaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.system.door.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 700 << 20))  # type: ignore[attr-defined]
    error = world.failure(code=5)
    assert error["code"] == "no-space"
    assert "700 MiB free" in error["why"][0]
    assert not [path for path in world.index.asked if path.endswith(".whl") and "tensorflow" in path and "HEAD" in path]
    assert list(world.folder.iterdir()) == []


def test_the_second_create_of_a_path_is_told(world: World) -> None:
    journal = Journal(journal_path(world.target))
    try:
        error = world.failure(code=5)
        assert error["code"] == "busy"
        assert "wait" in error["hint"]
    finally:
        journal.close(remove=True)
    assert world.document()["outcome"] == "created"


def test_of_two_creates_at_once_one_wins(world: World) -> None:
    world.document(path="warm")
    processes = [world.spawn("--json") for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    outcomes = [
        (process.returncode, json.loads(text).get("outcome") or json.loads(text)["error"]["code"])
        for process, text in zip(processes, outputs, strict=True)
    ]
    assert set(outcomes) <= {(0, "created"), (0, "exists"), (5, "busy")}
    assert outcomes.count((0, "created")) == 1
    assert beside(world.target) == []
    assert world.document()["outcome"] == "exists"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_create_cleans_up_at_once(world: World, number: signal.Signals) -> None:
    process = world.spawn()
    deadline = time.monotonic() + 30
    while not beside(world.target) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "unharmed" in said
    assert "Traceback" not in said
    assert list(world.folder.iterdir()) == []


def test_a_conflict_names_our_pin_and_why_it_is_there(world: World) -> None:
    denial = world.document("--with", "needs-numpy-2", "--with", "pandas", code=3)["denial"]
    assert denial["code"] == "conflict"
    assert denial["asked"] == ["needs-numpy-2"]
    assert {"requirement": "numpy<2", "why": "it uses names that NumPy 2 removed"} in denial["pins"]
    assert "loosen `needs-numpy-2`" in denial["hint"]
    text = world.create("--with", "needs-numpy-2").stdout
    assert "the plan has numpy<2: it uses names that NumPy 2 removed" in text
    assert text.startswith("error: your packages do not fit tensorflow 2.9.3")
    assert list(world.folder.iterdir()) == []


def test_a_direct_conflict_names_both_sides(world: World) -> None:
    text = world.create("--with", "numpy==2.0").stdout
    assert "numpy==2.0" in text
    assert "numpy<2" in text
    assert list(world.folder.iterdir()) == []


def test_a_package_that_does_not_exist_is_an_answer(world: World) -> None:
    denial = world.document("--with", "no-such-thing", code=3)["denial"]
    assert denial["code"] == "package-not-found"
    assert "no-such-thing" in denial["hint"]


@pytest.mark.parametrize(
    ("options", "code", "error_code"),
    [
        (("--with", "--index-url=http://evil.example"), 2, "requirement-not-allowed"),
        (("--with", "-e ."), 2, "requirement-not-allowed"),
        (("--with", "x @ http://evil.example/x.whl"), 2, "requirement-not-allowed"),
        (("--with", "./local"), 2, "requirement-not-allowed"),
        (("--with", ""), 2, "requirement-not-allowed"),
        (("--name", "../../etc"), 2, "bad-name"),
        (("--python", "/bin/false"), 2, "python-unusable"),
        (("--python", "/nonexistent/python"), 2, "python-unusable"),
        (("-r", "absent.txt"), 2, "requirements-file"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(
    world: World, options: tuple[str, ...], code: int, error_code: str
) -> None:
    path = None if "--name" in options else "env"
    assert world.failure(*options, code=code, path=path)["code"] == error_code
    assert list(world.folder.iterdir()) == []
    assert world.index.asked == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("with space", 0),
        ("ünïcödé-環境", 0),
        ("-leading-dash", 0),
        ("deep/er/env", 0),
        ("new\nline", 2),
        ("co:lon", 2),
        ("n" * 250, 2),
        (".", 2),
        ("..", 2),
        ("", 2),
    ],
)
def test_odd_paths_work_or_are_refused_clearly(world: World, name: str, code: int) -> None:
    done = world.create("--json", path=name)
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    if code:
        assert document["error"]["code"] == "path-not-usable"
        assert list(world.folder.iterdir()) == []
    else:
        assert Path(document["path"], "bin/python").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "conda", "dangling"])
def test_what_is_no_environment_is_left_alone_even_with_replace(world: World, kind: str) -> None:
    if kind == "file":
        world.target.write_text("precious")
    elif kind == "dangling":
        world.target.symlink_to("nowhere")
    else:
        (world.target / ("conda-meta" if kind == "conda" else "thesis")).mkdir(parents=True)
    before = snapshot(world.folder)
    done = world.create("--replace", "--json")
    assert done.returncode == (2 if kind == "dangling" else 3)
    assert snapshot(world.folder) == before


def test_an_empty_folder_is_filled_and_a_foreign_venv_gives_way_only_to_replace(world: World) -> None:
    world.target.mkdir()
    assert world.document()["replaced"] is False
    foreign = world.folder / "foreign"
    foreign.mkdir()
    (foreign / "pyvenv.cfg").write_text("home = /usr/bin\n")
    before = snapshot(foreign)
    assert world.document(path="foreign", code=3)["denial"]["code"] == "path-exists"
    assert snapshot(foreign) == before
    assert world.document("--replace", path="foreign")["replaced"] is True


def test_a_link_to_an_environment_stays_a_link_when_it_is_replaced(world: World) -> None:
    world.document(path="real")
    world.target.symlink_to("real")
    world.document("--replace", tf=NEW)
    assert world.target.is_symlink()
    assert json.loads((world.folder / "real/.tfgpu/environment.json").read_text())["release"] == NEW


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(world: World) -> None:
    world.folder.chmod(0o555)
    try:
        assert world.failure(code=5)["code"] == "no-permission"
    finally:
        world.folder.chmod(0o755)


def test_a_path_below_a_file_is_named(world: World) -> None:
    (world.folder / "file").write_text("")
    assert world.document(path="file/env", code=3)["denial"]["code"] == "path-exists"


@pytest.mark.parametrize("home", ["/proc/no-home", None])
def test_without_a_home_the_cache_goes_where_it_can(world: World, home: str | None) -> None:
    del world.environ["UV_CACHE_DIR"]
    del world.environ["HOME"]
    if home:
        world.environ["HOME"] = home
        assert world.document()["outcome"] == "created"
        assert beside(world.target) == []
    else:
        world.environ["XDG_CACHE_HOME"] = "/proc/no-cache"
        assert world.document()["outcome"] == "created"


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_another_locale_changes_nothing(world: World, locale: str) -> None:
    world.environ.update({"LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    process = world.spawn(path="env")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "prepared" in out


def test_a_closed_pipe_is_no_traceback(world: World) -> None:
    process = world.spawn()
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in said
    assert world.target.exists()


def test_what_users_have_set_for_uv_cannot_change_what_is_installed(world: World) -> None:
    world.environ.update(
        {
            "UV_CONSTRAINT": "/nonexistent",
            "UV_OVERRIDE": "/nonexistent",
            "UV_NO_DEPS": "1",
            "VIRTUAL_ENV": "/nonexistent",
            "UV_PYTHON": "2.7",
            "UV_NO_VERIFY_HASHES": "1",
            "PYTHONPATH": "/nonexistent",
        }
    )
    assert world.document()["packages"] == 5


def test_main_is_what_the_tests_run() -> None:
    assert main.__module__ == "provision.cli.main"


def test_an_exception_from_wheels_only_is_built_from_the_very_archive(world: World) -> None:
    _with_old_tool(world)
    document = world.document()
    assert "old-tool==1.0" in document["distributions"]
    assert (world.folder.parent / "setup-ran").exists()
    assert "setuptools==90.0" in (world.target / ".tfgpu/build-tools.txt").read_text()


def test_a_dry_run_builds_nothing(world: World) -> None:
    _with_old_tool(world)
    assert "old-tool==1.0" in world.document("--dry-run")["distributions"]
    assert not (world.folder.parent / "setup-ran").exists()


def test_another_archive_than_the_one_looked_at_is_not_built(world: World) -> None:
    _with_old_tool(world, sha="0" * 64)
    assert world.failure(code=5)["code"] == "hash-mismatch"
    assert not (world.folder.parent / "setup-ran").exists()


def test_other_packages_without_a_wheel_are_not_built_unless_it_is_allowed(world: World) -> None:
    _with_old_tool(world)
    make_source(world.index.folder, "only-source", "1.0")
    assert world.document("--with", "only-source", code=3)["denial"]["code"] == "no-wheel"
    assert not (world.folder.parent / "setup-ran").exists()
    assert "only-source==1.0" in world.document("--with", "only-source", "--allow-source")["distributions"]


@pytest.mark.parametrize("package", ["old-tool>=2", "needs-newer-tool"])
def test_a_package_that_demands_another_version_of_an_exception_is_a_conflict(world: World, package: str) -> None:
    _with_old_tool(world)
    make_wheel(world.index.folder, "needs-newer-tool", "1.0", requires=("old-tool>=2",))
    done = world.create("--with", package, "--json")
    document = json.loads(done.stdout)
    answer = document.get("denial") or document["error"]
    assert answer["code"] == "conflict"
    assert any("demanded exactly" in line for line in answer["why"])
    assert list(world.folder.iterdir()) == []


def _with_old_tool(world: World, sha: str = "") -> None:
    """Make the older release demand a package that exists as a source archive only."""
    archive = make_source(world.index.folder, "old-tool", "1.0")
    make_build_tools(world.index.folder, mark=world.folder.parent / "setup-ran")
    world.matrix.write_text(matrix_text(source_only_sha=sha or hashlib.sha256(archive.read_bytes()).hexdigest()))

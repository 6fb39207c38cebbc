from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from wiring.real import snapshot
from wiring.samples import env_ref, library_set, small_row

from provision.errors import InvalidFileError, ProvisionError, ToolFailedError
from provision.model.document import jsonable
from provision.model.environment import EnvRef
from provision.wiring import apply, inspect, search_path, unwire, wire
from provision.wiring.record import read_record, record_path

SITE = "lib/python3.8/site-packages"
LINK = f"{SITE}/tensorflow/libcudnn.so.8"
HOOK = f"{SITE}/_tfgpu_hook.py"


def root(env: EnvRef) -> Path:
    return Path(env.prefix)


def test_wiring_answers_every_gate_name_and_is_recorded(env: EnvRef) -> None:
    row = small_row()
    assert search_path(env, row.gate).missing == row.gate
    report = wire(env, row, library_set())
    assert report.ok
    assert report.state == "whole"
    assert search_path(env, row.gate).missing == ()
    assert report.links[LINK] == "../nvidia/cudnn/lib/libcudnn.so.8"
    assert report.links[f"{SITE}/tensorflow/libcusolver.so.10"] == "../nvidia/cusolver/lib/libcusolver.so.11"
    aliases = {f".tfgpu/aliases/{name}" for name in ("libcupti.so.11.0", "libcusolver.so.10", "libnvrtc.so")}
    assert set(report.files) == {*aliases, HOOK, f"{SITE}/_tfgpu.pth"}
    assert report.cuda_data_dir == "nvidia/cuda_nvcc"
    record = json.loads(record_path(env).read_text())
    assert record["schema"] == 1
    assert record["tensorflow"] == "2.4.1"
    assert str(root(env)) not in record_path(env).read_text()
    assert json.loads(json.dumps(jsonable(report)))["links"] == dict(report.links)


def test_every_link_is_relative_and_leads_to_a_library(env: EnvRef) -> None:
    report = wire(env, small_row(), library_set())
    for name, target in report.links.items():
        assert not os.path.isabs(target)  # noqa: PTH117 - the text of the link is what is looked at
        assert (root(env) / name).resolve().parts[-4:-2] == ("nvidia", Path(target).parts[-3])


def test_wiring_twice_changes_nothing(env: EnvRef) -> None:
    first = wire(env, small_row(), library_set())
    before = snapshot(root(env))
    stamp = record_path(env).stat().st_mtime_ns
    assert wire(env, small_row(), library_set()) == first
    assert snapshot(root(env)) == before
    assert record_path(env).stat().st_mtime_ns == stamp


def test_unwiring_gives_the_same_tree_back(env: EnvRef) -> None:
    before = snapshot(root(env))
    wire(env, small_row(), library_set())
    bytecode = root(env) / SITE / "__pycache__/_tfgpu_hook.cpython-38.pyc"
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"what an interpreter leaves behind")
    assert snapshot(root(env)) != before
    assert unwire(env).state == "unwired"
    assert snapshot(root(env)) == before
    assert unwire(env).state == inspect(env).state == "unwired"


def test_unwiring_leaves_what_others_put_there(env: EnvRef) -> None:
    wire(env, small_row(), library_set())
    others = (root(env) / ".tfgpu/receipt.json", root(env) / SITE / "__pycache__/six.cpython-38.pyc")
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("theirs")
    unwire(env)
    assert [path.read_text() for path in others] == ["theirs", "theirs"]


def test_no_file_that_was_there_is_written_to(env: EnvRef, tmp_path: Path) -> None:
    # An installer's cache shares its files with the environment by hard links.
    cache = tmp_path / "cache"
    shutil.copytree(root(env), cache, copy_function=os.link, symlinks=True)
    before = snapshot(cache)
    wire(env, small_row(), library_set())
    wire(env, small_row(aliases={}), library_set())
    unwire(env)
    assert snapshot(cache) == before


def test_a_moved_environment_stays_wired(env: EnvRef, tmp_path: Path) -> None:
    wire(env, small_row(), library_set())
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    root(env).rename(moved)
    there = env_ref(moved)
    assert inspect(there).state == "whole"
    assert search_path(there, small_row().gate).missing == ()
    unwire(there)
    assert not list(moved.rglob("*tfgpu*"))


def put_file(path: Path) -> None:
    path.write_text("somebody's own")


def put_link(path: Path) -> None:
    path.symlink_to("/usr/lib/somewhere/else.so")


def put_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [put_link, put_folder])
def test_something_of_somebody_else_in_the_way_is_told_and_kept(env: EnvRef, put: Callable[[Path], None]) -> None:
    put(root(env) / LINK)
    before = snapshot(root(env))
    report = wire(env, small_row(), library_set())
    assert report.foreign == (LINK,)
    assert LINK not in report.links
    assert not report.ok
    unwire(env)
    assert snapshot(root(env)) == before


@pytest.mark.parametrize("name", ["_tfgpu_hook.py", "_tfgpu.pth"])
def test_a_file_named_like_the_hook_is_kept(env: EnvRef, name: str) -> None:
    put_file(root(env) / SITE / name)
    report = wire(env, small_row(), library_set())
    assert report.foreign == (f"{SITE}/{name}",)
    unwire(env)
    assert (root(env) / SITE / name).read_text() == "somebody's own"


def test_a_real_library_where_a_link_would_go_answers_the_request(env: EnvRef) -> None:
    own = root(env) / LINK
    shutil.copy(root(env) / SITE / "nvidia/cudnn/lib/libcudnn.so.8", own)
    report = wire(env, small_row(), library_set())
    assert report.ok
    assert LINK not in report.links
    unwire(env)
    assert own.is_file()


def remove_link(env: EnvRef) -> None:
    (root(env) / LINK).unlink()


def point_link_elsewhere(env: EnvRef) -> None:
    remove_link(env)
    (root(env) / LINK).symlink_to("/somewhere/else")


def remove_library(env: EnvRef) -> None:
    (root(env) / SITE / "nvidia/cudnn/lib/libcudnn.so.8").unlink()


def edit_hook(env: EnvRef) -> None:
    (root(env) / HOOK).write_text("import something_else\n")


def remove_hook(env: EnvRef) -> None:
    (root(env) / HOOK).unlink()


def replace_framework(env: EnvRef) -> None:
    (root(env) / SITE / "tensorflow/libtensorflow_framework.so.2").write_bytes(b"another build")


DAMAGE = {
    remove_link: ("damaged", "missing", LINK),
    point_link_elsewhere: ("damaged", "changed", LINK),
    remove_library: ("damaged", "dangling", LINK),
    edit_hook: ("damaged", "changed", HOOK),
    remove_hook: ("damaged", "missing", HOOK),
    replace_framework: ("stale", "", ""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_no_longer_is_as_recorded_is_told(env: EnvRef, damage: Callable[[EnvRef], None]) -> None:
    wire(env, small_row(), library_set())
    damage(env)
    before = snapshot(root(env))
    state, where, name = DAMAGE[damage]
    report = inspect(env)
    assert report.state == state
    assert not report.ok
    told = {field: getattr(report, field) for field in ("missing", "changed", "dangling")}
    assert told == {field: (name,) if field == where else () for field in told}
    assert snapshot(root(env)) == before, "looking changes nothing"


@pytest.mark.parametrize("damage", [remove_link, remove_hook])
def test_wiring_again_mends_what_is_missing(env: EnvRef, damage: Callable[[EnvRef], None]) -> None:
    whole = wire(env, small_row(), library_set())
    damage(env)
    assert wire(env, small_row(), library_set()) == whole


@pytest.mark.parametrize("damage", [point_link_elsewhere, edit_hook])
def test_what_somebody_changed_is_never_touched_again(env: EnvRef, damage: Callable[[EnvRef], None]) -> None:
    wire(env, small_row(), library_set())
    damage(env)
    name = DAMAGE[damage][2]
    assert unwire(env).changed == (name,)
    assert (root(env) / name).is_symlink() or (root(env) / name).exists()
    assert wire(env, small_row(), library_set()).foreign == (name,)


def test_wiring_for_another_release_replaces_what_no_longer_fits(env: EnvRef) -> None:
    wire(env, small_row(), library_set())
    row = small_row(gate=("libcudart.so.11.0", "libcusolver.so.11"), aliases={}, optional={})
    report = wire(env, row, library_set())
    names = {Path(name).name for name in report.links}
    assert "libcusolver.so.11" in names
    assert not names & {"libcusolver.so.10", "libcudnn.so.8", "libcupti.so.11.0"}
    assert not (root(env) / LINK).is_symlink()
    assert read_record(env) is not None
    left = {path for path in root(env).rglob("*.so*") if path.is_symlink()}
    assert left == {root(env) / name for name in report.links}


class KilledError(Exception):
    """Stands for kill -9: nothing after it runs."""


@pytest.mark.parametrize("moment", range(36))
def test_a_kill_at_any_step_loses_nothing(env: EnvRef, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Every step that changes the disk is counted; at the chosen one the process is gone."""
    before = snapshot(root(env))
    wire(env, small_row(aliases={}, optional={}), library_set())
    steps = iter(range(1000))

    def step() -> None:
        if next(steps) == moment:
            raise KilledError

    real_symlink, real_unlink, real_write = Path.symlink_to, Path.unlink, apply.write_atomic

    def symlink(path: Path, target: str) -> None:
        step()
        real_symlink(path, target)

    def unlink(path: Path) -> None:
        step()
        real_unlink(path)

    def write(path: Path, content: bytes) -> None:
        step()
        real_write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "symlink_to", symlink)
        patched.setattr(Path, "unlink", unlink)
        patched.setattr(apply, "write_atomic", write)
        try:
            wire(env, small_row(), library_set())
        except KilledError:
            pass
        else:
            assert next(steps) <= moment, "the step was reached and nothing happened"
    if moment % 2:
        assert wire(env, small_row(), library_set()).ok
    unwire(env)
    assert snapshot(root(env)) == before


def test_a_disk_that_refuses_is_told_and_the_next_run_goes_on(env: EnvRef, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(root(env))

    def full(path: Path, target: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "symlink_to", full)
        with pytest.raises(ToolFailedError) as caught:
            wire(env, small_row(), library_set())
    assert caught.value.code == "wiring-failed"
    assert "No space left on device" in caught.value.why[0]
    assert inspect(env).state == "damaged"
    assert wire(env, small_row(), library_set()).ok
    unwire(env)
    assert snapshot(root(env)) == before


RECORDS = {
    "empty": "",
    "binary": "\x00\x01",
    "list": "[]",
    "no-schema": "{}",
    "newer": '{"schema": 2}',
    "deep": "[" * 100_000,
    "outside": '{"schema": 1, "tensorflow": "2", "library_set": "", "framework": ["a", 1], "cuda_data_dir": "",'
    ' "made_folders": [], "files": [], "links": [{"path": "../../etc/x", "target": "y", "asked_by": "z"}]}',
    "absolute": '{"schema": 1, "tensorflow": "2", "library_set": "", "framework": ["a", 1], "cuda_data_dir": "",'
    ' "made_folders": [], "links": [], "files": [{"path": "/etc/passwd", "sha256": "y"}]}',
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("act", [inspect, unwire, lambda env: wire(env, small_row(), library_set())])
def test_a_record_that_is_wrong_is_refused(env: EnvRef, name: str, act: Callable[[EnvRef], object]) -> None:
    record_path(env).parent.mkdir()
    record_path(env).write_text(RECORDS[name])
    before = snapshot(root(env))
    with pytest.raises(InvalidFileError) as caught:
        act(env)
    assert caught.value.code == "invalid-wiring-record"
    assert str(record_path(env)) in caught.value.why[0]
    assert snapshot(root(env)) == before


def test_no_link_is_made_in_a_folder_that_leads_outside(env: EnvRef, tmp_path: Path) -> None:
    """Such as a copy that shares folders with the environment it was made from."""
    probe = tmp_path / "probe"
    shutil.copytree(root(env), probe, symlinks=True)
    made = {Path(name).parent for name in wire(env_ref(probe), small_row(), library_set()).links}
    folder = next(root(env) / path for path in sorted(made) if path.name == "lib")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path)
    with pytest.raises(ProvisionError) as caught:
        wire(env, small_row(), library_set())
    assert caught.value.code == "wiring-outside"
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("folder", ["tensorflow", "nvidia"])
def test_packages_that_lie_outside_the_environment_are_refused(env: EnvRef, tmp_path: Path, folder: str) -> None:
    inside = root(env) / SITE / folder
    inside.rename(tmp_path / "cached")
    inside.symlink_to(tmp_path / "cached")
    before = snapshot(tmp_path)
    with pytest.raises(ProvisionError) as caught:
        wire(env, small_row(), library_set())
    assert caught.value.code == "wiring-outside"
    assert snapshot(tmp_path) == before


def test_packages_named_by_another_path_than_the_environment_are_refused(env: EnvRef, tmp_path: Path) -> None:
    (tmp_path / "other-name").symlink_to(root(env))
    twisted = dataclasses.replace(env, prefix=type(env.prefix)(tmp_path / "other-name"))
    with pytest.raises(ProvisionError) as caught:
        wire(twisted, small_row(), library_set())
    assert caught.value.code == "wiring-outside"


def test_an_environment_reached_by_a_link_is_wired(env: EnvRef, tmp_path: Path) -> None:
    (tmp_path / "other-name").symlink_to(root(env))
    assert wire(env_ref(tmp_path / "other-name"), small_row(), library_set()).ok
    assert inspect(env).state == "whole"


@pytest.mark.parametrize("name", ["tensorflow/libcudnn.so.8", "tensorflow/libcudnn_ops_infer.so.8"])
def test_a_file_of_somebody_that_is_no_library_is_not_taken_for_one(env: EnvRef, name: str) -> None:
    (root(env) / SITE / name).write_text("no library")
    report = wire(env, small_row(), library_set())
    unfound = {item.soname: item.gate for item in report.unfound}
    assert unfound == {Path(name).name: name.endswith("libcudnn.so.8")}
    assert report.ok is not unfound.get("libcudnn.so.8", False)


def test_a_damaged_library_is_named(env: EnvRef) -> None:
    broken = root(env) / SITE / "nvidia/cudnn/lib/libcudnn.so.8"
    broken.write_bytes(broken.read_bytes()[:100])
    report = wire(env, small_row(), library_set())
    assert not report.ok
    assert [item.soname for item in report.unfound] == ["libcudnn.so.8"]
    assert str(broken) in report.unreadable[0]


@pytest.mark.parametrize("gone", ["bin/ptxas", "nvvm/libdevice/libdevice.10.bc"])
def test_xla_is_told_nothing_where_the_compiler_package_is_not_whole(env: EnvRef, gone: str) -> None:
    (root(env) / SITE / "nvidia/cuda_nvcc" / gone).unlink()
    report = wire(env, small_row(), library_set())
    assert report.cuda_data_dir == ""
    assert report.ok

"""status, sync and wire in the small world: every kind of difference, found and mended."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from create.small_world import NEW, OLD, beside, snapshot
from create.world import World
from locked.locked_world import call, kinds, lock, locked_create, replace_bytes, site
from thorough import moments


def _gone(prefix: Path) -> None:
    (site(prefix) / "tensorflow/part7.py").unlink()


def _changed(prefix: Path) -> None:
    replace_bytes(site(prefix) / "tensorflow/part7.py", b"# another length\n")


def _package_gone(prefix: Path) -> None:
    subprocess.run(["rm", "-rf", site(prefix) / "six", next(site(prefix).glob("six-*.dist-info"))], check=True)


def _record_of_package_gone(prefix: Path) -> None:
    (next(site(prefix).glob("six-*.dist-info")) / "RECORD").unlink()


def _link_gone(prefix: Path) -> None:
    (site(prefix) / "tensorflow/libcudnn.so.8").unlink()


def _hook_changed(prefix: Path) -> None:
    replace_bytes(site(prefix) / "_tfgpu_hook.py", b"# mine\n")


def _wiring_record_broken(prefix: Path) -> None:
    replace_bytes(prefix / ".tfgpu/wiring.json", b"{")


def _lock_gone(prefix: Path) -> None:
    (prefix / ".tfgpu/lock.txt").unlink()


DRIFTS: dict[str, tuple[Callable[[Path], None], tuple[str, str]]] = {
    "file-gone": (_gone, ("files", "tensorflow")),
    "file-changed": (_changed, ("files", "tensorflow")),
    "package-gone": (_package_gone, ("missing", "six")),
    "record-of-package-gone": (_record_of_package_gone, ("files", "six")),
    "link-gone": (_link_gone, ("wiring", "wiring")),
    "hook-changed": (_hook_changed, ("wiring", "wiring")),
    "wiring-record-broken": (_wiring_record_broken, ("wiring", "wiring")),
    "lock-gone": (_lock_gone, ("record", "record")),
}


@pytest.mark.parametrize("kind", DRIFTS)
def test_a_difference_is_found_and_mended_and_what_is_the_users_stays(world: World, kind: str) -> None:
    file = lock(world)
    locked_create(world)
    (world.target / "mine.txt").write_text("keep")
    (site(world.target) / "mine.py").write_text("keep = 1\n")
    assert call(world, "status", "env", "--lock", str(file))["in_order"] is True
    spoil, wanted = DRIFTS[kind]
    spoil(world.target)
    found = call(world, "status", "env", "--lock", str(file), code=1)
    assert wanted in kinds(found)
    assert found["fix"]
    before = snapshot(world.target)
    assert call(world, "sync", "env", "--locked", str(file), "--dry-run")["outcome"] == "dry-run"
    assert snapshot(world.target) == before
    assert call(world, "sync", "env", "--locked", str(file), "--no-verify")["outcome"] == "synced"
    assert call(world, "status", "env", "--lock", str(file), "--deep")["in_order"] is True
    assert (world.target / "mine.txt").read_text() == "keep"
    assert (site(world.target) / "mine.py").read_text() == "keep = 1\n"
    assert beside(world.target) == []


def test_what_is_in_order_is_not_touched(world: World) -> None:
    locked_create(world, "--locked", str(lock(world)))

    def stamps() -> dict[Path, tuple[int, int, int]]:
        found = {path: path.lstat() for path in world.target.rglob("*")}
        return {path: (item.st_ino, item.st_mtime_ns, item.st_ctime_ns) for path, item in found.items()}

    before = stamps()
    assert call(world, "sync", "env")["outcome"] == "unchanged"
    assert stamps() == before


def test_another_lock_is_reached_by_its_difference_alone(world: World) -> None:
    file = lock(world, "tfgpu-lock.txt", "--with", "pandas")
    locked_create(world)
    other = lock(world, "tfgpu-lock.other.txt", tf=NEW)
    found = call(world, "status", "env", "--lock", str(other), code=1)
    assert set(kinds(found)) == {("version", "tensorflow"), ("extra", "pandas")}
    inode = (site(world.target) / "six/__init__.py").stat().st_ino
    done = call(world, "sync", "env", "--locked", str(other), "--no-verify")
    assert done["installed"] == [f"tensorflow=={NEW}"]
    assert set(done["removed"]) == {"pandas 1.0", f"tensorflow {OLD}"}
    assert (site(world.target) / "six/__init__.py").stat().st_ino == inode
    run = subprocess.run([world.target / "bin/tf_tool"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == NEW
    assert call(world, "sync", "env", "--locked", str(file), "--no-verify")["outcome"] == "synced"


def test_a_file_damaged_through_its_hard_link_is_fetched_anew(world: World) -> None:
    """Whoever writes into an installed file in place damages uv's cache with it."""
    locked_create(world, "--locked", str(lock(world)))
    path = site(world.target) / "tensorflow/part7.py"
    assert path.stat().st_nlink > 1
    path.write_bytes(path.read_bytes().replace(b"filler", b"FILLER"))
    assert call(world, "status", "env")["in_order"] is True
    assert ("files", "tensorflow") in kinds(call(world, "status", "env", "--deep", code=1))
    assert call(world, "sync", "env", "--deep", "--offline", "--no-verify", code=5)["error"]["code"] == "cache-damaged"
    call(world, "sync", "env", "--deep", "--no-verify")
    assert b"FILLER" not in path.read_bytes()
    assert call(world, "status", "env", "--deep")["in_order"] is True


def test_a_failed_sync_leaves_the_environment_byte_for_byte(world: World) -> None:
    file = lock(world)
    locked_create(world)
    _gone(world.target)
    before = snapshot(world.target)
    document = call(world, "sync", "env", "--locked", str(file), code=6)
    assert document["error"]["code"] == "verification-failed"
    assert snapshot(world.target) == before
    assert beside(world.target) == []


def test_an_environment_of_somebody_else_is_compared_and_not_synced(world: World) -> None:
    file = lock(world)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(world.target)], check=True)
    found = call(world, "status", "env", "--lock", str(file), code=1)
    assert ("missing", "tensorflow") in kinds(found)
    denial = call(world, "sync", "env", "--locked", str(file), code=3)["denial"]
    assert denial["code"] == "not-ours"
    assert "create --replace --locked" in denial["hint"]


def test_a_plain_install_is_wired_and_unwired(world: World) -> None:
    import uv

    file = lock(world)
    environ = {**world.environ}
    binary = uv.find_uv_bin()
    subprocess.run([binary, "venv", "-q", "--python", sys.executable, str(world.target)], env=environ, check=True)
    install = [binary, "pip", "install", "-q", "--require-hashes", "--python", str(world.target), "-r", str(file)]
    subprocess.run(install, env=environ, check=True, cwd=world.folder)
    before = snapshot(world.target)
    found = call(world, "status", "env", "--lock", str(file), code=1)
    assert kinds(found) == [("wiring", "wiring")]
    assert "wire" in found["fix"]
    wired = call(world, "wire", "env")
    assert (wired["ok"], wired["library_set"]) == (True, "small")
    assert (site(world.target) / "tensorflow/libcudnn.so.8").exists()
    assert call(world, "status", "env", "--lock", str(file))["in_order"] is True
    call(world, "wire", "env", "--undo")
    after = snapshot(world.target)
    assert {name: said for name, said in after.items() if "__pycache__" not in name} == {
        name: said for name, said in before.items() if "__pycache__" not in name
    }


def test_wire_refuses_what_it_cannot_do(world: World) -> None:
    assert call(world, "wire", sys.base_prefix, code=3)["denial"]["code"] in ("system-python", "no-tensorflow")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(world.target)], check=True)
    assert call(world, "wire", "env", code=3)["denial"]["code"] == "no-tensorflow"


def _killed_syncs(world: World, moments: int) -> int:
    locked_create(world, "--locked", str(lock(world)))
    other = lock(world, "tfgpu-lock.other.txt", tf=NEW)
    whole = world.target.with_name("whole")
    argv = [sys.executable, "-m", "provision", "sync", "--matrix", str(world.matrix), "--no-verify", "--locked"]

    def run(limit: float | None) -> bool:
        process = subprocess.Popen([*argv, str(other), "env"], cwd=world.folder, env=world.environ, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
        assert process.returncode == 0, out + err
        return False

    shutil.copytree(world.target, whole, symlinks=True)
    before = snapshot(world.target)
    run(None)
    killed, took = 0, 0.0
    for number in range(moments):
        shutil.rmtree(world.target)
        shutil.copytree(whole, world.target, symlinks=True)
        if not took:
            start = time.monotonic()
            run(None)
            took = time.monotonic() - start
            shutil.rmtree(world.target)
            shutil.copytree(whole, world.target, symlinks=True)
        start = time.monotonic()
        if run(took * (0.2 + 0.8 * (number + 1) / (moments + 1))):
            killed += 1
        else:
            took = time.monotonic() - start  # the machine has become faster
        version = next(site(world.target).glob("tensorflow-*.dist-info")).name.split("-")[1].removesuffix(".dist")
        if not version.startswith(NEW):
            assert snapshot(world.target) == before, "the old environment was touched"
        call(world, "sync", "env", "--locked", str(other), "--no-verify")
        assert beside(world.target) == []
        assert call(world, "status", "env", "--lock", str(other), "--deep")["in_order"] is True
    return killed


def test_a_killed_sync_leaves_the_old_environment_or_the_new_one(world: World) -> None:
    assert _killed_syncs(world, 4) >= 2


@pytest.mark.e2e
def test_a_sync_killed_at_many_moments(world: World) -> None:
    assert _killed_syncs(world, moments(20)) >= moments(5)

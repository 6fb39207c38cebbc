"""lock on the small world: real uv, a real index on the loopback, small packages."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from create.small_world import NEW, OLD, make_build_tools, make_source, make_wheel, matrix_text
from create.world import Ended, World

LOCK = "tfgpu-lock.txt"


def lock(world: World, *options: str) -> Ended:
    return world.run("lock", "--matrix", str(world.matrix), *options)


def document(world: World, *options: str, code: int = 0) -> dict[str, Any]:
    done = lock(world, "--json", *options)
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def locked(world: World, name: str = LOCK) -> dict[str, str]:
    lines = (world.folder / name).read_text().splitlines()
    heads = [line.split()[0] for line in lines if line and line[0].isalpha() and "==" in line]
    return dict(head.split("==") for head in heads)


def settle(world: World, text: str) -> None:
    (world.folder / "pyproject.toml").write_text(f"[tool.tfgpu]\n{text}")


def test_a_lock_holds_every_package_by_its_hash_and_no_address(world: World) -> None:
    found = document(world, "--tf", OLD, "--with", "pandas", "--for", "driver=520,gpu=8.0")
    text = (world.folder / LOCK).read_text()
    assert locked(world) == {
        "numpy": "1.9", "nvidia-cudart-cu11": "11.8.1", "nvidia-cudnn-cu11": "8.6.0.1", "pandas": "1.0", "six": "1.0",
        "tensorflow": OLD,
    }  # fmt: skip
    assert text.count("--hash=sha256:") == 6
    assert "://" not in text
    (target,) = found["targets"]
    assert target["contract"]["gpus"] == [{"compute_capability": "8.0", "driver": "520", "derived": False}]
    assert target["contract"]["request"]["requirements"] == ["pandas"]
    assert target["files"] == [
        {"path": LOCK, "format": "requirements", "outcome": "written", "missing": True, "changes": []}
    ]


def test_the_same_bytes_on_two_runs_from_two_folders_and_caches(world: World) -> None:
    lock(world, "--tf", OLD, "-o", "one.txt")
    other = world.folder / "elsewhere"
    other.mkdir()
    world.environ["UV_CACHE_DIR"] = str(world.folder / "another-cache")
    assert world.run("lock", "--matrix", str(world.matrix), "--tf", OLD, "-o", str(other / "two.txt")).returncode == 0
    assert (world.folder / "one.txt").read_bytes() == (other / "two.txt").read_bytes()


def test_an_unchanged_lock_is_not_touched(world: World) -> None:
    lock(world, "--tf", OLD)
    path = world.folder / LOCK
    os.utime(path, (1, 1))
    done = lock(world, "--tf", OLD)
    assert done.returncode == 0
    assert f"unchanged: {LOCK}" in done.stdout
    assert done.stdout.endswith("\nunchanged\n")
    assert path.stat().st_mtime == 1
    # Nothing was said: it is made again of what it was made of.
    assert document(world)["outcome"] == "unchanged"


@pytest.mark.parametrize(
    ("upgrade", "expected"),
    [
        ((), ("1.0", "1.0", OLD)),
        (("--upgrade", "pandas"), ("1.0", "2.0", OLD)),
        (("--upgrade=Pandas",), ("1.0", "2.0", OLD)),
        (("--upgrade-package", "pandas"), ("1.0", "2.0", OLD)),
        (("--upgrade", "tensorflow"), ("1.0", "1.0", NEW)),
        (("--upgrade",), ("1.5", "2.0", NEW)),
    ],
)  # fmt: skip
def test_versions_stay_unless_they_are_upgraded(
    upgrade: tuple[str, ...], expected: tuple[str, str, str], world: World
) -> None:
    newer = world.matrix.read_text()
    world.matrix.write_text(newer[: newer.index(f"  tensorflow=={NEW}")])
    settle(world, 'requirements = ["pandas"]\n')
    assert lock(world).returncode == 0
    world.matrix.write_text(newer)
    make_wheel(world.index.folder, "pandas", "2.0")
    make_wheel(world.index.folder, "six", "1.5")
    world.environ["UV_CACHE_DIR"] = str(world.folder / "fresh-cache")
    assert lock(world, *upgrade).returncode == 0
    found = locked(world)
    assert (found["six"], found["pandas"], found["tensorflow"]) == expected


def test_what_a_lock_does_not_have_cannot_be_upgraded(world: World) -> None:
    lock(world, "--tf", OLD)
    assert "colour was not in the lock" in lock(world, "--tf", OLD, "--upgrade", "colour").stdout


def test_a_check_says_what_is_stale_and_writes_nothing(world: World) -> None:
    settle(world, f'tf = "{OLD}"\n')
    missing = lock(world, "--check")
    assert (missing.returncode, (world.folder / LOCK).exists()) == (1, False)
    assert f"missing: {LOCK}" in missing.stdout
    assert "bring it up to date with `tfgpu-provision lock" in missing.stdout
    lock(world)
    before = (world.folder / LOCK).read_bytes()
    assert document(world, "--check")["outcome"] == "unchanged"
    assert document(world, "--check", "--offline")["outcome"] == "unchanged"
    settle(world, f'tf = "{OLD}"\nrequirements = ["pandas"]\n')
    found = document(world, "--check", code=1)
    names = [change["name"] for change in found["targets"][0]["files"][0]["changes"]]
    assert "pandas" in names
    assert any("requirements" in name for name in names)
    assert (world.folder / LOCK).read_bytes() == before


@pytest.mark.parametrize("change", ["row", "another", "hash", "version", "comment", "removed"])
def test_a_check_sees_a_changed_matrix_and_an_edited_lock(change: str, world: World) -> None:
    settle(world, f'tf = "{OLD}"\n')
    lock(world)
    path = world.folder / LOCK
    text = path.read_text()
    if change == "row":
        world.matrix.write_text(world.matrix.read_text().replace('cpu: ""', "cpu: avx"))
    elif change == "another":
        world.matrix.write_text(world.matrix.read_text() + "# nothing of this release\n")
    elif change == "hash":
        place = text.index("--hash=sha256:") + 14
        path.write_text(text[:place] + "0" * 64 + text[place + 64 :])
    elif change == "version":
        path.write_text(text.replace("six==1.0", "six==1.1"))
    elif change == "comment":
        path.write_text(text + "# mine\n")
    elif change == "removed":
        lines = text.splitlines(keepends=True)
        start = next(number for number, line in enumerate(lines) if line.startswith("six=="))
        path.write_text("".join(lines[:start] + lines[start + 2 :]))
    edited = path.read_bytes()
    done = lock(world, "--check")
    assert done.returncode == (0 if change == "another" else 1), done.stdout
    assert path.read_bytes() == edited
    if change != "another":
        assert lock(world).returncode == 0
        assert path.read_text() == text if change != "row" else path.read_text() != text


def test_a_lock_that_cannot_be_read_is_an_error_and_is_left_alone(world: World) -> None:
    path = world.folder / LOCK
    path.write_text("--index-url https://example.org/simple\nsix==1.0\n")
    for options in (("--check",), ()):
        done = lock(world, "--tf", OLD, *options)
        assert done.returncode == 2
        assert "remove it and lock anew" in done.stderr
    assert path.read_text().startswith("--index-url")


def test_several_targets_get_one_release_and_a_file_each(world: World) -> None:
    settle(world, '[tool.tfgpu.targets]\nserver = "driver=520,gpu=8.0"\nci = "gpu=none"\n')
    found = document(world)
    assert [(item["name"], item["contract"]["release"]) for item in found["targets"]] == [("server", NEW), ("ci", NEW)]
    assert sorted(path.name for path in world.folder.glob("tfgpu-lock*")) == [
        "tfgpu-lock.ci.txt",
        "tfgpu-lock.server.txt",
    ]
    contracts = {item["name"]: item["contract"] for item in found["targets"]}
    assert (contracts["server"]["made_for"], contracts["server"]["without_gpu"]) == (["8.0"], False)
    assert (contracts["ci"]["made_for"], contracts["ci"]["without_gpu"]) == ([], True)
    assert document(world, "--check")["outcome"] == "unchanged"


def test_a_refused_target_is_told_and_nothing_is_written(world: World) -> None:
    done = lock(world, "--for", "old:driver=440,gpu=8.0", "--for", "good:gpu=8.0", "--for", "mac:os=macos")
    assert done.returncode == 3
    assert "target old" in done.stdout
    assert "driver-too-old" in done.stdout
    assert "target mac" in done.stdout
    assert "nothing was written; good could be locked" in done.stdout
    assert list(world.folder.iterdir()) == []


def test_a_package_that_does_not_fit_is_told_and_nothing_is_written(world: World) -> None:
    found = document(world, "--tf", OLD, "--with", "needs-numpy-2", code=3)
    (target,) = found["targets"]
    assert target["denial"]["code"] == "conflict"
    assert target["files"] == []
    assert list(world.folder.iterdir()) == []


def test_targets_without_a_name_get_one_and_bad_names_are_refused(world: World) -> None:
    assert lock(world, "--tf", OLD, "--for", "driver=520,gpu=8.0", "--for", "gpu=none").returncode == 0
    assert (world.folder / "tfgpu-lock.driver-520-gpu-8-0.txt").is_file()
    assert (world.folder / "tfgpu-lock.gpu-none.txt").is_file()
    for options in (("--for", "../x:gpu=none"), ("--for", "a:gpu=none", "--for", "a:gpu=8.0"), ("--for", "b:gpu=nope")):
        assert lock(world, *options).returncode == 2
    captured = world.folder / "node7.json"
    captured.write_text(world.run("host", "--json", "--for", "driver=520,gpu=8.0").stdout)
    lock(world, "--tf", OLD, "--for", f"node:{captured}")
    assert str(world.folder) not in (world.folder / "tfgpu-lock.node.txt").read_text()


def test_files_and_folders(world: World) -> None:
    done = lock(world, "--tf", OLD, "--for", "a:gpu=none", "--for", "b:gpu=8.0", "-o", "one.txt")
    assert done.returncode == 2
    assert lock(world, "--tf", OLD, "--for", "a:gpu=none", "--for", "b:gpu=8.0", "-o", "locks/").returncode == 0
    assert sorted(path.name for path in (world.folder / "locks").iterdir()) == ["tfgpu-lock.a.txt", "tfgpu-lock.b.txt"]
    settle(world, f'tf = "{OLD}"\nlock = "deep/my.txt"\n')
    inner = world.folder / "inner"
    inner.mkdir()
    assert lock(world).returncode == 0
    assert (world.folder / "deep" / "my.txt").is_file()
    settle(world, f'tf = "{OLD}"\nlock = "../outside.txt"\n')
    assert lock(world).returncode == 2
    assert not (world.folder.parent / "outside.txt").exists()


def test_formats(world: World) -> None:
    found = document(world, "--tf", OLD, "--format", "pylock", "--format", "requirements")
    assert [file["path"] for file in found["targets"][0]["files"]] == ["pylock.tfgpu.toml", LOCK]
    assert document(world, "--tf", OLD, "--format", "pylock", "--check")["outcome"] == "unchanged"
    done = lock(world, "--tf", OLD, "--format", "conda-lock")
    assert done.returncode == 2
    assert "requirements, pylock" in done.stderr
    assert lock(world, "--tf", OLD, "--with-conda", "zlib").returncode == 2


def dated(world: World) -> None:
    """Give every file of the index a day: all old but NVIDIA's wheels and the newest pandas."""
    make_wheel(world.index.folder, "pandas", "2.0")
    for file in world.index.folder.iterdir():
        new = file.name.startswith(("nvidia_", "pandas-2"))
        world.index.uploaded[file.name] = "2023-06-01T12:00:00Z" if new else "2022-11-16T23:00:00Z"


def test_a_lock_as_of_a_day_takes_nothing_newer_but_what_the_matrix_fixes(world: World) -> None:
    dated(world)
    found = document(world, "--tf", OLD, "--with", "pandas", "--as-of", "2022-11-16")
    assert locked(world)["pandas"] == "1.0"
    remarks = " ".join(found["targets"][0]["remarks"])
    assert "newer than 2022-11-16, and taken because the matrix fixes it: nvidia-cudart-cu11==11.8.1" in remarks
    assert "tensorflow" not in remarks
    # The day stays until it is lifted.
    assert document(world, "--upgrade")["outcome"] == "unchanged"
    document(world, "--upgrade", "--as-of", "none")
    assert locked(world)["pandas"] == "2.0"


def test_a_release_of_after_the_day_is_refused(world: World) -> None:
    found = document(world, "--tf", OLD, "--as-of", "2022-11-15", code=3)
    assert found["targets"][0]["denial"]["code"] == "release-too-new"
    assert "2022-11-16" in found["targets"][0]["denial"]["hint"]
    for day in ("yesterday", "1999-01-01", "9999-12-31"):
        assert lock(world, "--tf", OLD, "--as-of", day).returncode == 2


def test_offline_works_from_the_cache_and_says_so_when_it_cannot(world: World) -> None:
    done = lock(world, "--tf", OLD, "--offline")
    assert done.returncode == 5
    assert not (world.folder / LOCK).exists()
    lock(world, "--tf", OLD)
    (world.folder / LOCK).unlink()
    assert lock(world, "--tf", OLD, "--offline").returncode == 0


def test_a_cache_that_cannot_be_written_is_replaced_for_the_one_run(world: World) -> None:
    lock(world, "--tf", OLD, "-o", "usual.txt")
    place = world.folder / "file-in-the-way"
    place.write_text("no folder")
    world.environ["UV_CACHE_DIR"] = str(place)
    assert lock(world, "--tf", OLD).returncode == 0
    assert (world.folder / LOCK).read_bytes() == (world.folder / "usual.txt").read_bytes()
    assert place.read_text() == "no folder"


def test_packages_without_a_wheel_come_from_the_matrix_with_what_builds_them(world: World, tmp_path: Path) -> None:
    archive = make_source(world.index.folder, "old-tool", "1.0")
    make_build_tools(world.index.folder, mark=tmp_path / "built")
    make_wheel(world.index.folder, "wants-old", "1.0", requires=("old-tool==1.0",))
    import hashlib

    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    world.matrix.write_text(matrix_text(source_only_sha=digest))
    found = document(world, "--tf", OLD, "--with", "wants-old", "--format", "requirements", "--format", "pylock")
    assert found["targets"][0]["source_only"] == ["old-tool"]
    text = (world.folder / LOCK).read_text()
    assert digest in text
    assert "setuptools" in text
    assert not (tmp_path / "built").exists()
    assert document(world, "--check")["outcome"] == "unchanged"


def test_source_is_locked_only_where_it_is_allowed(world: World, tmp_path: Path) -> None:
    archive = make_source(world.index.folder, "old-tool", "1.0")
    make_build_tools(world.index.folder, mark=tmp_path / "built")
    assert archive.is_file()
    assert lock(world, "--tf", OLD, "--with", "old-tool").returncode == 3
    found = document(world, "--tf", OLD, "--with", "old-tool", "--allow-source")
    assert found["targets"][0]["source_only"] == ["old-tool"]


def test_a_target_cannot_be_half_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = world.folder / "locks"
    blocked.mkdir()
    (blocked / "tfgpu-lock.b.txt").mkdir()
    done = lock(world, "--tf", OLD, "--for", "a:gpu=none", "--for", "b:gpu=8.0", "-o", "locks/")
    assert done.returncode == 2
    assert [path.name for path in blocked.iterdir()] == ["tfgpu-lock.b.txt"]


@pytest.mark.index
@pytest.mark.parametrize("release", ["2.21.0", "2.4.1"])
def test_a_real_lock_made_twice_is_the_same_and_names_no_address(release: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        argv = [sys.executable, "-m", "provision", "lock", "--tf", release, "--for", "gpu=none"]
        done = subprocess.run(argv, cwd=folder, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        texts.append((folder / LOCK).read_text())
        shutil.rmtree(folder)
    assert texts[0] == texts[1]
    assert "://" not in texts[0]
    assert f"tensorflow=={release}" in texts[0]

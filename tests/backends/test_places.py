from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from provision.backends.places import Standing, look_at, make_parents, resolve_target
from provision.errors import ToolFailedError, UsageError


@pytest.mark.parametrize(
    "text", ["env", "./env", "a/../env", "with space", "ünï", "-dash", "--replace", "$(touch x)", "e'\"n"]
)
def test_usual_and_odd_names_are_made_absolute(tmp_path: Path, text: str) -> None:
    assert resolve_target(text, tmp_path) == Path(os.path.normpath(tmp_path / text))


@pytest.mark.parametrize(
    "text", ["", "  ", "a\nb", "a\tb", "a\x7fb", "a:b", "n" * 201, "é" * 101, "d/" * 1800 + "e", "\udcff"]
)
def test_what_cannot_work_is_refused_with_the_reason(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as failure:
        resolve_target(text, tmp_path)
    assert failure.value.code == "path-not-usable"
    "".join(failure.value.why).encode()  # can be printed


def test_the_folder_one_stands_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    for text in (".", "..", "/"):
        with pytest.raises(UsageError, match="cannot be used"):
            resolve_target(text, tmp_path / "deep")


def test_links_are_followed_and_loops_and_dead_ends_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert resolve_target("link", tmp_path) == tmp_path / "real"
    assert resolve_target("link/env", tmp_path) == tmp_path / "real/env"
    (tmp_path / "dead").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("dead", "loop"):
        with pytest.raises(UsageError):
            resolve_target(name, tmp_path)


def record(**changes: object) -> str:
    content = {
        "schema": 1, "distribution": "tensorflow", "release": "2.10.1", "python": "3.10.1", "library_set": "s",
        "plan_digest": "d", "packages": 3,
    }  # fmt: skip
    return json.dumps({**content, **changes})


@pytest.mark.parametrize(
    ("files", "standing"),
    [
        ({}, Standing.NOTHING),
        ({"pyvenv.cfg": "", ".tfgpu/environment.json": record()}, Standing.OURS),
        ({"pyvenv.cfg": "", ".tfgpu/environment.json": "{"}, Standing.VENV),
        ({"pyvenv.cfg": "", ".tfgpu/environment.json": "[]"}, Standing.VENV),
        ({"pyvenv.cfg": "", ".tfgpu/environment.json": record(schema=2)}, Standing.VENV),
        ({"pyvenv.cfg": "", ".tfgpu/environment.json": record(release=7)}, Standing.VENV),
        ({"pyvenv.cfg": "home = /usr\n"}, Standing.VENV),
        ({"pyvenv.cfg": "", "conda-meta/history": ""}, Standing.FOREIGN),
        ({"thesis.tex": ""}, Standing.FOREIGN),
        ({".tfgpu/lock.txt": ""}, Standing.FOREIGN),
    ],
)
def test_what_stands_there_is_told(tmp_path: Path, files: dict[str, str], standing: Standing) -> None:
    target = tmp_path / "env"
    target.mkdir()
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    place = look_at(target)
    assert place.standing is standing
    assert (place.record is not None) is (standing is Standing.OURS)
    assert bool(place.what) is (standing is not Standing.NOTHING)


def test_nothing_a_file_and_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert look_at(tmp_path / "absent").standing is Standing.NOTHING
    assert look_at(tmp_path / "file").what == "a file"
    assert look_at(tmp_path / "file/env").standing is Standing.FOREIGN


def test_parents_are_made_and_named(tmp_path: Path) -> None:
    made = make_parents(tmp_path / "a/b/env")
    assert made == (tmp_path / "a/b", tmp_path / "a")
    assert make_parents(tmp_path / "a/b/env") == ()


def test_a_parent_that_is_a_file_or_forbidden_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolFailedError) as failure:
        make_parents(tmp_path / "file/deep/env")
    assert failure.value.code == "path-not-usable"
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o555)
        with pytest.raises(ToolFailedError) as failure:
            make_parents(tmp_path / "closed/env")
        assert failure.value.code == "no-permission"

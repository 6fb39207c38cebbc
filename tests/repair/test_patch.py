"""What differs is found, carried out, and taken back; whatever others do meanwhile is neither lost nor overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from repair.trees import LIB, in_memory, make_before, picture, stage_of, write

from provision.errors import ToolFailedError
from provision.model.repair import Patch
from provision.repair.files.patch import (
    deviations,
    difference,
    go_back,
    go_forward,
    keep,
    lacking,
    outside_image,
    with_outside,
)


@dataclass(frozen=True)
class Bench:
    """An environment, its changed copy, and the patch between them."""

    prefix: Path
    stage: Path
    kept: Path
    patch: Patch

    def forward(self) -> None:
        go_forward(self.patch, self.prefix, self.stage, self.kept)

    def back(self) -> None:
        go_back(self.patch, self.prefix, self.stage, self.kept)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with in_memory(tmp_path) as folder:
        prefix, stage, kept = folder / "env", folder / "stage", folder / "kept"
        prefix.mkdir()
        make_before(prefix)
        stage_of(prefix, stage)
        patch = difference(prefix, stage)
        keep(patch, prefix, kept)
        yield Bench(prefix, stage, kept, patch)


def test_a_copy_differs_in_nothing(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    make_before(tmp_path / "env")
    shutil.copytree(tmp_path / "env", tmp_path / "copy", symlinks=True)
    assert difference(tmp_path / "env", tmp_path / "copy") == Patch()


def test_the_difference_is_what_the_folders_show(bench: Bench) -> None:
    before, after = picture(bench.prefix), picture(bench.stage)
    names = {path for path in {**before, **after} if before.get(path, ())[:3] != after.get(path, ())[:3]}
    assert [change.path for change in bench.patch.changes] == sorted(names)
    assert not any("__pycache__" in change.path for change in bench.patch.changes)
    kinds = {(change.before.kind, change.after.kind) for change in bench.patch.changes}
    every = {"nothing", "file", "link", "folder"}
    assert kinds == {(one, other) for one in every for other in every} - {("nothing", "nothing")}


def test_forward_and_back_are_exact(bench: Bench) -> None:
    before, after = picture(bench.prefix), picture(bench.stage)
    assert deviations(bench.patch, bench.prefix, applied=False) == ()
    bench.forward()
    assert picture(bench.prefix) == after
    assert deviations(bench.patch, bench.prefix, applied=True) == ()
    bench.forward()
    assert picture(bench.prefix) == after
    bench.back()
    assert picture(bench.prefix) == before
    bench.back()
    bench.forward()
    assert picture(bench.prefix) == after


def test_byte_code_of_what_changed_goes_and_the_rest_stays(bench: Bench) -> None:
    cache = bench.prefix / LIB / "p/__pycache__"
    (cache / "a.cpython-311.opt-1.pyc").write_bytes(b"byte code")
    bench.forward()
    assert sorted(path.name for path in cache.iterdir()) == ["c.cpython-311.pyc"]
    (cache / "a.cpython-311.pyc").write_bytes(b"new byte code")
    bench.back()
    assert sorted(path.name for path in cache.iterdir()) == ["c.cpython-311.pyc"]


def test_nothing_is_written_through_a_hard_link(bench: Bench) -> None:
    for root in (bench.prefix, bench.stage):
        shutil.copytree(root, bench.kept.with_name(f"cache-{root.name}"), symlinks=True, copy_function=os.link)
    caches = {path: picture(path) for path in bench.kept.parent.glob("cache-*")}
    bench.forward()
    bench.back()
    bench.forward()
    assert {path: picture(path) for path in caches} == caches


def test_where_hard_links_are_refused_copies_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    prefix, stage = tmp_path / "env", tmp_path / "stage"
    prefix.mkdir()
    make_before(prefix)
    stage_of(prefix, stage)
    before, after = picture(prefix), picture(stage)
    monkeypatch.setattr(os, "link", refused)
    bench = Bench(prefix, stage, tmp_path / "kept", difference(prefix, stage))
    keep(bench.patch, prefix, bench.kept)
    bench.forward()
    bench.forward()
    assert picture(prefix) == after
    shutil.rmtree(stage)
    bench.back()
    assert picture(prefix) == before
    bench.forward()
    assert picture(prefix) == after


def test_undo_needs_no_stage_and_can_be_turned_round(bench: Bench) -> None:
    before, after = picture(bench.prefix), picture(bench.stage)
    bench.forward()
    shutil.rmtree(bench.stage)
    assert lacking(bench.patch, bench.prefix, bench.stage, bench.kept, forward=False) == ()
    bench.back()
    assert picture(bench.prefix) == before
    bench.forward()
    assert picture(bench.prefix) == after


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("p/a.py", b"theirs"),
        ("p/new.py", b"theirs"),
        ("link-fresh/theirs", b"theirs"),
        ("fresh/deep/theirs", b"theirs"),
    ],
)
def test_undo_names_what_changed_since(bench: Bench, path: str, content: bytes) -> None:
    bench.forward()
    write(bench.prefix / LIB / path, content)
    named = path.replace("link-fresh", "fresh")
    assert deviations(bench.patch, bench.prefix, applied=True) == (f"{LIB}/{named}",)


def test_going_forward_never_touches_what_it_does_not_know(bench: Bench) -> None:
    write(bench.prefix / LIB / "p/a.py", b"theirs")
    with pytest.raises(ToolFailedError) as caught:
        bench.forward()
    assert caught.value.code == "changed-meanwhile"
    assert (bench.prefix / LIB / "p/a.py").read_bytes() == b"theirs"


def test_going_back_puts_aside_what_it_does_not_know(bench: Bench) -> None:
    before = picture(bench.prefix)
    bench.forward()
    lib = bench.prefix / LIB
    write(lib / "p/a.py", b"theirs")
    write(lib / "fresh/deep/theirs", b"theirs too")
    (lib / "p/new.py").unlink()
    (lib / "p/new.py").mkdir()
    write(lib / "p/new.py/inside", b"in a folder")
    shutil.rmtree(lib / "mode")
    bench.back()
    now = picture(bench.prefix)
    # A folder that somebody removed comes back as far as the repair knows it.
    assert {path for path in before if before[path] != now.get(path)} == {f"{LIB}/mode/stays"}
    aside = bench.kept.with_name("aside") / LIB
    assert (aside / "p/a.py").read_bytes() == b"theirs"
    assert (aside / "fresh/deep/theirs").read_bytes() == b"theirs too"
    assert (aside / "p/new.py/inside").read_bytes() == b"in a folder"


def test_a_folder_that_became_a_link_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    bench.forward()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(bench.prefix / LIB / "p", elsewhere)
    seen = picture(elsewhere)
    shutil.rmtree(bench.prefix / LIB / "p")
    (bench.prefix / LIB / "p").symlink_to(elsewhere)
    assert f"{LIB}/p/a.py" in deviations(bench.patch, bench.prefix, applied=True)
    with pytest.raises(OSError, match="folder above"):
        bench.back()
    assert picture(elsewhere) == seen


def test_a_file_that_was_not_kept_whole_is_not_brought_back(bench: Bench) -> None:
    bench.forward()
    number = next(n for n, change in enumerate(bench.patch.changes) if change.path == f"{LIB}/p/a.py")
    write(bench.kept / str(number), b"a = 3\n")
    assert lacking(bench.patch, bench.prefix, bench.stage, bench.kept, forward=False) == (f"{LIB}/p/a.py",)


def test_a_pipe_that_would_have_to_go_is_refused(tmp_path: Path) -> None:
    for name in ("env", "stage"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "env/pipe")
    with pytest.raises(ToolFailedError) as caught:
        difference(tmp_path / "env", tmp_path / "stage")
    assert caught.value.code == "special-file"


def test_a_kernel_outside_goes_the_same_way(bench: Bench, tmp_path: Path) -> None:
    kernel = tmp_path / "home/kernels/tf/kernel.json"
    write(kernel, b'{"argv": ["old"]}', 0o600)
    write(outside_image(bench.stage, kernel), b'{"argv": ["new"]}', 0o600)
    patch = with_outside(bench.patch, bench.stage, [kernel])
    bench = Bench(bench.prefix, bench.stage, tmp_path / "kept-too", patch)
    keep(patch, bench.prefix, bench.kept)
    bench.forward()
    assert kernel.read_bytes() == b'{"argv": ["new"]}'
    bench.back()
    assert kernel.read_bytes() == b'{"argv": ["old"]}'
    bench.forward()
    write(kernel, b"theirs")
    bench.back()
    assert kernel.read_bytes() == b"theirs"

"""conda packages exchanged in the copy of a real prefix, from a small channel of real archives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conda import channel as channels
from conda.channel import PLACEHOLDER, File, Package
from conda.world import GPU, engine_at, solved, system_at
from repair.stage_world import Staged, tree

from provision import matrix
from provision.backends.layout import env_ref
from provision.backends.uv import Uv
from provision.errors import ToolFailedError
from provision.model.created import Denial
from provision.model.environment import RECORD_FOLDER
from provision.model.environment_facts import EnvironmentFacts
from provision.model.progress import Silent
from provision.model.remedy import CondaInstall, Relocate
from provision.model.repair import PackageChange
from provision.model.snapshot import Snapshot
from provision.model.versions import CudaVersion, GlibcVersion
from provision.repair.context import StageContext
from provision.repair.files.patch import REPAIRS
from provision.repair.stage import build_stage

_PLACE = PLACEHOLDER.encode()
_SPECS = (*GPU, "libold 1.*", "placed")
_MORE = (
    Package(
        "placed",
        "1.0",
        files={
            # One name, two in a list, one that is followed by other data, none at the end.
            "lib/libplaced.so": File(
                b"\x7fELF\0%b/lib\0" % _PLACE + b"\1" * 9 + b"\0path=%b/lib:%b/share\0\0\0\7end" % (_PLACE, _PLACE),
                PLACEHOLDER,
                binary=True,
            ),
            "lib/placed.pc": File(b"prefix=%b\nlibs=-L%b/lib -I%b/include\n" % ((_PLACE,) * 3), PLACEHOLDER),
        },
    ),
    Package("libold", "1.0", files={"lib/libold.so": b"1"}),
    Package("libold", "2.0", files={"lib/libold.so": b"2", "share/new": File(PLACEHOLDER.encode(), PLACEHOLDER)}),
    Package("needs-old", "1.0", depends=("libold 1.*",), files={"share/needs": b""}),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("channel-of-repair")
    return channels.make(folder, (*channels.USUAL, *_MORE))


@pytest.fixture
def prefix(tmp_path: Path, address: str) -> Path:
    engine = engine_at(tmp_path)
    prefix = tmp_path / "env"
    engine.install(solved(engine, _SPECS, address), prefix, prefix, requested=GPU)
    (prefix / "lib/python3.8/site-packages").mkdir(parents=True, exist_ok=True)
    return prefix


@pytest.fixture
def copied(tmp_path: Path, prefix: Path) -> Callable[..., Staged]:
    def make(prefix: Path = prefix) -> Staged:
        system = system_at(tmp_path / "home")
        seen = EnvironmentFacts(
            env=replace(env_ref(prefix), managed=False),
            path=str(prefix),
            built_cuda=CudaVersion("11.2"),
            glibc=GlibcVersion("2.17"),
        )
        known = matrix.load(None)
        stage = prefix / RECORD_FOLDER / REPAIRS / "0a1b2c3d/stage"
        stage.parent.mkdir(parents=True)
        before = tree(prefix)
        build_stage(prefix, stage)
        snapshot = Snapshot(known, environment=seen)
        context = StageContext(prefix, stage, seen, snapshot, known, Uv(system), Silent())
        return Staged(system, context, before)

    return make


def test_one_package_is_exchanged_and_the_rest_stays(copied: Callable[..., Staged], address: str) -> None:
    staged = copied()
    carried = staged.carry_out(CondaInstall(("libold=2.0",), channel=address))
    assert carried.packages == (PackageChange("libold", "1.0=0", "2.0=0"),)
    assert set(staged.changed) == {
        "conda-meta/history",
        "conda-meta/libold-1.0-0.json",
        "conda-meta/libold-2.0-0.json",
        "lib/libold.so",
        "share",
        "share/new",
    }
    # Files name the environment, not its copy.
    assert (staged.stage / "share/new").read_text() == str(staged.context.prefix)
    record = json.loads((staged.stage / "conda-meta/libold-2.0-0.json").read_text())
    assert str(staged.stage) not in json.dumps(record["paths_data"])
    history = (staged.stage / "conda-meta/history").read_text().splitlines()
    assert [line for line in history if line.endswith(("libold-1.0-0", "libold-2.0-0"))][-2:] == [
        f"-{address}/linux-64::libold-1.0-0",
        f"+{address}/linux-64::libold-2.0-0",
    ]


def test_a_package_that_was_missing_comes_with_what_it_needs(
    copied: Callable[..., Staged], prefix: Path, address: str
) -> None:
    for name in ("cudnn-8.0.5.39-ha5ca753_1", "cudatoolkit-11.0.3-0"):
        record = json.loads((prefix / f"conda-meta/{name}.json").read_text())
        for path in record["files"]:
            (prefix / path).unlink()
        (prefix / f"conda-meta/{name}.json").unlink()
    staged = copied()
    carried = staged.carry_out(CondaInstall(("cudnn=8.0.5.39",), channel=address))
    assert [item.name for item in carried.packages] == ["cudatoolkit", "cudnn"]
    assert (staged.stage / "lib/libcudnn.so.8").read_bytes() == b"8.0"
    assert (staged.stage / "lib/libcudart.so.11.0").read_bytes() == b"11.0"


def test_damaged_files_come_again(copied: Callable[..., Staged], prefix: Path, tmp_path: Path) -> None:
    library = prefix / "lib/libcudnn.so.8"
    cached = tree(tmp_path / "home")
    # As an editor or a bad copy does it: the file that the cache has as well.
    os.utime(library)
    library.write_bytes(b"8.X")
    staged = copied()
    carried = staged.carry_out(CondaInstall(("cudnn",), channel="", again=True))
    assert carried.packages == (PackageChange("cudnn", "8.0.5.39=ha5ca753_1", "8.0.5.39=ha5ca753_1"),)
    assert (staged.stage / "lib/libcudnn.so.8").read_bytes() == b"8.0"
    assert {name for name in staged.changed if not name.startswith("conda-meta/")} == {"lib/libcudnn.so.8"}
    now = tree(tmp_path / "home")
    assert {name for name in cached if cached[name] != now.get(name)} <= {
        name
        for name in cached
        if name.endswith(".lock") or "repodata" in name or "verified" in name or "folder" in cached[name]
    }


def test_a_python_package_finds_the_python_that_is_there(copied: Callable[..., Staged], address: str) -> None:
    staged = copied()
    carried = staged.carry_out(CondaInstall(("tool=2.0",), channel=address, again=True))
    assert [item.name for item in carried.packages] == ["tool"]
    assert (staged.stage / "lib/python3.8/site-packages/tool/__init__.py").exists()
    assert str(staged.context.prefix) in (staged.stage / "bin/tool").read_text()


def test_others_give_way_only_where_nothing_else_helps(copied: Callable[..., Staged], address: str) -> None:
    staged = copied()
    carried = staged.carry_out(CondaInstall(("cudatoolkit=11.2.2",), channel=address))
    assert {item.name: item.after.partition("=")[0] for item in carried.packages} == {
        "cudatoolkit": "11.2.2",
        "cudnn": "8.1.0.77",
    }


def test_what_cannot_be_together_is_denied(copied: Callable[..., Staged], address: str) -> None:
    staged = copied()
    denial = staged.answer(CondaInstall(("numpy=1.26.4",), channel=address))
    assert isinstance(denial, Denial)
    assert denial.code == "conda-conflict"
    assert staged.changed == ()


@pytest.mark.parametrize("name", ["b", "a-folder-with-a-longer-name-than-before"])
def test_a_moved_prefix_becomes_what_it_would_be_had_it_been_made_there(
    copied: Callable[..., Staged], prefix: Path, tmp_path: Path, name: str, address: str
) -> None:
    """Text, programs and the records of both: compared with the same packages installed at that place."""
    place = tmp_path / name
    engine = engine_at(tmp_path)
    engine.install(solved(engine, _SPECS, address), place, place, requested=GPU)
    (place / "lib/python3.8/site-packages").mkdir(parents=True, exist_ok=True)
    wanted = tree(place)
    shutil.rmtree(place)
    prefix.rename(place)
    staged = copied(place)
    staged.carry_out(Relocate(str(prefix)))
    assert {path for path in staged.changed if not path.startswith("conda-meta/")} == {
        "bin/tool",
        "lib/libplaced.so",
        "lib/libpython3.8.so.1.0",
        "lib/placed.pc",
        "lib/python3.8/_sysconfigdata.py",
    }
    now = tree(staged.stage)
    differing = {path for path in wanted if wanted[path] != now[path]}
    # rattler says when it made a record; the rest of it is the same. A first line of 127 bytes or more it replaces by
    # one that goes through env and needs an activation.
    long = {"bin/tool"} if len(f"#!{place}/bin/python3.8") >= 127 else set()
    assert {path for path in differing if not path.startswith("conda-meta/")} == long
    record = json.loads((staged.stage / "conda-meta/placed-1.0-0.json").read_text())
    sums = {item["_path"]: item.get("sha256_in_prefix") for item in record["paths_data"]["paths"]}
    for path in ("lib/libplaced.so", "lib/placed.pc"):
        assert sums[path] == hashlib.sha256((staged.stage / path).read_bytes()).hexdigest()


def test_packages_of_a_channel_that_is_gone_stay(copied: Callable[..., Staged], prefix: Path, tmp_path: Path) -> None:
    alone = channels.make(tmp_path / "alone", (Package("extra", "1.0", files={"share/extra": b"e"}),))
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        record["url"] = f"file:///nowhere/channel/{record['subdir']}/{record['fn']}"
        record.pop("sha256", None)
        path.write_text(json.dumps(record))
    staged = copied()
    carried = staged.carry_out(CondaInstall(("extra",), channel=alone))
    assert carried.packages == (PackageChange("extra", "", "1.0=0"),)


def test_an_artifact_that_is_not_what_the_channel_says_is_refused(
    copied: Callable[..., Staged], tmp_path: Path
) -> None:
    folder = tmp_path / "lying"
    lying = channels.make(folder, (Package("extra", "1.0", files={"share/extra": b"e"}),))
    channels.build(Package("extra", "1.0", files={"share/extra": b"evil"}), folder)
    staged = copied()
    with pytest.raises(ToolFailedError) as failed:
        staged.carry_out(CondaInstall(("extra",), channel=lying))
    assert failed.value.code == "conda-hash-mismatch"

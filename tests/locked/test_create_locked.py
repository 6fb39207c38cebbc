"""create --locked in the small world."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from create.small_world import NEW, beside, snapshot
from create.world import World
from locked.locked_world import call, closed_port, lock, locked_create

from provision.cli.common import looks_like_lock, optional_value


def _same_files(prefix: Path) -> dict[str, str]:
    volatile = (".tfgpu/environment.json", ".tfgpu/receipt.json", "bin/activate", "pyvenv.cfg")
    return {
        name: said
        for name, said in snapshot(prefix).items()
        if "__pycache__" not in name and not name.startswith(volatile)
    }


def test_a_lock_gives_the_same_files_in_two_places_and_stands_in_the_record(world: World) -> None:
    file = lock(world)
    one = locked_create(world, path="one")
    two = locked_create(world, "--locked", str(file), path="two")
    assert one["outcome"] == two["outcome"] == "created"
    assert _same_files(world.folder / "one") == _same_files(world.folder / "two")
    record = json.loads((world.folder / "one/.tfgpu/environment.json").read_text())
    assert record["lock"]["name"] == "tfgpu-lock.txt"
    assert len(record["lock"]["sha256"]) == 64
    assert beside(world.folder / "one") == []


def test_a_locked_create_asks_no_index_from_a_warm_cache_and_works_offline(world: World) -> None:
    lock(world)
    locked_create(world, path="one")
    world.index.asked.clear()
    world.index.faults["/"] = "500"
    assert locked_create(world, "--offline", path="two")["outcome"] == "created"
    assert world.index.asked == []


def test_a_project_with_a_lock_uses_it_and_says_so_unless_something_else_is_asked(world: World) -> None:
    (world.folder / "pyproject.toml").write_text(f'[tool.tfgpu]\ntf = "{NEW}"\n')
    lock(world, tf=NEW)
    document = call(world, "create", "env", "--no-verify")
    assert any("tfgpu-lock.txt" in remark for remark in document["remarks"])
    other = call(world, "create", "other", "--no-verify", "--with", "pandas")
    assert "pandas==1.0" in other["distributions"]


def test_the_same_again_is_already_there_and_other_packages_are_not(world: World) -> None:
    file = lock(world)
    locked_create(world)
    assert locked_create(world)["outcome"] == "exists"
    text = file.read_text()
    lock(world, "tfgpu-lock.txt", "--with", "pandas")
    denial = locked_create(world, code=3)["denial"]
    assert denial["code"] == "path-exists"
    file.write_text(text)


@pytest.mark.parametrize("options", [("--tf", NEW), ("--python", "3.8"), ("--with", "pandas")])
def test_options_that_contradict_the_lock_are_wrong_usage(world: World, options: tuple[str, ...]) -> None:
    lock(world)
    document = call(world, "create", "env", "--locked", "--no-verify", *options, code=2)
    assert document["error"]["code"] == "lock-contradicts"
    assert not world.target.exists()


def test_a_wheel_that_is_not_the_locked_one_stops_everything(world: World) -> None:
    lock(world)
    world.environ["UV_CACHE_DIR"] = os.fspath(world.folder.parent / "another-cache")
    world.index.faults["nvidia_cudnn"] = "swap"
    wheel = next(world.index.folder.glob("six-*.whl"))
    before = sorted(path.name for path in world.folder.iterdir())
    content = wheel.read_bytes()
    wheel.unlink()
    wheel.write_bytes(content + b"\0")
    error = locked_create(world, code=5)["error"]
    assert error["code"] == "hash-mismatch"
    assert sorted(path.name for path in world.folder.iterdir()) == before


def _spoiled(text: str) -> dict[str, str]:
    return {
        "option": text + "--index-url http://127.0.0.1:9/\n",
        "extra-index": "--extra-index-url=http://127.0.0.1:9/\n" + text,
        "address": text + f"evil @ https://example.org/evil-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}\n",
        "path": text + f"./evil --hash=sha256:{'0' * 64}\n",
        "vcs": text + "evil @ git+https://example.org/evil\n",
        "no-hash": text + "evil==1.0\n",
        "include": text + "-r other.txt\n",
        "editable": text + "-e .\n",
        "binary": text + "\x00\x01",
        "empty": "",
        "long": "#" * (5 << 20),
    }


@pytest.mark.parametrize("kind", sorted(_spoiled("")))
def test_a_hostile_lock_is_refused_and_nothing_is_written(world: World, kind: str) -> None:
    file = lock(world)
    file.write_text(_spoiled(file.read_text())[kind])
    world.index.asked.clear()
    before = snapshot(world.folder)
    error = locked_create(world, code=2)["error"]
    assert error["code"] in ("bad-lock", "address-in-lock"), error
    assert world.index.asked == []
    assert snapshot(world.folder) == before


def test_a_lock_whose_row_or_set_this_matrix_lacks_is_refused(world: World) -> None:
    lock(world, tf=NEW)
    text = world.matrix.read_text()
    world.matrix.write_text(text[: text.index(f"  tensorflow=={NEW}:")])
    closed_port(world)
    document = locked_create(world, code=3)
    assert document["plan"]["reasons"][0]["code"] == "row-unknown"
    world.matrix.write_text(text.replace("  small:\n", "  other:\n").replace("sets: small", "sets: other"))
    assert locked_create(world, code=3)["plan"]["reasons"][0]["code"] == "row-unknown"
    assert not world.target.exists()


def test_a_changed_row_is_a_caveat_that_names_the_difference(world: World) -> None:
    lock(world)
    world.matrix.write_text(world.matrix.read_text().replace("cudnn: 8.6\n", "cudnn: 8.7\n"))
    caveats = locked_create(world)["plan"]["caveats"]
    changed = next(item for item in caveats if item["code"] == "matrix-changed")
    assert "cuDNN was 8.6, is 8.7" in changed["what"]


def test_without_a_lock_there_is_a_hint(world: World) -> None:
    error = locked_create(world, code=2)["error"]
    assert error["code"] == "no-lock"
    assert "tfgpu-provision lock" in error["hint"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--locked"], ["--locked="]),
        (["--locked", "env"], ["--locked=", "env"]),
        (["--locked", "tfgpu-lock.txt", "env"], ["--locked=tfgpu-lock.txt", "env"]),
        (["--locked", "a/pylock.toml"], ["--locked=a/pylock.toml"]),
        (["--locked", "--json"], ["--locked=", "--json"]),
    ],
)
def test_locked_stands_alone_or_with_a_file(words: list[str], wanted: list[str]) -> None:
    optional_value(words, "--locked", is_value=looks_like_lock)
    assert words == wanted

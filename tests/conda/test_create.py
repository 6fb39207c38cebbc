"""create with the conda backend, whole, on a small channel and a small index; engine, uv, wiring and renames are real."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from conda.create_world import CondaWorld
from conda.world import tree
from create.conftest import World
from create.small_world import NEW, OLD, beside, snapshot

from provision.lock.requirements import parse_lock


def _run(*argv: str | Path) -> str:
    done = subprocess.run([str(item) for item in argv], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_environment_is_created_recorded_listed_and_named_by_its_final_path(conda_world: CondaWorld) -> None:
    document = conda_world.document()
    target = conda_world.target
    assert document["outcome"] == "created"
    # From nothing but the path: the interpreter, an import, a script whose first line names the final place.
    assert _run(target / "bin/python", "-c", "import sys, ssl; print(sys.prefix)") == str(target)
    assert _run(target / "bin/tf_tool") == OLD
    # Linux cuts a first line at 127 bytes, so that rattler writes another one for a long path.
    first, _, rest = (target / "bin/tf_tool").read_text().partition("\n")
    assert first == f"#!{target}/bin/python" or (first == "#!/bin/sh" and f"{target}/bin/python" in rest)
    assert beside(target) == []
    record = conda_world.record()
    assert (record["backend"], record["packages"]) == ("conda", 3)
    assert [item["name"] for item in record["conda"]] == ["cudatoolkit", "cudnn", "python"]
    assert (target / "lib/libcudart.so.11.0").is_file()
    links = sorted(
        path.name for path in target.glob("lib/python3*/site-packages/tensorflow/*.so*") if path.is_symlink()
    )
    assert links == ["libcudart.so.11.0", "libcudnn.so.8"]
    assert (target / ".tfgpu/cuda/nvvm/libdevice/libdevice.10.bc").read_bytes() == b"bitcode"
    home = Path(conda_world.environ["HOME"])
    assert (home / ".conda/environments.txt").read_text().splitlines() == [str(target)]
    assert "cudnn 8.6.*" in (target / "conda-meta/history").read_text()
    assert "xla_gpu_cuda_data_dir" in (target / "etc/conda/activate.d/tfgpu-provision.sh").read_text()


def test_every_record_of_the_index_half_is_true(conda_world: CondaWorld) -> None:
    conda_world.document()
    (site,) = conda_world.target.glob("lib/python3*/site-packages")
    checked = 0
    for record in site.glob("*.dist-info/RECORD"):
        for name, digest, _size in csv.reader(record.read_text().splitlines()):
            if digest:
                content = (site / name).read_bytes()
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={found}", name
                checked += 1
    assert checked > 10


def test_conda_lock_reads_what_was_written(conda_world: CondaWorld) -> None:
    prefix_data = pytest.importorskip("conda_lock._vendor.conda.core.prefix_data")
    conda_world.document()
    records = list(prefix_data.PrefixData(str(conda_world.target)).iter_records())
    assert sorted(item.name for item in records) == ["cudatoolkit", "cudnn", "python"]
    history = pytest.importorskip("conda_lock._vendor.conda.history")
    asked = history.History(str(conda_world.target)).get_requested_specs_map()
    assert {"python", "cudatoolkit", "cudnn"} <= set(asked)


def test_the_same_again_exists_another_is_refused_and_replaced_when_told(conda_world: CondaWorld) -> None:
    conda_world.document()
    before = snapshot(conda_world.target)
    assert conda_world.document()["outcome"] == "exists"
    denial = conda_world.document(tf=NEW, code=3)["denial"]
    assert denial["code"] == "path-exists"
    assert snapshot(conda_world.target) == before
    assert conda_world.document("--replace", tf=NEW)["replaced"] is True
    assert _run(conda_world.target / "bin/tf_tool") == NEW
    home = Path(conda_world.environ["HOME"])
    assert (home / ".conda/environments.txt").read_text().splitlines() == [str(conda_world.target)]


def test_a_virtual_environment_in_its_place_takes_it_off_the_list(conda_world: CondaWorld) -> None:
    conda_world.document()
    venv = World.arguments(conda_world, "--replace", "--json", path="env", tf=OLD, verify=False)
    assert conda_world.run(*venv).returncode == 0
    assert not (conda_world.target / "conda-meta").exists()
    home = Path(conda_world.environ["HOME"])
    assert str(conda_world.target) not in (home / ".conda/environments.txt").read_text()


def test_somebody_elses_conda_environment_is_never_replaced(conda_world: CondaWorld) -> None:
    (conda_world.target / "conda-meta").mkdir(parents=True)
    (conda_world.target / "conda-meta/history").write_text("theirs")
    before = snapshot(conda_world.target)
    denial = conda_world.document("--replace", code=3)["denial"]
    assert "conda environment" in " ".join(denial["why"])
    assert snapshot(conda_world.target) == before


def test_a_dry_run_tells_both_halves_and_writes_nothing(conda_world: CondaWorld) -> None:
    document = conda_world.document("--dry-run")
    assert document["outcome"] == "dry-run"
    assert document["packages"] == 6
    assert list(conda_world.folder.iterdir()) == []


def test_what_conda_brings_is_not_installed_again(conda_world: CondaWorld) -> None:
    conda_world.document("--with-conda", "six")
    assert "six==" not in (conda_world.target / ".tfgpu/lock.txt").read_text()
    assert _run(conda_world.target / "bin/python", "-c", "import six; print(six.origin)") == "conda"


def test_a_contradiction_between_the_worlds_names_both_sides(conda_world: CondaWorld) -> None:
    denial = conda_world.document("--with-conda", "six", "--with", "six>1", code=3)["denial"]
    told = " ".join(denial["why"])
    assert denial["code"] in ("conflict", "no-wheel")
    assert "six>1" in told
    assert "conda brings it: six=1.0=py_0" in told
    assert not conda_world.target.exists()


def test_a_distribution_that_hides_in_a_conda_package_is_found_and_rolled_back(conda_world: CondaWorld) -> None:
    error = conda_world.failure("--with-conda", "hidden", code=6)
    assert error["code"] == "conflict"
    assert "six-1.0.dist-info of conda" in " ".join(error["why"])
    assert list(conda_world.folder.iterdir()) == []


def test_it_is_solved_for_the_cuda_of_the_set_and_says_so_where_that_is_in_the_way(conda_world: CondaWorld) -> None:
    denial = conda_world.document("--with-conda", "newdriver", code=3)["denial"]
    told = " ".join((denial["what"], *denial["why"], denial["hint"]))
    assert "newdriver" in told
    assert "__cuda" in told
    assert "11.8" in told


def test_a_package_that_would_leave_the_environment_is_stopped(conda_world: CondaWorld) -> None:
    conda_world.failure("--with-conda", "escaping", code=5)
    assert list(conda_world.folder.iterdir()) == []
    assert not list(conda_world.folder.parent.rglob("escaped.txt"))


def test_offline_takes_everything_from_the_caches(conda_world: CondaWorld) -> None:
    conda_world.document()
    asked = len(conda_world.index.asked)
    assert conda_world.document("--offline", path="other")["outcome"] == "created"
    assert conda_world.index.asked[asked:] == []


def test_credentials_of_a_channel_stand_in_no_record(conda_world: CondaWorld) -> None:
    from conda.channel import serve

    with serve(conda_world.channel, user="someone:hunter2secret") as served:
        address = served.address.replace("://", "://someone:hunter2secret@")
        document = conda_world.document("--channel", address)
    assert document["outcome"] == "created"
    assert "hunter2secret" not in json.dumps(document)
    marked = [
        path
        for path in conda_world.target.rglob("*")
        if path.is_file() and path.stat().st_size < 1 << 20 and b"hunter2secret" in path.read_bytes()
    ]
    assert marked == []


def test_another_environment_and_the_cache_stay_what_they_are(conda_world: CondaWorld) -> None:
    conda_world.document(path="first")
    first, cache = snapshot(conda_world.folder / "first"), tree(conda_world.cache / "pkgs")
    conda_world.document()
    conda_world.document("--replace", tf=NEW)
    assert snapshot(conda_world.folder / "first") == first
    assert tree(conda_world.cache / "pkgs") == cache


def test_two_creates_at_once_leave_one_environment(conda_world: CondaWorld) -> None:
    both = [conda_world.spawn("--json") for _ in range(2)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in both]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 0], [0, 5]), ended
    assert _run(conda_world.target / "bin/tf_tool") == OLD
    assert beside(conda_world.target) == []


def test_a_failed_verification_leaves_nothing(conda_world: CondaWorld) -> None:
    # The small TensorFlow has no loader to ask and no functions: the import stage fails.
    error = conda_world.failure(verify=True, code=6)
    assert error["code"] == "verification-failed"
    assert list(conda_world.folder.iterdir()) == []
    assert not (Path(conda_world.environ["HOME"]) / ".conda/environments.txt").exists()


def _foreign_lock(world: CondaWorld) -> str:
    """Write down as conda-lock would what an environment was made of; the index half by addresses nobody follows."""
    common = {"manager": "conda", "platform": "linux-64", "category": "main", "optional": False}
    packages = [
        {
            **common,
            "name": item["name"],
            "version": item["version"],
            "url": item["url"],
            "hash": {"md5": item["md5"], "sha256": item["sha256"]},
            "dependencies": {},
        }
        for item in world.record()["conda"]
    ]
    for item in parse_lock((world.target / ".tfgpu/lock.txt").read_text()):
        address = f"https://example.org/{item.name}-{item.version}-py3-none-any.whl"
        entry = {**common, "manager": "pip", "name": item.name, "version": item.version, "url": address}
        packages.append({**entry, "hash": {"sha256": item.hashes[0]}, "dependencies": {}})
    metadata = {
        "content_hash": {"linux-64": "0" * 64},
        "channels": [{"url": world.channel.as_uri(), "used_env_vars": []}],
        "platforms": ["linux-64"],
        "sources": ["environment.yml"],
    }
    path = world.folder / "conda-lock.yml"
    path.write_text(json.dumps({"version": 1, "metadata": metadata, "package": packages}))
    return path.name


def test_a_lock_of_another_tool_is_installed_and_says_that_it_has_no_contract(conda_world: CondaWorld) -> None:
    conda_world.document()
    name = _foreign_lock(conda_world)
    options = ["create", "--locked", name, "--matrix", str(conda_world.matrix), "--no-verify", "--json", "again"]
    done = conda_world.run(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    again = conda_world.folder / "again"
    assert _run(again / "bin/tf_tool") == OLD
    assert conda_world.record(again)["conda"][0]["sha256"] == conda_world.record()["conda"][0]["sha256"]
    assert "carries no GPU contract" in json.loads(done.stdout)["lock"]["why"]


def test_a_lock_of_another_tool_with_other_libraries_is_refused(conda_world: CondaWorld) -> None:
    conda_world.document()
    path = conda_world.folder / _foreign_lock(conda_world)
    path.write_text(path.read_text().replace("11.8.0", "10.2.89"))
    done = conda_world.run("create", "--locked", path.name, "--matrix", str(conda_world.matrix), "--json", "again")
    assert done.returncode == 3, done.stdout
    assert json.loads(done.stdout)["denial"]["code"] == "unknown-libraries"
    assert not (conda_world.folder / "again").exists()


def test_an_environment_that_lost_a_conda_package_is_told(conda_world: CondaWorld) -> None:
    conda_world.document()
    (conda_world.target / "conda-meta/cudnn-8.6.0.163-0.json").unlink()
    denial = conda_world.document(code=3)["denial"]
    assert "cudnn-8.6.0.163-0" in " ".join(denial["why"])

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from create.conftest import World
from create.small_world import NEW, OLD, beside, snapshot


def test_an_environment_is_made_with_lock_record_and_wiring(world: World) -> None:
    document = world.document()
    assert document["outcome"] == "created"
    assert document["proved"] is False
    assert document["path"] == str(world.target)
    assert document["packages"] == 5
    prefix = world.target
    record = json.loads((prefix / ".tfgpu/environment.json").read_text())
    assert (record["release"], record["distribution"], record["library_set"]) == (OLD, "tensorflow", "small")
    lock = (prefix / ".tfgpu/lock.txt").read_text()
    assert record["lock_sha256"] == hashlib.sha256(lock.encode()).hexdigest()
    assert [line.split()[0] for line in lock.splitlines() if "==" in line] == [
        "numpy==1.9", "nvidia-cudart-cu11==11.8.1", "nvidia-cudnn-cu11==8.6.0.1", "six==1.0", f"tensorflow=={OLD}",
    ]  # fmt: skip
    link = next(prefix.glob("lib/python*/site-packages/tensorflow/libcudnn.so.8"))
    assert link.is_symlink()
    assert link.resolve().read_bytes()[:4] == b"\x7fELF"
    assert beside(prefix) == []


def test_nothing_written_names_the_index_the_user_or_the_place(world: World) -> None:
    world.document()
    for path in (world.target / ".tfgpu").iterdir():
        text = path.read_text()
        for word in ("127.0.0.1", str(world.folder), str(world.folder.parent)):
            assert word not in text, f"{path.name} holds {word}"
    assert "://" not in (world.target / ".tfgpu/lock.txt").read_text()


def test_it_works_from_its_place_without_activation_and_with_it(world: World) -> None:
    world.document()
    python = world.target / "bin/python"
    bare = subprocess.run(
        ["env", "-i", str(python), "-c", "import tensorflow as tf; print(tf.__version__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert bare.stdout.strip() == OLD
    script = subprocess.run([str(world.target / "bin/tf_tool")], capture_output=True, text=True, check=True)
    assert script.stdout.strip() == OLD


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh"])
@pytest.mark.parametrize("path", ["env", "an env's ünïcode $HOME"])
def test_activation_works_in_every_shell(world: World, shell: str, path: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    world.document(path=path)
    prefix = world.folder / path
    script = '. "$1" && command -v python && printf %s "$VIRTUAL_ENV"'
    activated = subprocess.run(
        [shell, "-c", script, shell, str(prefix / "bin/activate")], capture_output=True, text=True, check=True
    )
    assert activated.stdout.splitlines() == [str(prefix / "bin/python"), str(prefix)]


def test_the_wheels_of_the_cache_are_shared_not_copied(world: World) -> None:
    world.document()
    part = next(world.target.glob("lib/python*/site-packages/tensorflow/part7.py"))
    assert part.stat().st_nlink > 1


def test_a_warm_create_asks_the_index_for_no_wheel(world: World) -> None:
    world.document()
    world.index.asked.clear()
    world.document(path="second")
    assert [path for path in world.index.asked if path.endswith(".whl")] == []


def test_offline_works_from_the_cache_and_says_so_when_it_cannot(world: World) -> None:
    cold = world.failure("--offline", code=5)
    assert cold["code"] == "offline-miss"
    assert "without --offline" in cold["hint"]
    assert not world.target.exists()
    world.document()
    world.index.faults["/"] = "500"
    assert world.document("--offline", path="second")["outcome"] == "created"


def test_the_same_again_is_already_there(world: World) -> None:
    world.document()
    before = snapshot(world.target)
    again = world.document()
    assert again["outcome"] == "exists"
    assert again["packages"] == 5
    assert snapshot(world.target) == before


def test_the_same_again_but_damaged_is_refused_with_the_way_out(world: World) -> None:
    world.document()
    info = next(world.target.glob("lib/python*/site-packages/six-1.0.dist-info"))
    info.rename(info.with_name("gone"))
    denial = world.document(code=3)["denial"]
    assert denial["code"] == "path-exists"
    assert "six==1.0" in denial["why"][0]
    assert "--replace" in denial["hint"]
    assert world.document("--replace")["replaced"] is True


def test_another_release_is_refused_without_replace_and_exchanged_with_it(world: World) -> None:
    world.document()
    before = snapshot(world.target)
    denial = world.document(tf=NEW, code=3)["denial"]
    assert OLD in denial["why"][0]
    assert snapshot(world.target) == before
    assert world.document("--replace", tf=NEW)["replaced"] is True
    record = json.loads((world.target / ".tfgpu/environment.json").read_text())
    assert record["release"] == NEW
    assert beside(world.target) == []


def test_user_packages_are_resolved_with_it_and_are_part_of_what_it_is(world: World) -> None:
    (world.folder / "more.txt").write_text("# mine\nsix  # and this\n\n")
    document = world.document("--with", "pandas>=1", "-r", "more.txt")
    assert "pandas==1.0" in document["distributions"]
    record = json.loads((world.target / ".tfgpu/environment.json").read_text())
    assert record["requirements"] == ["pandas>=1", "six"]
    assert world.document(code=3)["denial"]["code"] == "path-exists"


def test_a_dry_run_resolves_and_touches_nothing(world: World) -> None:
    document = world.document("--dry-run")
    assert document["outcome"] == "dry-run"
    assert f"tensorflow=={OLD}" in document["distributions"]
    assert list(world.folder.iterdir()) == []


def test_a_dry_run_where_something_stands_says_so(world: World) -> None:
    world.document()
    before = snapshot(world.folder)
    document = world.document("--dry-run", tf=NEW)
    assert "--replace" in document["remarks"][0]
    assert snapshot(world.folder) == before


def test_a_plan_that_is_refused_ends_with_3_and_its_reasons(world: World) -> None:
    document = world.document("--for", "os=windows", code=3)
    assert document["outcome"] == "refused"
    assert document["plan"]["reasons"]
    assert not world.target.exists()


def test_require_gpu_ends_with_4_where_none_was_proved(world: World) -> None:
    document = world.document("--require-gpu", code=4)
    assert (document["outcome"], document["exit_code"]) == ("created", 4)


def test_the_default_path_and_the_settings_of_the_project(world: World) -> None:
    (world.folder / "pyproject.toml").write_text(f'[tool.tfgpu]\ntf = "{NEW}"\nrequirements = ["pandas"]\n')
    options = ["--no-verify", "--json", "--matrix", str(world.matrix), "--python", sys.executable]
    document = json.loads(world.run("create", *options).stdout)
    assert document["path"] == str(world.folder / ".venv")
    assert {f"tensorflow=={NEW}", "pandas==1.0"} <= set(document["distributions"])


def test_a_named_environment_lives_in_the_data_folder_of_the_user(world: World) -> None:
    document = world.document("--name", "vision-1", path=None)
    assert document["path"] == f"{world.environ['HOME']}/.local/share/tfgpu-provision/environments/vision-1"
    assert Path(document["path"], "bin/python").exists()


def test_the_text_ends_with_what_was_proved(world: World) -> None:
    done = world.create()
    assert done.stdout.splitlines()[-1].startswith("prepared, not proved on a GPU")
    assert f"{world.target}/bin/activate" in done.stdout
    assert "Jupyter" in done.stdout
    assert "VS Code" in done.stdout


def test_json_is_one_document_and_nothing_else(world: World) -> None:
    done = world.create("--json")
    json.loads(done.stdout)
    assert done.stderr == ""


def test_an_environment_can_be_made_here_for_another_machine(world: World) -> None:
    document = world.document("--for", "driver=520.61.05,gpu=8.0")
    assert document["outcome"] == "created"
    assert document["plan"]["host"]["described"] is True
    assert [gpu["compute_capability"] for gpu in document["plan"]["gpus"]] == ["8.0"]
    record = json.loads((world.target / ".tfgpu/environment.json").read_text())
    assert record["gpus"][0]["service"] == "native"
    assert (world.target / "bin/python").exists()


def test_exact_pins_for_everything_need_no_index_at_all(world: World) -> None:
    packages = world.document()["distributions"]
    (world.folder / "pins.txt").write_text("\n".join(packages))
    world.index.asked.clear()
    document = world.document("-r", "pins.txt", path="pinned")
    assert document["distributions"] == packages
    assert world.index.asked == []

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from create.small_world import OLD, SERIES
from create.world import World
from repair.stage_world import lines, of_world, rewrite, tree
from uv import find_uv_bin

from provision.backends.record import read_record
from provision.errors import ToolFailedError
from provision.model.created import Denial
from provision.model.remedy import Install, PointKernel, Relocate, Remove, Uninstall, Unset, Wire
from provision.model.repair import PackageChange
from provision.repair.files.patch import difference, outside_image, with_outside

SITE = f"lib/python{SERIES}/site-packages"


@pytest.fixture
def made(world: World) -> Path:
    done = world.create("--with", "pandas")
    assert done.returncode == 0, done.stderr
    return world.target


def test_the_copy_is_the_environment_and_shares_its_large_files(world: World, made: Path) -> None:
    staged = of_world(world)
    assert tree(staged.stage) == staged.before
    shared = f"{SITE}/nvidia/cudnn/lib/libcudnn.so.8"
    assert (staged.stage / shared).stat().st_ino == (made / shared).stat().st_ino
    assert not (staged.stage / ".tfgpu/repairs").exists()


def test_no_step_changes_nothing(world: World, made: Path) -> None:
    staged = of_world(world)
    staged.carry_out()
    assert staged.changed == ()


def test_broken_links_and_hooks_are_wired_as_they_were(world: World, made: Path) -> None:
    whole = tree(made)
    (made / SITE / "tensorflow/libcudnn.so.8").unlink()
    (made / SITE / "tensorflow/libcudart.so.11.0").unlink()
    (made / SITE / "tensorflow/libcudart.so.11.0").symlink_to("/nowhere/libcudart.so.11.0")
    (made / SITE / "_tfgpu_hook.py").write_text("changed by hand\n")
    staged = of_world(world)
    staged.carry_out(Wire())
    assert tree(staged.stage) == whole
    assert len(staged.changed) == 3


def test_wiring_needs_no_copy_of_what_lies_below_tensorflow(world: World, made: Path) -> None:
    below = made / SITE / "tensorflow/include/deep"
    below.mkdir(parents=True)
    (below / "header.h").write_text("")
    (made / SITE / "tensorflow/libcudnn.so.8").unlink()
    staged = of_world(world, steps=(Wire(), Remove((str(made / SITE / "pandas"),))))
    assert staged.left_out == tuple(f"{SITE}/{name}" for name in ("numpy", "six", "tensorflow/include"))
    staged.carry_out(Wire())
    patch = difference(made, staged.stage, staged.left_out)
    assert [change.path for change in patch.changes] == [f"{SITE}/tensorflow/libcudnn.so.8"]
    shutil.rmtree(staged.stage)
    assert (below / "header.h").exists()


def test_a_copy_in_which_packages_change_shares_no_folder(world: World, made: Path) -> None:
    (made / SITE / "tensorflow/include").mkdir()
    for step in (
        Install(("six",)),
        Uninstall(("six",)),
        Relocate("/gone"),
        Remove((str(made / SITE),)),
    ):
        staged = of_world(world, steps=(Wire(), step))
        assert staged.left_out == ()
        assert not (staged.stage / SITE / "tensorflow/include").is_symlink()
        shutil.rmtree(staged.stage)


def test_what_is_removed_whole_is_copied_whole(world: World, made: Path) -> None:
    (made / SITE / "tensorflow/include").mkdir()
    step = Remove((str(made / SITE / "tensorflow"),))
    staged = of_world(world, steps=(step,))
    staged.carry_out(step)
    patch = difference(made, staged.stage, staged.left_out)
    gone = {name for name in staged.before if f"{name}/".startswith(f"{SITE}/tensorflow/")}
    assert {change.path for change in patch.changes} == gone


def test_links_made_by_hand_give_way_where_they_lead_nowhere(world: World, made: Path) -> None:
    assert world.run("wire", "--undo", "--matrix", str(world.matrix), str(made)).returncode == 0
    (made / SITE / "tensorflow/libcudnn.so.8").symlink_to("../gone/libcudnn.so.8")
    (made / SITE / "tensorflow/libcublas.so.11").symlink_to("../gone/libcublas.so.11")
    staged = of_world(world)
    carried = staged.carry_out(Wire())
    assert carried.remarks == ()
    link = staged.stage / SITE / "tensorflow/libcudnn.so.8"
    assert str(link.readlink()) == "../nvidia/cudnn/lib/libcudnn.so.8"
    assert not (staged.stage / SITE / "tensorflow/libcublas.so.11").is_symlink()


def test_a_package_is_brought_back_and_the_environment_wired_for_it(world: World, made: Path) -> None:
    python = made / "bin/python"
    whole = tree(made)
    for path in (made / SITE / "nvidia/cudnn/lib/libcudnn.so.8", *(made / SITE).glob("nvidia_cudnn_cu11*/*")):
        path.unlink()
    (made / SITE / "nvidia_cudnn_cu11-8.6.0.1.dist-info").rmdir()
    staged = of_world(world)
    carried = staged.carry_out(Install(("nvidia-cudnn-cu11==8.6.0.1",)))
    assert carried.packages == (PackageChange("nvidia-cudnn-cu11", "", "8.6.0.1"),)
    assert {name for name in staged.changed if "dist-info" not in name} == {f"{SITE}/nvidia/cudnn/lib/libcudnn.so.8"}
    now = tree(staged.stage)
    assert {name for name in whole if whole[name] != now.get(name) and "__pycache__" not in name} == set()
    assert python.exists()


def test_scripts_that_a_repair_installs_name_the_environment(world: World, made: Path) -> None:
    (made / "bin/tf_tool").unlink()
    staged = of_world(world)
    staged.carry_out(Install((f"tensorflow=={OLD}",), again=True))
    assert str(staged.stage).encode() not in (staged.stage / "bin/tf_tool").read_bytes()
    (staged.stage / "bin/tf_tool").replace(made / "bin/tf_tool")
    done = subprocess.run([made / "bin/tf_tool"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == OLD


def test_what_does_not_fit_together_is_denied(world: World, made: Path) -> None:
    staged = of_world(world)
    denial = staged.answer(Install(("needs-numpy-2",)), Wire())
    assert isinstance(denial, Denial)
    assert staged.changed == ()


def test_a_package_goes_and_what_else_is_there_stays(world: World, made: Path) -> None:
    staged = of_world(world)
    carried = staged.carry_out(Uninstall(("pandas",)))
    assert carried.packages == (PackageChange("pandas", "1.0", ""),)
    assert all("pandas" in name for name in staged.changed)


def test_removal_stays_inside(world: World, made: Path, tmp_path: Path) -> None:
    (made / SITE / "~ensorflow").mkdir()
    (made / SITE / "~ensorflow/left.py").write_text("")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("")
    (made / SITE / "elsewhere").symlink_to(outside)
    staged = of_world(world)
    staged.carry_out(Remove((str(made / SITE / "~ensorflow"), str(made / SITE / "never-there"))))
    assert staged.changed == (f"{SITE}/~ensorflow", f"{SITE}/~ensorflow/left.py")
    for path in (
        made / SITE / "elsewhere/precious",
        outside / "precious",
        made / SITE / "../../../../precious",
        made / "lib",
        made / ".tfgpu/repairs/lock",
        made,
    ):
        with pytest.raises(ToolFailedError) as refused:
            staged.carry_out(Remove((str(path),)))
        assert refused.value.code == "path-outside"
    assert (outside / "precious").exists()
    staged.carry_out(Remove((str(made / SITE / "elsewhere"),)))
    assert (outside / "precious").exists()
    assert not (staged.stage / SITE / "elsewhere").is_symlink()


def test_an_interrupted_creation_is_completed(world: World, made: Path) -> None:
    (made / ".tfgpu/environment.json").unlink()
    for path in (made / SITE).glob("nvidia_cudart*/*"):
        path.unlink()
    next((made / SITE).glob("nvidia_cudart*")).rmdir()
    staged = of_world(world)
    carried = staged.carry_out(Install(("nvidia-cudart-cu11==11.8.1",)), Wire())
    record = read_record(staged.stage)
    if record is None:
        # Without a GPU here no plan has this TensorFlow.
        assert any("record could not be written" in line for line in carried.remarks)


def test_variables_are_taken_out_of_activation(world: World, made: Path) -> None:
    activate = made / "bin/activate"
    before = activate.read_text()
    rewrite(activate, before + "\nexport CUDA_VISIBLE_DEVICES=-1\nexport OTHER=1\n")
    fish = made / "bin/activate.fish"
    rewrite(fish, fish.read_text() + "set -gx CUDA_VISIBLE_DEVICES ''\n")
    staged = of_world(world)
    files = [str(activate), str(fish)]
    carried = staged.carry_out(*(Unset(file, "CUDA_VISIBLE_DEVICES") for file in files))
    assert carried.remarks == ()
    assert staged.changed == ("bin/activate", "bin/activate.fish")
    assert (staged.stage / "bin/activate").read_text() == before + "\nexport OTHER=1\n"
    assert "CUDA_VISIBLE_DEVICES" not in (staged.stage / "bin/activate.fish").read_text()
    assert staged.carry_out(Unset(str(activate), "CUDA_VISIBLE_DEVICES")).remarks


def test_a_kernel_inside_starts_this_python(world: World, made: Path) -> None:
    kernel = made / "share/jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = ["/opt/conda/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Ü", "env": {"CUDA_VISIBLE_DEVICES": "-1", "A": "b"}}))
    staged = of_world(world)
    staged.carry_out(PointKernel(str(kernel)))
    found = json.loads((staged.stage / kernel.relative_to(made)).read_text())
    assert found == {"argv": [str(made / "bin/python"), *argv[1:]], "display_name": "Ü", "env": {"A": "b"}}
    assert staged.changed == (str(kernel.relative_to(made)),)


def test_a_kernel_outside_is_written_for_the_patch(world: World, made: Path, tmp_path: Path) -> None:
    kernel = tmp_path / "kernels/mine/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["env", "A=b", "/gone/bin/python3.9", "-m", "ipykernel_launcher"]}))
    staged = of_world(world)
    before = kernel.read_bytes()
    carried = staged.carry_out(PointKernel(str(kernel)))
    assert carried.outside == (kernel,)
    assert kernel.read_bytes() == before
    patch = with_outside(difference(made, staged.stage), staged.stage, carried.outside)
    assert [change.path for change in patch.changes] == [str(kernel)]
    image = json.loads(outside_image(staged.stage, kernel).read_text())
    assert image["argv"] == ["env", "A=b", str(made / "bin/python"), "-m", "ipykernel_launcher"]


def test_a_moved_environment_works_where_it_stands(world: World, tmp_path: Path) -> None:
    former = tmp_path / "former" / "env"
    former.parent.mkdir()
    argv = [find_uv_bin(), "venv", "--quiet", "--no-project", "--python", sys.executable, str(former)]
    subprocess.run(argv, check=True, env=world.environ, cwd="/")
    subprocess.run(
        [find_uv_bin(), "pip", "install", "--quiet", "--python", str(former), f"tensorflow=={OLD}", "nvidia-cudart-cu11"],
        check=True, env=world.environ, cwd="/",
    )  # fmt: skip
    (former / SITE / "mine.pth").write_text(f"{former}/src\n{former}-other/src\n")
    (former / "link").symlink_to(former / "bin")
    former.rename(world.target)
    made = world.target
    with pytest.raises(FileNotFoundError):
        subprocess.run([made / "bin/tf_tool"], check=False, capture_output=True)
    staged = of_world(world)
    staged.carry_out(Relocate(str(former)))
    text = "\n".join(path.read_text() for path in (staged.stage / "bin").glob("activate*"))
    assert str(former) not in text
    assert lines(staged.stage / SITE / "mine.pth") == [f"{made}/src", f"{former}-other/src"]
    assert (staged.stage / "link").readlink() == made / "bin"
    for name in staged.changed:
        (staged.stage / name).replace(made / name)
    assert subprocess.run([made / "bin/tf_tool"], check=True, capture_output=True, text=True).stdout.strip() == OLD
    shell = f". {made}/bin/activate && command -v python && echo $VIRTUAL_ENV"
    said = subprocess.run(
        ["sh", "-c", shell], check=True, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert said.stdout.split() == [str(made / "bin/python"), str(made)]
    record = next((made / SITE).glob("tensorflow-*/RECORD")).read_text()
    checked = subprocess.run(
        [sys.executable, "-c", _CHECK, str(made / SITE), record], check=True, capture_output=True, text=True
    )
    assert checked.stdout.strip() == "[]"


_CHECK = """
import base64, csv, hashlib, os, sys
bad = []
for name, digest, size in csv.reader(sys.argv[2].splitlines()):
    if digest:
        data = open(os.path.join(sys.argv[1], name), "rb").read()
        found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if digest != "sha256=" + found or int(size) != len(data):
            bad.append(name)
print(bad)
"""

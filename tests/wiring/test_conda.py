"""Wiring of conda environments: libraries in the prefix's own lib folder, found without activation."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from wiring.real import snapshot
from wiring.samples import compiled, env_ref, library_set, small_row

from provision.model.environment import EnvRef
from provision.model.matrix import CondaPin
from provision.wiring import inspect, search_path, unwire, wire

_LIBRARIES = (
    ("libcudart.so.11.0", ()),
    ("libcublasLt.so.11", ()),
    ("libcublas.so.11", ("libcublasLt.so.11",)),
    ("libcusolver.so.11", ("libcublas.so.11",)),
    ("libcudnn.so.8", ()),
    ("libcudnn_cnn_infer.so.8", ("libcublas.so.11",)),
    ("libnvrtc.so.11.2", ()),
    ("libssl.so.3", ()),
)
_SET = replace(
    library_set(ptxas=None),
    libdevice="lib/libdevice.10.bc",
    conda=(CondaPin("cudatoolkit", "11.8.0", "", {"libcudart.so.11.0": "lib/libcudart.so.11.0"}),),
)


def conda_environment(prefix: Path, search: str = "$ORIGIN/", *, rpath: bool = False) -> EnvRef:
    """Make a prefix as conda lays it out: SONAMEs are links to files with the whole version, each with RPATH $ORIGIN."""
    (prefix / "conda-meta").mkdir(parents=True)
    for soname, needed in _LIBRARIES:
        path = prefix / "lib" / f"{soname}.0.1"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(compiled(soname, "$ORIGIN", needed, rpath=True))
        (prefix / "lib" / soname).symlink_to(path.name)
    (prefix / "lib/libdevice.10.bc").write_text("bitcode")
    framework = prefix / "lib/python3.8/site-packages/tensorflow/libtensorflow_framework.so.2"
    framework.parent.mkdir(parents=True)
    framework.write_bytes(compiled(framework.name, search, (), rpath=rpath))
    return env_ref(prefix, kind="conda")


@pytest.mark.parametrize("rpath", [True, False])
def test_every_library_of_the_gate_is_found_through_links(tmp_path: Path, *, rpath: bool) -> None:
    env = conda_environment(tmp_path / "env", rpath=rpath)
    assert len(search_path(env, small_row().gate).missing) == 4
    report = wire(env, small_row(), _SET)
    assert report.ok
    assert search_path(env, small_row().gate).missing == ()
    assert report.links["lib/python3.8/site-packages/tensorflow/libcusolver.so.10"] == "../../../libcusolver.so.11"
    assert not any("libssl" in name for name in report.links)


def test_a_library_opened_through_its_link_finds_its_neighbours(tmp_path: Path) -> None:
    env = conda_environment(tmp_path / "env")
    wire(env, small_row(), _SET)
    library = Path(env.tensorflow) / "libcusolver.so.10"
    opening = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", opening, library], env={}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_twice_is_once_and_unwire_gives_the_tree_back(tmp_path: Path) -> None:
    env = conda_environment(tmp_path / "env")
    before = snapshot(Path(env.prefix))
    wire(env, small_row(), _SET)
    wired = snapshot(Path(env.prefix))
    assert wire(env, small_row(), _SET).ok
    assert snapshot(Path(env.prefix)) == wired
    assert inspect(env).state == "whole"
    assert unwire(env).state == "unwired"
    assert snapshot(Path(env.prefix)) == before


def test_xla_gets_a_folder_with_libdevice_where_conda_has_it_elsewhere(tmp_path: Path) -> None:
    env = conda_environment(tmp_path / "env")
    report = wire(env, small_row(), _SET)
    folder = os.path.normpath(Path(env.site_packages) / report.cuda_data_dir)
    assert folder == f"{env.prefix}/.tfgpu/cuda"
    assert Path(folder, "nvvm/libdevice/libdevice.10.bc").read_text() == "bitcode"


def test_xla_gets_the_prefix_where_nvcc_is_a_conda_package(tmp_path: Path) -> None:
    env = conda_environment(tmp_path / "env")
    for name in ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc"):
        Path(env.prefix / name).parent.mkdir(parents=True)
        Path(env.prefix / name).write_text(name)
    report = wire(env, small_row(), _SET)
    assert os.path.normpath(Path(env.site_packages) / report.cuda_data_dir) == str(env.prefix)


def test_a_release_that_searches_folders_of_wheels_only_gets_one(tmp_path: Path) -> None:
    env = conda_environment(tmp_path / "env", "$ORIGIN/../nvidia/cudnn/lib:$ORIGIN/../nvidia/cublas/lib")
    before = snapshot(Path(env.prefix))
    report = wire(env, small_row(), _SET)
    assert report.ok
    assert search_path(env, small_row().gate).missing == ()
    again = wire(env, small_row(), _SET)
    assert again.links == report.links
    unwire(env)
    assert snapshot(Path(env.prefix)) == before


def test_the_framework_library_may_be_in_the_lib_folder_or_in_tensorflow_core(tmp_path: Path) -> None:
    for number, place in enumerate(("lib", "lib/python3.8/site-packages/tensorflow_core")):
        env = conda_environment(tmp_path / f"env{number}", "$ORIGIN")
        framework = Path(env.tensorflow) / "libtensorflow_framework.so.2"
        target = Path(env.prefix) / place
        target.mkdir(exist_ok=True)
        framework.rename(target / framework.name)
        wire(env, small_row(), _SET)
        assert search_path(env, small_row().gate).missing == ()


def test_a_venv_beside_conda_libraries_does_not_take_them(tmp_path: Path) -> None:
    env = replace(conda_environment(tmp_path / "env"), kind="venv")
    assert [item.soname for item in wire(env, small_row(), _SET).unfound if item.gate] == list(small_row().gate)

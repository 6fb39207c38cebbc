from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from snapshot.small_environment import add_distribution, add_tensorflow, age, elf, make_venv

from provision.matrix.loading import load
from provision.model.environment_facts import EnvironmentFacts, PackageFacts
from provision.probes.environment import inspect
from provision.snapshot.origin import read_origin
from provision.snapshot.packages import read_packages
from provision.system import System

MATRIX = load()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "env"


def read(environment: Path, *, deep: bool = False, **variables: str) -> PackageFacts:
    system = System(environ={"PATH": os.defpath, "HOME": str(environment.parent), **variables})
    seen = inspect(system, environment)
    return read_packages(system, seen, MATRIX, variables=system.environ, deep=deep)


def kinds(facts: PackageFacts, environment: Path) -> dict[str, str]:
    site = str(next(environment.glob("lib/python3*/site-packages")))
    return {item.path.removeprefix(f"{site}/"): item.kind for item in facts.faults}


def test_every_field_is_one_of_the_environments() -> None:
    known = {item.name for item in dataclasses.fields(EnvironmentFacts)}
    assert {item.name for item in dataclasses.fields(PackageFacts)} <= known


def test_a_sound_environment_has_nothing_to_tell(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site, requires=["numpy<2", "six; python_version < '3'", "nvidia-cudnn-cu12; extra == 'and-cuda'"])
    add_distribution(site, "numpy", "1.26.4", {"numpy/__init__.py": ""})
    facts = read(environment, deep=True)
    assert facts.distribution is not None
    assert (facts.distribution.version, facts.distribution.installer) == ("2.16.1", "pip")
    # Markers are held against the environment's Python, extras and the description are left out.
    assert facts.distribution.requires == ("numpy<2",)
    assert facts.tensorflow == (str(site / "tensorflow" / "__init__.py"),)
    assert (facts.cuda_build, str(facts.built_cuda), str(facts.built_cudnn)) == (True, "12.3", "8.9")
    assert facts.row is not None
    assert facts.gencode == "builder"
    assert facts.checked == 5
    empty = ("others", "remnants", "user_site", "python_path", "hidden", "shadows", "user_error", "faults", "record")
    assert not any(getattr(facts, name) for name in empty)


def test_damaged_files_are_named_with_their_kind(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site, requires=["nvidia-cudnn-cu12"])
    code = {"nvidia/cudnn/lib/libcudnn.so.8": elf(), "nvidia/cudnn/lib/libcudnn_ops.so.8": elf()}
    add_distribution(site, "nvidia-cudnn-cu12", "8.9.7.29", {**code, "nvidia/cudnn/include/cudnn.h": "//"})
    add_distribution(site, "unrelated", "1.0", {"unrelated.py": "x"})
    age(site)
    (site / "nvidia/cudnn/lib/libcudnn.so.8").write_bytes(elf(claimed=9000))
    (site / "nvidia/cudnn/lib/libcudnn_ops.so.8").write_bytes(elf(machine=183))
    (site / "tensorflow/__init__.py").write_text("__version__ = '1'\n")
    (site / "tensorflow/core/framework/types_pb2.py").write_text("shorter\n")
    (site / "tensorflow/libtensorflow_framework.so.2").unlink()
    # Without these TensorFlow works: a test, a header, and what it does not need.
    (site / "tensorflow/python/some_test.py").unlink()
    (site / "nvidia/cudnn/include/cudnn.h").unlink()
    (site / "unrelated.py").unlink()
    assert kinds(read(environment), environment) == {
        "nvidia/cudnn/lib/libcudnn.so.8": "truncated",
        "nvidia/cudnn/lib/libcudnn_ops.so.8": "architecture",
        "tensorflow/__init__.py": "content",
        "tensorflow/core/framework/types_pb2.py": "size",
        "tensorflow/libtensorflow_framework.so.2": "missing",
    }


def test_content_of_the_old_time_is_seen_deep_only(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site)
    (site / "tensorflow/__init__.py").write_text("__version__ = '1'\n")
    age(site)
    assert kinds(read(environment), environment) == {}
    assert kinds(read(environment, deep=True), environment) == {"tensorflow/__init__.py": "content"}


def test_a_record_that_points_outside_is_not_followed(environment: Path) -> None:
    site = make_venv(environment)
    info = add_tensorflow(site)
    with (info / "RECORD").open("a") as stream:
        stream.write("../../../../../outside.py,sha256=x,1\n/etc/outside.so,sha256=x,1\n")
    assert read(environment).faults == ()


def test_two_distributions_of_one_folder(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site)
    add_tensorflow(site, name="tensorflow-cpu", cuda=False)
    facts = read(environment)
    assert facts.distribution is not None
    assert facts.distribution.name == "tensorflow"
    assert [item.name for item in facts.others] == ["tensorflow-cpu"]
    assert facts.cuda_build is False
    # Files of either RECORD are right.
    assert facts.faults == ()


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ("~ensorflow/x.py", "~ensorflow"),
        ("~ensorflow-2.16.1.dist-info/METADATA", "~ensorflow-2.16.1.dist-info"),
        ("tensorflow/python/leftover.txt", "tensorflow"),
        ("tensorflow-2.15.0.dist-info/REQUESTED", "tensorflow-2.15.0.dist-info"),
    ],
)
def test_remnants(environment: Path, left: str, found: str) -> None:
    site = make_venv(environment)
    (site / left).parent.mkdir(parents=True)
    (site / left).write_text("")
    assert read(environment).remnants == (str(site / found),)


def test_a_build_under_another_name_owns_its_package(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site, "1.15.5+nv23.3", name="nvidia-tensorflow")
    facts = read(environment)
    assert (facts.remnants, facts.distribution) == ((), None)
    assert facts.tensorflow == (str(site / "tensorflow" / "__init__.py"),)


def test_what_lies_in_this_folder_shadows(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site)
    Path("tensorflow.py").write_text("")
    Path("keras.py").write_text("")
    Path("numpy").mkdir()  # without code it hides nothing
    facts = read(environment)
    assert facts.tensorflow[0] == str(Path.cwd() / "tensorflow.py")
    assert facts.shadows == (("keras", str(Path.cwd() / "keras.py")),)
    assert facts.distribution is not None
    assert facts.distribution.folder == str(site)


def test_pythonpath_that_hides_and_one_that_does_not(environment: Path, tmp_path: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site, requires=["numpy<2", "six"])
    add_distribution(site, "numpy", "1.26.4", {"numpy/__init__.py": ""})
    add_distribution(site, "six", "1.16.0", {"six.py": ""})
    add_distribution(tmp_path / "new", "numpy", "2.0.2", {"numpy/__init__.py": ""})
    add_distribution(tmp_path / "same", "six", "1.16.0", {"six.py": ""})
    add_distribution(tmp_path / "same", "unrelated", "2.0", {"unrelated.py": ""})
    facts = read(environment, PYTHONPATH=f"{tmp_path / 'same'}:{tmp_path / 'new'}")
    assert facts.python_path == (str(tmp_path / "new"),)
    assert [(item.name, item.version) for item in facts.hidden] == [("numpy", "1.26.4")]
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "numpy.py").write_text("")
    facts = read(environment, PYTHONPATH=str(tmp_path / "bare"))
    assert facts.python_path == (str(tmp_path / "bare"),)
    assert facts.shadows == (("numpy", str(tmp_path / "bare" / "numpy.py")),)


def test_variables_under_which_python_does_not_run(environment: Path) -> None:
    add_tensorflow(make_venv(environment))
    facts = read(environment, PYTHONHOME="/nowhere")
    assert "encodings" in facts.user_error
    assert facts.distribution is not None


def test_a_library_path_with_an_old_cxx_library(environment: Path, tmp_path: Path) -> None:
    add_tensorflow(make_venv(environment))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "libstdc++.so.6").write_bytes(b"\0GLIBCXX_3.4.9\0GLIBCXX_3.4.10\0CXXABI_1.3\0")
    facts = read(environment, LD_LIBRARY_PATH=f"/nowhere:{tmp_path / 'old'}")
    assert facts.cxx is not None
    assert (facts.cxx.why, facts.cxx.has) == ("LD_LIBRARY_PATH", {"GLIBCXX": "3.4.10", "CXXABI": "1.3"})
    assert read(environment).cxx is None


def test_conda_records_are_held_against_what_lies_there(environment: Path) -> None:
    site = make_venv(environment)
    add_tensorflow(site)
    (site / "tensorflow-2.16.1.dist-info" / "INSTALLER").write_text("conda\n")
    meta = environment / "conda-meta"
    meta.mkdir()
    paths = [{"_path": "lib/libcudart.so.12", "path_type": "hardlink", "size_in_bytes": 4096}]
    record = {"paths_data": {"paths": [*paths, {"_path": "lib/libcufft.so.11", "path_type": "hardlink"}]}}
    (meta / "cuda-cudart-12.4.127-h1_0.json").write_text(json.dumps(record))
    (meta / "tensorflow-base-2.16.1-cpu_py311h2_0.json").write_text("{}")
    (environment / "lib" / "libcudart.so.12").write_bytes(elf())
    facts = read(environment)
    assert facts.conda_builds["tensorflow-base"] == "cpu_py311h2_0"
    assert [(Path(item.path).name, item.kind, item.package) for item in facts.faults] == [
        ("libcufft.so.11", "missing", "cuda-cudart")
    ]


def test_where_an_environment_was_made(tmp_path: Path) -> None:
    for name in ("made", "copy"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "pip").write_text(f"#!{tmp_path}/made/bin/python3\nimport pip\n")
    assert read_origin(tmp_path / "made") == ("", "")
    assert read_origin(tmp_path / "copy") == ("", "")
    (tmp_path / "made").rename(tmp_path / "moved")
    assert read_origin(tmp_path / "moved") == ("moved", str(tmp_path / "made"))
    (tmp_path / "moved" / ".tfgpu").mkdir()
    (tmp_path / "moved" / ".tfgpu" / "lock.txt").write_text("")
    assert read_origin(tmp_path / "moved") == ("incomplete", "")
    assert read_origin(tmp_path / ".env.tfgpu-0123abcd") == ("incomplete", "")


def test_where_a_package_came_from_that_is_of_no_index(environment: Path) -> None:
    site = make_venv(environment)
    add_distribution(site, "mine", "0.1", {"mine.py": ""})
    add_distribution(site, "odd", "0.1", {"odd.py": ""})
    add_distribution(site, "six", "1.16.0", {"six.py": ""})
    url = {"url": "file:///home/you/mine", "dir_info": {"editable": True}}
    (site / "mine-0.1.dist-info" / "direct_url.json").write_text(json.dumps(url))
    (site / "odd-0.1.dist-info" / "direct_url.json").write_text('["not what PEP 610 says"]')
    found = {item.name: item.origin for item in read(environment).packages}
    assert (found["mine"], found["six"]) == ("file:///home/you/mine (editable)", "")
    assert found["odd"] != ""


def test_what_the_lock_of_an_interrupted_creation_names_and_is_not_there(environment: Path) -> None:
    site = make_venv(environment)
    add_distribution(site, "six", "1.16.0", {"six.py": ""})
    assert read(environment).unfinished is None
    (environment / ".tfgpu").mkdir()
    hashed = f"--hash=sha256:{'0' * 64}"
    (environment / ".tfgpu/lock.txt").write_text(f"six==1.16.0 \\\n    {hashed}\nwrapt==1.16.0 \\\n    {hashed}\n")
    facts = read(environment)
    assert (facts.record, facts.unfinished) == ("incomplete", ("wrapt==1.16.0",))
    (environment / ".tfgpu/lock.txt").unlink()
    (environment / ".tfgpu/environment.json").write_text("{")
    facts = read(environment)
    assert (facts.record, facts.unfinished) == ("incomplete", None)

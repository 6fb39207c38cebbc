"""Facts out of texts and names: metadata, build info, tags, configured indexes, search paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from audit.lab import make_wheel

from provision.audit.contents.metadata import read_metadata, read_names
from provision.audit.contents.search import search, searched
from provision.audit.reading.archive import Archive
from provision.audit.reading.configured import indexes
from provision.audit.reading.index import parse_spec
from provision.audit.reading.reader import Reader
from provision.audit.reading.source import LocalSource
from provision.errors import InvalidFileError, UsageError
from provision.model.artifact import Artifact
from provision.model.wheel import DynamicFacts, FrameworkFacts, MetadataFacts, NameFacts

PLACE = "tensorflow/python/platform/build_info.py"


def metadata(folder: Path, more: str = "", build_info: str | None = None) -> MetadataFacts:
    members = {} if build_info is None else {PLACE: build_info.encode()}
    file = make_wheel(folder, "tensorflow", "2.99.0", members, more=more)
    return read_metadata(Archive(LocalSource(file), file.name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "is_cuda_build = True\ncuda_version_number = '10.0'",
            {"is_cuda_build": "True", "cuda_version_number": "10.0"},
        ),
        ("build_info = {'is_cuda_build': True}", {"is_cuda_build": "True"}),
        (
            "import collections\nbuild_info = collections.OrderedDict([('cuda_compute_capabilities', ['sm_60', 'sm_70'])])",
            {"cuda_compute_capabilities": "sm_60 sm_70"},
        ),
        ("import os\nbuild_info = {'is_cuda_build': os.system('false')}", {}),
    ],
)
def test_build_info_is_read_and_never_run(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    assert metadata(tmp_path, build_info=text).build_info == expected


@pytest.mark.parametrize("text", ["build_info = {", "(" * 5000, "\0"])
def test_a_build_info_that_is_no_python(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidFileError) as raised:
        metadata(tmp_path, build_info=text)
    assert raised.value.code == "hostile-wheel"


def test_requirements_are_sorted_by_extra(tmp_path: Path) -> None:
    lines = [
        "Requires-Dist: numpy <2.0,>=1.23",
        "Requires-Dist: nvidia-nccl-cu12 ==2.19.3 ; extra == 'and-cuda'",
        'Requires-Dist: tensorrt==8.6.1; python_version >= "3.9" and extra == "and_cuda"',
        'Requires-Dist: gcs; extra == "gcs" and sys_platform == "linux"',
        "Provides-Extra: and-cuda",
    ]
    found = metadata(tmp_path, more="\n".join(lines))
    assert found.requires_dist == ("numpy <2.0,>=1.23",)
    assert found.extras == {
        "and-cuda": ("nvidia-nccl-cu12==2.19.3", 'tensorrt==8.6.1; python_version >= "3.9"'),
        "gcs": ('gcs; sys_platform == "linux"',),
    }


def test_what_is_put_into_site_packages_has_its_path_there(tmp_path: Path) -> None:
    path = f"tensorflow-2.99.0.data/purelib/{PLACE}"
    members = {path: b"is_cuda_build = True", "tensorflow-2.99.0.data/platlib/tensorflow/libx.so.2": b"x"}
    file = make_wheel(tmp_path, "tensorflow", "2.99.0", members)
    archive = Archive(LocalSource(file), file.name)
    assert read_metadata(archive).cuda_build
    assert read_names(archive).libraries == {"libx.so.2": "tensorflow/libx.so.2"}


def test_tools_are_found_by_their_names(tmp_path: Path) -> None:
    paths = ["nvidia/cuda_nvcc/bin/ptxas", "nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc", "nvidia/x/lib/libx.so.12"]
    file = make_wheel(tmp_path, "nvidia-cuda-nvcc-cu12", "12.5.82", dict.fromkeys(paths, b"x"))
    names = read_names(Archive(LocalSource(file), file.name))
    assert [names.ptxas, names.libdevice, *names.libraries.values()] == paths


@pytest.mark.parametrize(
    ("filename", "pythons", "glibc"),
    [
        ("tensorflow-2.4.1-cp36-cp36m-manylinux2010_x86_64.whl", ("3.6",), "2.12"),
        ("tensorflow-2.17.1-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", ("3.10",), "2.17"),
        ("nvidia_nccl_cu12-2.19.3-py3-none-manylinux1_x86_64.whl", (), "2.5"),
        ("tensorflow-2.17.1-cp310-cp310-win_amd64.whl", ("3.10",), ""),
        ("no-wheel.whl", (), ""),
    ],
)
def test_tags_say_python_and_glibc(filename: str, pythons: tuple[str, ...], glibc: str) -> None:
    artifact = Artifact("x", "1", filename)
    assert (artifact.pythons, artifact.glibc) == (pythons, glibc)
    assert artifact.runs_on("x86_64") == bool(glibc)


def test_the_newest_symbol_version_is_what_is_needed() -> None:
    versions = {"libc.so.6": ("GLIBC_2.9", "GLIBC_2.17", "GLIBC_PRIVATE"), "libstdc++.so.6": ("GLIBCXX_3.4.19",)}
    dynamic = DynamicFacts("x", (), "", (), versions)
    assert (dynamic.glibc, dynamic.needs("GLIBCXX"), dynamic.needs("CXXABI")) == ("2.17", "3.4.19", "")


TWICE = ("$ORIGIN/", "$ORIGIN/../../nvidia/cublas/lib", "$ORIGIN/../nvidia/cublas/lib", "/usr/lib")


def test_a_search_path_is_read_from_where_the_library_lies() -> None:
    dynamic = DynamicFacts("x", (), "RUNPATH", TWICE)
    assert searched(dynamic, "tensorflow/libtensorflow_framework.so.2") == ("tensorflow", "nvidia/cublas/lib")


def test_libraries_are_found_unfound_or_absent() -> None:
    framework = FrameworkFacts("tensorflow/f.so", DynamicFacts("x", (), "RUNPATH", TWICE), (), gate=("a", "b", "c"))
    wheels = {
        "one==1": NameFacts(1, 1, {"a": "nvidia/cublas/lib/a", "b": "nvidia/cusolver/lib/b"}),
        "two==1": NameFacts(1, 1, {"a": "elsewhere/a"}),
    }
    found = search(framework, wheels)
    assert found.found == {"a": "nvidia/cublas/lib/a"}
    assert found.unfound == {"b": "nvidia/cusolver/lib/b"}
    assert found.absent == ("c",)


def test_of_several_names_of_a_library_one_is_enough() -> None:
    gate = ("libcublas.so.12", "libcublas.so.13", "libcudnn.so.9", "libcufft.so.11", "libcufft.so.12")
    framework = FrameworkFacts("tensorflow/f.so", DynamicFacts("x", (), "RUNPATH", TWICE), (), gate=gate)
    assert framework.gate_choices == (gate[:2], gate[2:3], gate[3:])
    libraries = {name: f"nvidia/cublas/lib/{name}" for name in ("libcublas.so.13", "libcudnn.so.9")}
    found = search(framework, {"one==1": NameFacts(1, 1, libraries)})
    assert tuple(found.found) == ("libcublas.so.13", "libcudnn.so.9")
    assert found.absent == ("libcufft.so.11", "libcufft.so.12")


@pytest.mark.parametrize(
    ("environ", "files", "expected"),
    [
        ({}, {}, ("",)),
        ({"UV_DEFAULT_INDEX": "https://a/simple", "PIP_INDEX_URL": "https://b/simple"}, {}, ("https://a/simple",)),
        ({"UV_INDEX": "named=https://a/simple https://b/x=1/"}, {}, ("", "https://a/simple", "https://b/x=1/")),
        ({}, {"pip/pip.conf": "[global]\nindex-url = https://p\nextra-index-url =\n  https://q\n  file:///r\n"},
         ("https://p", "https://q", "file:///r")),
        ({}, {"uv/uv.toml": '[[index]]\nurl = "https://u"\ndefault = true\n[[index]]\nurl = "https://v"\n'},
         ("https://u", "https://v")),
        ({"UV_NO_CONFIG": "1"}, {"uv/uv.toml": 'index-url = "https://u"\n'}, ("",)),
        ({}, {"uv/uv.toml": "not toml [", "pip/pip.conf": "no section"}, ("",)),
    ],
)  # fmt: skip
def test_the_index_is_the_one_that_uv_and_pip_use(
    environ: dict[str, str], files: dict[str, str], expected: tuple[str, ...], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PIP_CONFIG_FILE": os.environ.get("NONE", "")}
    # What the machine itself has (/etc/pip.conf) comes after all of these.
    found = indexes({**home, **environ})
    assert found[: len(expected)] == expected


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("tensorflow==2.21.0", ("tensorflow", "2.21.0")),
        ("TF_Nightly == 2.23.0.dev20261026", ("tf-nightly", "2.23.0.dev20261026")),
        ("tensorflow>=2.21", None),
        ("tensorflow==", None),
        ("./a.whl", None),
    ],
)
def test_a_release_is_named_exactly(text: str, spec: tuple[str, str] | None) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tensorflow==1.0", "unknown-release"),
        ("nothing==1.0", "unknown-release"),
        ("tensorflow", "bad-wheel"),
        ("/no/such/tensorflow-2.99.0-cp312-cp312-manylinux_2_17_x86_64.whl", "bad-wheel"),
        ("http://localhost/a.zip", "bad-wheel"),
    ],
)
def test_what_names_no_wheel(reader: Reader, tensorflow: Path, text: str, code: str) -> None:
    with pytest.raises(UsageError) as raised:
        reader.locate(text)
    assert raised.value.code == code
    assert raised.value.hint


def test_the_wheel_for_a_python_and_the_later_build(reader: Reader, tensorflow: Path) -> None:
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp313-cp313-manylinux_2_17_x86_64", "cp312-cp312-win_amd64"):
        make_wheel(tensorflow.parent, "tensorflow", "2.99.0", {}, tag=tag)
    assert reader.locate("tensorflow==2.99.0").artifact.pythons == ("3.11",)
    assert reader.locate("tensorflow==2.99.0", python="3.13").artifact.pythons == ("3.13",)
    assert reader.find("tensorflow", "2.99.0").release.pythons() == ("3.11", "3.12", "3.13")
    with pytest.raises(UsageError) as raised:
        reader.locate("tensorflow==2.99.0", python="3.10")
    assert raised.value.why == ("there are wheels for Python 3.11 3.12 3.13",)

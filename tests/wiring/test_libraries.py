from __future__ import annotations

from pathlib import Path

import pytest
from wiring.samples import SMALL_GATE, small_environment, tiny_library

from provision.errors import InvalidFileError
from provision.model.environment import EnvRef
from provision.wiring import search_path
from provision.wiring.libraries import major, read_shelf, stem


@pytest.mark.parametrize(
    ("soname", "expected"),
    [
        ("libcudnn.so.8", ("libcudnn", "8")),
        ("libcupti.so.11.8", ("libcupti", "11")),
        ("libcupti.so", ("libcupti", "")),
        ("libnvrtc-builtins.so.11.8", ("libnvrtc-builtins", "11")),
        ("libnvrtc-builtins.alt.so.12.9", ("libnvrtc-builtins.alt.so.12.9", "")),
        ("not a library", ("not a library", "")),
    ],
)
def test_a_soname_has_a_stem_and_a_major_version(soname: str, expected: tuple[str, str]) -> None:
    assert (stem(soname), major(soname)) == expected


def test_the_search_of_the_framework_library_is_told_with_what_it_leaves_unfound(env: EnvRef) -> None:
    package = Path(env.tensorflow)
    (package / "libcudnn.so.8").symlink_to("../nvidia/cudnn/lib/libcudnn.so.8")
    found = search_path(env, SMALL_GATE)
    assert found.kind == "RPATH"
    assert found.folders == (package,)
    assert found.library == package / "libtensorflow_framework.so.2"
    assert found.missing == ("libcudart.so.11.0", "libcublas.so.11", "libcusolver.so.10")
    assert found.found[3].path == package / "libcudnn.so.8"


def test_folders_that_do_not_exist_are_told_as_searched(tmp_path: Path, cc: str) -> None:
    env = small_environment(tmp_path / "env", "$ORIGIN/../../nvidia/cublas/lib:$ORIGIN/../nvidia/cublas/lib")
    found = search_path(env, ("libcublas.so.11", "libcudnn.so.8"))
    site_packages = Path(env.site_packages)
    assert found.folders == (site_packages.parent / "nvidia/cublas/lib", site_packages / "nvidia/cublas/lib")
    assert found.missing == ("libcudnn.so.8",)


def test_an_environment_without_tensorflow_is_told(env: EnvRef) -> None:
    (Path(env.tensorflow) / "libtensorflow_framework.so.2").unlink()
    with pytest.raises(InvalidFileError, match="no TensorFlow framework library") as caught:
        search_path(env)
    assert caught.value.code == "no-tensorflow"


def test_the_shelf_holds_every_library_by_its_soname_and_names_the_damaged(env: EnvRef) -> None:
    lib = Path(env.site_packages) / "nvidia/cublas/lib"
    (lib / "libbroken.so.1").write_bytes(b"\x7fELF")
    (lib / "libgone.so.1").symlink_to("nowhere")
    shelf = read_shelf(env)
    assert len(shelf.by_soname) == 10
    assert shelf.by_soname["libcublas.so.11"].path == lib / "libcublas.so.11"
    assert list(shelf.damaged) == [lib / "libbroken.so.1"]
    assert [item.dynamic.soname for item in shelf.family("libnvrtc")] == ["libnvrtc.so.11.2"]


def test_of_two_files_with_one_soname_the_one_of_that_name_or_the_one_meant_is_taken(env: EnvRef) -> None:
    nvidia = Path(env.site_packages) / "nvidia"
    other = tiny_library(nvidia / "a_first/lib/libother.so", soname="libcublas.so.11")
    second = tiny_library(nvidia / "z_last/lib/libcudart.so.11.0")
    assert read_shelf(env).by_soname["libcublas.so.11"].path == nvidia / "cublas/lib/libcublas.so.11"
    meant = {
        "libcublas.so.11": nvidia / "a_first/lib/libother.so",
        "libcudart.so.11.0": nvidia / "z_last/lib/libcudart.so.11.0",
    }
    shelf = read_shelf(env, preferred=meant)
    assert shelf.by_soname["libcublas.so.11"].path == other
    assert shelf.by_soname["libcudart.so.11.0"].path == second


def test_links_of_ours_count_as_absent(env: EnvRef) -> None:
    link = Path(env.tensorflow) / "libcudnn.so.8"
    link.symlink_to("../nvidia/cudnn/lib/libcudnn.so.8")
    shelf = read_shelf(env, [link])
    assert not shelf.present(link)
    framework = shelf.framework
    assert shelf.find("libcudnn.so.8", framework.dynamic, framework.path.parent) is None
    assert read_shelf(env).find("libcudnn.so.8", framework.dynamic, framework.path.parent) == link

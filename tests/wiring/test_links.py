from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from wiring.samples import SMALL_GATE, small_environment, small_row, tiny_library

from provision.model.environment import EnvRef
from provision.wiring.libraries import read_shelf
from provision.wiring.links import LinkPlan, plan_links
from provision.wiring.opens import opens, opens_plainly

CUDNN_PARTS = {"libcudnn_ops_infer.so.8", "libcudnn_cnn_infer.so.8"}
NVRTC = {"libnvrtc.so.11.2", "libnvrtc-builtins.so.11.8", "libnvrtc.so"}
EVERYTHING = {*SMALL_GATE, "libcublasLt.so.11", "libcublas.so.11", "libcupti.so.11.0", *CUDNN_PARTS, *NVRTC}


def links_of(env: EnvRef, plan: LinkPlan) -> dict[str, set[str]]:
    """Folder below site-packages to the names of the links planned there."""
    site_packages = Path(env.site_packages)
    folders: dict[str, set[str]] = {}
    for link in plan.links:
        folders.setdefault(str(link.path.parent.relative_to(site_packages)), set()).add(link.path.name)
    return folders


# The search paths of the real releases, and where the links then belong. A folder of the nvidia wheels is preferred,
# because the relative paths that are written into the libraries stay true there.
LAYOUTS = {
    "2.4": ("$ORIGIN/", {"tensorflow": EVERYTHING}),
    "2.16.1": (
        "$ORIGIN/:$ORIGIN/../../nvidia/cuda_runtime/lib:$ORIGIN/../nvidia/cuda_runtime/lib",
        {"nvidia/cuda_runtime/lib": EVERYTHING - {"libcudart.so.11.0"}},
    ),
    "2.21": (
        ":".join(f"$ORIGIN/../nvidia/{name}/lib" for name in ("cuda_cupti", "cublas", "cudnn", "cuda_runtime")),
        {
            # An alias is a file: glibc compares a name with SONAMEs, and no library has this one.
            "nvidia/cublas/lib": {"libcusolver.so.10", "libcupti.so.11.0", *NVRTC},
            # The parts of cuDNN look here and beside cuBLAS, and neither has NVRTC by a name they ask for.
            "nvidia/cudnn/lib": set(),
        },
    ),
}


@pytest.mark.parametrize("release", LAYOUTS)
def test_links_go_where_each_release_looks(tmp_path: Path, cc: str, release: str) -> None:
    search, expected = LAYOUTS[release]
    env = small_environment(tmp_path / "env", search)
    plan = plan_links(read_shelf(env), small_row())
    found = links_of(env, plan)
    assert not plan.unfound
    for folder, names in expected.items():
        assert found.pop(folder, set()) >= names, folder
    assert all("nvidia" in folder for folder in found), found


@pytest.mark.parametrize("release", LAYOUTS)
def test_every_request_is_answered_when_the_links_are_made(tmp_path: Path, cc: str, release: str) -> None:
    env = small_environment(tmp_path / "env", LAYOUTS[release][0])
    for link in plan_links(read_shelf(env), small_row()).links:
        assert link.target.is_file()
        link.path.symlink_to(link.target)
    again = plan_links(read_shelf(env), small_row())
    assert again.links == ()
    assert again.unfound == ()


def test_a_release_that_finds_everything_gets_no_link_for_its_gate(tmp_path: Path, cc: str) -> None:
    folders = ("cuda_runtime", "cublas", "cusolver", "cudnn", "cuda_cupti")
    env = small_environment(tmp_path / "env", ":".join(f"$ORIGIN/../nvidia/{name}/lib" for name in folders))
    gate = tuple(name for name in SMALL_GATE if name != "libcusolver.so.10")
    plan = plan_links(read_shelf(env), small_row(gate=gate, optional={"cupti": ("libcupti.so.11.8",)}))
    asked = {link.asked_by for link in plan.links}
    assert "libtensorflow_framework.so.2" not in asked
    assert {link.path.name for link in plan.links} <= NVRTC


def test_what_a_library_needs_is_loaded_before_it(env: EnvRef) -> None:
    names = [path.name for path in plan_links(read_shelf(env), small_row()).preload]
    before = [
        ("libcublasLt.so.11", "libcublas.so.11"),
        ("libcublas.so.11", "libcusolver.so.10"),
        ("libcublas.so.11", "libcudnn_ops_infer.so.8"),
        ("libcudnn_ops_infer.so.8", "libcudnn_cnn_infer.so.8"),
    ]
    assert [pair for pair in before if names.index(pair[0]) > names.index(pair[1])] == []
    assert len(names) == len(set(names)) == 10


def test_names_that_are_no_sonames_are_told_as_aliases(env: EnvRef) -> None:
    assert plan_links(read_shelf(env), small_row()).aliases == {
        "libcupti.so.11.0": "libcupti.so.11.8",
        "libcusolver.so.10": "libcusolver.so.11",
        "libnvrtc.so": "libnvrtc.so.11.2",
    }


def test_nvrtc_is_loaded_before_the_parts_of_cudnn_ask_for_it(env: EnvRef) -> None:
    names = [path.name for path in plan_links(read_shelf(env), small_row()).preload]
    assert names[:2] == ["libnvrtc.so.11.2", "libnvrtc-builtins.so.11.8"]


def test_libraries_are_complete_from_their_own_folder_too(env: EnvRef) -> None:
    """Another program in the same process may have opened cuDNN where the wheel put it."""
    found = links_of(env, plan_links(read_shelf(env), small_row()))
    assert found["nvidia/cublas/lib"] == NVRTC, "which the parts of cuDNN search as well"


@pytest.mark.parametrize("removed", ["cusolver/lib/libcusolver.so.11", "cudnn/lib/libcudnn.so.8"])
def test_a_gate_library_that_nothing_provides_is_unfound(env: EnvRef, removed: str) -> None:
    (Path(env.site_packages) / "nvidia" / removed).unlink()
    (unfound,) = plan_links(read_shelf(env), small_row()).unfound
    assert unfound.gate
    assert unfound.asked_by == "libtensorflow_framework.so.2"
    assert unfound.searched == (Path(env.tensorflow),)
    assert unfound.soname.split(".")[0] == Path(removed).name.split(".", maxsplit=1)[0]


def test_an_alias_is_only_made_where_the_row_names_it(env: EnvRef) -> None:
    plan = plan_links(read_shelf(env), small_row(aliases={}))
    assert [item.soname for item in plan.unfound] == ["libcusolver.so.10"]


def test_what_is_only_useful_is_left_out_where_nothing_provides_it(env: EnvRef) -> None:
    optional = {
        "nccl": ("libnccl.so.2",),
        "tensorrt": ("libnvinfer.so.7",),
        "cupti": ("libcupti.so.11.2", "libcupti.so"),
    }
    plan = plan_links(read_shelf(env), small_row(optional=optional))
    names = {link.path.name for link in plan.links}
    assert "libcupti.so.11.2" in names
    assert not names & {"libnccl.so.2", "libnvinfer.so.7", "libcupti.so"}
    assert plan.unfound == ()


def test_another_major_version_is_no_stand_in_for_an_optional_library(env: EnvRef) -> None:
    plan = plan_links(read_shelf(env), small_row(optional={"cupti": ("libcupti.so.12",)}))
    assert "libcupti.so.12" not in {link.path.name for link in plan.links}


def test_somebody_s_own_link_to_a_library_answers_the_request(env: EnvRef) -> None:
    own = Path(env.tensorflow) / "libcudnn.so.8"
    own.symlink_to("../nvidia/cudnn/lib/libcudnn.so.8")
    plan = plan_links(read_shelf(env), small_row())
    assert own not in {link.path for link in plan.links}
    assert own in plan.preload


def test_a_library_of_the_machine_that_is_needed_is_told(env: EnvRef, tmp_path: Path) -> None:
    others = tuple(tiny_library(tmp_path / name) for name in ("libz.so.1", "libcuda.so.1", "libstdc++.so.6"))
    cudnn = Path(env.site_packages) / "nvidia/cudnn/lib/libcudnn.so.8"
    tiny_library(cudnn, needed=others, runpath="$ORIGIN")
    assert plan_links(read_shelf(env), small_row()).system == ("libz.so.1",)


@pytest.mark.parametrize(
    ("opener", "opened"),
    [
        ("libcudnn", ("libcudnn_*",)),
        ("libcudnn_engines_precompiled", ("libcudnn_*", "libnvrtc", "libcublas", "libcublasLt")),
        ("libcublasLt", ("libnvrtc",)),
        ("libcublas", ()),
        ("libcudart", ()),
        ("libnvrtc", ("libnvrtc-builtins",)),
    ],
)
def test_what_libraries_open_while_they_run(opener: str, opened: tuple[str, ...]) -> None:
    assert opens(opener) == opened


def test_only_old_libraries_ask_for_a_name_without_a_version() -> None:
    openers = (
        "libcudnn_ops_infer.so.8",
        "libcublasLt.so.11",
        "libcudnn_ops.so.9",
        "libcublasLt.so.12",
        "libcufft.so.10",
    )
    asked = {pair for pair in itertools.product(openers, ("libnvrtc", "libcublas")) if opens_plainly(*pair)}
    assert asked == {("libcudnn_ops_infer.so.8", "libnvrtc"), ("libcublasLt.so.11", "libnvrtc")}

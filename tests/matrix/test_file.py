"""The matrix that is shipped: every row is walked, so that a new row needs no new test."""

from __future__ import annotations

import re
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.matrix import default_path, load
from provision.matrix.build import CLAIMS
from provision.model.facts import Certainty
from provision.model.matrix import LibrarySet, Row
from provision.model.versions import ComputeCapability, CudaVersion, DriverVersion, GlibcVersion, TfVersion


def capabilities(*texts: str) -> tuple[ComputeCapability, ...]:
    return tuple(ComputeCapability(text) for text in texts)


MATRIX = load()
ROWS = MATRIX.rows
MINORS = [f"2.{minor}" for minor in range(4, 22)]
each_row = pytest.mark.parametrize("row", ROWS, ids=[row.release.text for row in ROWS])
WHEEL_SETS = {name: item for name, item in MATRIX.sets.items() if item.pins}
CONDA_SETS = {name: item for name, item in MATRIX.sets.items() if item.conda}
KEPLER_WITHOUT_CONDA = {
    row.requirement: capabilities("3.5") if row.release.minor_series in ("2.12", "2.13", "2.14") else () for row in ROWS
}
"""conda-forge never had cuDNN 8.6 or 8.7, the last ones with code for Kepler that builds of CUDA 11.8 accept."""
each_wheel_set = pytest.mark.parametrize("library_set", WHEEL_SETS.values(), ids=list(WHEEL_SETS))
each_conda_set = pytest.mark.parametrize("library_set", CONDA_SETS.values(), ids=list(CONDA_SETS))
each_set = pytest.mark.parametrize("library_set", MATRIX.sets.values(), ids=list(MATRIX.sets))


def test_every_minor_is_there_with_all_its_final_releases() -> None:
    with_wheels = [row for row in ROWS if row.sets]
    assert sorted({row.release.minor_series for row in with_wheels}, key=TfVersion) == MINORS
    assert len(with_wheels) == 52
    assert [row.release for row in ROWS] == sorted({row.release for row in ROWS})
    assert {row.distribution for row in with_wheels} == {"tensorflow"}


def test_what_wheels_cannot_serve_conda_does() -> None:
    assert [row.requirement for row in ROWS if not row.sets] == [
        "tensorflow-gpu==1.15.5",
        "tensorflow-gpu==2.0.4",
        "tensorflow==2.1.4",
        "tensorflow==2.2.3",
        "tensorflow==2.3.4",
    ]
    assert all(row.conda_sets for row in ROWS)


def test_a_row_is_found_by_its_release() -> None:
    row = MATRIX.row(TfVersion("2.15.0.post1"))
    assert row is not None
    assert row.requirement == "tensorflow==2.15.0.post1"
    assert MATRIX.row(TfVersion("2.15.0.post2")) is None
    assert MATRIX.row(TfVersion("2.15.1"), "tensorflow-gpu") is None


def test_versions_are_text() -> None:
    row = MATRIX.row(TfVersion("2.10.0"))
    assert row is not None
    assert row.release.text == "2.10.0"
    assert row.pythons[-1].text == "3.10"
    assert row.cudnn.text == "8.1"
    assert MATRIX.sets["cu125-cudnn910"].cudnn.text == "9.10"
    assert CudaVersion("12.0") in MATRIX.ptx_isa


def test_the_digest_is_that_of_the_file() -> None:
    import hashlib

    assert MATRIX.digest == hashlib.sha256(default_path().read_bytes()).hexdigest()
    assert Path(MATRIX.path) == default_path()


def test_loading_is_cheap() -> None:
    """The whole of ``plan`` has 180 ms; the file may take a small part of it (measured: 20 ms)."""
    best = min(_seconds() for _ in range(3))
    assert best < 0.12


def _seconds() -> float:
    start = time.process_time()
    load()
    return time.process_time() - start


@each_row
def test_each_row_stands_on_its_line(row: Row) -> None:
    line = default_path().read_text(encoding="utf-8").splitlines()[row.line - 1]
    assert line == f"  {row.requirement}:"


@each_row
def test_every_claim_of_each_row_has_evidence(row: Row) -> None:
    for group in CLAIMS:
        if group not in ("optional", "constraints") and (group != "sets" or row.sets):
            assert group in row.evidence, group
    assert "import" in row.evidence, "our own rows were installed and imported"
    assert bool(row.constraints) <= ("constraints" in row.evidence)
    assert bool(row.aliases) <= ("aliases" in row.evidence)
    for group, evidence in row.evidence.items():
        assert evidence.source.strip(), group
        assert "{" not in evidence.source, "the place of the wheel was filled in"
        assert date(2020, 1, 1) <= date.fromisoformat(evidence.date) <= date.fromisoformat("2030-01-01")


@each_row
def test_what_decides_was_read_from_the_wheel_of_this_very_release(row: Row) -> None:
    for group in ("gate", "arch", "search", "build", "xla"):
        assert row.certainty(group) is Certainty.ARTIFACT
        assert f"{row.distribution.replace('-', '_')}-{row.release}-cp" in row.evidence[group].source


@each_row
def test_the_parts_of_each_row_fit_together(row: Row) -> None:
    assert row.pythons
    assert list(row.pythons) == sorted(row.pythons)
    assert date.fromisoformat(row.released) > date(2020, 12, 1)
    assert bool(row.ptx_modules) is bool(row.sets), "PTX modules were read where a driver would have to compile them"
    tag_glibc = {"manylinux2010": "2.12", "manylinux_2_17": "2.17", "manylinux_2_27": "2.27"}
    assert row.glibc.text == next(glibc for tag, glibc in tag_glibc.items() if row.platform.startswith(tag))
    assert {"avx", "avx2"} & set(row.cpu_features)
    assert {name.split(".so")[0] for name in row.gate} >= {"libcudart", "libcublas", "libcudnn", "libcusolver"}
    assert any(name == f"libcudnn.so.{row.cudnn.major}" for name in row.gate)
    assert row.sass
    assert list(row.sass) == sorted(row.sass)
    assert row.optional["cupti"]
    for modules in row.ptx_modules:
        assert modules.native, "PTX alone is what the device linker left, and is not counted"
        assert set(modules.native) <= set(row.sass)
        assert modules.isa <= MATRIX.ptx_isa[max(version for version in MATRIX.ptx_isa if version <= row.cuda)]


@each_row
def test_each_set_of_each_row_brings_everything_it_must(row: Row) -> None:
    assert row.sets or row.conda_sets
    for library_set in (*row.sets, *row.conda_sets):
        for soname in row.gate:
            names = (soname, row.aliases.get(soname, soname))
            assert any(map(library_set.provider, names)), (library_set.ident, soname)
        assert library_set.cudnn.major == row.cudnn.major
        assert library_set.cudnn >= row.cudnn
        assert library_set.cuda >= row.cuda
    for library_set in row.sets:
        for purpose, sonames in row.optional.items():
            answered = [library_set.provider(row.aliases.get(name, name)) for name in sonames]
            assert any(answered), (library_set.ident, purpose)


@each_row
def test_each_row_serves_every_gpu_that_its_code_serves(row: Row) -> None:
    for sets in filter(None, (row.sets, row.conda_sets)):
        served = [
            capability
            for capability in row.sass
            if any(item.first_cc <= capability <= (item.last_cc or capability) for item in sets)
        ]
        assert served == [
            item for item in row.sass if sets is row.sets or item not in KEPLER_WITHOUT_CONDA[row.requirement]
        ]


@each_row
def test_what_has_no_wheel_is_fixed_by_its_hash(row: Row) -> None:
    for item in row.source_only:
        assert re.fullmatch("[0-9a-f]{64}", item.sha256)
        assert len(set(item.sha256)) > 4, "not a placeholder"
    names = {item.name for item in row.source_only}
    if row.release < TfVersion("2.4"):
        assert names == ({"gast"} if row.release < TfVersion("2.2") else set())
    elif row.release < TfVersion("2.6"):
        assert names == {"termcolor", "wrapt"}
    elif row.release < TfVersion("2.7"):
        assert names == {"termcolor", "wrapt", "clang"}
    else:
        assert not names


@each_set
def test_each_set_is_of_one_kind(library_set: LibrarySet) -> None:
    assert bool(library_set.pins) is not bool(library_set.conda)
    assert bool(library_set.channel) is bool(library_set.conda)
    assert library_set.last_cc is not None
    assert library_set.first_cc <= library_set.last_cc
    assert not library_set.sass or library_set.sass[0] == library_set.first_cc


@each_conda_set
def test_each_conda_set_is_whole_and_honest(library_set: LibrarySet) -> None:
    names = {pin.name for pin in library_set.conda}
    assert names >= (
        {"cudatoolkit", "cudnn"} if library_set.cuda.major < 12 else {"cuda-version", "libcublas", "cudnn"}
    )
    sonames = [soname for pin in library_set.conda for soname in pin.libraries]
    assert len(sonames) == len(set(sonames)), "one package for each name"
    assert all(path == f"lib/{soname}" for pin in library_set.conda for soname, path in pin.libraries.items())
    assert library_set.evidence.certainty in (Certainty.REPORTED, Certainty.DERIVED), "nothing came from the channel"
    assert library_set.glibc == (GlibcVersion("2.17") if library_set.cuda.major > 10 else None)
    assert library_set.libdevice
    assert (library_set.ptxas is not None) is (library_set.cuda.major > 11), "cudatoolkit has no ptxas"


def test_what_serves_ada_and_hopper_with_the_builds_of_cuda_11() -> None:
    for minor in range(4, 15):
        rows = [row for row in ROWS if row.release.minor_series == f"2.{minor}"]
        assert rows
        assert all("conda-cu118-cudnn89" in {item.ident for item in row.conda_sets} for row in rows)


@each_wheel_set
def test_each_set_is_whole(library_set: LibrarySet) -> None:
    names = {re.sub(r"-cu1[12]$", "", pin.name) for pin in library_set.pins}
    assert names >= {"nvidia-cuda-nvcc", "nvidia-cuda-cupti", "nvidia-cuda-nvrtc", "nvidia-cudnn", "nvidia-cublas"}
    assert library_set.ptxas == "nvidia/cuda_nvcc/bin/ptxas"
    assert library_set.libdevice == "nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc"
    assert len({pin.name.rsplit("-", 1)[1] for pin in library_set.pins}) == 1, "one CUDA major"
    sonames = [soname for pin in library_set.pins for soname in pin.libraries]
    assert len(sonames) == len(set(sonames)), "one wheel for each name"
    for pin in library_set.pins:
        for soname, path in pin.libraries.items():
            assert path.startswith("nvidia/")
            assert path.endswith(f"/{soname}")
    if library_set.cuda.major == 12:
        assert "nvidia-nvjitlink" in names, "cuSOLVER and cuSPARSE of CUDA 12 open it"
    assert library_set.last_cc is not None
    assert library_set.first_cc <= library_set.last_cc


def test_no_set_goes_unused() -> None:
    used = {library_set.ident for row in ROWS for library_set in (*row.sets, *row.conda_sets)}
    assert used == set(MATRIX.sets)


def test_pascal_and_volta_get_a_cudnn_that_still_has_code_for_them() -> None:
    row = MATRIX.row(TfVersion("2.21.0"))
    assert row is not None
    for capability in capabilities("6.0", "6.1", "7.0"):
        fitting = [item for item in row.sets if item.first_cc <= capability]
        assert [item.cudnn.text for item in fitting] == ["9.10"]
    assert row.sets[0].cudnn.text == "9.24", "from 7.5 on, where 9.5 is reported to fail"


@pytest.mark.parametrize(
    ("release", "codes", "avoid"),
    [
        ("2.16.1", {"search-path"}, True),
        ("2.16.2", set(), False),
        ("2.15.0", {"and-cuda-unresolvable"}, True),
        ("2.15.1", set(), False),
        ("2.12.1", {"python-3.8-without-wheels"}, False),
        ("2.14.1", {"and-cuda-unresolvable"}, False),
        ("2.21.0", {"search-path", "conv2d-training-cudnn"}, False),
    ],
)
def test_known_faults(release: str, codes: set[str], *, avoid: bool) -> None:
    row = MATRIX.row(TfVersion(release))
    assert row is not None
    assert {fault.code for fault in row.faults} == codes
    assert any(fault.avoid for fault in row.faults) is avoid


def test_every_minor_has_a_patch_that_need_not_be_avoided() -> None:
    for minor in MINORS:
        patches = [row for row in ROWS if row.release.minor_series == minor]
        assert any(not any(fault.avoid for fault in row.faults) for row in patches), minor


@pytest.mark.parametrize(
    ("release", "kind", "origin", "misses"),
    [
        ("2.4.1", "RPATH", True, set()),
        ("2.6.5", "RPATH", True, set()),
        ("2.7.0", "RUNPATH", True, set()),
        ("2.16.2", "RUNPATH", True, set()),
        ("2.16.1", "RUNPATH", True, {"cublas/lib", "cudnn/lib", "cufft/lib", "cusolver/lib", "cusparse/lib"}),
        ("2.20.0", "RUNPATH", False, set()),
        ("2.21.0", "RUNPATH", False, {"cusolver/lib"}),
    ],
)
def test_search_paths(release: str, kind: str, misses: set[str], *, origin: bool) -> None:
    row = MATRIX.row(TfVersion(release))
    assert row is not None
    assert (row.search.kind, row.search.origin) == (kind, origin)
    if row.release >= TfVersion("2.14"):
        wanted = {"cublas/lib", "cudnn/lib", "cufft/lib", "cusolver/lib", "cusparse/lib", "cuda_runtime/lib"}
        assert wanted - set(row.search.nvidia) == misses
    else:
        assert not row.search.nvidia


def test_only_2_4_needs_the_old_name_of_cusolver() -> None:
    built = [row for row in ROWS if row.cuda.major == 11]
    asking = {row.release.minor_series for row in built if "libcusolver.so.10" in row.gate}
    assert asking == {"2.4"}
    for row in built:
        gate_aliases = {name for name in row.aliases if name in row.gate}
        assert gate_aliases == ({"libcusolver.so.10"} if row.release.minor_series == "2.4" else set())


@pytest.mark.parametrize(
    ("release", "target", "isa", "native"),
    [
        ("2.10.1", "8.0", "7.0", capabilities("3.5", "5.0", "6.0", "7.0", "7.5")),
        ("2.15.1", "8.0", "8.1", capabilities("5.0", "6.0", "7.0", "7.5", "8.0")),
        ("2.16.2", "9.0a", "8.0", capabilities("5.0", "6.0", "7.0", "8.0")),
        ("2.20.0", "9.0a", "8.5", capabilities("6.0", "7.0", "8.0", "8.9")),
        ("2.21.0", "9.0", "8.5", capabilities("6.0", "7.0", "8.0", "8.9")),
    ],
)
def test_what_is_ptx_alone_for_whom(release: str, target: str, isa: str, native: tuple[ComputeCapability, ...]) -> None:
    row = MATRIX.row(TfVersion(release))
    assert row is not None
    found = [item for item in row.ptx_modules if (item.target, item.isa.text) == (target, isa)]
    assert [item.native for item in found] == [native]
    assert found[0].specific is target.endswith("a")


@pytest.mark.parametrize(
    ("major", "linux", "windows"), [(11, "450.80.02", "452.39"), (12, "525.60.13", "528.33"), (13, "580.65.06", "580")]
)
def test_driver_floors(major: int, linux: str, windows: str) -> None:
    family = MATRIX.families[major]
    assert (family.linux_min.text, family.windows_min.text) == (linux, windows)
    assert MATRIX.family(CudaVersion(f"{major}.1")) is family


@pytest.mark.parametrize(("cuda", "linux", "windows"), [("10.0", "410.48", "411.31"), ("10.1", "418.39", "418.96")])
def test_before_cuda_11_each_toolkit_has_its_floor(cuda: str, linux: str, windows: str) -> None:
    family = MATRIX.family(CudaVersion(cuda))
    assert family is not None
    assert (family.name, family.linux_min.text, family.windows_min.text) == (cuda, linux, windows)
    assert MATRIX.family(CudaVersion("10.2")) is None


@pytest.mark.parametrize(
    ("driver", "windows", "cuda"),
    [
        ("450.80.02", False, "11.0"),
        ("470.57.02", False, "11.4"),
        ("535.104.05", False, "12.2"),
        ("565.57.01", False, "12.7"),
        ("580.95.05", False, "13.0"),
        ("573.76", True, "12.8"),
        ("576.57", True, "12.9"),
        ("581.29", True, "13.0"),
        ("595.97", True, "13.2"),
    ],
)
def test_driver_branches(driver: str, cuda: str, *, windows: bool) -> None:
    branch = MATRIX.branch_of(DriverVersion(driver), windows=windows)
    assert branch is not None
    assert branch.max_cuda.text == cuda


def test_branches_and_isa_only_ever_rise() -> None:
    assert [item.max_cuda for item in MATRIX.branches] == sorted(item.max_cuda for item in MATRIX.branches)
    versions = sorted(MATRIX.ptx_isa)
    assert [MATRIX.ptx_isa[version] for version in versions] == sorted(MATRIX.ptx_isa.values())
    for branch in MATRIX.branches:
        assert MATRIX.ptx_isa_of(branch.max_cuda) is not None


@pytest.mark.parametrize(
    ("capability", "last"), [("3.5", 470), ("3.7", 470), ("6.1", 580), ("7.0", 580), ("7.5", None)]
)
def test_the_last_driver_of_a_generation(capability: str, last: int | None) -> None:
    assert MATRIX.generations[ComputeCapability(capability)].last_driver_branch == last


@pytest.mark.parametrize(
    "ident",
    [
        "tensorflow-1.15-to-2.3",
        "windows-native",
        "aarch64",
        "macos",
        "blackwell",
        "tensorflow-gpu-2.12",
        "tensorflow-gpu",
    ],
)
def test_what_is_not_served_says_what_would(ident: str) -> None:
    entry = next(entry for entry in MATRIX.unserved if entry.ident == ident)
    assert entry.why
    assert entry.instead
    assert entry.evidence.source
    assert entry.releases or entry.system or entry.machine or entry.min_cc or entry.distribution


def test_derived_claims_stay_derived() -> None:
    for row in ROWS:
        if row.release < TfVersion("2.12"):
            assert row.certainty("sets") is not Certainty.ARTIFACT, "newer libraries than the build was tested with"
        assert row.certainty("something nobody claimed") is Certainty.DERIVED


def test_the_file_names_no_absolute_path() -> None:
    text = default_path().read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w./$*{}-])/\w[^\s,;'\"]*", text.replace("://", "")) == []


def test_nothing_in_the_shared_tables_goes_unused() -> None:
    """What no row refers to is a leftover, and a name in a table is a promise that something uses it."""
    document = yaml.load(default_path().read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506 - text only
    tables = {"gate": "gates", "search": "search_paths"}
    for key in (
        "gate",
        "optional",
        "code",
        "search",
        "aliases",
        "constraints",
        "source_only",
        "faults",
        "sets",
        "claims",
    ):
        used = {name for row in document["releases"].values() for name in row.get(key, "").split()}
        if key == "sets":
            used |= {name for row in document["releases"].values() for name in row.get("conda", "").split()}
        assert used == set(document[tables.get(key, key)]), key
    pinned = {name for library_set in document["sets"].values() for name in library_set.get("pins", ())}
    assert {key.split()[0] for key in document["wheels"]} == pinned
    packages = {name for library_set in document["sets"].values() for name in library_set.get("conda", ())}
    assert {key.split()[0] for key in document["conda_packages"]} == packages
    cited = {entry["evidence"] for table in document.values() for entry in entries_with_evidence(table)}
    cited |= {evidence for claims in document["claims"].values() for evidence in claims.values()}
    assert cited == set(document["evidence"])


def entries_with_evidence(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, dict):
        return []
    inner = [found for item in value.values() for found in entries_with_evidence(item)]
    return [value, *inner] if isinstance(value.get("evidence"), str) else inner

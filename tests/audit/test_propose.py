"""``audit propose``: a row out of a wheel that the matrix does not know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from audit.conftest import AND_CUDA
from audit.guards import AVX2_FMA, guard_source
from audit.lab import BUILD_INFO, Shop, make_wheel

import provision
from provision.audit.proposal.sets import Wanted, serving
from provision.audit.proposal.text import difference, tables_of, with_entries
from provision.matrix import canonical, default_path, load
from provision.model.matrix import Row

NAME = "tensorflow==2.99.0"


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    copy = tmp_path / "mine.yaml"
    text = default_path().read_text()
    copy.write_text(text.replace("releases:\n", "releases:\n  # ours begin with 1.15\n", 1))
    return copy


def propose(shop: Shop, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    environ |= {"UV_DEFAULT_INDEX": shop.address, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
    environ |= {"PYTHONPATH": str(Path(provision.__file__).parents[1])}
    command = [sys.executable, "-m", "provision", "audit", "propose", "--matrix", "mine.yaml", *words]
    return subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def release(shop: Shop, framework: Callable[..., bytes], tmp_path: Path) -> Callable[[str], Path]:
    """Put a wheel of TensorFlow for a Python into the shop; its glibc is newer than that of any machine that tests."""
    known = load().sets["cu125-cudnn93"]
    for pin in known.pins:
        tools = (known.ptxas, known.libdevice) if pin.name.startswith("nvidia-cuda-nvcc") else ()
        paths = (*pin.libraries.values(), *(path for path in tools if path))
        make_wheel(shop.folder, pin.name, pin.version, dict.fromkeys(paths, b"x"), tag="py3-none-manylinux_2_17_x86_64")
    library = framework("libcudart.so.12", "libcudnn.so.9", options=(guard_source(tmp_path, *AVX2_FMA),))
    members = {
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_framework.so.2": library,
    }

    def build(python: str) -> Path:
        tag = f"{python}-{python}-manylinux_2_40_x86_64"
        return make_wheel(shop.folder, "tensorflow", "2.99.0", members, tag=tag, more=AND_CUDA)

    return build


def test_a_row_is_written_out_of_the_wheel_alone(
    shop: Shop, matrix: Path, release: Callable[[str], Path], tmp_path: Path
) -> None:
    release("cp312")
    make_wheel(shop.folder, "numpy", "1.26.4", {"numpy/__init__.py": b""}, tag="cp312-cp312-manylinux_2_17_x86_64")
    before = matrix.read_text()
    shown = propose(shop, tmp_path, "--tf", "2.99.0", "--no-import", "--json")
    document = json.loads(shown.stdout)
    assert (shown.returncode, document["problems"], document["counts"]["contradicted"]) == (0, [], 0), shown.stderr
    assert matrix.read_text() == before
    done = propose(shop, tmp_path, "--tf", "2.99.0", "--no-import", "--write")
    assert (done.returncode, done.stderr) == (0, "")
    text = matrix.read_text()
    assert text == canonical(text)
    assert "  # ours begin with 1.15\n  tensorflow-gpu==1.15.5:\n" in text
    row = load(matrix).rows[-1]
    assert (row.requirement, row.cuda.text, row.cudnn.text) == (NAME, "12.5.1", "9.3")
    assert row.gate == ("libcudart.so.12", "libcudnn.so.9")
    assert [item.ident for item in row.sets] == ["cu125-cudnn93"]
    assert [python.text for python in row.pythons] == ["3.12"]
    (fault,) = row.faults
    assert fault.code == "search-path"
    assert "libcudnn.so.9" in fault.what
    assert row.certainty("arch").value == "artifact"
    assert row.certainty("xla").value == "derived"
    assert [item.text for item in row.sass] == ["8.0", "9.0"]
    again = propose(shop, tmp_path, "--tf", "2.99.0", "--no-import", "--write")
    assert again.returncode == 2
    assert "known-release" in again.stderr
    assert matrix.read_text() == text


def test_what_the_cpu_must_have_comes_from_the_wheel(
    shop: Shop, matrix: Path, release: Callable[[str], Path], tmp_path: Path
) -> None:
    release("cp312")
    done = propose(shop, tmp_path, "--tf", "2.99.0", "--no-import", "--json")
    document = json.loads(done.stdout)
    tables = tables_of(document["text"])
    row = tables["releases"][NAME]
    assert row["cpu"] == "avx2 fma"
    assert tables["claims"][row["claims"]]["cpu"] == "wheel-guard"
    assert tables["evidence"]["wheel-guard"]["kind"] == "artifact"
    assert "it refuses to run without avx2 fma (it was avx)" in document["breaking"]
    assert matrix.read_text() != document["text"]


def test_a_requirement_that_nothing_meets_takes_a_python_away(
    shop: Shop, matrix: Path, release: Callable[[str], Path], tmp_path: Path
) -> None:
    release("cp311")
    release("cp312")
    make_wheel(shop.folder, "numpy", "1.26.4", {"numpy/__init__.py": b""}, tag="cp311-cp311-manylinux_2_17_x86_64")
    done = propose(shop, tmp_path, "--tf", "2.99.0", "--no-import", "--write")
    assert done.returncode == 0, done.stdout + done.stderr
    row = load(matrix).rows[-1]
    assert [python.text for python in row.pythons] == ["3.11"]
    assert "python-3.12-without-wheels" in {fault.code for fault in row.faults}


def test_a_build_without_cuda_is_no_row(shop: Shop, matrix: Path, tmp_path: Path) -> None:
    info = b"build_info = {'is_cuda_build': False}\n"
    make_wheel(shop.folder, "tensorflow", "2.98.0", {"tensorflow/python/platform/build_info.py": info})
    before = matrix.read_text()
    done = propose(shop, tmp_path, "--tf", "2.98.0", "--no-import", "--write")
    assert done.returncode == 2
    assert "no-cuda-build" in done.stderr
    assert matrix.read_text() == before


def test_what_nobody_can_mean_is_refused(shop: Shop, matrix: Path, tmp_path: Path) -> None:
    before = matrix.read_text()
    for words, code in (((), "bad-tf-spec"), (("--tf", "x"), "bad-tf-spec"), (("--tf", "2.97.0"), "unknown-release")):
        done = propose(shop, tmp_path, *words, "--no-import")
        assert (done.returncode, code in done.stderr) == (2, True), done.stderr
    assert matrix.read_text() == before


ROWS = load().rows
TABLES = tables_of(default_path().read_text())
BY_REPORTS = {"tensorflow==2.21.0"}
"""Its first set is preferred for what users reported of cuDNN."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.requirement)
def test_the_rule_for_sets_is_that_of_the_matrix(row: Row) -> None:
    # Sets that an extra pins more narrowly are told apart by the index tests; here the extra is what the row's set is.
    pins = tuple(f"{pin.name}=={pin.version}" for item in row.sets[:1] for pin in item.pins if row.search.nvidia)
    wanted = Wanted(row.release.release, row.cuda, row.cudnn, row.gate, row.optional, pins)
    found = serving(wanted, load().sets.values(), TABLES["aliases"])
    assert found.alias == TABLES["releases"][row.requirement].get("aliases", "")
    assert [item.ident for item in found.conda] == [item.ident for item in row.conda_sets]
    if row.requirement not in BY_REPORTS:
        assert [item.ident for item in found.wheels] == [item.ident for item in row.sets]


def test_entries_go_into_the_text_and_nothing_else_changes() -> None:
    text = default_path().read_text()
    entry: Mapping[str, Any] = {"kind": "RUNPATH", "origin": "no", "nvidia": "cublas/lib"}
    new = with_entries(text, {"search_paths": {"runpath-9": entry}})
    assert tables_of(new)["search_paths"]["runpath-9"] == entry
    changed = [line for line in difference(text, new).splitlines()[2:] if line[0] in "+-"]
    assert changed == ["+  runpath-9:", "+    kind: RUNPATH", "+    origin: no", "+    nvidia: cublas/lib"]

"""What is read of the CUDA libraries, with TensorFlow's loader in small and the real dynamic loader."""

from __future__ import annotations

from pathlib import Path

import pytest
from snapshot.tiny import CUDART, CUDNN, TRUNCATABLE, Tiny, compiler, make

from provision.matrix import load
from provision.model.matrix import Matrix


@pytest.fixture(scope="session")
def matrix() -> Matrix:
    return load()


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    found = compiler()
    if found is None:
        pytest.skip("no C compiler on PATH to build tiny shared libraries")
    return make(tmp_path / "env", found)


def test_found_with_file_version_and_place(tiny: Tiny, matrix: Matrix) -> None:
    tiny.framework(CUDART, CUDNN)
    runtime, cudnn = tiny.library(CUDART), tiny.library(CUDNN)
    facts = tiny.read(matrix)
    assert facts.gate is not None
    assert [(item.soname, item.file, item.version, item.inside) for item in facts.gate.libraries] == [
        (CUDART, str(runtime), "12.5", True),
        (CUDNN, str(cudnn), "9.3.0", True),
    ]
    assert facts.gate_bare == facts.gate
    assert facts.provided == {CUDART: str(runtime), CUDNN: str(cudnn)}
    assert (facts.search_kind, facts.search) == ("RUNPATH", (str(runtime.parent), str(cudnn.parent)))
    assert (facts.wiring, facts.elsewhere, facts.library_path) == ("", {}, ())


def test_not_searched_and_provided_all_the_same(tiny: Tiny, matrix: Matrix) -> None:
    tiny.framework(CUDNN, runpath="$ORIGIN")
    cudnn = tiny.library(CUDNN)
    facts = tiny.read(matrix)
    assert facts.gate is not None
    (item,) = facts.gate.missing
    assert item.error == f"{CUDNN}: cannot open shared object file: No such file or directory"
    assert any("RUNPATH" in why for why, _ in item.searched)
    assert facts.provided == {CUDNN: str(cudnn)}


def test_the_users_variable_is_seen_and_so_is_its_absence(tiny: Tiny, matrix: Matrix, tmp_path: Path) -> None:
    tiny.framework(CUDART, CUDNN)
    tiny.library(CUDART)
    right = tiny.library(CUDNN)
    old = tiny.library(CUDNN, tmp_path / "old", "unsigned long cudnnGetVersion(void) { return 90100; }")
    facts = tiny.read(matrix, LD_LIBRARY_PATH=f"{old.parent}:{tmp_path}/none")
    assert facts.gate is not None
    assert facts.gate_bare is not None
    user, bare = facts.gate.library("libcudnn"), facts.gate_bare.library("libcudnn")
    assert user is not None
    assert bare is not None
    assert (user.file, user.version, user.inside) == (str(old), "9.1.0", False)
    assert (bare.file, bare.version) == (str(right), "9.3.0")
    assert [(folder.path, folder.exists, folder.libraries) for folder in facts.library_path] == [
        (str(old.parent), True, (CUDNN,)),
        (f"{tmp_path}/none", False, ()),
    ]


def test_what_is_preloaded_answers(tiny: Tiny, matrix: Matrix, tmp_path: Path) -> None:
    tiny.framework(CUDNN)
    tiny.library(CUDNN)
    bogus = tiny.library(CUDNN, tmp_path / "bogus", "int nothing;")
    facts = tiny.read(matrix, LD_PRELOAD=str(bogus))
    assert facts.gate is not None
    (item,) = facts.gate.libraries
    assert (item.file, item.impostor) == (str(bogus), True)
    assert facts.preloaded == ((str(bogus), str(bogus)),)
    assert facts.gate_bare is not None
    assert not facts.gate_bare.libraries[0].impostor


@pytest.mark.parametrize("earlier", [(), (CUDART,)])
def test_a_library_cut_short_is_the_culprit(tiny: Tiny, matrix: Matrix, earlier: tuple[str, ...]) -> None:
    tiny.framework(*earlier, CUDNN)
    for name in earlier:
        tiny.library(name)
    whole = tiny.library(CUDNN, None, TRUNCATABLE)
    with whole.open("r+b") as stream:
        stream.truncate(whole.stat().st_size // 2)
    facts = tiny.read(matrix)
    assert facts.gate is not None
    assert (facts.gate.ended, facts.gate.culprit) == ("signal SIGBUS", str(whole))


def test_a_framework_library_that_cannot_be_read(tiny: Tiny, matrix: Matrix) -> None:
    file = tiny.framework(CUDNN)
    file.write_bytes(file.read_bytes()[:1000])
    facts = tiny.read(matrix)
    assert facts.gate is not None
    assert facts.gate.unloadable.startswith("it cannot be read: ")


def test_a_build_without_cuda_is_not_asked(tiny: Tiny, matrix: Matrix) -> None:
    tiny.framework(CUDNN)
    tiny.environment.tensorflow("", cuda=False)
    assert tiny.read(matrix).gate is None


def test_what_lies_on_the_machine_where_nobody_looks(tiny: Tiny, matrix: Matrix, tmp_path: Path) -> None:
    tiny.framework(CUDART, CUDNN)
    folder = tmp_path / "root/usr/local/cuda-12.5/lib64"
    folder.mkdir(parents=True)
    (folder / CUDART).write_bytes(b"")
    facts = tiny.read(matrix, tmp_path / "root")
    assert facts.elsewhere == {CUDART: f"/usr/local/cuda-12.5/lib64/{CUDART}"}


def test_wiring_that_was_torn(tiny: Tiny, matrix: Matrix) -> None:
    tiny.framework(CUDNN)
    tiny.library(CUDNN)
    record = tiny.environment.prefix / ".tfgpu/wiring.json"
    record.parent.mkdir()
    record.write_text("{}")
    assert tiny.read(matrix).wiring.startswith("its record cannot be read: ")


@pytest.mark.parametrize(
    ("toolkit", "flags", "why"),
    [
        ("", "", None),
        ("usr/local/cuda", "", "CUDA toolkit"),
        ("usr/local/cuda-12.5", "", "CUDA toolkit"),
        ("usr/local/cuda-11.2", "", None),
        ("opt/mine", "--xla_gpu_cuda_data_dir=/opt/mine", "XLA_FLAGS"),
        ("opt/my cuda", '--a=b --xla_gpu_cuda_data_dir="/opt/my cuda"', "XLA_FLAGS"),
        ("opt/mine", "--xla_gpu_cuda_data_dir=/opt/other", None),
    ],
)
def test_where_xla_finds_its_tools(tiny: Tiny, matrix: Matrix, *, toolkit: str, flags: str, why: str | None) -> None:
    root = tiny.environment.prefix.parent / "root"
    for part in ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc") if toolkit else ():
        file = root / toolkit / part
        file.parent.mkdir(parents=True)
        file.touch(0o755)
    tools = tiny.read(matrix, root, PATH="/nowhere", XLA_FLAGS=flags).tools
    assert {tool.name: tool.why if tool.found else None for tool in tools} == {"ptxas": why, "libdevice": why}


def test_the_wheel_of_the_compiler_is_found_from_2_14_on(tiny: Tiny, matrix: Matrix) -> None:
    for part in ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc"):
        tiny.environment.write(f"nvidia/cuda_nvcc/{part}").chmod(0o755)
    found = {tool.name: tool.why for tool in tiny.read(matrix, Path("/"), PATH="/nowhere").tools if tool.found}
    assert set(found) == {"ptxas", "libdevice"}
    assert set(found.values()) <= {"wheel", "CUDA toolkit"}

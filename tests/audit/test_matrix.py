"""Claims held against wheels: what is right is confirmed, and a fault planted in any kind of claim is named."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from audit.conftest import FRAMEWORK
from audit.guards import AVX, guard_source
from audit.lab import Shop, make_wheel, start
from packaging.version import Version

import provision
from provision.audit.claims.row import Read, row_claims
from provision.audit.claims.sets import common_code, newest_ptx
from provision.audit.contents.demands import applies, meeting
from provision.audit.matrix import audit_matrix
from provision.audit.reading.cache import Cache
from provision.audit.reading.net import Net
from provision.audit.reading.reader import Reader
from provision.errors import ToolFailedError
from provision.matrix import load
from provision.model.artifact import Artifact, Release
from provision.model.audit import Claim, ClaimVerdict, MatrixAudit
from provision.model.wheel import CodeCount, CodeFacts, GuardFacts, WheelFacts
from provision.system import System

TAG = "cp312-cp312-manylinux_2_40_x86_64"
NAME = f"tensorflow-2.99.0-{TAG}.whl"
BUILD_INFO = (
    "build_info = {'cuda_version': '12.5.1', 'cudnn_version': '9', 'is_cuda_build': True, "
    "'cuda_compute_capabilities': ['sm_80', 'compute_90']}\n"
)
MORE = (
    "Requires-Dist: numpy>=1.26\nRequires-Dist: old~=1.0\nProvides-Extra: and-cuda\n"
    'Requires-Dist: nvidia-cuda-runtime-cu12==12.5.82; extra == "and-cuda"\n'
    'Requires-Dist: nvidia-cudnn-cu12<10.0,>=9.3; extra == "and-cuda"\n'
)
MATRIX = """\
schema: 1
evidence:
  page: {kind: vendor, source: "https://example.org/page", date: 2026-01-02}
  wheel: {kind: artifact, source: "{wheel}", date: 2026-01-02}
cuda_families:
  12: {linux: 525.60.13, windows: 528.33, evidence: page}
driver_branches:
  525: {cuda: 12.0, evidence: page}
ptx_isa:
  evidence: page
  cuda:
    12.5: 8.5
gpus:
  8.0: {architecture: Ampere, first_cuda: 11.0, first_branch: 450, evidence: page}
wheels:
  nvidia-cuda-runtime-cu12: {folder: nvidia/cuda_runtime/lib, libraries: libcudart.so.12, evidence: wheel}
  nvidia-cudnn-cu12 9: {folder: nvidia/cudnn/lib, libraries: libcudnn.so.9, evidence: wheel}
conda_packages:
  cudnn: {folder: lib, libraries: libcudnn.so.9, evidence: page}
sets:
  cu125:
    cuda: 12.5.1
    cudnn: 9.3
    gpus: 8.0 9.0
    sass: 8.0 9.0
    ptx: 9.0
    pins:
      nvidia-cuda-runtime-cu12: 12.5.82
      nvidia-cudnn-cu12: 9.3.0.75
    evidence: wheel
gates:
  twelve: libcudart.so.12 libcudnn.so.9
optional:
  profiler:
    cupti: libcupti.so.12
code:
  new:
    sass: 8.0 9.0
    ptx: 9.0
    modules:
      - {target: 9.0, isa: 8.3, count: 5}
search_paths:
  runpath:
    kind: RUNPATH
    origin: no
    nvidia: cuda_runtime/lib
aliases:
  none: {libelse.so.1: libcudnn.so.9}
constraints:
  numpy-1: {requirement: numpy<2, why: it breaks, evidence: page}
source_only:
  old-1.0:
    name: old
    version: 1.0
    sha256: 0000000000000000000000000000000000000000000000000000000000000000
    why: demanded exactly
    evidence: page
faults:
  lost: {code: search-path, what: cuDNN is not found, handled: links, evidence: wheel}
  unlucky: {code: and-cuda-unresolvable, what: the extra cannot be had, evidence: wheel}
  slow: {code: slow-start, what: it starts slowly, evidence: page}
claims:
  read:
    arch: wheel
    build: wheel
    constraints: page
    cpu: page
    cudnn: page
    gate: wheel
    optional: wheel
    platform: page
    python: page
    search: wheel
    sets: wheel
    xla: wheel
releases:
  tensorflow==2.99.0:
    released: 2026-01-02
    pythons: 3.12
    platform: manylinux_2_40_x86_64
    glibc: 2.40
    cpu: avx
    cuda: 12.5.1
    cudnn: 9.3
    gate: twelve
    optional: profiler
    code: new
    search: runpath
    xla_finds_wheels: no
    constraints: numpy-1
    source_only: old-1.0
    faults: lost slow
    sets: cu125
    wheel: NAME
    sha256: HASH
    claims: read
unserved:
  macos: {title: macOS, system: macos, why: no GPU, instead: Linux, evidence: page}
"""


def stock(shop: Shop, library: bytes) -> Path:
    """Lay TensorFlow 2.99.0 and its NVIDIA wheels into a shop; one of cuDNN is empty."""
    for version, names in (("9.3.0.75", ["libcudnn.so.9"]), ("9.4.0.1", []), ("9.2.0.1", ["libcudnn.so.9"])):
        make_wheel(shop.folder, "nvidia-cudnn-cu12", version, {f"nvidia/cudnn/lib/{name}": b"x" for name in names})
    make_wheel(shop.folder, "nvidia-cuda-runtime-cu12", "12.5.82", {"nvidia/cuda_runtime/lib/libcudart.so.12": b"x"})
    members = {
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_framework.so.2": library,
    }
    return make_wheel(shop.folder, "tensorflow", "2.99.0", members, more=MORE, tag=TAG)


@pytest.fixture
def wheel(shop: Shop, framework: Callable[..., bytes]) -> Path:
    """TensorFlow 2.99.0 in the shop."""
    return stock(shop, framework("libcudart.so.12", "libcudnn.so.9"))


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, compile_library: Callable[..., Path]) -> Iterator[Standing]:
    """A shop that stays, and what was once read of it: each planted fault is a matter of judging alone."""
    folder = tmp_path_factory.mktemp("standing")
    (folder / "shop").mkdir()
    shop = Shop(folder / "shop")
    code = f'#define NAMES "libcudart.so.12", "libcudnn.so.9"\n{FRAMEWORK.read_text()}'
    search = "-Wl,-rpath,$ORIGIN/../nvidia/cuda_runtime/lib"
    name = "libtensorflow_framework.so.2"
    options = (guard_source(folder, *AVX), search, "-Wl,--enable-new-dtags", "-ldl")
    wheel = stock(shop, compile_library(code, name, *options).read_bytes())
    server = start(shop)
    environ = {"UV_DEFAULT_INDEX": shop.address, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
    system = System({**environ, "HOME": str(folder), "PATH": os.defpath})
    with Reader(system, Net(pause=0.01), Cache(folder / "cache")) as reader:
        yield Standing(reader, hashlib.sha256(wheel.read_bytes()).hexdigest())
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class Standing:
    """A reader of a shop that stays, and the sha256 of its TensorFlow."""

    reader: Reader
    sha256: str


@pytest.fixture
def text(wheel: Path) -> str:
    """A matrix of which every claim that the wheel can decide is true."""
    return MATRIX.replace("NAME", NAME).replace("HASH", hashlib.sha256(wheel.read_bytes()).hexdigest())


def audited(reader: Reader, file: Path, text: str, *, deep: bool = False) -> MatrixAudit:
    file.write_text(text)
    matrix = load(file)
    return audit_matrix(reader, matrix, matrix.rows, deep=deep)


def contradicted(audit: MatrixAudit) -> list[Claim]:
    return [claim for claim in audit.claims if claim.verdict is ClaimVerdict.CONTRADICTED]


def test_a_true_matrix_is_confirmed(reader: Reader, tmp_path: Path, text: str) -> None:
    audit = audited(reader, tmp_path / "matrix.yaml", text)
    assert contradicted(audit) == []
    confirmed = {(claim.kind, claim.claimed) for claim in audit.claims if claim.verdict is ClaimVerdict.CONFIRMED}
    for kind, claimed in (
        ("wheel", f"{NAME}, sha256 {audit_hash(text)}…"),
        ("python", "3.12"),
        ("platform", "manylinux_2_40_x86_64"),
        ("glibc", "2.40"),
        ("cuda", "12.5.1"),
        ("cudnn", "9"),
        ("gate", "libcudnn.so.9"),
        ("optional", "cupti: libcupti.so.12"),
        ("search", "RUNPATH"),
        ("sass", "8.0 9.0"),
        ("ptx", "9.0"),
        ("sets", "cu125 has every library of the gate"),
        ("reach", "cu125 is found only when it is wired"),
        ("extra", "cu125 is what its extra and-cuda admits"),
        ("pin", "nvidia-cudnn-cu12==9.3.0.75"),
        ("library", "libcudnn.so.9: nvidia/cudnn/lib/libcudnn.so.9"),
        ("source_only", "it demands old 1.0, which has no wheel"),
    ):
        assert (kind, claimed) in confirmed
    for kind, verdict, evidence in (
        ("cpu", ClaimVerdict.UNDECIDABLE, "vendor: https://example.org/page"),
        ("constraints", ClaimVerdict.UNDECIDABLE, "vendor: https://example.org/page"),
        ("driver-floor", ClaimVerdict.UNDECIDABLE, "vendor: https://example.org/page"),
        ("modules", ClaimVerdict.NOT_READ, f"artifact: {NAME}"),
    ):
        assert [(claim.verdict, claim.evidence) for claim in audit.claims if claim.kind == kind] == [
            (verdict, evidence)
        ], kind


def audit_hash(text: str) -> str:
    return re.findall(r"sha256: ([0-9a-f]{12})", text)[-1]


PLANTED = {
    "another SONAME": (
        [("libcudart.so.12 libcudnn.so.9", "libcudart.so.12 libcudnn.so.8"), (": libcudnn.so.9,", ": libcudnn.so.8,")],
        ("gate", "libcudnn.so.8", "libcudnn.so.9"),
    ),
    "a library too few in the gate": (
        [("twelve: libcudart.so.12 libcudnn.so.9", "twelve: libcudart.so.12")],
        ("gate", "no other library", "libcudnn.so.9"),
    ),
    "another optional SONAME": (
        [("cupti: libcupti.so.12", "cupti: libcupti.so.11.8")],
        ("optional", "cupti: libcupti.so.11.8", "cupti: libcupti.so.12"),
    ),
    "a Python without a wheel": ([("pythons: 3.12", "pythons: 3.11 3.12")], ("python", "3.11 3.12", "3.12")),
    "an older glibc": ([("glibc: 2.40", "glibc: 2.17")], ("glibc", "2.17", "2.40 by the tag")),
    "another machine code": (
        [("sass: 8.0 9.0\n    ptx: 9.0\n    modules", "sass: 8.0 8.9\n    ptx: 9.0\n    modules")],
        ("sass", "8.0 8.9", "8.0 9.0"),
    ),
    "another PTX": ([("ptx: 9.0\n    modules", "ptx: 8.0\n    modules")], ("ptx", "8.0", "9.0")),
    "RPATH": ([("kind: RUNPATH", "kind: RPATH")], ("search", "RPATH", "RUNPATH")),
    "its own folder": ([("origin: no", "origin: yes")], ("search", "its own folder", "not its own folder")),
    "another search path": (
        [("nvidia: cuda_runtime/lib", "nvidia: cuda_runtime/lib cudnn/lib")],
        ("search", "cuda_runtime/lib cudnn/lib", "cuda_runtime/lib"),
    ),
    "no fault": (
        [("faults: lost slow", "faults: slow")],
        ("reach", "cu125 is found by itself", "not found: libcudnn.so.9"),
    ),
    "a fault that is none": (
        [("faults: lost slow", "faults: lost unlucky")],
        ("faults", "and-cuda-unresolvable: the extra cannot be had", "each has one"),
    ),
    "a set that lacks a library": (
        [("nvidia-cudnn-cu12: 9.3.0.75", "nvidia-cudnn-cu12: 9.4.0.1")],
        ("sets", "cu125 has every library of the gate", "it lacks libcudnn.so.9"),
    ),
    "a library elsewhere": (
        [("folder: nvidia/cudnn/lib", "folder: nvidia/cudnn/lib64")],
        ("library", "libcudnn.so.9: nvidia/cudnn/lib64/libcudnn.so.9", "nvidia/cudnn/lib/libcudnn.so.9"),
    ),
    "a pin that is not there": (
        [("nvidia-cudnn-cu12: 9.3.0.75", "nvidia-cudnn-cu12: 9.3.0.99")],
        ("pin", "nvidia-cudnn-cu12==9.3.0.99", "the index has no such wheel"),
    ),
    "a pin that the extra forbids": (
        [("nvidia-cudnn-cu12: 9.3.0.75", "nvidia-cudnn-cu12: 9.2.0.1")],
        ("extra", "cu125 is what its extra and-cuda admits", "nvidia-cudnn-cu12==9.2.0.1"),
    ),
    "ptxas that is not there": (
        [("    evidence: wheel\ngates", "    ptxas: nvidia/cuda_nvcc/bin/ptxas\n    evidence: wheel\ngates")],
        ("ptxas", "nvidia/cuda_nvcc/bin/ptxas", "none"),
    ),
    "another CUDA": ([("avx\n    cuda: 12.5.1", "avx\n    cuda: 12.3")], ("cuda", "12.3", "12.5.1")),
    "another cuDNN": ([("cudnn: 9.3\n", "cudnn: 8.9\n")], ("cudnn", "8", "9")),
    "another hash": ([("sha256: HASH", f"sha256: {'1' * 64}")], ("wheel", NAME, "sha256")),
    "another platform": (
        [("platform: manylinux_2_40_x86_64", "platform: manylinux_2_40_x86_64.manylinux2014_x86_64")],
        ("platform", "manylinux2014_x86_64", "manylinux_2_40_x86_64"),
    ),
    "an alias nobody asks for": (
        [
            ("    search: runpath\n    xla", "    search: runpath\n    aliases: none\n    xla"),
            ("    arch: wheel\n", "    aliases: page\n    arch: wheel\n"),
        ],
        ("aliases", "libelse.so.1 is asked for", "does not ask for libelse.so.1"),
    ),
    "an idle constraint": (
        [("requirement: numpy<2", "requirement: numpy<1.20")],
        ("constraints", "numpy<1.20", "numpy>=1.26"),
    ),
    "a source archive that nobody demands": (
        [("version: 1.0\n", "version: 2.0\n")],
        ("source_only", "it demands old 2.0", "it demands old~=1.0"),
    ),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_contradicted(standing: Standing, tmp_path: Path, plant: str) -> None:
    changes, (kind, claimed, found) = PLANTED[plant]
    planted = MATRIX
    for old, new in changes:
        assert old in planted
        planted = planted.replace(old, new)
    planted = planted.replace("NAME", NAME).replace("HASH", standing.sha256)
    claims = contradicted(audited(standing.reader, tmp_path / "matrix.yaml", planted))
    assert any(claim.kind == kind and claimed in claim.claimed and found in claim.found for claim in claims), claims
    # A set without its library, or of another cuDNN, is wrong in more than one way; everything else in one.
    assert len(claims) <= 3
    assert all(claim.evidence for claim in claims)


CHECKED = "sse sse2 sse3 sse4_1 sse4_2 avx"


@pytest.mark.parametrize(
    ("cpu", "wrong"),
    [
        ("avx", []),
        ("sse4_2 avx", []),
        ("avx avx2", [("avx2", f"it checks {CHECKED}")]),
        ("fma", [("fma", f"it checks {CHECKED}")]),
        ("sse4_2", [("no other instruction set", "avx")]),
    ],
)
def test_what_is_needed_of_the_cpu(standing: Standing, tmp_path: Path, cpu: str, wrong: list[tuple[str, str]]) -> None:
    planted = MATRIX.replace("NAME", NAME).replace("HASH", standing.sha256).replace("cpu: avx", f"cpu: {cpu}")
    audit = audited(standing.reader, tmp_path / "matrix.yaml", planted, deep=True)
    assert [(claim.claimed, claim.found) for claim in contradicted(audit) if claim.kind == "cpu"] == wrong
    right = {claim.claimed for claim in audit.claims if claim.kind == "cpu" and claim.verdict is ClaimVerdict.CONFIRMED}
    assert right == set(cpu.split()) - {claimed for claimed, _ in wrong}
    assert {claim.evidence for claim in audit.claims if claim.kind == "cpu"} == {NAME}


@pytest.mark.parametrize(
    ("guard", "cpu", "verdict", "note"),
    [
        (None, "avx", ClaimVerdict.NOT_READ, ""),
        (GuardFacts(None, "it is stripped"), "avx", ClaimVerdict.UNDECIDABLE, "it is stripped"),
        (GuardFacts(("avx",)), "avx f16c", ClaimVerdict.UNDECIDABLE, "TensorFlow checks no such set"),
    ],
)
def test_a_check_of_the_cpu_that_does_not_say(
    tmp_path: Path, guard: GuardFacts | None, cpu: str, verdict: ClaimVerdict, note: str
) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(MATRIX.replace("NAME", NAME).replace("HASH", "1" * 64).replace("cpu: avx", f"cpu: {cpu}"))
    row = load(file).rows[0]
    facts = WheelFacts(Artifact("tensorflow", "2.99.0", NAME), guard=guard)
    claims = [claim for claim in row_claims(row, Read({row.requirement: facts})) if claim.kind == "cpu"]
    assert (claims[-1].verdict, claims[-1].note) == (verdict, note)
    assert claims[-1].evidence == "vendor: https://example.org/page"


def test_a_source_archive_that_got_a_wheel(reader: Reader, shop: Shop, tmp_path: Path, text: str) -> None:
    make_wheel(shop.folder, "old", "1.0.1", {}, tag="py3-none-any")
    claims = contradicted(audited(reader, tmp_path / "matrix.yaml", text))
    assert [(claim.kind, claim.found) for claim in claims] == [("source_only", "old~=1.0: old-1.0.1-py3-none-any.whl")]


def test_an_extra_that_can_no_longer_be_met(reader: Reader, shop: Shop, tmp_path: Path, text: str) -> None:
    planted = text.replace("faults: lost slow", "faults: lost")
    for file in shop.folder.glob("nvidia_cuda_runtime_cu12-*"):
        file.unlink()
    audit = audited(reader, tmp_path / "matrix.yaml", planted)
    claims = {claim.kind: claim.found for claim in contradicted(audit)}
    assert claims["faults"] == "no wheel of nvidia-cuda-runtime-cu12==12.5.82 for Python 3.12"
    unread = {claim.kind for claim in audit.claims if claim.verdict is ClaimVerdict.NOT_READ}
    assert {"sets", "reach", "library"} <= unread


def test_a_wheel_that_lies_leaves_its_claims_unread(reader: Reader, shop: Shop, tmp_path: Path, text: str) -> None:
    make_wheel(shop.folder, "tensorflow", "2.99.0", {"tensorflow/x": b"x"}, record={"tensorflow/x": b"y"}, tag=TAG)
    file = shop.folder / NAME
    damaged = file.read_bytes().replace(b"PK\x05\x06", b"PK\x00\x00")
    file.write_bytes(damaged)
    planted = re.sub(r"(?m)^(    sha256: )[0-9a-f]{64}$", rf"\g<1>{hashlib.sha256(damaged).hexdigest()}", text)
    audit = audited(reader, tmp_path / "matrix.yaml", planted)
    gate = [claim for claim in audit.claims if claim.kind == "gate"]
    assert {claim.verdict for claim in gate} == {ClaimVerdict.NOT_READ}
    assert all(NAME in claim.note for claim in gate)


def test_no_index_is_no_verdict(reader: Reader, tmp_path: Path, text: str) -> None:
    system = System({**reader.system.environ, "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple/"})
    with Reader(system, Net(pause=0.01), reader.cache) as nowhere, pytest.raises(ToolFailedError) as failure:
        audited(nowhere, tmp_path / "matrix.yaml", text)
    assert failure.value.code == "index-not-readable"


def run(shop: Shop, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    environ |= {"UV_DEFAULT_INDEX": shop.address, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
    environ |= {"PYTHONPATH": str(Path(provision.__file__).parents[1])}
    command = [sys.executable, "-m", "provision", "audit", "matrix", *words]
    return subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_the_command(shop: Shop, tmp_path: Path, text: str) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(text)
    done = run(shop, tmp_path, "--matrix", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tensorflow==2.99.0: 0 claims contradicted, ")
    asked = len(shop.asked)
    again = run(shop, tmp_path, "2.99", "--matrix", str(file), "--json")
    document = json.loads(again.stdout)
    assert document["counts"]["contradicted"] == again.returncode == document["exit_code"] == 0
    assert document["cost"]["cached"]
    assert len(shop.asked) == asked, "the second time nothing is read"
    file.write_text(text.replace("glibc: 2.40", "glibc: 2.17"))
    wrong = run(shop, tmp_path, "--matrix", str(file))
    assert wrong.returncode == 1
    assert "CONTRADICTED tensorflow==2.99.0: glibc" in wrong.stdout
    assert shop.address not in done.stdout + again.stdout + wrong.stdout
    unknown = run(shop, tmp_path, "9.9", "--matrix", str(file))
    assert unknown.returncode == 2
    assert "[unknown-release]" in unknown.stderr


def artifact(filename: str, requires_python: str = "", *, yanked: bool = False) -> Release:
    version = filename.split("-")[1]
    return Release("it", version, (Artifact("it", version, filename, "", 0, yanked, "", requires_python),))


@pytest.mark.parametrize(
    ("release", "python", "met"),
    [
        (artifact("it-1.0-py3-none-any.whl"), "3.8", True),
        (artifact("it-1.0-py2-none-any.whl"), "3.8", False),
        (artifact("it-1.0-py3-none-any.whl", ">=3.9"), "3.8", False),
        (artifact("it-1.0-py3-none-any.whl", ">=3.9"), "3.9", True),
        (artifact("it-1.0-cp37-cp37m-manylinux1_x86_64.whl"), "3.7", True),
        (artifact("it-1.0-cp36-abi3-manylinux_2_28_x86_64.whl"), "3.12", True),
        (artifact("it-1.0-cp310-none-manylinux_2_17_x86_64.whl"), "3.11", False),
        (artifact("it-1.0-py3-none-manylinux_2_17_aarch64.whl"), "3.11", False),
        (artifact("it-1.0-py3-none-any.whl", yanked=True), "3.11", False),
        (artifact("it-2.0-py3-none-any.whl"), "3.11", False),
    ],
)
def test_what_meets_a_requirement(release: Release, python: str, *, met: bool) -> None:
    demand = applies("it<2", python)
    assert demand is not None
    assert bool(meeting(demand, python, {Version(release.version): release})) is met
    assert applies('it; sys_platform == "win32"', python) is None


def code(*, sass: str = "8.0 9.0a", target: str = "9.0", isa: str = "8.3", count: int = 5) -> CodeFacts:
    machine = tuple(CodeCount(item, 5) for item in sass.split())
    return CodeFacts("tensorflow/lib.so", 5, machine, (CodeCount(target, count, isa, ("8.0", "9.0a")),))


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (code(), []),
        (code(sass="8.0 8.9"), ["sass"]),
        (code(target="8.0"), ["ptx", "modules"]),
        (code(target="9.0a"), ["ptx", "modules"]),
        (code(isa="8.5"), ["modules"]),
        (code(count=4), ["modules"]),
    ],
)
def test_code_that_was_read_decides(tmp_path: Path, found: CodeFacts, kinds: list[str]) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(MATRIX.replace("NAME", NAME).replace("HASH", "1" * 64))
    row = load(file).rows[0]
    facts = WheelFacts(Artifact("tensorflow", "2.99.0", NAME), code=(found,))
    claims = row_claims(row, Read({row.requirement: facts}, nvcc={row.requirement: False}))
    assert [claim.kind for claim in claims if claim.verdict is ClaimVerdict.CONTRADICTED] == kinds
    wrong = row_claims(row, Read({row.requirement: facts}, nvcc={row.requirement: True}))
    assert [claim.found for claim in wrong if claim.kind == "xla"] == ["it knows it"]
    assert {claim.kind for claim in claims if claim.verdict is ClaimVerdict.CONFIRMED} == {
        "sass",
        "ptx",
        "modules",
        "glibc",
        "xla",
    } - set(kinds)


def library(name: str, sass: str, ptx: str) -> CodeFacts:
    machine = tuple(CodeCount(item, 1) for item in sass.split())
    return CodeFacts(f"nvidia/lib/{name}", 1, machine, tuple(CodeCount(item, 1, "8.8") for item in ptx.split()))


def test_code_of_a_set_is_what_every_library_serves() -> None:
    blas = [
        library("libcublas.so.12", "5.0 7.0 7.5 8.0 8.6 9.0", "9.0"),
        library("libcublasLt.so.12", "5.0 7.0 8.0 8.9 9.0", "9.0"),
    ]
    dnn = [
        library("libcudnn_adv.so.9", "7.5 8.0 8.6 9.0a 10.0f", "12.1"),
        library("libcudnn_engines.so.9", "5.0 7.0 7.5 8.0 8.6 9.0 10.0f", "5.2 12.1"),
        library("libcudnn.so.9", "", ""),
    ]
    assert {item.text for item in common_code([blas, dnn])} == {"7.5", "8.0", "8.6", "9.0"}
    assert [str(newest_ptx(mine)) for mine in (blas, dnn)] == ["9.0", "12.1"]

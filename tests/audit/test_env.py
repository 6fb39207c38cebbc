"""``audit env``: what is installed says what its wheel says."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.guards import AVX, AVX2_FMA, guard_source
from audit.lab import BUILD_INFO, make_wheel

from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.index import Located
from provision.audit.reading.reader import Reader
from provision.cli.main import main
from provision.errors import UsageError
from provision.model.installed import InstalledFacts
from provision.system import System
from provision.workflows.audit_env import audit_env


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of the packages of an empty virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True, timeout=120)
    return next((tmp_path / "env").glob("lib/python*/site-packages"))


def install(site: Path, *wheels: Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def read(site: Path) -> InstalledFacts:
    return audit_env(System(), str(site.parents[2]), folder=site)


def of_release(folder: Path, version: str, library: bytes) -> Path:
    members = {
        "tensorflow/__init__.py": b"raise SystemExit('nobody may import it')\n",
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_framework.so.2": library,
    }
    return make_wheel(folder, "tensorflow", version, members)


def test_it_says_what_the_wheel_says(reader: Reader, tensorflow: Path, site: Path) -> None:
    install(site, tensorflow)
    found = read(site)
    located: Located = reader.locate(str(tensorflow))
    wheel = wheel_facts(reader, located)
    assert (found.facts.names, found.facts.metadata, found.facts.framework) == (
        wheel.names,
        wheel.metadata,
        wheel.framework,
    )
    assert found.facts.artifact.filename == tensorflow.name
    assert (found.row, found.claims, found.kind) == ("", (), "venv")


def test_what_lies_where_nobody_looks_and_a_link_that_helps(tensorflow: Path, site: Path) -> None:
    install(site, tensorflow, *tensorflow.parent.glob("nvidia_cud*-9.3.0.75-*.whl"))
    install(site, *tensorflow.parent.glob("nvidia_cuda_runtime*.whl"))
    found = read(site)
    assert found.libraries == ("nvidia-cuda-runtime-cu12==12.5.82", "nvidia-cudnn-cu12==9.3.0.75")
    search = found.facts.search
    assert search is not None
    assert search.found == {"libcudart.so.12": "nvidia/cuda_runtime/lib/libcudart.so.12"}
    assert search.unfound == {"libcudnn.so.9": "nvidia/cudnn/lib/libcudnn.so.9"}
    (site / "nvidia/cuda_runtime/lib/libcudnn.so.9").symlink_to("../../cudnn/lib/libcudnn.so.9")
    search = read(site).facts.search
    assert search is not None
    assert (search.unfound, search.absent) == ({}, ())
    assert search.wheels[-1] == "links"


GATE = ("libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11", "libcusolver.so.11")


@pytest.mark.parametrize(
    ("last", "wrong"),
    [(("libcusparse.so.12", "libcudnn.so.9"), set()), (("libcusparse.so.12", "libcudnn.so.8"), {"gate", "cudnn"})],
)
def test_the_row_is_held_against_what_is_installed(
    framework: Callable[..., bytes], tmp_path: Path, site: Path, last: tuple[str, ...], wrong: set[str]
) -> None:
    install(site, of_release(tmp_path, "2.20.0", framework(*GATE, *last)))
    found = read(site)
    assert found.row == "tensorflow==2.20.0"
    # The little library has no search path of TensorFlow's, opens nothing else, and was built for few GPUs.
    decided = {claim.kind for claim in found.claims if claim.verdict.value == "contradicted"}
    decided -= {"search", "optional", "sass"}
    assert decided == wrong
    assert {claim.kind for claim in found.claims} >= {"gate", "cuda", "cudnn", "search"}


def test_in_a_conda_environment_the_libraries_of_its_prefix_count(
    framework: Callable[..., bytes], tmp_path: Path, site: Path
) -> None:
    prefix = site.parents[2]
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/tensorflow-2.20.0-cuda_1.json").write_text("{}")
    members = {"tensorflow/python/platform/build_info.py": BUILD_INFO.encode(), "tensorflow/__init__.py": b""}
    install(site, make_wheel(tmp_path, "tensorflow", "2.20.0", members))
    library = framework("libcudart.so.12", "libcudnn.so.9", runpath="$ORIGIN")
    (prefix / "lib/libtensorflow_framework.so.2").write_bytes(library)
    (prefix / "lib/libcudart.so.12").write_bytes(b"x")
    found = read(site)
    assert (found.kind, found.row, found.claims) == ("conda", "tensorflow==2.20.0", ())
    assert found.facts.framework is not None
    assert found.facts.framework.path == "lib/libtensorflow_framework.so.2"
    search = found.facts.search
    assert search is not None
    assert (search.found, search.absent) == ({"libcudart.so.12": "lib/libcudart.so.12"}, ("libcudnn.so.9",))


def test_deep_reads_whole_libraries(tensorflow: Path, site: Path) -> None:
    install(site, tensorflow)
    found = audit_env(System(), str(site.parents[2]), folder=site, deep=True)
    assert found.facts.code == ()


@pytest.mark.parametrize(("numbers", "wrong"), [(AVX, ""), (AVX2_FMA, "avx2 fma")])
def test_what_it_refuses_to_run_without_is_read(
    framework: Callable[..., bytes], tmp_path: Path, site: Path, numbers: tuple[int, ...], wrong: str
) -> None:
    library = framework(*GATE, options=(guard_source(tmp_path, *numbers),))
    install(site, of_release(tmp_path, "2.20.0", library))
    found = read(site)
    claims = {claim.claimed: (claim.verdict.value, claim.found) for claim in found.claims if claim.kind == "cpu"}
    assert claims.pop("avx")[0] == "confirmed"
    assert claims == ({"no other instruction set": ("contradicted", wrong)} if wrong else {})


def test_without_tensorflow_there_is_nothing_to_read(site: Path) -> None:
    with pytest.raises(UsageError) as error:
        read(site)
    assert error.value.code == "no-tensorflow"


@pytest.mark.parametrize("damage", ["framework", "RECORD", "METADATA", "WHEEL"])
def test_what_is_damaged_is_said_and_the_rest_is_read(tensorflow: Path, site: Path, damage: str) -> None:
    install(site, tensorflow)
    file = next(path for path in site.rglob("*") if path.name in {damage, f"libtensorflow_{damage}.so.2"})
    if damage == "framework":
        file.write_bytes(file.read_bytes()[:300])
    else:
        file.unlink()
    found = read(site)
    assert found.facts.unread
    assert found.facts.artifact.version == "2.99.0"


def test_as_it_is_typed(
    tensorflow: Path, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site, tensorflow)
    for words in ((), ("--json",)):
        monkeypatch.setattr("sys.argv", ["tfgpu-provision", "audit", "env", str(site.parents[2]), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    text, _, document = capsys.readouterr().out.partition("\n{")
    assert "GPU gate        libcudart.so.12 libcudnn.so.9" in text
    assert "finds 0 of 2 libraries of the GPU gate by its own search path" in text
    assert json.loads("{" + document)["facts"]["framework"]["gate"] == ["libcudart.so.12", "libcudnn.so.9"]

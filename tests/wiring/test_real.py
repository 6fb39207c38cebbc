"""Real environments from the package index: what TensorFlow itself lists under the fake driver, wired and not.

Each environment is made as a user would make it by hand, so that nothing but the wiring under test helps it.
"""

from __future__ import annotations

import mmap
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from thorough import sample
from uv import find_uv_bin
from wiring.real import bogus_libraries, make, run_child, snapshot
from wiring.samples import compiler, env_ref, library_set, row_of

from provision.model.environment import EnvRef
from provision.wiring import WiringReport, inspect, search_path, unwire, wire
from provision.wiring.libraries import read_shelf, stem
from provision.wiring.opens import opens

pytestmark = [pytest.mark.e2e, pytest.mark.index]
RELEASES = ("2.4.1", "2.10.1", "2.16.1", "2.21.0")
TOOLKIT = {"2.4.1": "11.8", "2.10.1": "11.8", "2.16.1": "12.3", "2.21.0": "12.9"}
# Opened by name, but of the driver, of a developer's tools, or a plug-in that nobody has to have.
_NOT_OURS = re.compile(
    r"lib(cuda|nvidia-\w+|nvidia-vksc-core|nvoptix|nvperf_\w+|nccl-\w+|nvvm|OpenCL|cudart|cupti)\.so"
)


@dataclass(frozen=True)
class Real:
    release: str
    prefix: Path
    env: EnvRef
    before: dict[str, str]
    found_unwired: dict[str, object]
    report: WiringReport


@pytest.fixture(scope="module", params=sample(RELEASES, 0, 3))
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake_driver: Path) -> Iterator[Real]:
    release = request.param
    prefix = make(release, tmp_path_factory.mktemp("real") / release)
    env = env_ref(prefix)
    found = run_child(prefix, "list_gpus", environ={"LD_LIBRARY_PATH": str(fake_driver)}, flags=("-B",))
    before = snapshot(prefix)
    report = wire(env, row_of(release), library_set())
    yield Real(release, prefix, env, before, found, report)
    shutil.rmtree(prefix)


def test_unwired_no_gpu_is_listed(real: Real) -> None:
    assert real.found_unwired["gpus"] == []


def test_wired_every_name_is_found(real: Real) -> None:
    assert real.report.ok
    assert search_path(real.env, row_of(real.release).gate).missing == ()
    assert real.report.system == ("libz.so.1",), "what has to come from the machine: cuDNN needs zlib"


@pytest.mark.parametrize("flags", [(), ("-I",), ("-s",), ("-S", "-s")], ids=" ".join)
def test_from_an_empty_environment_the_gpu_is_listed(real: Real, fake_driver: Path, flags: tuple[str, ...]) -> None:
    if "-S" in flags:
        # Without `site` there is no hook, and TensorFlow itself is only found where it is told to look.
        environ = {"LD_LIBRARY_PATH": str(fake_driver), "PYTHONPATH": str(real.env.site_packages)}
    else:
        environ = {"LD_LIBRARY_PATH": str(fake_driver)}
    found = run_child(real.prefix, "list_gpus", environ=environ, flags=flags)
    assert found.get("gpus") == ["/physical_device:GPU:0"], found
    strangers = [path for path in found["mapped"] if not path.startswith((str(real.prefix), str(fake_driver)))]
    assert strangers == []


@pytest.mark.parametrize("truncated", [False, True], ids=["empty", "truncated"])
def test_a_stale_ld_library_path_changes_nothing(
    real: Real, fake_driver: Path, tmp_path: Path, *, truncated: bool
) -> None:
    if compiler() is None:
        pytest.skip("no C compiler on PATH to make bogus libraries")
    bogus = bogus_libraries(real.prefix, tmp_path / "bogus", truncated=truncated)
    environ = {"LD_LIBRARY_PATH": f"{bogus}:{fake_driver}"}
    found = run_child(real.prefix, "list_gpus", environ=environ)
    assert found.get("gpus") == ["/physical_device:GPU:0"], found
    assert [path for path in found["mapped"] if str(bogus) in path] == []
    mapped = {Path(path).name for path in found["mapped"]}
    gate = {name.replace("libcusolver.so.10", "libcusolver.so.11") for name in row_of(real.release).gate}
    assert mapped >= gate
    control = run_child(real.prefix, "list_gpus", environ={**environ, "TFGPU_NO_PRELOAD": "1"})
    harmed = "gpus" not in control or any(str(bogus) in path for path in control["mapped"])
    assert harmed, "without the hook the stale libraries do harm, so the test above says something"


def test_every_library_opens_and_finds_what_it_opens_itself(real: Real, fake_driver: Path) -> None:
    wheels = {str(path) for path in Path(real.env.site_packages).glob("nvidia/*/lib/*.so*")}
    libraries = sorted(wheels | {str(real.prefix / name) for name in real.report.links})
    found = run_child(real.prefix, "open_each", *libraries, environ={"LD_LIBRARY_PATH": str(fake_driver)})
    assert found["failures"] == {}
    assert found["opened"] == len(libraries)


def test_xla_compiles_with_the_ptxas_of_the_environment(real: Real, tmp_path: Path) -> None:
    (tmp_path / "ptxas").write_text("#!/bin/sh\necho 'ptxas: Cuda compilation tools, release 99.9, V99.9.99'\nexit 1\n")
    (tmp_path / "ptxas").chmod(0o755)
    for environ in ({}, {"PATH": f"{tmp_path}:/usr/bin:/bin"}):
        assert run_child(real.prefix, "compile_ptx", environ=environ).get("cuda") == TOOLKIT[real.release], environ


def test_what_libraries_name_is_what_the_table_says_that_they_open(real: Real) -> None:
    """Reads the names out of every library again, so that a new set cannot slip past ``opens.py``."""
    shelf = read_shelf(real.env, [real.prefix / name for name in real.report.links])
    unknown = set()
    for library in shelf.by_soname.values():
        with library.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            named = {match.group().decode() for match in re.finditer(rb"lib(cu|nv)[\w\-]*\.so(\.\d+)*(?=\0)", data)}
        known = {stem(name) for name in library.dynamic.needed} | set(opens(library.stem)) | {library.stem}
        here = {stem(soname) for soname in shelf.by_soname}
        for name in named:
            covered = stem(name) in known or ("libcudnn_*" in known and name.startswith("libcudnn_"))
            if stem(name) in here and not covered and not _NOT_OURS.match(name):
                unknown.add((library.dynamic.soname, name))
    assert unknown == set()


def test_installers_see_no_difference_and_disturb_nothing(real: Real) -> None:
    def uv(*words: str) -> str:
        argv = [find_uv_bin(), "pip", words[0], "--python", str(real.env.python), *words[1:]]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return f"{done.returncode} {re.sub(r'in [0-9.]+m?s', '', done.stdout + done.stderr)}"

    checked = uv("check")
    assert uv("install", "-q", "iniconfig==2.0.0").startswith("0 ")
    assert inspect(real.env).state == "whole"
    assert uv("uninstall", "-q", "iniconfig").startswith("0 ")
    unwire(real.env)
    assert uv("check") == checked
    assert wire(real.env, row_of(real.release), library_set()) == real.report


def test_unwiring_gives_the_tree_back(real: Real) -> None:
    """Last, because it takes away what the others need."""
    assert unwire(real.env).state == "unwired"
    after = snapshot(real.prefix)

    def ours(tree: dict[str, str]) -> dict[str, str]:
        # Interpreters that ran meanwhile leave bytecode of packages; that is theirs.
        return {name: text for name, text in tree.items() if "__pycache__" not in name}

    assert ours(after) == ours(real.before)
    assert not [name for name in after if "tfgpu" in name]

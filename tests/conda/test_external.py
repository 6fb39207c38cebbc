"""``--conda-exe`` with stand-ins: what conda-lock starts is real, what it starts is a script of ours."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from provision.backends.conda.config import CondaConfig
from provision.backends.conda.external import External, find_program
from provision.errors import ToolFailedError, UsageError
from provision.model.created import Denial
from provision.model.lock import CondaLocked
from provision.system import System

pytest.importorskip("conda_lock", reason="the extra `conda` is not installed")

STAND_IN = """#!PYTHON
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
with (here / "calls.jsonl").open("a") as stream:
    environ = {key: value for key, value in os.environ.items() if key.startswith(("CONDA_", "MAMBA_"))}
    stream.write(json.dumps({"arguments": arguments, "environ": environ}) + "\\n")
if "--version" in arguments:
    print((here / "version").read_text())
elif "--dry-run" in arguments:
    if "nosuch" in arguments:
        print(json.dumps({"success": False, "message": "nothing provides requested nosuch"}))
        sys.exit(1)
    if "broken" in arguments:
        sys.exit("Download error (28) Timeout was reached")
    def fetched(name, version, **more):
        url = f"https://host.example/forge/linux-64/{name}-{version}-h1_0.conda"
        return {"name": name, "version": version, "url": url, "md5": "a" * 32, "sha256": "b" * 64, **more}
    found = [fetched("zlib", "1.3", depends=["libgcc >=12"]), fetched("libgcc", "12.1", depends=["__glibc >=2.17"])]
    print(json.dumps({"success": True, "actions": {"FETCH": found, "LINK": found}}))
elif "--file" in arguments:
    prefix = pathlib.Path(arguments[arguments.index("--prefix") + 1])
    (prefix / "conda-meta").mkdir(parents=True)
    lines = pathlib.Path(arguments[arguments.index("--file") + 1]).read_text().splitlines()
    for line in [line for line in lines if line.startswith("https:")][(here / "lazy").exists():]:
        url, _, digest = line.partition("#")
        name = url.rpartition("/")[2].removesuffix(".conda")
        (prefix / "conda-meta" / f"{name}.json").write_text(json.dumps({"url": url, "sha256": digest}))
else:
    sys.exit(f"unknown: {arguments}")
"""
VIRTUAL = {"__cuda": "11.2", "__glibc": "2.17", "__linux": "5.10", "__archspec": "1=x86_64"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "version").write_text("2.3.0")
    for name in ("micromamba", "conda"):
        (folder / name).write_text(STAND_IN.replace("PYTHON", sys.executable))
        (folder / name).chmod(0o755)
    return folder


def external(folder: Path, name: str = "micromamba", **more: object) -> External:
    system = System(environ={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "CONDA_FLAGS": "--evil"})
    config = CondaConfig(channels=("https://me:secret@host.example/forge",))
    return External(system, find_program(system, name), config, **more)


def calls(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_it_solves_for_the_machine_that_is_meant(folder: Path) -> None:
    told: list[str] = []
    found = external(folder, on_line=told.append).solve(("zlib >=1.2", "libgcc"), (), VIRTUAL)
    assert not isinstance(found, Denial)
    assert [(item.requirement, item.depends) for item in found] == [
        ("libgcc=12.1=h1_0", ("__glibc >=2.17",)),
        ("zlib=1.3=h1_0", ("libgcc >=12",)),
    ]
    assert found[0].sha256 == "b" * 64
    (solve,) = [call for call in calls(folder) if "--dry-run" in call["arguments"]]
    assert solve["environ"]["CONDA_OVERRIDE_CUDA"] == "11.2"
    assert solve["environ"]["CONDA_OVERRIDE_GLIBC"] == "2.17"
    assert {"--override-channels", "https://host.example/forge", "zlib >=1.2"} <= set(solve["arguments"])
    assert "--evil" not in solve["arguments"]
    assert "secret" not in (folder / "calls.jsonl").read_text()
    assert any("Locking dependencies" in line for line in told)


def test_no_solution_is_an_answer_and_a_broken_network_a_failure(folder: Path) -> None:
    denial = external(folder).solve(("nosuch",), (), VIRTUAL)
    assert isinstance(denial, Denial)
    assert (denial.code, "nothing provides requested nosuch" in denial.why) == ("conda-conflict", True)
    assert "Traceback" not in str(denial)
    with pytest.raises(ToolFailedError) as caught:
        external(folder).solve(("broken",), (), VIRTUAL)
    assert caught.value.code == "conda-network"


PACKAGES = tuple(
    CondaLocked(
        name,
        "1.3",
        "h1_0",
        "linux-64",
        "forge",
        f"https://host.example/forge/linux-64/{name}-1.3-h1_0.conda",
        "",
        "b" * 64,
    )
    for name in ("libgcc", "zlib")
)


def test_it_installs_what_was_solved_for_the_place_it_is_moved_to(folder: Path, tmp_path: Path) -> None:
    final = tmp_path / "a place's name"
    external(folder).install(PACKAGES, tmp_path / "new", final)
    records = sorted(path.name for path in (tmp_path / "new" / "conda-meta").iterdir())
    assert records == ["libgcc-1.3-h1_0.json", "zlib-1.3-h1_0.json"]
    assert json.loads((tmp_path / "new" / "conda-meta" / records[0]).read_text())["sha256"] == "b" * 64
    arguments = calls(folder)[-1]["arguments"]
    assert isinstance(arguments, list)
    assert arguments[arguments.index("--relocate-prefix") + 1] == str(final)
    with pytest.raises(ToolFailedError) as caught:
        external(folder).install(PACKAGES, tmp_path / "new", final)
    assert caught.value.code == "path-exists"


def test_packages_left_out_without_a_word_are_noticed(folder: Path, tmp_path: Path) -> None:
    (folder / "lazy").touch()
    with pytest.raises(ToolFailedError) as caught:
        external(folder).install(PACKAGES, tmp_path / "new", tmp_path / "new")
    assert caught.value.why == ("libgcc=1.3=h1_0",)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("version", "code"), [("conda 24.1.2", "conda-exe-too-old"), ("conda 25.1.0", "conda-exe-cannot-move")]
)
def test_what_a_conda_cannot_do_is_said_before(folder: Path, tmp_path: Path, version: str, code: str) -> None:
    (folder / "version").write_text(version)
    conda = external(folder, "conda")
    assert not conda.can_relocate
    with pytest.raises(ToolFailedError) as caught:
        conda.install(PACKAGES, tmp_path / "new", tmp_path / "final")
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["bash", "/bin/sh", "micromamba; id", "--version", "", "no-such/conda", "conda\n"])
def test_only_a_conda_is_started(folder: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        external(folder, name)
    assert caught.value.code == "conda-exe-invalid"
    assert not (folder / "calls.jsonl").exists()


def test_a_path_serves_as_well_as_a_name(folder: Path) -> None:
    assert find_program(System(), str(folder / "conda")) == str(folder / "conda")


def test_a_spec_is_checked_before_anything_starts(folder: Path) -> None:
    with pytest.raises(UsageError):
        external(folder).solve(("--file=/etc/passwd",), (), VIRTUAL)
    with pytest.raises(UsageError):
        external(folder).solve(("zlib",), (), VIRTUAL, as_of="2021-03-01")
    assert not (folder / "calls.jsonl").exists()

"""A lock of the real matrix on machines that break its contract: refused as a plan is, before a byte is downloaded."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision import matrix as matrix_room
from provision.cli.main import main
from provision.host import describe
from provision.lock.files import render
from provision.model.lock import Lock, Locked, LockFormat, normalised
from provision.model.plan import Plan, Request
from provision.plan import decide
from provision.system import System
from provision.workflows.contract import contract_for

_GOOD = "driver=580.65.06,gpu=8.6,glibc=2.35"
MACHINES = {
    "driver too old": ("2.21.0", "driver=450.80.02,gpu=8.0"),
    "driver of another family": ("2.15.1", "driver=470.82.01,gpu=8.6"),
    "driver too old for PTX on Hopper": ("2.21.0", "driver=550.54.15,gpu=H100"),
    "GPU too old, Kepler": ("2.21.0", "driver=470.82.01,gpu=3.5"),
    "GPU too old, Fermi": ("2.10.1", "driver=390.157,gpu=2.0"),
    "GPU left its driver": ("2.10.1", "driver=580.65.06,gpu=3.7"),
    "Blackwell": ("2.10.1", "driver=580.65.06,gpu=12.0"),
    "Blackwell on an older release": ("2.15.1", "driver=580.65.06,gpu=10.0"),
    "glibc too old": ("2.21.0", "driver=580.65.06,gpu=8.6,glibc=2.17"),
    "musl": ("2.10.1", "driver=580.65.06,gpu=8.6,glibc=musl"),
    "aarch64": ("2.10.1", "driver=580.65.06,gpu=8.6,arch=aarch64"),
    "ppc64le": ("2.10.1", "driver=580.65.06,gpu=7.0,arch=ppc64le"),
    "Windows": ("2.15.1", "os=windows,driver=552.22,gpu=8.6"),
    "macOS": ("2.15.1", "os=macos,arch=arm64"),
    "WSL with an old Windows driver": ("2.15.1", "os=wsl,driver=511.65,gpu=8.6"),
    "no AVX": ("2.15.1", "driver=580.65.06,gpu=8.6,cpu=x86-64-v2"),
    "everything at once": ("2.21.0", "driver=390.157,gpu=3.0,glibc=2.12"),
}


class Runner:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._capsys = folder, monkeypatch, capsys

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        self._patch.setattr(sys, "argv", ["tfgpu-provision", *arguments, "--json"])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        assert int(ended.value.code or 0) == code, said.out + said.err
        document = json.loads(said.out)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFGPU_FOR", raising=False)
    return Runner(folder, monkeypatch, capsys)


def write_lock(
    folder: Path, release: str, machine: str = _GOOD, target: str = "", change: Callable[[Lock], Lock] | None = None
) -> Path:
    """Write a lock of the real matrix whose hashes nobody has."""
    matrix = matrix_room.load(None)
    plan = decide(Request(release), describe((machine,), System()), matrix)
    assert isinstance(plan, Plan), plan
    names = {normalised(pin.name): pin.version for pin in plan.library_set.pins}
    names[plan.row.distribution] = release
    exceptions = {normalised(item.name): item for item in plan.row.source_only}
    packages = [Locked(name, version, ("0" * 64,)) for name, version in names.items()]
    packages += [Locked(name, item.version, (item.sha256,)) for name, item in exceptions.items()]
    tools = (Locked("setuptools", "70.0", ("1" * 64,)),) if exceptions else ()
    lock = Lock(
        contract_for(plan, matrix, target=target, machine_text=machine if target else ""),
        tuple(sorted(packages, key=lambda item: item.name)),
        source_only=tuple(sorted(exceptions)),
        build_tools=tools,
    )
    path = folder / (f"tfgpu-lock.{target}.txt" if target else "tfgpu-lock.txt")
    path.write_text(render(change(lock) if change else lock, LockFormat.REQUIREMENTS))
    return path


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_that_breaks_the_contract_is_refused_as_a_plan_is(run: Runner, machine: str) -> None:
    release, described = MACHINES[machine]
    write_lock(run.folder, release)
    plan = run("plan", "--tf", release, "--for", described, code=3)
    before = sorted(run.folder.iterdir())
    refused = run("create", "env", "--locked", "--for", described, code=3)
    assert refused["outcome"] == "refused"
    assert refused["plan"]["reasons"] == plan["reasons"]
    assert refused["plan"]["alternatives"] == plan["alternatives"]
    assert sorted(run.folder.iterdir()) == before
    assert not (run.folder.parent / "cache").exists(), "uv was asked for something"


def test_a_gpu_that_only_another_library_set_serves_breaks_the_contract(run: Runner) -> None:
    """The release runs on the machine with one of its sets, and the lock holds the other one."""
    write_lock(run.folder, "2.21.0")
    volta = "driver=580.65.06,gpu=7.0,glibc=2.35"
    assert run("plan", "--tf", "2.21.0", "--for", volta)["library_set"] == "cu125-cudnn910"
    refused = run("create", "env", "--locked", "--for", volta, code=3)
    assert refused["plan"]["reasons"]
    assert not (run.folder / "env").exists()


THREE = {
    "laptop": "driver=535.104.05,gpu=RTX 3060",
    "server": "driver=580.65.06,gpu=H100",
    "ci": "gpu=none",
}


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [
        ("driver=535.104.05,gpu=8.6", "laptop"),
        ("driver=580.65.06,gpu=9.0", "server"),
        ("gpu=none", "ci"),
    ],
)
def test_of_three_targets_the_one_that_fits_is_taken_and_says_why(run: Runner, machine: str, wanted: str) -> None:
    for name, described in THREE.items():
        write_lock(run.folder, "2.15.1", described, name)
    document = run("create", "env", "--locked", "--for", machine, "--dry-run")
    assert document["lock"]["target"] == wanted
    assert document["lock"]["why"]
    assert any(f"tfgpu-lock.{wanted}.txt" in remark for remark in document["remarks"])


def test_where_no_target_fits_every_reason_is_told(run: Runner) -> None:
    for name, described in THREE.items():
        write_lock(run.folder, "2.15.1", described, name)
    denial = run("create", "env", "--locked", "--for", "os=macos,arch=arm64", code=3)["denial"]
    assert denial["code"] == "no-lock-fits"
    for name in THREE:
        assert any(name in line and "macos-unsupported" in line for line in denial["why"])

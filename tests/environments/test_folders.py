"""The committed folders are what the matrix as it is now makes of them, and the script notices where they are not."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from provision.host import describe
from provision.lock.files import parse
from provision.matrix import load
from provision.model.lock import Lock
from provision.model.plan import Plan, Request
from provision.plan import decide
from provision.system import System
from provision.workflows.contract import gpu_floors

ROOT = Path(__file__).parents[2]
MATRIX = load()
FOLDERS = sorted(path.parent.name for path in (ROOT / "environments").glob("*/pyproject.toml"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("environments_script", ROOT / "benchmarks" / "environments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def read(name: str) -> Lock:
    return parse("tfgpu-lock.txt", (ROOT / "environments" / name / "tfgpu-lock.txt").read_bytes())


def test_the_newest_patch_of_every_minor_that_wheels_serve_has_a_folder() -> None:
    newest = {row.release.minor_series: row.release for row in MATRIX.rows if row.sets}
    assert len(newest) >= 18
    for series, release in newest.items():
        assert read(series).contract.release == release


@pytest.mark.parametrize("name", FOLDERS)
def test_a_lock_serves_every_gpu_and_names_no_address_and_no_machine(name: str) -> None:
    text = (ROOT / "environments" / name / "tfgpu-lock.txt").read_text()
    assert "://" not in text
    assert "/home/" not in text
    lock = read(name)
    (row,) = (row for row in MATRIX.rows if row.release == lock.contract.release)
    assert (lock.contract.made_for, lock.contract.without_gpu, lock.conda) == ((), False, ())
    served = {item.compute_capability for item in lock.contract.gpus}
    plan = decide(Request(tf=name), describe(["os=linux"], System()), MATRIX)
    assert isinstance(plan, Plan)
    for library_set in row.sets:
        other = dataclasses.replace(plan, library_set=library_set)
        assert {item.compute_capability for item in gpu_floors(other, MATRIX)} <= served
    assert all(item.hashes and not item.url for item in (*lock.packages, *lock.build_tools))


def test_nothing_is_stale(script: ModuleType) -> None:
    """If this fails: python benchmarks/environments.py."""
    assert script.check(MATRIX) == []


def test_a_folder_is_a_project_in_which_create_goes_by_its_lock(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "environments" / "2.10", project)
    argv = [sys.executable, "-m", "provision", "create", "--dry-run", "--offline", "--json"]
    done = subprocess.run(argv, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["distributions"] == [item.requirement for item in read("2.10").packages]


def _other_release(folder: Path) -> None:
    shutil.copy(folder / "2.9/tfgpu-lock.txt", folder / "2.10/tfgpu-lock.txt")


def _other_row(folder: Path) -> None:
    path = folder / "2.10/tfgpu-lock.txt"
    digest = read("2.10").contract.row_digest
    path.write_text(path.read_text().replace(digest, "0" * 64))


def _other_pin(folder: Path) -> None:
    path = folder / "2.10/tfgpu-lock.txt"
    path.write_text(path.read_text().replace("nvidia-cudnn-cu11==8.6.0.163", "nvidia-cudnn-cu11==8.9.4.25"))


def _other_request(folder: Path) -> None:
    (folder / "2.10/pyproject.toml").write_text('[tool.tfgpu]\ntf = "2.11"\n')


def _gone(folder: Path) -> None:
    shutil.rmtree(folder / "2.10")


def _stray(folder: Path) -> None:
    (folder / "1.99").mkdir()


def _left(folder: Path) -> None:
    (folder / "2.10/.venv").mkdir()


def _table(folder: Path) -> None:
    path = folder / "README.md"
    path.write_text(path.read_text().replace("| 2.10.1 |", "| 2.10.9 |"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_other_release, "2.10/tfgpu-lock.txt is for TensorFlow 2.9"),
        (_other_row, "2.10/tfgpu-lock.txt: row_digest of its contract"),
        (_other_pin, "2.10/tfgpu-lock.txt is without nvidia-cudnn-cu11==8.6.0.163"),
        (_other_request, "2.10/pyproject.toml is not what is asked for"),
        (_gone, "2.10/tfgpu-lock.txt is missing"),
        (_stray, "1.99 does not belong here"),
        (_left, "2.10/.venv does not belong here"),
        (_table, "README.md: its table is not up to date"),
    ],
)
def test_what_is_stale_is_said(
    spoil: Callable[[Path], None], said: str, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "environments"
    shutil.copytree(ROOT / "environments", folder)
    monkeypatch.setattr(script, "FOLDER", folder)
    spoil(folder)
    assert [line for line in script.check(MATRIX, only=["2.10"]) if line.startswith(said)]


def test_what_was_seen_of_another_lock_is_not_claimed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "environments"
    shutil.copytree(ROOT / "environments", folder)
    monkeypatch.setattr(script, "FOLDER", folder)
    seen = {"release": "2.10.1", "date": "2026-11-21", "seconds": 12.3, "answers": {"create": "passed", "gate": "no"}}
    script.remember("2.10", {**seen, "packages_sha256": script.digest_of("2.10")})
    assert script.table(["2.10"]).endswith("| 2026-11-21, 12 s; gate: no |")
    path = folder / "2.10/tfgpu-lock.txt"
    path.write_text(path.read_text() + "# a remark\n")
    assert script.table(["2.10"]).endswith("; gate: no |")
    shutil.copy(folder / "2.9/tfgpu-lock.txt", path)
    assert script.table(["2.10"]).endswith("| not yet |")

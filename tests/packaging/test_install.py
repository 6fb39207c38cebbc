"""The wheel that users install and the editable install that developers use both carry everything they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
MACHINE = ["--for", "driver=535.104.05,gpu=8.6"]


def uv(*arguments: str, cwd: Path) -> None:
    subprocess.run([find_uv_bin(), *arguments], check=True, cwd=cwd, capture_output=True)


def json_of(python: Path, *arguments: str, cwd: Path) -> dict[str, object]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-m", "provision", *arguments, "--json"],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.index
def test_the_wheel_carries_matrix_environments_probes_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        shipped = archive.read("provision/_data/matrix.yaml")
    assert shipped == (ROOT / "matrix.yaml").read_bytes()
    scripts = {f"provision/probes/scripts/{path.name}" for path in (ROOT / "provision/probes/scripts").glob("*.py")}
    assert scripts <= names
    environments = {path.relative_to(ROOT).as_posix() for path in (ROOT / "environments").rglob("*") if path.is_file()}
    assert {name for name in names if "/environments/" in name} == {f"provision/_data/{name}" for name in environments}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.index
@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_a_fresh_install_plans_and_lists(kind: str, wheel: Path, tmp_path: Path) -> None:
    uv("venv", "--quiet", "--python", sys.executable, "fresh", cwd=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    what = [str(wheel)] if kind == "wheel" else ["--editable", str(ROOT)]
    uv("pip", "install", "--quiet", "--python", str(python), *what, cwd=tmp_path)
    plan = json_of(python, "plan", "--tf", "2.15", *MACHINE, cwd=tmp_path)
    assert plan["row"] == "2.15.1"
    rows = json_of(python, "matrix", "list", *MACHINE, cwd=tmp_path)["releases"]
    assert isinstance(rows, list)
    assert len(rows) > 45
    host = json_of(python, "host", cwd=tmp_path)
    assert host["schema"] == 1
    console = tmp_path / "fresh" / "bin" / "tfgpu-provision"
    assert subprocess.run([str(console), "--version"], check=True, capture_output=True).stdout.startswith(
        b"tfgpu-provision "
    )

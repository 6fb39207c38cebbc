"""Real wheels of the index, small ones: what real metadata and real files make of a repair."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repair.stage_world import Staged, staged
from uv import find_uv_bin

from provision.model.progress import Silent
from provision.model.remedy import Install, Uninstall
from provision.repair.packages.install import PackagePlan, install_packages, resolve_packages
from provision.workflows.common import load_matrix
from provision.workflows.settings import load_settings

pytestmark = pytest.mark.index


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    folder = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    wanted = ("numpy==2.2.6", "protobuf==4.25.3", "six==1.16.0", "h5py==3.12.1")
    argv = [find_uv_bin(), "pip", "install", "-q", f"--python={folder}", *wanted]
    subprocess.run(argv, check=True, cwd="/")
    return folder


def test_real_packages_are_exchanged_and_run(prefix: Path) -> None:
    copy: Staged = staged(prefix, dict(os.environ), Path(load_matrix(None, load_settings(Path("/"))).path))
    context = copy.context
    steps = (Install(("numpy<2",)), Install(("six",), again=True, alone=True), Uninstall(("protobuf",)))
    scratch = copy.stage.parent / "scratch"
    plan = resolve_packages(context.uv, context.seen, None, steps, scratch, offline=False)
    assert isinstance(plan, PackagePlan)
    done = install_packages(context.uv, plan, copy.stage, prefix, Silent())
    assert {item.name for item in done} == {"numpy", "six", "protobuf"}
    names = {name.split("/")[3] for name in copy.changed if "/site-packages/" in name}
    assert all(name.startswith(("numpy", "six", "protobuf", "google")) for name in names), names
    script = "import h5py, numpy, six; print(numpy.__version__.split('.')[0], h5py.File)"
    ran = subprocess.run([copy.stage / "bin/python", "-I", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("1 ")

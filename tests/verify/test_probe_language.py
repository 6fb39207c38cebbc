"""A probe is a guest in environments as old as Python 3.6."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import provision.probes

SCRIPTS = sorted((Path(provision.probes.__file__).parent / "scripts").glob("*.py"))
STANDARD = set(sys.stdlib_module_names)
GUESTS = {script.stem for script in SCRIPTS}
OF_THE_ENVIRONMENT = {"tensorflow", "numpy"}


@functools.cache
def python36() -> str | None:
    """A Python 3.6 that runs: pyenv's shim on PATH is there even where no such Python is chosen."""
    folders = [*Path.home().glob(".pyenv/versions/3.6.*/bin"), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    for candidate in (folder / "python3.6" for folder in folders):
        if candidate.is_file():
            asked = subprocess.run([str(candidate), "-V"], capture_output=True, timeout=30, check=False)
            if asked.returncode == 0:
                return str(candidate)
    return None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_words_of_python_36(script: Path) -> None:
    ast.parse(script.read_text(), feature_version=(3, 6))
    vermin = subprocess.run(
        [sys.executable, "-c", "import vermin; vermin.main()", "-t=3.6-", "--no-tips", "--violations", str(script)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert vermin.returncode == 0, vermin.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_real_36_compiles_it(script: Path, tmp_path: Path) -> None:
    python = python36()
    if python is None:
        pytest.skip("no Python 3.6 here")
    code = f"import py_compile; py_compile.compile({str(script)!r}, {str(tmp_path / 'x.pyc')!r}, doraise=True)"
    subprocess.run([python, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["interpreter", "gate"])
def test_the_real_36_runs_it(name: str) -> None:
    python = python36()
    if python is None:
        pytest.skip("no Python 3.6 here")
    script = next(script for script in SCRIPTS if script.stem == name)
    done = subprocess.run(
        [python, "-s", str(script)],
        input='{"framework": "/nonexistent"}',
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "TFGPU-PROBE {" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_standard_library_only(script: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= STANDARD | GUESTS | OF_THE_ENVIRONMENT | {"pynvml"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_no_probe_imports_tensorflow_at_its_top(script: Path) -> None:
    top = [node for node in ast.parse(script.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("tensorflow" in ast.dump(node) or "numpy" in ast.dump(node) for node in top)

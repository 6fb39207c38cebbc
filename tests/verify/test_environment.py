"""Which environment is meant: folders, interpreters, and everything that is neither."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verify.samples import Environment

from provision.errors import UsageError
from provision.probes.environment import inspect, locate
from provision.system import System

PLAIN = System()


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_venv_by_folder_and_by_python(environment: Environment) -> None:
    for target in (environment.prefix, str(environment.prefix), environment.python, str(environment.python)):
        found = locate(PLAIN, target)
        assert Path(found.prefix) == environment.prefix
        assert Path(found.site_packages) == environment.site
        assert (found.kind, found.managed) == ("venv", False)


def test_an_environment_of_ours_is_known_by_its_record(environment: Environment) -> None:
    record = environment.prefix / ".tfgpu/environment.json"
    record.parent.mkdir()
    record.write_text("{}")
    assert locate(PLAIN, environment.prefix).managed


def test_a_reference_is_looked_at_again(environment: Environment) -> None:
    reference = locate(PLAIN, environment.prefix)
    assert inspect(PLAIN, reference).env == reference


def test_the_system_python_is_of_kind_system() -> None:
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not base.exists():
        pytest.skip("this Python's base interpreter is not where it usually is")
    assert locate(PLAIN, base).kind in ("system", "conda")


def test_a_python_by_name_is_found_on_path() -> None:
    found = locate(System(environ={"PATH": str(Path(sys.executable).parent)}), Path(sys.executable).name)
    assert Path(found.python).samefile(sys.executable)


def test_a_conda_prefix_by_its_history(environment: Environment) -> None:
    (environment.prefix / "conda-meta").mkdir()
    assert locate(PLAIN, environment.prefix).kind == "conda"


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_nothing_given_takes_the_active_one(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    others = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    found = locate(System(environ={**others, variable: str(environment.prefix)}), None)
    assert Path(found.prefix) == environment.prefix


def test_nothing_given_takes_the_folder_here_first(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv").symlink_to(environment.prefix)
    monkeypatch.chdir(tmp_path)
    found = locate(System(environ={**os.environ, "VIRTUAL_ENV": "/nonexistent"}), None)
    assert Path(found.prefix).resolve() == environment.prefix.resolve()


def test_nothing_given_and_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        locate(System(environ={"PATH": "/bin", "CONDA_PREFIX": "/gone"}), None)
    assert caught.value.code == "no-environment"
    assert caught.value.why == ("looked at: .venv in this folder (.venv), $CONDA_PREFIX (/gone)",)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda base: base / "nothing", "no-environment"),
        (lambda base: "env", "no-environment"),  # a program of that name is on PATH
        (lambda base: base, "not-an-environment"),
        (lambda base: "", "not-an-environment"),
        (lambda base: "a\0b", "not-an-environment"),
        (lambda base: "x" * 5000, "not-an-environment"),
        (lambda base: script(base / "tool", "echo hello"), "not-an-environment"),
        (lambda base: script(base / "bin/python", "exit 3").parents[1], "broken-interpreter"),
        (lambda base: script(base / "bin/python", "echo no json here").parents[1], "broken-interpreter"),
        (lambda base: script(base / "bin/python", "kill -SEGV $$").parents[1], "broken-interpreter"),
        (lambda base: script(base / "python3", "echo 'TFGPU-PROBE {broken'"), "broken-interpreter"),
    ],
)
def test_what_is_no_environment(tmp_path: Path, make: Callable[[Path], Path | str], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        locate(PLAIN, make(tmp_path))
    assert caught.value.code == code
    assert caught.value.hint
    assert "\n" not in caught.value.what


def test_a_plain_file(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy\n")
    with pytest.raises(UsageError, match="is a file, but not a Python interpreter"):
        locate(PLAIN, file)


def test_a_link_whose_python_is_gone_is_explained(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/opt/gone/bin/python3.9")
    with pytest.raises(UsageError) as caught:
        locate(PLAIN, tmp_path)
    assert caught.value.code == "broken-interpreter"
    assert "it is a link to /opt/gone/bin/python3.9, which is gone" in caught.value.why


@pytest.mark.parametrize("path", ["closed", "closed/inside"])
def test_a_folder_without_rights(tmp_path: Path, path: str) -> None:
    (tmp_path / "closed/inside/bin").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    was = os.geteuid()
    if was == 0:
        # Root may look everywhere: for this one question be nobody.
        os.seteuid(65534)
    try:
        with pytest.raises(UsageError) as caught:
            locate(PLAIN, tmp_path / path)
    finally:
        os.seteuid(was)
        (tmp_path / "closed").chmod(0o700)
    assert caught.value.code == "no-rights"


def test_inventory(environment: Environment) -> None:
    environment.tensorflow("")
    environment.distribution("nvidia-cudnn-cu12", "9.3.0.75")
    environment.distribution("Tensorflow_CPU", "2.19.0")
    environment.write("odd.egg-info/PKG-INFO")
    seen = inspect(PLAIN, environment.prefix)
    assert seen.versions["nvidia-cudnn-cu12"] == "9.3.0.75"
    assert {item.name for item in seen.tensorflow_distributions} == {"tensorflow", "tensorflow-cpu"}
    assert [Path(item) for item in seen.tensorflow] == [environment.site / "tensorflow/__init__.py"]
    found = seen.installed("tensorflow")
    assert found is not None
    assert found.version == "2.20.0"
    assert seen.installed("torch") is None
    assert seen.python.text == ".".join(map(str, sys.version_info[:3]))
    assert seen.implementation == "cpython"


def test_variables_that_bend_python_do_not_reach_the_interpreter(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "other/tensorflow").mkdir(parents=True)
    (tmp_path / "other/tensorflow/__init__.py").write_text("")
    bent = System(environ={**os.environ, "PYTHONPATH": str(tmp_path / "other"), "PYTHONHOME": "/nonexistent"})
    assert inspect(bent, environment.prefix).tensorflow == ()

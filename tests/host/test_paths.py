"""Whatever the environment names, looking at it never fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.host import detect, paths

if TYPE_CHECKING:
    from conftest import Machine

LONG = "/" + "x" * 5000


@pytest.mark.parametrize("text", [LONG, "/gone", "bad\0name", "", "/dev/null/below"])
def test_what_cannot_be_looked_at_is_not_there(text: str) -> None:
    path = Path(text) if text else Path("/gone/too")
    assert not paths.is_file(path)
    assert not paths.is_folder(path)
    assert paths.resolve(path) is None
    assert paths.link_target(path) is None
    assert paths.glob(path, "*") == []


def test_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.touch()
    link = tmp_path / "a"
    link.symlink_to(file)
    assert paths.is_file(link)
    assert paths.is_folder(tmp_path)
    assert paths.resolve(link) == file.resolve()
    assert (paths.link_target(link), paths.link_target(file)) == ("b", None)
    assert paths.glob(tmp_path, "*") == [link, file]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert paths.resolve(loop) is None


@pytest.mark.parametrize("value", [LONG, "", ":::", "relative", "/dev/null", "/proc/self/mem"])
def test_detect_with_nonsense_in_every_variable(machine: Machine, value: str) -> None:
    names = [
        "HOME",
        "LD_LIBRARY_PATH",
        "CUDA_HOME",
        "CUDA_PATH",
        "PYENV_ROOT",
        "UV_PYTHON_INSTALL_DIR",
        "CONDA_PREFIX",
        "CONDA_EXE",
        "MAMBA_EXE",
        "MAMBA_ROOT_PREFIX",
        "XDG_DATA_HOME",
        "CUDA_VISIBLE_DEVICES",
        "VIRTUAL_ENV",
    ]
    host = detect(machine.system(**dict.fromkeys(names, value)), wide=True, limit=20)
    assert host.driver_state_why


def test_detect_without_any_variable(machine: Machine) -> None:
    system = machine.system()
    assert detect(type(system)(environ={}, root=machine.root), wide=True, limit=20).driver_state_why

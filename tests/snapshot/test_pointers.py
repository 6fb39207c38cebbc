"""Kernels and editors that name a Python, and variables that activation sets."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provision.model.environment import EnvRef
from provision.model.environment_facts import Pointer
from provision.snapshot.pointers import read_pointers
from provision.system import System


class Place:
    """A home, an environment and a project below a folder that stands for the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": "/home/you"}
        self.env = EnvRef(
            PurePosixPath("/envs/tf"),
            PurePosixPath("/envs/tf/bin/python"),
            PurePosixPath("/envs/tf/lib/python3.12/site-packages"),
            "venv",
            managed=False,
        )
        for python in ("/usr/bin/python3.12", "/envs/other/bin/python3"):
            self.write(python, "")
        for python in ("/envs/tf/bin/python", "/envs/other/bin/python"):
            self.at(python).parent.mkdir(parents=True, exist_ok=True)
            self.at(python).symlink_to(self.at("/usr/bin/python3.12"))

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: Any) -> str:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def kernel(self, folder: str, python: str, **more: Any) -> str:
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return self.write(f"{folder}/kernel.json", {"argv": argv, "display_name": "A", "language": "python", **more})

    def read(self, project: str = "/project") -> tuple[tuple[Pointer, ...], tuple[tuple[str, str, str], ...]]:
        return read_pointers(System(self.environ, self.root), self.env, Path(project))

    @property
    def pointers(self) -> tuple[Pointer, ...]:
        return self.read()[0]

    @property
    def variables(self) -> list[tuple[str, str, str]]:
        return list(self.read()[1])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_kernels_are_looked_for_where_jupyter_does(place: Place) -> None:
    place.environ |= {"JUPYTER_PATH": "/opt/jupyter:relative"}
    own = place.kernel("/envs/tf/share/jupyter/kernels/own", "/envs/tf/bin/python")
    user = place.kernel("/home/you/.local/share/jupyter/kernels/user", "/envs/other/bin/python", env={"A": "1"})
    system = place.kernel("/usr/share/jupyter/kernels/old", "/usr/bin/python3.7")
    named = place.kernel("/opt/jupyter/kernels/x", "/envs/tf/bin/python3.12")
    found = {item.file: item for item in place.pointers}
    assert list(found) == [named, user, own, system]
    assert [(item.exists, item.same) for item in found.values()] == [
        (False, True),
        (True, False),
        (True, True),
        (False, False),
    ]
    assert found[user].variables == {"A": "1"}
    assert found[user].name == "user (A)"


def test_what_leaves_the_python_open_is_no_pointer(place: Place) -> None:
    kernels = "/home/you/.local/share/jupyter/kernels"
    place.kernel(f"{kernels}/python3", "python")
    place.kernel(f"{kernels}/r", "/usr/bin/python3.12", language="R")
    place.write(f"{kernels}/shell/kernel.json", {"argv": ["bash", "-c", "conda run x"]})
    place.write(f"{kernels}/odd/kernel.json", {"argv": 3, "env": []})
    place.write(f"{kernels}/list/kernel.json", [])
    place.write(f"{kernels}/cut/kernel.json", '{"argv": ["/usr/bin')
    place.write(f"{kernels}/deep/kernel.json", "[" * 100_000)
    os.mkfifo(place.at("/home/you/.local/share/jupyter/pipe"))
    place.at(f"{kernels}/pipe").mkdir()
    os.mkfifo(place.at(f"{kernels}/pipe/kernel.json"))
    place.at(f"{kernels}/ring").mkdir()
    place.at(f"{kernels}/ring/kernel.json").symlink_to(place.at(f"{kernels}/ring/kernel.json"))
    assert place.pointers == ()


def test_vscode_settings_with_comments(place: Place) -> None:
    place.write(
        "/project/.vscode/settings.json",
        """{
            // the interpreter, "quoted" in a comment
            "python.defaultInterpreterPath": "${workspaceFolder}/.venv/bin/python", /* gone */
            "url": "http://x//y",
            "terminal.integrated.env.linux": {"CUDA_VISIBLE_DEVICES": "-1",},
        }""",
    )
    (item,) = place.pointers
    assert (item.kind, item.python, item.exists, item.same) == ("vscode", "/project/.venv/bin/python", False, False)
    assert item.variables == {"CUDA_VISIBLE_DEVICES": "-1"}


@pytest.mark.parametrize(
    ("value", "python"),
    [
        ("/envs/tf", "/envs/tf/bin/python"),
        ("${userHome}/x/python", "/home/you/x/python"),
        ("~/x/python", "/home/you/x/python"),
        ("${env:HOME}/x/python", "/home/you/x/python"),
        ("./env/python", "/project/env/python"),
        ("python3", None),
        ("${config:x}/python", None),
        (3, None),
    ],
)
def test_what_a_setting_may_name(place: Place, value: Any, python: str | None) -> None:
    place.write("/project/.vscode/settings.json", {"python.pythonPath": value})
    assert [item.python for item in place.pointers] == ([python] if python else [])


def test_launch_configurations(place: Place) -> None:
    runs = [
        {"name": "cpu", "env": {"CUDA_VISIBLE_DEVICES": ""}},
        {"name": "x", "python": ["/envs/other/bin/python"]},
        {},
        3,
    ]
    place.write("/project/.vscode/launch.json", {"configurations": runs})
    first, second = place.pointers
    assert (first.same, first.variables) == (True, {"CUDA_VISIBLE_DEVICES": ""})
    assert (second.python, second.same) == ("/envs/other/bin/python", False)


MISC = '<project version="4"><component name="ProjectRootManager" project-jdk-name="{}" /></project>'
JDK = '<application><jdk><name value="{}"/><homePath value="$USER_HOME$/x/bin/python"/></jdk></application>'


def test_pycharm(place: Place) -> None:
    place.write("/project/.idea/misc.xml", MISC.format("Python 3.12 (tf)"))
    assert place.pointers == ()
    place.write("/home/you/.config/JetBrains/PyCharm2025.1/options/jdk.table.xml", JDK.format("Python 3.12 (tf)"))
    (item,) = place.pointers
    assert (item.kind, item.python, item.exists) == ("pycharm", "/home/you/x/bin/python", False)
    place.write("/project/.idea/misc.xml", '<!DOCTYPE a [<!ENTITY b "c">]>' + MISC.format("&b;"))
    assert place.pointers == ()


def test_what_activation_sets(place: Place) -> None:
    activate = place.write(
        "/envs/tf/bin/activate",
        "VIRTUAL_ENV='/envs/tf'\nexport VIRTUAL_ENV\n# export CUDA_VISIBLE_DEVICES=0\n"
        'export LD_LIBRARY_PATH="/usr/local/cuda-11/lib64:$LD_LIBRARY_PATH"  # mine\nexport PATH=/x\n',
    )
    fish = place.write("/envs/tf/etc/conda/activate.d/a.fish", "set -gx CUDA_VISIBLE_DEVICES -1\n")
    state = place.write(
        "/envs/tf/conda-meta/state", {"env_vars": {"XLA_FLAGS": "--x", "TF_X": "***unset***", "A": "b"}}
    )
    package = place.write("/envs/tf/etc/conda/env_vars.d/p.json", {"CUDA_VISIBLE_DEVICES": ""})
    assert place.variables == [
        (activate, "LD_LIBRARY_PATH", "/usr/local/cuda-11/lib64:$LD_LIBRARY_PATH"),
        (fish, "CUDA_VISIBLE_DEVICES", "-1"),
        (state, "XLA_FLAGS", "--x"),
        (package, "CUDA_VISIBLE_DEVICES", ""),
    ]


def test_what_every_start_of_python_sets(place: Place) -> None:
    site = "/envs/tf/lib/python3.12/site-packages"
    pth = place.write(f"{site}/x.pth", "/folder\nimport os; os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\n")
    custom = place.write(f"{site}/sitecustomize.py", "from os import environ\nenviron['CUDA_VISIBLE_DEVICES'] = ''\n")
    place.write(f"{site}/y.pth", "CUDA_VISIBLE_DEVICES = os.environ\n")
    assert place.variables == [(pth, "CUDA_VISIBLE_DEVICES", "-1"), (custom, "CUDA_VISIBLE_DEVICES", "")]


def test_a_plain_venv_sets_nothing(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "v", with_pip=False)
    site = next((tmp_path / "v/lib").glob("python*/site-packages"))
    env = EnvRef(
        PurePosixPath(tmp_path / "v"),
        PurePosixPath(tmp_path / "v/bin/python"),
        PurePosixPath(site),
        "venv",
        managed=False,
    )
    assert read_pointers(System({"HOME": str(tmp_path)}), env, tmp_path) == ((), ())


TEXT = st.one_of(
    st.text(max_size=200),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["argv", "env", "language", "env_vars", "python", "python.pythonPath", "configurations", "CUDA_VISIBLE_DEVICES"]), inner, max_size=4),
        max_leaves=12,
    ).map(json.dumps),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT)
def test_any_text_is_read(tmp_path: Path, text: str) -> None:
    root = tmp_path / "root"
    if not root.exists():
        Place(root)
    place = Place.__new__(Place)
    place.root, place.environ = root, {"HOME": "/home/you"}
    place.env = EnvRef(PurePosixPath("/envs/tf"), PurePosixPath("/envs/tf/bin/python"), PurePosixPath("/envs/tf/s"), "venv", managed=False)  # fmt: skip
    for path in (
        "/home/you/.local/share/jupyter/kernels/a/kernel.json", "/project/.vscode/settings.json",
        "/project/.vscode/launch.json", "/project/.idea/misc.xml", "/envs/tf/conda-meta/state",
        "/envs/tf/etc/conda/env_vars.d/a.json", "/envs/tf/bin/activate", "/envs/tf/s/a.pth",
    ):  # fmt: skip
        place.at(path).parent.mkdir(parents=True, exist_ok=True)
        place.at(path).write_bytes(text.encode("utf-8", "surrogatepass"))
    place.read()

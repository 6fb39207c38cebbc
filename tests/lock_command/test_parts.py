"""The parts of lock that need no world."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from provision.backends.resolve import lock_platform
from provision.backends.uv_pylock import addresses, read_compiled
from provision.cli.common import optional_value
from provision.errors import InvalidFileError, ToolFailedError
from provision.lock.files import default_name
from provision.model.lock import LockFormat
from provision.model.versions import GlibcVersion, PythonVersion
from provision.workflows.settings import load_settings

HEAD = 'lock-version = "1.0"\ncreated-by = "uv"\n'


def wheel(name: str, digit: str, day: str = "2023-01-02") -> str:
    return f'{{ url = "https://example.org/{name}", upload-time = {day}T10:00:00Z, hashes = {{ sha256 = "{digit * 64}" }} }}'


TEXT = f"""{HEAD}
[[packages]]
name = "Num_Py"
version = "1.0"
wheels = [
    {wheel("num_py-1.0-py3-none-any.whl", "a")},
    {wheel("num_py-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "b", "2024-05-06")},
    {wheel("num_py-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "c")},
]

[[packages]]
name = "flow"
version = "2.0"
wheels = [{wheel("flow-2.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", "d")}]

[[packages]]
name = "old"
version = "1.0"
sdist = {wheel("old-1.0.tar.gz", "e")}
"""


def test_what_uv_wrote_is_read_with_what_its_files_demand() -> None:
    found = read_compiled(TEXT)
    assert [item.requirement for item in found.locked] == ["flow==2.0", "num-py==1.0", "old==1.0"]
    assert found.locked[1].hashes == ("a" * 64, "b" * 64, "c" * 64)
    assert found.glibc == GlibcVersion("2.27")  # flow has nothing older
    assert found.built == ("old",)
    assert found.uploaded["num-py"] == "2024-05-06"


@pytest.mark.parametrize(("glibc", "digit"), [("2.17", "c"), ("2.27", "c"), ("2.28", "b"), ("2.5", "a")])
def test_the_file_a_machine_takes_is_the_best_it_can(glibc: str, digit: str) -> None:
    found = addresses(TEXT, PythonVersion("3.12"), GlibcVersion(glibc))
    assert found["num-py"][1] == digit * 64
    assert found["old"][0].endswith("old-1.0.tar.gz")


@pytest.mark.parametrize("text", ["packages = 3\n", '[[packages]]\nname = "x"\nversion = "1"\n', "[[packages]]\n", "="])
def test_what_cannot_be_a_lock_is_told(text: str) -> None:
    with pytest.raises(ToolFailedError):
        read_compiled(HEAD + text if text != "=" else text)


@pytest.mark.parametrize(
    ("glibc", "platform"),
    [("2.12", "2_17"), ("2.17", "2_17"), ("2.27", "2_28"), ("2.28", "2_28"), ("2.99", "2_40")],
)
def test_uv_is_given_a_platform_that_admits_the_release(glibc: str, platform: str) -> None:
    assert lock_platform(GlibcVersion(glibc)) == f"x86_64-manylinux_{platform}"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["lock", "--upgrade"], ["lock", "--upgrade="]),
        (["lock", "--upgrade", "--json"], ["lock", "--upgrade=", "--json"]),
        (["lock", "--upgrade", "numpy", "--json"], ["lock", "--upgrade=numpy", "--json"]),
        (["lock", "--upgrade=numpy"], ["lock", "--upgrade=numpy"]),
        (["lock", "--upgrade", "a", "--upgrade", "b"], ["lock", "--upgrade=a", "--upgrade=b"]),
        (["lock", "--upgrade", "Not"], ["lock", "--upgrade=", "Not"]),
        (["create", "--", "--upgrade"], ["create", "--", "--upgrade"]),
        (["create", "--upgrade", "--", "x"], ["create", "--upgrade=", "--", "x"]),
        ([], []),
    ],
)
def test_an_option_may_stand_alone_or_with_a_value(typed: list[str], meant: list[str]) -> None:
    optional_value(typed, "--upgrade", is_value=str.islower)
    assert typed == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('backend = "docker"', "backend: must be one of venv, conda"),
        ("conda = 3", "conda: must be a list"),
        ("targets = ['a']", "targets: must be a dict"),
        ("targets = {a = 1}", "targets.a: must be a str"),
        ("format = 1", "format: must be a str or a list"),
        ("lock = []", "lock: must be a str"),
    ],
)
def test_settings_of_locks_are_checked(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.tfgpu]\n{text}\n")
    with pytest.raises(InvalidFileError) as caught:
        load_settings(tmp_path)
    assert any(complaint in line for line in caught.value.why)


def test_the_pre_commit_hook_runs_for_every_file_that_can_make_a_lock_stale() -> None:
    (hook,) = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["entry"], hook["pass_filenames"]) == (
        "tfgpu-lock-check",
        "tfgpu-provision lock --check",
        False,
    )
    names = ["pyproject.toml", *(default_name(kind, target) for kind in LockFormat for target in ("", "ci"))]
    for name in names:
        assert re.search(hook["files"], f"sub/{name}"), name
    assert not re.search(hook["files"], "requirements.txt")

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidFileError
from provision.workflows.settings import load_settings


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "pyproject.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_nearest_project_counts(tmp_path: Path) -> None:
    write(tmp_path, '[tool.tfgpu]\ntf = "2.15"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert load_settings(inner).text("tf") == "2.15"
    write(tmp_path / "a", '[tool.tfgpu]\ntf = "2.16"\nmatrix = "my.yaml"\nrequirements = ["numpy"]\n')
    settings = load_settings(inner)
    assert settings.text("tf") == "2.16"
    assert settings.path("matrix") == tmp_path / "a" / "my.yaml"
    assert settings.strings("requirements") == ("numpy",)
    assert settings.text("python") is None


def test_a_project_without_our_table_has_no_settings(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nname = 'x'\n")
    settings = load_settings(tmp_path)
    assert settings.text("tf") is None
    assert settings.strings("requirements") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tool.tfgpu]\ntensorflow = '2'\n", "tensorflow: not a setting"),
        ("[tool.tfgpu]\ntf = 2.15\n", "tf: must be a str"),
        ("[tool.tfgpu]\nrequirements = 'numpy'\n", "requirements: must be a list"),
        ("[tool.tfgpu]\nrequirements = [1]\n", "requirements: every entry must be a str"),
        ("[tool]\ntfgpu = 3\n", "tfgpu: not a setting"),
        ("[tool.tfgpu\n", "pyproject.toml"),
        (b"\xff\xfe\x00", "pyproject.toml"),
        ("x = 'y'\n" * 200_000, "pyproject.toml"),
    ],
)
def test_a_wrong_table_is_refused_with_its_reasons(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    write(tmp_path, text)
    with pytest.raises(InvalidFileError) as caught:
        load_settings(tmp_path)
    assert any(complaint in line for line in caught.value.why)
    assert caught.value.hint


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "[tool.tfgpu]\nfirst = 1\nsecond = 2\ntf = 3\n")
    with pytest.raises(InvalidFileError) as caught:
        load_settings(tmp_path)
    assert len(caught.value.why) == 3

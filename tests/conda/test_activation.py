from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from provision.backends.conda.activation import write_activation

VARIABLES = {"XLA_FLAGS": "--xla_gpu_cuda_data_dir=$CONDA_PREFIX", "TF_SOMETHING": "1"}


def run(shell: str, script: str, **environ: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} on this machine")
    return subprocess.run(
        [found, "-c", script], env={"PATH": "/usr/bin:/bin", **environ}, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
@pytest.mark.parametrize("before", [None, "", "--xla_old=1 --b='two words'"])
def test_what_is_set_is_given_back(tmp_path: Path, shell: str, before: str | None) -> None:
    written = write_activation(tmp_path, VARIABLES)
    assert set(written) == {
        f"etc/conda/{on}.d/tfgpu-provision.{end}" for on in ("activate", "deactivate") for end in ("sh", "fish")
    }
    end = "fish" if shell == "fish" else "sh"
    on, off = (f". '{tmp_path}/etc/conda/{name}.d/tfgpu-provision.{end}'" for name in ("activate", "deactivate"))
    environ = {"CONDA_PREFIX": "/home/you/my env"} | ({} if before is None else {"XLA_FLAGS": before})
    plain = run(shell, "env", **environ)
    active = run(shell, f"{on}\n{on}\nenv", **environ)
    flag = "--xla_gpu_cuda_data_dir=/home/you/my env"
    assert f"XLA_FLAGS={before} {flag}\n" in active if before else f"XLA_FLAGS={flag}\n" in active
    assert "TF_SOMETHING=1\n" in active
    assert sorted(run(shell, f"{on}\n{off}\nenv", **environ).splitlines()) == sorted(plain.splitlines())
    assert sorted(run(shell, f"{off}\nenv", **environ).splitlines()) == sorted(plain.splitlines())


def test_two_environments_nest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_activation(tmp_path / name, {"TF_SOMETHING": name})
    path = f"{tmp_path}/%s/etc/conda/%s.d/tfgpu-provision.sh"
    steps = [path % step for step in (("a", "activate"), ("b", "activate"), ("b", "deactivate"))]
    script = "".join(f". '{step}'\n" for step in steps) + "echo $TF_SOMETHING"
    assert run("sh", script) == "a\n"


def test_no_variables_no_scripts_and_nothing_hostile(tmp_path: Path) -> None:
    assert write_activation(tmp_path, {}) == ()
    for name, value in (
        ("A B", "1"),
        ("A", "$(touch x)"),
        ("A", '"; touch x'),
        ("A", "a\nb"),
        ("A", "`x`"),
        ("1A", "x"),
    ):
        with pytest.raises(ValueError, match="activation"):
            write_activation(tmp_path, {name: value})
    assert not (tmp_path / "etc").exists()

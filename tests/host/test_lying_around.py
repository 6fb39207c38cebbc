"""Interpreters, toolkits, cuDNN copies, nvcc, tools and variables: found where they are kept, each once."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.host.interpreters import find_interpreters
from provision.host.parsers import parse_ldconfig
from provision.host.toolkits import find_cudnn, find_toolkits, nvcc_version
from provision.host.tools import find_tools
from provision.host.variables import relevant

if TYPE_CHECKING:
    from conftest import Machine

OWN = str(Path(sys.executable).resolve())
OWN_VERSION = platform.python_version().rstrip("+")


def answering(version: str, kind: str = "cpython", machine: str = "x86_64") -> str:
    return f"""echo '{{"version": "{version}", "kind": "{kind}", "machine": "{machine}"}}'"""


def found(machine: Machine, **environ: str) -> list[tuple[str, str, str]]:
    """Return version, source and file name of what was found below the machine's folders."""
    pythons = find_interpreters(machine.system(**environ))
    return [(str(python.version), python.source, Path(python.path).name) for python in pythons]


def test_of_a_series_only_what_may_be_of_it_is_asked_first(machine: Machine) -> None:
    for minor in ("8", "9"):
        machine.program(f"python3.{minor}", answering(f"3.{minor}.2"))
    named = {Path(python.path).name for python in find_interpreters(machine.system(), ["3.8"])}
    assert named == {"python3.8"}
    assert len(find_interpreters(machine.system(), ["3.11"])) == 2, "a refusal names what there is"


def test_a_real_interpreter_answers_and_links_count_once(machine: Machine) -> None:
    for name in ("python3", "python", f"python3.{sys.version_info.minor}"):
        machine.python(machine.bin / name)
    (python,) = find_interpreters(machine.system())
    assert (python.path, str(python.version), python.implementation) == (OWN, OWN_VERSION, "cpython")
    assert python.machine == platform.machine()


def test_every_place(machine: Machine) -> None:
    machine.program("python3.9", answering("3.9.18"))
    machine.program("python3", answering("3.8.1"), folder=machine.home / ".pyenv/versions/3.8.1/bin")
    machine.program(
        "python3", answering("3.12.7"), folder=machine.home / ".local/share/uv/python/cpython-3.12.7-linux/bin"
    )
    machine.program("python3", answering("3.11.5"), folder=machine.home / "miniconda3/bin")
    machine.program("python3", answering("3.10.2"), folder=machine.home / "miniconda3/envs/science/bin")
    for prefix in ("miniconda3", "miniconda3/envs/science"):
        (machine.home / prefix / "conda-meta").mkdir()
    assert found(machine) == [
        ("3.12.7", "uv", "python3"),
        ("3.11.5", "conda", "python3"),
        ("3.10.2", "conda", "python3"),
        ("3.9.18", "path", "python3.9"),
        ("3.8.1", "pyenv", "python3"),
    ]


def test_places_named_by_variables(machine: Machine, tmp_path: Path) -> None:
    machine.program("python3", answering("3.7.9"), folder=tmp_path / "pyenv/versions/3.7.9/bin")
    machine.program("python3", answering("3.13.1"), folder=tmp_path / "uv/cpython-3.13.1/bin")
    machine.program("python3", answering("3.6.15"), folder=tmp_path / "forge/envs/old/bin")
    (tmp_path / "forge/envs/old/conda-meta").mkdir()
    environ = {
        "PYENV_ROOT": str(tmp_path / "pyenv"),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"),
        "CONDA_EXE": str(tmp_path / "forge/bin/conda"),
    }
    assert found(machine, **environ) == [
        ("3.13.1", "uv", "python3"),
        ("3.7.9", "pyenv", "python3"),
        ("3.6.15", "conda", "python3"),
    ]


def test_condas_own_list_of_environments(machine: Machine, tmp_path: Path) -> None:
    machine.program("python3", answering("3.10.4"), folder=tmp_path / "elsewhere/bin")
    (tmp_path / "elsewhere/conda-meta").mkdir()
    (machine.home / ".conda").mkdir()
    (machine.home / ".conda/environments.txt").write_text(
        f"{tmp_path}/elsewhere\n\n/gone\nrelative\n\xff\n", encoding="latin-1"
    )
    assert found(machine) == [("3.10.4", "conda", "python3")]


def test_what_a_shim_or_another_program_says_is_not_asked(machine: Machine) -> None:
    shims = machine.home / ".pyenv/shims"
    machine.program("python3", answering("3.5.0"), folder=shims)
    machine.program("python3-config", answering("3.4.0"))
    machine.program("python3.9-dbg", answering("3.4.0"))
    machine.program("pythonw", answering("3.4.0"))
    machine.program("python3.10", answering("3.10.0"))
    assert found(machine, PATH=f"{shims}:{machine.bin}") == [("3.10.0", "path", "python3.10")]


@pytest.mark.parametrize(
    "script",
    [
        "exit 2",
        "echo nonsense",
        "echo '{}'",
        "echo '[]'",
        'echo \'{"version": "x", "kind": "a", "machine": "b"}\'',
        "kill -SEGV $$",
        "echo 'Python 2.7.18' >&2; exit 2",
    ],
)
def test_what_does_not_answer_as_python_3_is_left_out(machine: Machine, script: str) -> None:
    machine.program("python3", script)
    machine.program("python3.11", answering("3.11.0"))
    assert found(machine) == [("3.11.0", "path", "python3.11")]


def test_a_python_that_hangs_is_left_out(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.host.interpreters._TIME_LIMIT", 0.3)
    machine.program("python3", "exec /bin/sleep 30")
    assert found(machine) == []


@pytest.mark.parametrize("kind", ["cpython-freethreading", "cpython-debug", "cpython-musl", "pypy"])
def test_builds_that_wheels_do_not_fit_are_told_apart(machine: Machine, kind: str) -> None:
    machine.program("python3", answering("3.13.0", kind))
    (python,) = find_interpreters(machine.system())
    assert python.implementation == kind


def test_variables_of_python_do_not_reach_the_child(machine: Machine) -> None:
    machine.program("python3", f'test -z "$PYTHONHOME$PYTHONPATH" && {answering("3.11.0")}')
    assert found(machine, PYTHONHOME="/broken", PYTHONPATH="/broken") == [("3.11.0", "path", "python3")]


def test_broken_links_loops_and_no_home(machine: Machine) -> None:
    (machine.bin / "python3").symlink_to(machine.bin / "gone")
    (machine.bin / "python").symlink_to(machine.bin / "python")
    (machine.bin / "python3.9").mkdir()
    (machine.bin / "python3.8").write_text("not executable")
    environ = {name: value for name, value in machine.environ.items() if name != "HOME"}
    system = machine.system()
    assert find_interpreters(type(system)(environ=environ, root=machine.root)) == ()


# ---- toolkits and cuDNN ----------------------------------------------------------------------------------------------


def test_toolkits(machine: Machine) -> None:
    machine.file("/usr/local/cuda-12.6/version.json", '{"cuda": {"version": "12.6.20241114"}}')
    machine.file("/usr/local/cuda-10.1/version.txt", "CUDA Version 10.1.243\n")
    machine.file("/opt/cuda/include/cuda.h", "#define CUDA_VERSION 11080\n")
    machine.file("/usr/local/cuda-9.2/bin/nvcc")
    machine.file("/opt/nvidia/hpc_sdk/Linux_x86_64/24.3/cuda/12.3/bin/nvcc")
    (machine.root / "usr/local/cuda").symlink_to("cuda-12.6")
    machine.folder("/usr/lib/cuda")
    kits = find_toolkits(machine.system())
    assert [(kit.path, str(kit.cuda)) for kit in kits] == [
        ("/usr/local/cuda", "12.6"),
        ("/usr/local/cuda-10.1", "10.1.243"),
        ("/usr/local/cuda-9.2", "9.2"),
        ("/opt/cuda", "11.8"),
        ("/opt/nvidia/hpc_sdk/Linux_x86_64/24.3/cuda/12.3", "12.3"),
    ]


def test_a_toolkit_named_by_a_variable_comes_first(machine: Machine) -> None:
    machine.file("/home/me/cuda/version.txt", "CUDA Version 11.0.221\n")
    (kit,) = find_toolkits(machine.system(CUDA_HOME="/home/me/cuda", CUDA_PATH="/gone"))
    assert (kit.path, str(kit.cuda), kit.source) == ("/home/me/cuda", "11.0.221", "CUDA_HOME")


def test_no_toolkit(machine: Machine) -> None:
    assert find_toolkits(machine.system()) == ()


def test_cudnn_copies(machine: Machine) -> None:
    machine.file("/usr/lib/x86_64-linux-gnu/libcudnn.so.8.9.7")
    (machine.root / "usr/lib/x86_64-linux-gnu/libcudnn.so.8").symlink_to("libcudnn.so.8.9.7")
    machine.file("/usr/lib/x86_64-linux-gnu/libcudnn_ops_infer.so.8.9.7")
    machine.file("/usr/local/cuda-11.2/version.txt", "CUDA Version 11.2.152\n")
    machine.file("/usr/local/cuda-11.2/lib64/libcudnn.so.8")
    machine.file(
        "/usr/local/cuda-11.2/include/cudnn_version.h",
        "#define CUDNN_MAJOR 8\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n",
    )
    machine.file("/opt/libs/libcudnn.so.7")
    cache = parse_ldconfig(
        "\tlibcudnn.so.7 (libc6,x86-64) => /opt/libs/libcudnn.so.7\n\tlibcudnn.so.6 (libc6,x86-64) => /gone/libcudnn.so.6\n\tlibcudnn.so.5 (libc6) => /opt/libs/libcudnn.so.7\n"
    )
    system = machine.system()
    copies = find_cudnn(system, find_toolkits(system), cache, "x86_64")
    assert {(copy.path, str(copy.version) if copy.version else None) for copy in copies} == {
        ("/opt/libs/libcudnn.so.7", None),
        ("/usr/lib/x86_64-linux-gnu/libcudnn.so.8", "8.9.7"),
        ("/usr/local/cuda-11.2/lib64/libcudnn.so.8", "8.1.0"),
    }


@pytest.mark.parametrize(
    ("script", "version", "outcome"),
    [
        ("echo 'Cuda compilation tools, release 11.8, V11.8.89'", "11.8.89", None),
        ("echo nothing", None, "unreadable"),
        ("echo broken >&2; exit 1", None, "failed"),
        (None, None, "absent"),
    ],
)
def test_nvcc(machine: Machine, script: str | None, version: str | None, outcome: str | None) -> None:
    if script:
        machine.program("nvcc", script)
    fact = nvcc_version(machine.system())
    assert (str(fact.value) if fact.value else None) == version
    assert [attempt.outcome for attempt in fact.attempts] == ([outcome] if outcome else [])


# ---- tools and variables ---------------------------------------------------------------------------------------------


def test_tools(machine: Machine) -> None:
    uv = machine.program("uv", "exit 0")
    conda = machine.program("conda", "exit 0", folder=machine.home / "elsewhere/bin")
    pixi = machine.program("pixi", "exit 0", folder=machine.home / ".pixi/bin")
    micromamba = machine.program("micromamba", "exit 0", folder=machine.home / "mm")
    tools = find_tools(machine.system(CONDA_EXE=str(conda), MAMBA_EXE=str(micromamba)))
    assert tools == {"uv": str(uv), "conda": str(conda), "micromamba": str(micromamba), "pixi": str(pixi)}


def test_no_tools(machine: Machine) -> None:
    assert find_tools(machine.system(CONDA_EXE="/gone/conda")) == {}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("CUDA_VISIBLE_DEVICES", True),
        ("LD_LIBRARY_PATH", True),
        ("TF_CPP_MIN_LOG_LEVEL", True),
        ("TF_FORCE_GPU_ALLOW_GROWTH", True),
        ("TF_GPU_ALLOCATOR", True),
        ("TF_ENABLE_ONEDNN_OPTS", True),
        ("TF_USE_LEGACY_KERAS", True),
        ("TF_XLA_FLAGS", True),
        ("XLA_FLAGS", True),
        ("NVIDIA_TF32_OVERRIDE", True),
        ("CUDA_CACHE_PATH", True),
        ("NCCL_DEBUG", True),
        ("TF_VAR_database_password", False),
        ("TF_TOKEN_app_terraform_io", False),
        ("TF_CLI_CONFIG_FILE", False),
        ("HOME", False),
        ("AWS_SECRET_ACCESS_KEY", False),
        ("PATH", False),
    ],
)
def test_variables_that_matter_and_no_secrets(name: str, *, kept: bool) -> None:
    assert relevant({name: "x"}) == ({name: "x"} if kept else {})


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert relevant({"LD_LIBRARY_PATH": "/tmp/\udce9"}) == {"LD_LIBRARY_PATH": "/tmp/\ufffd"}
    assert relevant({"LD_LIBRARY_PATH": "/tmp/é"}) == {"LD_LIBRARY_PATH": "/tmp/é"}


def test_an_empty_variable_is_a_value() -> None:
    assert relevant({"CUDA_VISIBLE_DEVICES": ""}) == {"CUDA_VISIBLE_DEVICES": ""}

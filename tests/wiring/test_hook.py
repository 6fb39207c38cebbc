"""The hook, run by real interpreters over a small `tensorflow` that only tells what it finds when it is imported."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wiring.samples import compiler, env_ref, library_set, small_environment, small_row, tiny_library

from provision.model.environment import EnvRef
from provision.wiring import wire

TEMPLATE = Path(__file__).parents[2] / "provision/wiring/guest/_tfgpu_hook.py"
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
OLD_PYTHONS = sorted(str(path) for series in ("3.6", "3.8") for path in PYENV.glob(f"{series}.*/bin/python"))
TELLS = """
import os
names = ("XLA_FLAGS", "PATH", "TFGPU_XLA_DATA_DIR")
FOUND = {name: os.environ.get(name) for name in names}
with open("/proc/self/maps") as maps:
    FOUND["mapped"] = sorted({line.split()[-1] for line in maps if "/lib" in line and "/nvidia/" in line or "bogus" in line})
"""
ASK = "import json, sys, tensorflow; print(json.dumps(tensorflow.FOUND))"


@pytest.fixture(scope="session")
def wired(tmp_path_factory: pytest.TempPathFactory) -> EnvRef:
    """A wired small environment with a telling tensorflow; read-only for the tests that share it."""
    if compiler() is None:
        pytest.skip("no C compiler on PATH to make small libraries")
    return wired_environment(tmp_path_factory.mktemp("wired") / "env")


def wired_environment(prefix: Path) -> EnvRef:
    env = small_environment(prefix)
    (Path(env.tensorflow) / "__init__.py").write_text(TELLS)
    assert wire(env, small_row(), library_set()).ok
    return env


def run(
    env: EnvRef, code: str, *, python: str = sys.executable, flags: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    """Start an interpreter that treats the environment's site-packages as `site` does at every start."""
    start = f"import site; site.addsitedir({str(env.site_packages)!r})\n"
    argv = [python, "-s", *flags, "-c", start + code]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)


def ask(env: EnvRef, code: str = ASK, **options: Any) -> dict[str, Any]:
    done = run(env, code, **options)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def names(found: dict[str, Any]) -> list[str]:
    return [Path(path).name for path in found["mapped"]]


def data_dir(env: EnvRef) -> str:
    return f"{env.site_packages}/nvidia/cuda_nvcc"


def test_without_ld_library_path_nothing_is_loaded_ahead(wired: EnvRef, fake_driver: Path) -> None:
    assert ask(wired)["mapped"] == []


@pytest.mark.parametrize("flags", [(), ("-I",), ("-E",), ("-O",), ("-B",)])
def test_a_stale_ld_library_path_is_beaten(wired: EnvRef, fake_driver: Path, flags: tuple[str, ...]) -> None:
    found = ask(wired, flags=flags, LD_LIBRARY_PATH=f"/nowhere:{fake_driver}")
    expected = ["libcublas.so.11", "libcublasLt.so.11", "libcudart.so.11.0", "libcudnn.so.8", "libcusolver.so.11"]
    assert set(names(found)) >= set(expected)
    assert len(found["mapped"]) == 10


def test_the_right_files_are_loaded_although_others_bear_their_names(
    tmp_path: Path, wired: EnvRef, fake_driver: Path
) -> None:
    bogus = tmp_path / "bogus"
    for path in Path(wired.site_packages).glob("nvidia/*/lib/*.so*"):
        tiny_library(bogus / path.name)
    # Names that no library has are asked for too: by TensorFlow 2.4 the old cuSOLVER, by cuDNN 8 plain NVRTC.
    asked = ("libcudnn.so.8", "libcusolver.so.11", "libcusolver.so.10", "libnvrtc.so")
    for name in asked[2:]:
        tiny_library(bogus / name)
    code = f"import tensorflow, ctypes\nfor name in {asked!r}: ctypes.CDLL(name)\n"
    code += "import json; exec(open(tensorflow.__file__).read()); print(json.dumps(FOUND))"
    environ = {"LD_LIBRARY_PATH": f"{bogus}:{fake_driver}"}
    assert not [path for path in ask(wired, code, **environ)["mapped"] if "bogus" in path]
    control = ask(wired, code, TFGPU_NO_PRELOAD="1", **environ)
    assert {Path(path).name for path in control["mapped"] if "bogus" in path} == set(asked)


def test_without_a_driver_nothing_is_loaded(wired: EnvRef) -> None:
    assert ask(wired, LD_LIBRARY_PATH="/nowhere")["mapped"] == []


@pytest.mark.parametrize(("value", "acts"), [("1", False), ("yes", False), ("0", True), ("", True)])
def test_the_switch(wired: EnvRef, fake_driver: Path, value: str, *, acts: bool) -> None:
    found = ask(wired, LD_LIBRARY_PATH=str(fake_driver), TFGPU_NO_PRELOAD=value)
    assert (bool(found["mapped"]), bool(found["XLA_FLAGS"])) == (acts, acts)


def test_xla_is_told_the_folder_and_its_ptxas_comes_first(wired: EnvRef) -> None:
    found = ask(wired, PATH="/usr/bin:/bin")
    assert found["XLA_FLAGS"] == f"--xla_gpu_cuda_data_dir={data_dir(wired)}"
    assert found["PATH"] == f"{data_dir(wired)}/bin:/usr/bin:/bin"


def test_where_there_is_no_path_the_usual_folders_stay_on_it(wired: EnvRef) -> None:
    assert ask(wired)["PATH"] == f"{data_dir(wired)}/bin:{os.defpath}"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--xla_dump_to=/tmp/x", "--xla_dump_to=/tmp/x --xla_gpu_cuda_data_dir={ours}"),
        ("  --a --b ", "--a --b  --xla_gpu_cuda_data_dir={ours}"),
        ("--xla_gpu_cuda_data_dir=/opt/cuda", "--xla_gpu_cuda_data_dir=/opt/cuda"),
        ("--a --xla_gpu_cuda_data_dir=/opt/cuda --b", "--a --xla_gpu_cuda_data_dir=/opt/cuda --b"),
        ("/home/me/flags.txt", "/home/me/flags.txt"),
    ],
)
def test_flags_of_the_user_are_kept(wired: EnvRef, flags: str, expected: str) -> None:
    found = ask(wired, XLA_FLAGS=flags, PATH="/bin")
    wanted = expected.format(ours=data_dir(wired)).split()
    assert found["XLA_FLAGS"].split() == wanted
    ours = data_dir(wired) in found["XLA_FLAGS"]
    assert found["PATH"].startswith(data_dir(wired)) is ours, "who names a folder keeps the PATH as well"


def test_a_path_with_other_characters_is_quoted_as_xla_reads_it(tmp_path: Path, cc: str) -> None:
    env = wired_environment(tmp_path / 'my "own" env')
    flags = ask(env)["XLA_FLAGS"]
    flag, value = flags.split("=", 1)
    assert flag == "--xla_gpu_cuda_data_dir"
    assert value.startswith('"')
    assert value[1:-1].replace('\\"', '"') == data_dir(env)


def test_children_inherit_and_do_not_add_it_twice(wired: EnvRef) -> None:
    child = f"import site; site.addsitedir({str(wired.site_packages)!r}); {ASK}"
    code = "import subprocess, sys, tensorflow\n"
    code += f"print(subprocess.run([sys.executable, '-s', '-c', {child!r}], stdout=subprocess.PIPE).stdout.decode())"
    found = ask(wired, code, PATH="/bin")
    assert found["XLA_FLAGS"].count("data_dir") == 1
    assert found["PATH"] == f"{data_dir(wired)}/bin:/bin"


def test_a_child_in_another_environment_gets_its_own(wired: EnvRef, tmp_path: Path) -> None:
    other = wired_environment(tmp_path / "other env")
    first = ask(other, XLA_FLAGS="--mine")
    inherited = {name: first[name] for name in ("XLA_FLAGS", "PATH", "TFGPU_XLA_DATA_DIR")}
    found = ask(wired, **inherited)
    assert found["XLA_FLAGS"].split() == ["--mine", f"--xla_gpu_cuda_data_dir={data_dir(wired)}"]
    assert found["PATH"].startswith(f"{data_dir(wired)}/bin:")


def test_to_look_whether_tensorflow_is_there_costs_nothing(wired: EnvRef, fake_driver: Path) -> None:
    code = "import importlib.util, os, sys, json\nspec = importlib.util.find_spec('tensorflow')\n"
    code += "print(json.dumps([spec.origin, type(spec.loader).__name__, 'ctypes' in sys.modules, 'XLA_FLAGS' in os.environ]))"
    origin, loader, loaded, told = json.loads(run(wired, code, LD_LIBRARY_PATH=str(fake_driver)).stdout)
    assert origin == f"{wired.tensorflow}/__init__.py"
    assert (loader, loaded, told) == ("SourceFileLoader", False, False)


def test_the_finder_goes_when_its_work_is_done(wired: EnvRef) -> None:
    code = "import sys, tensorflow\nprint([f for f in sys.meta_path if getattr(f, '__module__', '') == '_tfgpu_hook'])"
    assert run(wired, code).stdout.strip() == "[]"


def test_a_reload_and_a_second_import_do_nothing_more(wired: EnvRef) -> None:
    code = "import importlib, json, tensorflow\nimportlib.reload(tensorflow); print(json.dumps(tensorflow.FOUND))"
    assert ask(wired, code)["XLA_FLAGS"].count("data_dir") == 1


def test_another_tensorflow_is_left_alone(wired: EnvRef, tmp_path: Path, fake_driver: Path) -> None:
    (tmp_path / "tensorflow.py").write_text(TELLS)
    found = ask(wired, PYTHONPATH=str(tmp_path), LD_LIBRARY_PATH=str(fake_driver))
    assert (found["XLA_FLAGS"], found["mapped"]) == (None, [])


def test_a_missing_tensorflow_fails_as_it_always_does(tmp_path: Path, cc: str) -> None:
    env = wired_environment(tmp_path / "env")
    for path in sorted(Path(env.tensorflow).iterdir()):
        path.unlink()
    Path(env.tensorflow).rmdir()
    done = run(env, "import tensorflow")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'tensorflow'"
    assert "_tfgpu_hook" not in done.stderr


def test_a_tensorflow_that_fails_to_import_fails_with_its_own_words(tmp_path: Path, cc: str) -> None:
    env = wired_environment(tmp_path / "env")
    (Path(env.tensorflow) / "__init__.py").write_text("raise ImportError('numpy is too new')")
    assert run(env, "import tensorflow").stderr.splitlines()[-1] == "ImportError: numpy is too new"


@pytest.mark.parametrize("gone", ["nvidia", "nvidia/cudnn", "tensorflow/libcudnn.so.8"])
def test_files_that_went_away_never_make_it_raise(tmp_path: Path, fake_driver: Path, gone: str) -> None:
    env = wired_environment(tmp_path / "env")
    path = Path(env.site_packages) / gone
    path.rename(tmp_path / "gone")
    found = ask(env, LD_LIBRARY_PATH=str(fake_driver))
    assert len(found["mapped"]) < 10


def test_a_file_that_is_no_library_never_makes_it_raise(tmp_path: Path, fake_driver: Path) -> None:
    env = wired_environment(tmp_path / "env")
    (Path(env.site_packages) / "nvidia/cudnn/lib/libcudnn.so.8").write_text("text")
    assert len(ask(env, LD_LIBRARY_PATH=str(fake_driver))["mapped"]) == 9


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(wired: EnvRef, fake_driver: Path, tmp_path: Path, method: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        f"import site; site.addsitedir({str(wired.site_packages)!r})\n"
        "import json, multiprocessing\n"
        "def work(queue):\n    import tensorflow\n    queue.put(tensorflow.FOUND)\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    queue = context.Queue()\n    process = context.Process(target=work, args=(queue,))\n"
        "    process.start(); print(json.dumps(queue.get(timeout=30))); process.join()\n"
    )
    environ = {"LD_LIBRARY_PATH": str(fake_driver)}
    done = subprocess.run(
        [sys.executable, "-s", str(script)], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["mapped"]) == 10


def test_it_is_moved_with_its_environment(tmp_path: Path, fake_driver: Path) -> None:
    env = wired_environment(tmp_path / "env")
    Path(env.prefix).rename(tmp_path / "moved")
    moved = env_ref(tmp_path / "moved")
    found = ask(moved, LD_LIBRARY_PATH=str(fake_driver))
    assert all("/moved/" in path for path in found["mapped"])
    assert len(found["mapped"]) == 10


@pytest.mark.parametrize("python", OLD_PYTHONS or [None])
def test_old_interpreters_run_it_too(wired: EnvRef, fake_driver: Path, python: str | None) -> None:
    if python is None:
        pytest.skip("no Python 3.6 or 3.8 of pyenv on this machine")
    found = ask(wired, python=python, LD_LIBRARY_PATH=str(fake_driver))
    assert len(found["mapped"]) == 10
    assert found["XLA_FLAGS"] == f"--xla_gpu_cuda_data_dir={data_dir(wired)}"


def test_it_is_written_in_words_of_python_3_6_and_imports_little() -> None:
    tree = ast.parse(TEMPLATE.read_text(), feature_version=(3, 6))
    top = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert top == {"os", "sys"}, "the start of every interpreter pays for what stands here"
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.NamedExpr))]

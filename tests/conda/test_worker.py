from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import provision
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine, find_extra
from provision.backends.conda.explain import cause_of, failure_of
from provision.errors import ToolFailedError
from provision.system import Completed, System

ROOT = Path(provision.__file__).parent
LAZY = ("rattler", "conda_lock")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {item.name.split(".")[0] for item in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def test_only_the_worker_imports_rattler() -> None:
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "rattler" in imported(path)}
    assert found == {f"backends/conda/{name}.py" for name in ("worker", "worker_solve", "worker_install")}


@pytest.mark.parametrize("argv", [["--help"], ["create", "--help"], ["plan", "--help"], ["--version"]])
def test_the_start_loads_neither_rattler_nor_conda_lock(argv: list[str]) -> None:
    code = (
        "import sys, provision.cli.main as m\nsys.argv = ['tfgpu-provision', *sys.argv[1:]]\n"
        "try:\n    m.main()\nexcept SystemExit:\n    pass\n"
        f"print(*[n for n in sys.modules if n.split('.')[0] in {LAZY!r} or n.startswith('provision.backends.conda')], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout
    assert done.stderr.strip() == ""


def test_the_engines_talking_side_loads_neither() -> None:
    code = f"import sys, provision.backends.conda.engine; print([n for n in sys.modules if n in {LAZY!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_has_its_code_and_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolFailedError) as failure:
        find_extra()
    assert failure.value.code == "extra-missing"
    assert failure.value.hint == "pip install 'tfgpu-provision[conda]'"


@pytest.mark.parametrize("request_", ["{", "[]", "{}", '{"action": "install"}'])
def test_a_broken_request_ends_without_an_answer_or_with_a_no(request_: str) -> None:
    argv = [sys.executable, "-I", "-m", "provision.backends.conda.worker"]
    done = subprocess.run(argv, input=request_, capture_output=True, text=True, timeout=60, check=False)
    answers = [
        json.loads(line.removeprefix("TFGPU-CONDA "))
        for line in done.stdout.splitlines()
        if line.startswith("TFGPU-CONDA ")
    ]
    assert done.returncode or [item["ok"] for item in answers] == [False]


@pytest.mark.parametrize(
    ("completed", "code"),
    [
        (Completed((), -9, "", "", timed_out=True), "timeout"),
        (
            Completed((), -6, "", "thread 'main' panicked at src/lib.rs:1\nnote: run with RUST_BACKTRACE"),
            "conda-engine-failed",
        ),
        (Completed((), -25, "", ""), "conda-engine-failed"),
        (Completed((), 1, "no mark\n", "OSError: [Errno 28] No space left on device"), "no-space"),
    ],
)
def test_a_worker_that_dies_is_told_and_never_a_traceback(completed: Completed, code: str) -> None:
    error = failure_of(completed, None, "solving", lambda text: text)
    assert error.code == code
    assert error.hint
    assert "Traceback" not in repr(error.why)


def test_causes_are_found_in_rattlers_words() -> None:
    assert cause_of("failed to write: No space left on device (os error 28)") == "no-space"
    assert cause_of("hash mismatch: expected a, got b") == "conda-hash-mismatch"
    assert cause_of("error sending request for url (https://x/)\nCaused by: dns error") == "conda-network"
    assert cause_of("something else") == "conda-engine-failed"


def test_a_worker_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    monkeypatch.setattr("provision.backends.conda.engine._SOLVE", 2.0)
    system = System({"HOME": str(tmp_path)})
    with pytest.raises(ToolFailedError) as failure:
        Engine(system, CondaConfig.load(system)).solve(["x"], [f"http://127.0.0.1:{silent.getsockname()[1]}/c"], {})
    assert failure.value.code == "timeout"
    silent.close()

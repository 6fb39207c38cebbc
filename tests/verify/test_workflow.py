"""verify from outside: environments with a stub tensorflow that fails in every way in which a real one can."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from verify.samples import Environment, gpu, host_of

import provision.verify
from provision.errors import UsageError
from provision.model.host import DriverState
from provision.model.matrix import Matrix
from provision.model.verdict import Level, Outcome, StageStatus
from provision.probes.environment import inspect
from provision.snapshot.premises import find_row, find_set, premises_of
from provision.system import System
from provision.workflows.common import write_document
from provision.workflows.verify import verify

PLAIN = System(environ={"PATH": os.defpath, "HOME": "/home/anna", "USER": "anna"})
SCHEMA = json.loads((Path(provision.verify.__file__).parent / "receipt.schema.json").read_text())
NO_GATE = {"gate": StageStatus.FAILED}


def stages(
    environment: Environment, level: Level = Level.IMPORT, system: System = PLAIN, **more: Any
) -> dict[str, Any]:
    result = verify(system, environment.prefix, level, **more)
    jsonschema.validate(dict(result.receipt), SCHEMA)
    assert not result.verdict.proved
    return {stage.level.value: stage for stage in result.verdict.stages}


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_package", "module-missing"),
        ("raise TypeError('Descriptors cannot be created directly.')", "protobuf-mismatch"),
        ("raise AttributeError(\"module 'numpy' has no attribute 'object'\")", "numpy-mismatch"),
        ('raise ImportError("/lib/libm.so.6: version `GLIBC_2.34\' not found (required by x)")', "glibc-too-old"),
        (
            "raise ImportError('libcudart.so.12: cannot open shared object file: No such file or directory')",
            "library-not-found",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "cpu-instructions"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGBUS)", "library-truncated"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("import os; os.abort()", "aborted"),
        ("import os; os._exit(0)", "no-answer"),
        ("import sys; sys.exit('odd')", "import-failed"),
        ("raise MemoryError", "out-of-memory"),
        ("raise KeyboardInterrupt", "import-failed"),
        ("", "tensorflow-shadowed"),
        ("print('TFGPU-PROBE {\"step\": \"done\"}')\nraise RuntimeError('a talkative package')", "import-failed"),
        ("1/0", "import-failed"),
        ("def broken(:", "import-failed"),
    ],
)
def test_an_import_that_fails_is_named(environment: Environment, code: str, cause: str) -> None:
    environment.tensorflow(code)
    found = stages(environment)
    assert found["gate"].cause == "framework-missing"
    assert (found["import"].status, found["import"].cause) == (StageStatus.FAILED, cause)


def test_an_import_that_hangs_ends_with_the_time_limit(environment: Environment) -> None:
    environment.tensorflow("import time; time.sleep(600)")
    found = stages(environment, timeout=1.5)
    assert found["import"].cause == "hung"
    assert found["import"].seconds < 10


def test_children_of_a_hanging_import_go_too(environment: Environment, tmp_path: Path) -> None:
    mark = tmp_path / "still-here"
    environment.tensorflow(
        f"import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', \"import time; time.sleep(4); open({str(mark)!r}, 'w')\"])\n"
        f"time.sleep(600)"
    )
    stages(environment, timeout=1.0)
    import time

    time.sleep(4.5)
    assert not mark.exists()


def test_no_tensorflow(environment: Environment) -> None:
    found = stages(environment, Level.COMPUTE)
    assert found["gate"].cause == "no-tensorflow"
    assert {found[level].status for level in ("import", "device", "compute")} == {StageStatus.SKIPPED}


def test_a_cpu_only_build_is_known_before_it_runs(environment: Environment) -> None:
    environment.tensorflow("raise SystemExit('not needed')", cuda=False)
    found = stages(environment, Level.GATE)
    assert found["gate"].cause == "cpu-only-build"
    assert found["gate"].summary.startswith("tensorflow 2.20.0 is a build without CUDA")


def test_after_a_failed_gate_the_import_is_tried_and_the_rest_is_not(environment: Environment) -> None:
    environment.tensorflow("raise RuntimeError('odd')")
    found = stages(environment, Level.PERF)
    assert found["import"].status is StageStatus.FAILED
    for level in ("device", "compute", "train", "perf"):
        assert found[level].status is StageStatus.SKIPPED
        assert found[level].summary == "not run: gate failed"


def test_a_probe_sees_the_variables_of_hygiene(environment: Environment, tmp_path: Path) -> None:
    said = tmp_path / "said.json"
    environment.tensorflow(
        f"import json, os; json.dump(dict(os.environ), open({str(said)!r}, 'w')); raise RuntimeError('x')"
    )
    bent = System(
        environ={**PLAIN.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": "--x", "LD_LIBRARY_PATH": "/opt/mine"}
    )
    result = verify(bent, environment.prefix, Level.IMPORT)
    seen = json.loads(said.read_text())
    assert seen["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert "XLA_FLAGS" not in seen
    assert seen["LD_LIBRARY_PATH"] == "/opt/mine"
    assert seen["CUDA_VISIBLE_DEVICES"] == "-1"
    assert result.receipt["variables"] == {
        "kept": {"LD_LIBRARY_PATH": "/opt/mine"},
        "dropped": {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": "--x"},
    }


def test_a_module_in_the_working_folder_is_not_taken(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow.py").write_text("open('/nonexistent/was-imported')")
    monkeypatch.chdir(tmp_path)
    environment.tensorflow("raise RuntimeError('the right one')")
    assert "the right one" in stages(environment)["import"].summary


def test_probes_do_not_stand_on_the_path_of_the_environment(environment: Environment) -> None:
    environment.tensorflow("import gate")
    assert stages(environment)["import"].cause == "module-missing"


def test_the_lock_is_hashed(environment: Environment) -> None:
    lock = environment.prefix / ".tfgpu/lock.txt"
    lock.parent.mkdir()
    lock.write_text("tensorflow==2.20.0\n")
    result = verify(PLAIN, environment.prefix, Level.GATE)
    assert result.receipt["lock_sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert str(environment.prefix) not in json.dumps(result.receipt)


def test_the_host_is_written_down(environment: Environment) -> None:
    host = host_of(DriverState.WORKING, (gpu(uuid="GPU-1"),))
    result = verify(PLAIN, environment.prefix, Level.GATE, host=host)
    assert result.receipt["machine"]["gpus"][0]["name"] == "NVIDIA H200"
    assert "GPU-1" not in json.dumps(result.receipt)
    result = verify(PLAIN, environment.prefix, Level.GATE, host=host, identify=True)
    assert result.receipt["machine"]["gpus"][0]["uuid"] == "GPU-1"


@pytest.mark.parametrize(
    ("installed", "row"),
    [
        ([("tensorflow", "2.20.0")], "2.20.0"),
        ([("tensorflow-gpu", "2.4.1")], "2.4.1"),
        ([("tensorflow-cpu", "2.20.0"), ("tensorflow", "2.16.2")], "2.16.2"),
        ([("tensorflow", "9.9.9")], None),
        ([("tensorflow", "not-a-version")], None),
        ([], None),
    ],
)
def test_the_row_is_found_from_what_is_installed(
    environment: Environment, matrix: Matrix, installed: list[tuple[str, str]], row: str | None
) -> None:
    for name, version in installed:
        environment.distribution(name, version)
    found = find_row(inspect(PLAIN, environment.prefix), matrix)
    assert (found.release.text if found else None) == row


def test_the_set_is_the_one_whose_wheels_are_all_there(matrix: Matrix) -> None:
    for row in matrix.rows:
        for library_set in row.sets:
            versions = {pin.name: pin.version for pin in library_set.pins}
            assert find_set(row, versions) is not None
            first = library_set.pins[0]
            assert find_set(row, {**versions, first.name: "0.0.1"}) is None


def test_premises_from_files(environment: Environment) -> None:
    environment.tensorflow("")
    environment.distribution("tensorflow-cpu", "2.19.0")
    environment.distribution("nvidia-cudnn-cu12", "9.3.0.75")
    environment.write("nvidia/cudnn/lib/libcudnn.so.9")
    environment.write("nvidia/cudnn/lib/README")
    (environment.site / "nvidia/cudnn/lib/libcusolver.so.11").symlink_to("libcudnn.so.9")
    known = premises_of(PLAIN, inspect(PLAIN, environment.prefix), None, None)
    assert (known.tensorflow, known.distribution, known.cuda_build) == ("2.20.0", "tensorflow", True)
    assert known.others == ("tensorflow-cpu 2.19.0",)
    assert known.wheels == {"nvidia-cudnn-cu12": "9.3.0.75"}
    assert known.files == {"libcudnn.so.9": "nvidia/cudnn/lib/libcudnn.so.9"}
    assert known.shadow is None


@pytest.mark.parametrize("text", ["", "broken(", "build_info = 1", "x = {'is_cuda_build': other}"])
def test_a_build_info_that_says_nothing(environment: Environment, text: str) -> None:
    environment.tensorflow("")
    environment.write("tensorflow/python/platform/build_info.py", text)
    assert premises_of(PLAIN, inspect(PLAIN, environment.prefix), None, None).cuda_build is None


@pytest.mark.parametrize(
    "text", ["build_info = {'is_cuda_build': False}", "b = O([('a', 1), ('is_cuda_build', False)])"]
)
def test_both_forms_of_build_info(environment: Environment, text: str) -> None:
    environment.tensorflow("")
    environment.write("tensorflow/python/platform/build_info.py", text)
    assert premises_of(PLAIN, inspect(PLAIN, environment.prefix), None, None).cuda_build is False


def test_a_tensorflow_py_in_site_packages_is_a_shadow(environment: Environment) -> None:
    environment.write("tensorflow.py", "print('not TensorFlow')")
    known = premises_of(PLAIN, inspect(PLAIN, environment.prefix), None, None)
    assert known.shadow == str(environment.site / "tensorflow.py")
    found = stages(environment)
    assert found["import"].cause == "tensorflow-shadowed"


def test_an_unreadable_target_is_an_error_not_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        verify(PLAIN, tmp_path / "nothing", Level.GATE)


def test_a_receipt_is_written_whole_or_not_at_all(environment: Environment, tmp_path: Path) -> None:
    result = verify(PLAIN, environment.prefix, Level.GATE)
    file = tmp_path / "receipt.json"
    file.write_text("the old one")
    write_document(file, result.receipt, "receipt")
    assert json.loads(file.read_text()) == json.loads(json.dumps(result.receipt))
    assert [item.name for item in tmp_path.iterdir() if "receipt" in item.name] == ["receipt.json"]


def test_stages_are_announced(environment: Environment) -> None:
    told: list[str] = []

    class Watch:
        def step(self, text: str) -> None:
            told.append(text)

        def detail(self, text: str) -> None: ...

        def transfer(self, done_bytes: int, total_bytes: int | None) -> None: ...

    verify(PLAIN, environment.prefix, Level.DEVICE, observer=Watch())
    assert told == ["verifying: gate", "verifying: import", "verifying: device"]


def test_an_environment_reached_through_a_link_knows_its_real_folders(environment: Environment, tmp_path: Path) -> None:
    environment.tensorflow("")
    link = tmp_path / "link"
    link.symlink_to(environment.prefix)
    seen = inspect(System(), link)
    given = premises_of(System(), seen, None, None)
    file = "nvidia/cublas/lib/libcublas.so.12"
    for site in (given.site_packages, environment.site.resolve()):
        assert given.inside(f"{site}/{file}")
        assert given.shown(f"{site}/{file}") == file
    assert not given.inside("/usr/lib/libcublas.so.12")


def test_the_outcome_without_any_gpu_stage(environment: Environment) -> None:
    assert verify(PLAIN, environment.prefix, Level.IMPORT).verdict.outcome is Outcome.FAILED

"""What code, kernels, editors and a deep import are found to do: sure of it only where it is sure."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from verify.samples import gpu, host_of, said

from provision import matrix
from provision.doctor.causes import CAUSES
from provision.doctor.checks import code, deep
from provision.doctor.diagnose import diagnose
from provision.model.doctor import Certainty, Finding
from provision.model.environment import EnvRef
from provision.model.environment_facts import Answered, EnvironmentFacts, GateFacts, Package, Pointer
from provision.model.host import DriverState
from provision.model.matrix import Matrix
from provision.model.snapshot import Snapshot
from provision.model.verdict import Level, Stage, StageStatus
from provision.snapshot.script import read_script
from provision.verify import causes, gpu_log
from provision.verify.answer import Premises
from provision.verify.device import judge_device
from provision.verify.imports import judge_import

ENV = EnvRef(
    PurePosixPath("/home/you/project/.venv"),
    PurePosixPath("/home/you/project/.venv/bin/python"),
    PurePosixPath("/home/you/project/.venv/lib/python3.12/site-packages"),
    "venv",
    managed=False,
)
HEAD = "import os\nimport tensorflow as tf\n"
HIDE = "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n"
LATE_GROWTH = (
    HEAD
    + "x = tf.ones(3)\nfor g in tf.config.list_physical_devices('GPU'):\n    tf.config.experimental.set_memory_growth(g, True)\n"
)
ONE_GROWN = HEAD + "g = tf.config.list_physical_devices('GPU')\ntf.config.experimental.set_memory_growth(g[0], True)\n"
LATE_PATH = HEAD + "os.environ['LD_LIBRARY_PATH'] = '/usr/local/cuda/lib64'\n"
LATE_VISIBLE = HEAD + "tf.config.list_physical_devices()\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"


@pytest.fixture(scope="module")
def known() -> Matrix:
    return matrix.load(None)


def found(known: Matrix, **values: Any) -> list[Finding]:
    values.setdefault("host", host_of(DriverState.WORKING, (gpu(),)))
    snapshot = Snapshot(known, **values)
    return [finding for check in code.CHECKS for finding in check.run(snapshot)]


def of_script(known: Matrix, tmp_path: Path, text: str, gpus: int = 1, **values: Any) -> list[Finding]:
    path = tmp_path / "train.py"
    path.write_text(text)
    cards = tuple(gpu(index=index) for index in range(gpus))
    host = host_of(DriverState.WORKING, cards) if gpus else None
    return found(known, script=read_script(path), host=host, **values)


@pytest.mark.parametrize(
    ("text", "gpus", "wanted"),
    [
        (HIDE, 1, ("visible_devices_hidden", Certainty.CERTAIN)),
        (HIDE, 0, ("visible_devices_hidden", Certainty.CERTAIN)),
        (HIDE.replace("-1", "1"), 1, ("visible_devices_hidden", Certainty.CERTAIN)),
        (
            f"import os\nif x:\n    {HIDE.splitlines()[1]}\nimport tensorflow\n",
            1,
            ("visible_devices_hidden", Certainty.POSSIBLE),
        ),
        (HEAD + "tf.config.set_visible_devices([], 'GPU')\n", 1, ("explicit_cpu_placement", Certainty.CERTAIN)),
        (
            HEAD + "with tf.device('/CPU:0'):\n    tf.keras.Model().fit(1)\n",
            1,
            ("explicit_cpu_placement", Certainty.LIKELY),
        ),
        (
            HEAD + "with tf.device('/CPU:0'):\n    d = tf.data.Dataset.range(3)\nx = tf.matmul(1, 2)\n",
            1,
            ("explicit_cpu_placement", Certainty.POSSIBLE),
        ),
        (
            HEAD + "c = tf.compat.v1.ConfigProto(device_count={'GPU': 0})\n",
            1,
            ("explicit_cpu_placement", Certainty.LIKELY),
        ),
        (HEAD + "with tf.device('/GPU:1'):\n    tf.ones(3)\n", 1, ("explicit_cpu_placement", Certainty.LIKELY)),
        (LATE_GROWTH, 1, ("memory_growth_config_error", Certainty.CERTAIN)),
        (
            HEAD + "tf.ones(3)\ntf.config.set_visible_devices([], 'GPU')\n",
            1,
            ("memory_growth_config_error", Certainty.CERTAIN),
        ),
        (ONE_GROWN, 2, ("memory_growth_config_error", Certainty.CERTAIN)),
        (ONE_GROWN, 0, ("memory_growth_config_error", Certainty.POSSIBLE)),
        (LATE_PATH, 1, ("variable_set_too_late", Certainty.CERTAIN)),
        (LATE_VISIBLE, 2, ("variable_set_too_late", Certainty.CERTAIN)),
        # The only GPU there is: it would have made no difference.
        (LATE_VISIBLE, 1, ("variable_set_too_late", Certainty.POSSIBLE)),
        (HEAD + "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n", 1, ("variable_set_too_late", Certainty.POSSIBLE)),
    ],
)
def test_code(known: Matrix, tmp_path: Path, text: str, gpus: int, wanted: tuple[str, Certainty]) -> None:
    (finding,) = of_script(known, tmp_path, text, gpus)
    assert (finding.code, finding.certainty) == wanted, finding
    assert all(clue.source == "train.py" and clue.line for clue in finding.evidence)
    assert finding.fixes
    line = finding.evidence[0].line or 0
    assert f"train.py:{line} " in finding.summary
    assert finding.evidence[0].what.startswith(text.splitlines()[line - 1].strip())


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        (HIDE.replace("-1", "0"), 1),
        (HIDE.replace("-1", "1"), 2),
        # Without knowing the GPUs nobody can say whether there is a second one.
        (HIDE.replace("-1", "1"), 0),
        (HEAD + "with tf.device('/GPU:1'):\n    tf.ones(3)\n", 2),
        (ONE_GROWN, 1),
        (HEAD + "with tf.device('/GPU:0'):\n    tf.ones(3)\n", 1),
        (HEAD + "tf.ones(3)\n", 1),
        ("import torch\nimport tensorflow\n", 1),
        ("def f(:\n    tensorflow\n", 1),
    ],
)
def test_sound_code_is_no_finding(known: Matrix, tmp_path: Path, text: str, gpus: int) -> None:
    assert of_script(known, tmp_path, text, gpus) == []


def test_growth_of_the_only_visible_gpu_is_in_order(known: Matrix, tmp_path: Path) -> None:
    assert of_script(known, tmp_path, ONE_GROWN, 2, variables={"CUDA_VISIBLE_DEVICES": "1"}) == []


def test_a_late_path_that_nothing_needs_explains_nothing(known: Matrix, tmp_path: Path) -> None:
    there = GateFacts((Answered("libcudart.so.12", "/x/libcudart.so.12"),))
    gone = GateFacts((Answered("libcudart.so.12", None, "not found"),))
    for gate, certainty in ((there, Certainty.POSSIBLE), (gone, Certainty.CERTAIN)):
        (finding,) = of_script(known, tmp_path, LATE_PATH, environment=facts(gate=gate))
        assert finding.certainty is certainty


def test_of_several_files_nobody_knows_which_is_run(known: Matrix, tmp_path: Path) -> None:
    (tmp_path / "cpu.py").write_text(HIDE)
    (tmp_path / "late.py").write_text(LATE_GROWTH)
    (tmp_path / "test_cpu.py").write_text(HEAD + "tf.config.set_visible_devices([], 'GPU')\n")
    answers = {item.code: item.certainty for item in found(known, script=read_script(tmp_path))}
    assert answers == {
        "visible_devices_hidden": Certainty.LIKELY,
        "memory_growth_config_error": Certainty.LIKELY,
        "explicit_cpu_placement": Certainty.POSSIBLE,
    }


def test_the_code_is_the_primary_cause_where_all_else_is_in_order(known: Matrix, tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(HIDE)
    host = host_of(DriverState.WORKING, (gpu(),))
    answer = diagnose(Snapshot(known, host, script=read_script(path)), subject="x")
    assert answer.primary is not None
    assert (answer.primary.code, answer.sound) == ("visible_devices_hidden", False)


def facts(**values: Any) -> EnvironmentFacts:
    return EnvironmentFacts(env=ENV, path=str(ENV.prefix), **values)


def kernel(name: str, python: str, folder: str = "/home/you/.local/share/jupyter/kernels", **more: Any) -> Pointer:
    same = python.startswith(str(ENV.prefix))
    return Pointer(
        "jupyter", f"{folder}/{name}/kernel.json", f"{name} (A)", python, **{"exists": True, "same": same, **more}
    )


OWN = f"{ENV.prefix}/share/jupyter/kernels"
HERE = kernel("here", str(ENV.python))
CORE_4 = (Package("ipykernel", "5.0", "/s"), Package("jupyter-core", "4.6.1", "/s"))
CORE_5 = (Package("ipykernel", "6.0", "/s"), Package("jupyter-core", "5.7.2", "/s"))


@pytest.mark.parametrize(
    ("pointers", "packages", "certainty"),
    [
        ((kernel("python3", "/usr/bin/python3.11", OWN),), (), Certainty.CERTAIN),
        ((kernel("any", f"{ENV.prefix}/bin/python3.9", exists=False),), (), Certainty.CERTAIN),
        ((kernel("project", "/old/project/bin/python", exists=False),), (), Certainty.CERTAIN),
        ((kernel("project", "/other/bin/python"), HERE), (), Certainty.LIKELY),
        ((kernel("python3", "/usr/bin/python3.11"),), CORE_4, Certainty.LIKELY),
        # From 5 on the environment's own kernel comes first.
        ((kernel("python3", "/usr/bin/python3.11"),), CORE_5, None),
        ((kernel("tensorflow", "/other/bin/python"),), (), Certainty.POSSIBLE),
        ((kernel("tensorflow", "/other/bin/python"), HERE), (), None),
        # Somebody else's business.
        ((kernel("school", "/other/bin/python"),), (), None),
        ((kernel("school", "/other/bin/python", exists=False),), (), None),
        ((HERE,), (), None),
    ],
)
def test_kernels(
    known: Matrix, pointers: tuple[Pointer, ...], packages: tuple[Package, ...], certainty: Certainty | None
) -> None:
    answers = found(known, environment=facts(pointers=pointers, packages=packages))
    assert [item.certainty for item in answers] == ([certainty] if certainty else [])
    for item in answers:
        assert item.code == "jupyter_kernel_elsewhere"
        assert item.evidence[0].source == pointers[0].file
        assert item.fixes[0].commands[-1] == f"{ENV.python} -m ipykernel install --user --name project"
        assert len(item.fixes[0].commands) == (1 if packages else 2)


@pytest.mark.parametrize(
    ("file", "exists", "same", "certainty"),
    [
        ("/home/you/project/.vscode/settings.json", True, False, Certainty.CERTAIN),
        ("/home/you/project/.vscode/settings.json", False, True, Certainty.CERTAIN),
        ("/elsewhere/.vscode/settings.json", True, False, Certainty.POSSIBLE),
        ("/home/you/project/.vscode/settings.json", True, True, None),
    ],
)
def test_editors(known: Matrix, file: str, exists: bool, same: bool, certainty: Certainty | None) -> None:  # noqa: FBT001
    pointer = Pointer("vscode", file, "python.pythonPath", "/usr/bin/python3", exists=exists, same=same)
    answers = found(known, environment=facts(pointers=(pointer,)))
    assert [(item.code, item.certainty) for item in answers] == (
        [("editor_python_elsewhere", certainty)] if certainty else []
    )


@pytest.mark.parametrize(
    ("values", "variables", "certainty"),
    [
        ({"scripts_set": (("/e/bin/activate", "CUDA_VISIBLE_DEVICES", "-1"),)}, {}, Certainty.LIKELY),
        # In force: that is found with the variable.
        ({"scripts_set": (("/e/bin/activate", "CUDA_VISIBLE_DEVICES", ""),)}, {"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"scripts_set": (("/e/s/sitecustomize.py", "CUDA_VISIBLE_DEVICES", ""),)}, {}, Certainty.CERTAIN),
        ({"scripts_set": (("/e/bin/activate", "CUDA_VISIBLE_DEVICES", "0"),)}, {}, None),
        ({"scripts_set": (("/e/bin/activate", "CUDA_VISIBLE_DEVICES", "$GPU"),)}, {}, None),
        ({"pointers": (kernel("k", str(ENV.python), variables={"CUDA_VISIBLE_DEVICES": "-1"}),)}, {}, Certainty.LIKELY),
        ({"pointers": (kernel("k", "/other/python", variables={"CUDA_VISIBLE_DEVICES": "-1"}),)}, {}, None),
    ],
)
def test_who_sets_the_variable(
    known: Matrix, values: dict[str, Any], variables: dict[str, str], certainty: Certainty | None
) -> None:
    answers = found(known, environment=facts(**values), variables=variables)
    hidden = [item for item in answers if item.code == "visible_devices_hidden" and item.evidence[0].source != "driver"]
    assert [item.certainty for item in hidden] == ([certainty] if certainty else [])


ERRORS = [
    ("TypeError: Descriptors cannot be created directly.", "protobuf_conflict"),
    ("AttributeError: module 'numpy' has no attribute 'object'", "numpy_abi_conflict"),
    ("ImportError: cannot import name 'LayerNormalization' from 'keras.layers'", "keras_conflict"),
    ("ImportError: /lib64/libm.so.6: version `GLIBC_2.27' not found (required by x.so)", "glibc_too_old"),
    ("ImportError: libstdc++.so.6: version `GLIBCXX_3.4.29' not found", "glibc_too_old"),
    ("ModuleNotFoundError: No module named 'tensorflow'", "tensorflow_missing"),
    ("ModuleNotFoundError: No module named 'wrapt'", "dependency_conflict"),
    ("ImportError: cannot import name 'TypeIs' from 'typing_extensions' (/x.py)", "typing_extensions_conflict"),
    ("ImportError: libcudart.so.10.0: cannot open shared object file: No such file", "missing_cuda_library"),
    ("ImportError: libtensorflow_framework.so.2: cannot open shared object file: No such file", "damaged_install"),
    ("ImportError: /x/_pywrap.so: file too short", "damaged_install"),
    ("ImportError: /x/a.so: failed to map segment from shared object", "host_memory_or_noexec"),
    ("AttributeError: module 'tensorflow' has no attribute '__version__'", "stale_import_shadow"),
    ("MemoryError", "host_memory_or_noexec"),
]


@pytest.mark.parametrize(("error", "expected"), ERRORS)
def test_an_import_that_fails(known: Matrix, error: str, expected: str) -> None:
    text = f"Traceback (most recent call last):\n  File x\n{error}\n"
    stage = judge_import(Premises("/e", "/e/s"), said({"step": "import", "error": error, "traceback": text}))
    assert stage.status is StageStatus.FAILED
    (finding,) = found(known, environment=facts(deep_import=stage), deep=True)
    assert finding.code == expected
    assert error[:60] in finding.evidence[0].what


@pytest.mark.parametrize(
    ("error", "command"),
    [
        ("TypeError: Descriptors cannot be created directly.", "uv pip install --python {} 'protobuf<8,>=6.31'"),
        ("ModuleNotFoundError: No module named 'wrapt'", "uv pip install --python {} 'wrapt>=1.11'"),
        ("ModuleNotFoundError: No module named 'other'", "uv pip install --python {} 'tensorflow[and-cuda]==2.21.0'"),
        (
            "ImportError: /x.so: file too short",
            "uv pip install --python {} --reinstall 'tensorflow[and-cuda]==2.21.0'",
        ),
    ],
)
def test_the_fix_is_what_this_release_asks_for(known: Matrix, error: str, command: str) -> None:
    package = Package("tensorflow", "2.21.0", "/s", ("protobuf>=6.31,<8", "wrapt>=1.11"))
    stage = judge_import(Premises("/e", "/e/s"), said({"step": "import", "error": error, "traceback": error}))
    answers = found(known, environment=facts(deep_import=stage, distribution=package), deep=True)
    assert answers[0].fixes[0].commands == (command.format(ENV.python),)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("signal SIGBUS", "damaged_install"),
        ("signal SIGILL", "avx_missing_illegal_instruction"),
        ("signal SIGKILL", "host_memory_or_noexec"),
    ],
)
def test_an_import_that_kills(known: Matrix, ending: str, expected: str) -> None:
    stage = judge_import(Premises("/e", "/e/s"), said(failure=ending, log="last words\n"))
    (finding,) = found(known, environment=facts(deep_import=stage), deep=True)
    assert (finding.code, finding.evidence[0].what) == (expected, "last words")


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("Could not load dynamic library 'libcudnn.so.8'; dlerror: x", "missing_cuda_library"),
        (
            "Ignoring visible gpu device (device: 0, x) with Cuda compute capability 3.0. The minimum required",
            "gpu_arch_unsupported_old",
        ),
        ("kernel version 460.27.4 does not match DSO version 465.19.1 -- cannot find", "driver_library_mismatch"),
        ("nothing known", None),
    ],
)
def test_a_list_without_gpus(known: Matrix, log: str, expected: str | None) -> None:
    driver = {"init": 0, "devices": [{"name": "x"}]}
    stage = judge_device(said({"step": "done", "listed": [], "driver": driver}, log=log), None)
    answers = found(known, environment=facts(deep_device=stage), deep=True)
    assert [item.code for item in answers] == ([expected] if expected else [])
    if expected == "missing_cuda_library":
        # The loader itself was asked: it knows better.
        gate = GateFacts((Answered("libcudnn.so.8", None, "x"),))
        assert found(known, environment=facts(deep_device=stage, gate=gate), deep=True) == []


def test_a_passed_stage_is_no_finding(known: Matrix) -> None:
    passed = Stage(Level.IMPORT, StageStatus.PASSED, "fine")
    untold = Stage(Level.DEVICE, StageStatus.CANNOT_TELL, "no GPU", "no-gpu")
    assert found(known, environment=facts(deep_import=passed, deep_device=untold), deep=True) == []


def test_every_name_of_verify_that_is_mapped_is_one_and_every_cause_has_a_row() -> None:
    named = {ending[0] for ending in causes._ENDINGS.values()} | {entry[1] for entry in causes._TEXTS}
    of_device = {entry[1] for entry in gpu_log._TABLE} | {"hidden-by-cuda-visible-devices"}
    assert set(deep.IMPORT) <= named | {"cpu-only-build"}
    assert set(deep.DEVICE) <= of_device | named
    assert {name for check in code.CHECKS for name in check.codes} <= set(CAUSES)


def test_code_that_was_not_read_is_not_called_sound(known: Matrix, tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("import tensorflow\ndef f(:\n")
    answer = diagnose(Snapshot(known, script=read_script(path)), subject="x")
    assert not answer.sound
    assert "train.py" in answer.unsure[0].what
    (tmp_path / "other.py").write_text("import tensorflow\n")
    assert diagnose(Snapshot(known, script=read_script(tmp_path)), subject="x").sound
    (tmp_path / "empty").mkdir()
    assert not diagnose(Snapshot(known, script=read_script(tmp_path / "empty")), subject="x").sound

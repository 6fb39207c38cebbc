"""What logs show: causes, healthy machines, and what cannot be told."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path, PurePosixPath

import pytest
from doctor.log_samples import CAUSED, CREATED, HEALTHY, NO_KERNEL_DRIVER, UNTOLD, missing

from provision import matrix
from provision.doctor.causes import CAUSES
from provision.doctor.diagnose import diagnose
from provision.doctor.log import judge
from provision.doctor.log.read import read_log
from provision.doctor.log.rules import CODES, findings, unsure
from provision.model.doctor import Certainty, Diagnosis, Finding
from provision.model.environment import EnvRef
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import Matrix
from provision.model.snapshot import Snapshot


@pytest.fixture(scope="module")
def table() -> Matrix:
    return matrix.load(Path(__file__).parents[2] / "matrix.yaml")


def snapshot(table: Matrix, text: str) -> Snapshot:
    return Snapshot(matrix=table, log=read_log("train.log", text.encode()))


def answer(table: Matrix, text: str) -> Diagnosis:
    return diagnose(snapshot(table, text), subject="train.log")


def named(table: Matrix, text: str) -> Finding:
    return next(item for item in findings(snapshot(table, text)) if item.certainty is not Certainty.POSSIBLE)


@pytest.mark.parametrize(("code", "text"), CAUSED, ids=[f"{number}-{code}" for number, (code, _) in enumerate(CAUSED)])
def test_the_cause_is_named_with_its_line_and_a_way_out(table: Matrix, code: str, text: str) -> None:
    found = answer(table, text)
    first = next(item for item in found.findings if item.certainty is not Certainty.POSSIBLE)
    assert first.code == code
    assert first.fixes
    assert first.summary
    lines = text.split("\n")
    assert first.evidence
    for clue in first.evidence:
        assert clue.source == "log"
        assert clue.line is not None
        assert clue.what[:20].split()[-1] in lines[clue.line - 1].replace("’", "'")
    if code != "cpu_only_machine":
        assert found.primary is not None
        assert found.primary.code == code
        assert not found.sound
    assert unsure(snapshot(table, text)) == ()


@pytest.mark.parametrize(("what", "text"), HEALTHY, ids=[what for what, _ in HEALTHY])
def test_alarming_lines_of_a_sound_machine_are_no_cause(table: Matrix, what: str, text: str) -> None:
    assert what
    assert answer(table, text).primary is None
    assert [item for item in findings(snapshot(table, text)) if item.certainty is not Certainty.POSSIBLE] == []


@pytest.mark.parametrize(("what", "text"), UNTOLD, ids=[what for what, _ in UNTOLD])
def test_what_several_causes_explain_is_not_guessed_and_a_command_is_given(table: Matrix, what: str, text: str) -> None:
    assert what
    found = answer(table, text)
    assert found.primary is None
    assert found.unsure
    assert all(item.command for item in found.unsure)


def test_no_gpu_is_told_and_is_no_fault(table: Matrix) -> None:
    text = missing("libcuda.so.1") + NO_KERNEL_DRIVER.format("laptop")
    found = answer(table, text)
    assert [item.code for item in found.findings] == ["cpu_only_machine"]
    assert found.findings[0].effect.value == "none"


def test_harmless_lines_are_named_as_such() -> None:
    noise = HEALTHY[0][1] + HEALTHY[2][1]
    told = {signal.family: signal.meaning for signal in read_log("x", noise.encode()).signals if signal.meaning}
    assert "inference" in told["tensorrt"]
    assert "plugin" in told["noise"]


def test_versions_and_values_are_read() -> None:
    text = "Loaded runtime CuDNN library: 7102 (compatibility version 7100) but source was compiled with 7605"
    table = matrix.load(Path(__file__).parents[2] / "matrix.yaml")
    found = named(table, text)
    assert (found.data["found"], found.data["built"]) == ("7.1.2", "7.6.5")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("(tf) C:\\Users\\you> python t.py\nImportError: Could not find 'cudart64_90.dll'.", "set "),
        ("/home/you/miniconda3/envs/tf/bin/python\n" + missing("libcudnn.so.8", "/opt/cuda/lib64"), "conda install"),
        ("$ docker run --rm image\n" + missing("libcuda.so.1"), "docker run --gpus all"),
        ("modprobe: ERROR: could not insert 'nvidia': Required key not available", "mokutil"),
    ],
)
def test_the_way_out_is_that_of_the_platform(table: Matrix, text: str, word: str) -> None:
    commands = [command for fix in named(table, text).fixes for command in fix.commands]
    assert any(word in command for command in commands), commands


def test_commands_name_the_environment_that_is_at_hand(table: Matrix) -> None:
    where = PurePosixPath("/home/you/my envs/tf")
    env = EnvRef(where, where / "bin" / "python", where / "lib", kind="venv", managed=True)
    seen = snapshot(table, CREATED + "libdevice not found at ./libdevice.10.bc\nDescriptors cannot be created directly")
    at_hand = dataclasses.replace(seen, environment=EnvironmentFacts(env=env, path=str(where)))
    commands = [command for finding in findings(at_hand) for fix in finding.fixes for command in fix.commands]
    assert "tfgpu-provision wire '/home/you/my envs/tf'" in commands
    assert not any(command.startswith("python ") for command in commands)
    alone = dataclasses.replace(at_hand, log=read_log("x", UNTOLD[0][1].encode()))
    assert unsure(alone)[0].command == "tfgpu-provision doctor '/home/you/my envs/tf'"


def test_commands_with_sudo_say_that_they_need_root(table: Matrix) -> None:
    for _, text in CAUSED:
        for finding in findings(snapshot(table, text)):
            for fix in finding.fixes:
                assert fix.root or not any("sudo" in command for command in fix.commands), fix


def test_the_root_explains_what_follows_from_it(table: Matrix) -> None:
    text = "Failed to initialize NVML: Driver/library version mismatch\n" + missing("libcuda.so.1") + CREATED[:0]
    text += "failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\n" + NO_KERNEL_DRIVER.format("vm")
    found = answer(table, text)
    assert found.primary is not None
    assert found.primary.code == "driver_library_mismatch"


def test_the_list_of_codes_is_what_the_rules_name() -> None:
    folder = Path(judge.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert set(CODES) == {code for code in CAUSES if code in words}

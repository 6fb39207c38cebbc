"""create with the real wheels of the package index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from create.small_world import beside
from thorough import sample

pytestmark = [pytest.mark.e2e, pytest.mark.index]

_USE = """
import json, sys
import tensorflow as tf
a = tf.constant([[1.0, 2.0], [3.0, 4.0]])
print(json.dumps([tf.__version__, tf.matmul(a, a).numpy().tolist(), sys.prefix]))
"""


@pytest.mark.parametrize("release", sample(["2.4.1", "2.10.1", "2.16.1", "2.21.0"], 0, 3))
def test_a_release_is_created_proved_as_far_as_here_and_used_without_activation(tmp_path: Path, release: str) -> None:
    target = tmp_path / "an env"
    argv = [sys.executable, "-m", "provision", "create", "--tf", release, "--json", str(target)]
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["outcome"] == "created"
    stages = {stage["level"]: stage["status"] for stage in document["verdict"]["stages"]}
    assert (stages["gate"], stages["import"]) == ("passed", "passed")
    assert document["proved"] is (stages["compute"] == "passed")
    assert beside(target) == []
    assert ".tfgpu-" not in done.stdout, "the folder it was built in is nobody's business"
    bare = ["env", "-i", str(target / "bin/python"), "-c", _USE]
    used = subprocess.run(bare, text=True, capture_output=True, check=True)
    version, product, prefix = json.loads(used.stdout.splitlines()[-1])
    assert (version, product, prefix) == (release, [[7.0, 10.0], [15.0, 22.0]], str(target))
    for name in ("environment.json", "lock.txt", "wiring.json", "receipt.json"):
        text = (target / ".tfgpu" / name).read_text()
        assert str(tmp_path) not in text, f"{name} names this machine's folders"
    again = subprocess.run(argv, text=True, capture_output=True, check=False)
    assert (again.returncode, json.loads(again.stdout)["outcome"]) == (0, "exists")
    subprocess.run(["rm", "-rf", str(target)], check=True)


def test_a_real_conflict_is_told_in_our_terms(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "provision", "create", "--tf", "2.10.1", "--with", "protobuf>=4", "--json"]
    done = subprocess.run([*argv, str(tmp_path / "env")], text=True, capture_output=True, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    denial = json.loads(done.stdout)["denial"]
    assert denial["code"] == "conflict"
    assert denial["asked"] == ["protobuf>=4"]
    assert any(pin["requirement"] == "tensorflow==2.10.1" and pin["why"] for pin in denial["pins"])
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_for_another_machine_resolves_for_its_python(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "provision", "create", "--tf", "2.21.0", "--dry-run", "--json", "--for"]
    done = subprocess.run(
        [*argv, "driver=580.65.06,gpu=8.6,python=3.13,glibc=2.39"],
        text=True,
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["plan"]["python"] == "3.13"
    assert "tensorflow==2.21.0" in document["distributions"]
    assert list(tmp_path.iterdir()) == []

"""Environments that this tool did not make, as they are; and that doctor writes into none of them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor.lab.bench import Bench
from doctor.lab.copies import Copy, link_tree, state

from provision.errors import UsageError
from provision.probes.environment import inspect
from provision.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.index]

Place = Callable[[str], Bench]


@pytest.mark.parametrize(
    ("release", "lost"), [("plain-2.16.1", "libcudnn.so.8"), ("plain-2.21.0", "libcusolver.so.11")]
)
def test_what_pip_installs_does_not_work_and_what_doctor_says_makes_it_work(
    release: str, lost: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = place(release)
    before = dict(state(bench.env.prefix))
    answer = bench.ask(monkeypatch)
    assert dict(state(bench.env.prefix)) == before, "doctor has written into the environment"
    assert answer.primary == "wheel_rpath_bug", answer.told()
    assert lost in json.dumps(answer.document["primary"]["data"]), answer.told()
    bench.type_in(answer.document["primary"]["fixes"][0]["commands"])
    answer = bench.ask(monkeypatch)
    assert (answer.document["findings"], answer.code) == ([], 0), answer.told()


def test_a_tensorflow_cpu_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = place("cpu-2.4.1")
    answer = bench.ask(monkeypatch)
    assert (answer.codes, answer.code) == (["cpu_only_package"], 1), answer.told()
    assert "uninstall" in answer.first_fix
    assert "tensorflow-cpu" in answer.first_fix


def test_a_python_without_tensorflow(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = place("empty").ask(monkeypatch)
    assert (answer.codes, answer.code) == (["tensorflow_missing"], 1), answer.told()


def conda_like(bench: Bench) -> Copy:
    """Return a prefix as conda makes one, of the copy: a Python of its own, records, the libraries in ``lib``."""
    home = Path((bench.env.prefix / "bin/python").resolve()).parent.parent
    series = bench.env.site.parent.name
    prefix = bench.env.prefix.with_name("conda")
    link_tree(home / "lib" / series, prefix / "lib" / series, left_out=("site-packages", "test", "__pycache__"))
    (prefix / "bin").mkdir()
    os.link((home / "bin" / series).resolve(), prefix / "bin/python")
    link_tree(bench.env.site, prefix / "lib" / series / "site-packages", left_out=("nvidia",))
    for file in bench.env.site.glob("nvidia/*/lib/lib*.so*"):
        if not file.is_symlink():
            os.link(file, prefix / "lib" / file.name)
    for name, version, build in (
        ("cudatoolkit", "11.8.0", "h37601d7_11"),
        ("cudnn", "8.8.0.121", "hcdd5f01_4"),
        ("python", "3.10.14", "hd12c33a_0"),
    ):
        record = prefix / "conda-meta" / f"{name}-{version}-{build}.json"
        record.parent.mkdir(exist_ok=True)
        record.write_text(
            json.dumps({"name": name, "version": version, "build": build, "files": [], "channel": "conda-forge"})
        )
    return Copy(prefix, bench.env.original, bench.env.touched)


def test_a_conda_prefix_with_tensorflow_from_pip_and_the_libraries_in_lib(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow 2.7 and later have a RUNPATH that does not lead to ``$PREFIX/lib``; activation does not help."""
    bench = place("created-2.10.1")
    for path in bench.env.site.glob("tensorflow/lib*.so*"):
        if path.is_symlink():
            bench.env.remove(path)
    for path in (
        *bench.env.site.glob("*tfgpu*"),
        *bench.env.site.glob("nvidia_*.dist-info"),
        bench.env.prefix / ".tfgpu",
    ):
        bench.env.remove(path)
    prefix = conda_like(bench).prefix
    bench.target = str(prefix)
    answer = bench.ask(monkeypatch)
    assert inspect(System(), prefix).env.kind == "conda"
    assert (answer.primary, answer.code) == ("wheel_rpath_bug", 1), answer.told()
    assert f"tfgpu-provision wire {prefix}" in answer.first_fix, answer.told()
    # Such a Python, unlike that of a venv, takes the user's own packages first.
    user = bench.machine.home / ".local/lib" / bench.env.site.parent.name / "site-packages/protobuf-4.25.9.dist-info"
    user.mkdir(parents=True)
    (user / "METADATA").write_text("Metadata-Version: 2.1\nName: protobuf\nVersion: 4.25.9\n")
    answer = bench.ask(monkeypatch)
    assert (answer.primary, answer.code) == ("python_path_leak", 1), answer.told()
    assert "PYTHONNOUSERSITE=1" in answer.first_fix, answer.told()


def test_an_environment_with_the_packages_of_the_system(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venv that sees another's packages: silent where they are sound, and a package of its own that hides one is named."""
    bench = place("plain-2.17.1")
    inner = bench.env.prefix.with_name("inner")
    python = bench.env.python.resolve()
    subprocess.run([str(python), "-m", "venv", "--without-pip", "--system-site-packages", str(inner)], check=True)
    series = bench.env.site.parent.name
    (inner / "lib" / series / "site-packages/of_the_other.pth").write_text(f"{bench.env.site}\n")
    bench.target = str(inner)
    answer = bench.ask(monkeypatch)
    assert (answer.document["findings"], answer.code) == ([], 0), answer.told()
    info = inner / "lib" / series / "site-packages/numpy-2.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 2.3.0\n")
    answer = bench.ask(monkeypatch)
    assert (answer.primary, answer.code) == ("numpy_abi_conflict", 1), answer.told()


def test_a_broken_python_is_a_finding_and_no_environment_at_all_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = place("empty")
    (bench.env.prefix / "bin/python").unlink()
    (bench.env.prefix / "bin/python").symlink_to("/opt/gone/bin/python3")
    answer = bench.ask(monkeypatch)
    assert (answer.codes, answer.code) == (["broken_interpreter"], 1), answer.told()
    (bench.scratch / "pictures").mkdir()
    bench.target = str(bench.scratch / "pictures")
    with pytest.raises(UsageError, match="not an environment"):
        bench.ask(monkeypatch)


@pytest.mark.parametrize("release", ["plain-2.21.0", "created-2.10.1"])
def test_an_environment_that_may_not_be_written(release: str, place: Place, tmp_path: Path) -> None:
    """The whole command, as a process; mounted read-only where this system lets us, else with folders of mode 0555."""
    bench = place(release)
    prefix = bench.env.prefix
    for folder in [prefix, *(path for path in prefix.rglob("*") if path.is_dir() and not path.is_symlink())]:
        folder.chmod(0o555)
    before = dict(state(prefix))
    argv = [sys.executable, "-m", "provision", "doctor", "--json", str(prefix)]
    mounted = f"mount --bind {shlex.quote(str(prefix))} {shlex.quote(str(prefix))} && mount -o remount,ro,bind {shlex.quote(str(prefix))}"
    allowed = (
        subprocess.run(["unshare", "--mount", "sh", "-c", mounted], check=False, capture_output=True).returncode == 0
    )
    if allowed:
        argv = ["unshare", "--mount", "sh", "-c", f"{mounted} && exec {shlex.join(argv)}"]
    done = subprocess.run(
        argv, env=bench.machine.variables, cwd=bench.machine.folder, capture_output=True, text=True, check=False
    )
    for folder in [prefix, *(path for path in prefix.rglob("*") if path.is_dir() and not path.is_symlink())]:
        folder.chmod(0o755)
    document = json.loads(done.stdout)
    wanted = "wheel_rpath_bug" if release.startswith("plain") else None
    assert (document["primary"] and document["primary"]["code"]) == wanted, document
    assert done.returncode == (1 if wanted else 0), done.stdout + done.stderr
    assert dict(state(prefix)) == before

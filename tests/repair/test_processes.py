from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provision.repair.processes import running_in
from provision.system import System

_WAIT = "import sys; print('there', flush=True); sys.stdin.read()"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    return prefix


def _start(*argv: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [str(item) for item in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PATH": os.defpath}
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "there"
    return process


def test_a_program_of_the_environment_is_seen_without_its_secrets(prefix: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(_WAIT)
    with _start(prefix / "bin/python", "-u", script, "--token=abc") as process:
        assert running_in(System(), prefix) == (f"{process.pid} {prefix}/bin/python {script}",)
        assert running_in(System(), tmp_path / "other") == ()
        process.communicate()
    assert running_in(System(), prefix) == ()


def test_a_mapped_file_of_the_environment_is_seen(prefix: Path) -> None:
    library = prefix / "lib/libx.so"
    library.parent.mkdir()
    library.write_bytes(b"x" * mmap.PAGESIZE)
    code = f"import mmap; f = open({str(library)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); {_WAIT}"
    with _start(sys.executable, "-c", code) as process:
        assert running_in(System(), prefix) == (f"{process.pid} {sys.executable}",)
        process.communicate()


def test_this_program_and_those_that_started_it_do_not_count(prefix: Path) -> None:
    code = (
        "from pathlib import Path; from provision.repair.processes import running_in; "
        f"from provision.system import System; print(running_in(System(), Path({str(prefix)!r})))"
    )
    argv = [prefix / "bin/python", "-c", code]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(item for item in sys.path if item)}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "()"


def test_it_takes_no_second(prefix: Path) -> None:
    begin = time.monotonic()
    running_in(System(), prefix)
    assert time.monotonic() - begin < 2

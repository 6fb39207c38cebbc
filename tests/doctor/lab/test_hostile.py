"""What nobody wrote on purpose: damaged libraries, metadata, kernels, logs and scripts. A finding or a clear error."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import FrameType

import pytest
from fakedriver import build as fakedriver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from thorough import EVERY_ROW

from provision.backends.installed_files import installed_files
from provision.doctor.diagnose import diagnose
from provision.doctor.log.read import read_log
from provision.errors import InvalidFileError, ProvisionError
from provision.matrix import load
from provision.model.environment import EnvRef
from provision.model.snapshot import Snapshot
from provision.probes.environment import Installed
from provision.report.doctor import doctor_document, doctor_text
from provision.snapshot.build import read_build, read_gencode
from provision.snapshot.damage import Owned, read_damage
from provision.snapshot.distributions import info_folders, read_package, wheel_tags
from provision.snapshot.elf_file import elf_fault
from provision.snapshot.pointers import read_pointers
from provision.system import System
from provision.wiring.elf import read_dynamic
from provision.workflows.doctor import doctor

MATRIX = load()
SECONDS = 10
"""No single input may take longer; a slow machine under load needs some room."""
LOG = b"""\
2024-05-01 10:00:00.123456: I tensorflow/stream_executor/platform/default/dso_loader.cc:53] Successfully opened dynamic library libcudart.so.11.0
2024-05-01 10:00:01.123456: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory; LD_LIBRARY_PATH: /usr/local/cuda/lib64
2024-05-01 10:00:02.123456: W tensorflow/core/common_runtime/gpu/gpu_device.cc:1835] Cannot dlopen some GPU libraries. Skipping registering GPU devices...
2024-05-01 10:00:03.123456: E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:282] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    import tensorflow as tf
TypeError: Descriptors cannot be created directly.
ERROR: Could not find a version that satisfies the requirement tensorflow==2.4.1 (from versions: 2.12.0)
Failed to initialize NVML: Driver/library version mismatch
"""
RECORD = b"""\
tensorflow/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
tensorflow/libtensorflow_framework.so.2,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,15000
"tensorflow/a, b.py",,
tensorflow-2.17.1.dist-info/RECORD,,
../../../bin/saved_model_cli,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,200
"""
METADATA = b"""\
Metadata-Version: 2.1
Name: tensorflow
Version: 2.17.1
Requires-Dist: numpy <2.0.0,>=1.23.5 ; python_version <= "3.11"
Requires-Dist: protobuf !=4.21.0,<5.0.0dev,>=3.20.3
Requires-Dist: nvidia-cublas-cu12 ==12.3.4.1 ; extra == 'and-cuda'

TensorFlow is an open source software library.
"""
KERNEL = json.dumps(
    {"argv": ["/opt/conda/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3",
     "language": "python", "env": {"CUDA_VISIBLE_DEVICES": "-1"}}
).encode()  # fmt: skip
BUILD = b"""\
import collections
build_info = collections.OrderedDict([('is_cuda_build', True), ('cuda_version', '12.3'), ('cudnn_version', '8')])
"""
GENERATED = (
    b"_runtime_version.ValidateProtobufRuntimeVersion(\n    _runtime_version.Domain.PUBLIC,\n    6,\n    31,\n    1,\n"
)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail where what is inside does not end in time."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four accidents: bits flipped, a part gone, doubled, zeroed or replaced."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not found:
            return bytes(found)
        # Headers decide, so half of the accidents happen there.
        at = chance.randrange(min(len(found), 256)) if chance.random() < 0.5 else chance.randrange(len(found))
        size = chance.choice((1, 1, 1, 2, 4, 8, 64, 4096))
        kind = chance.randrange(6)
        if kind == 0:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            found[at : at + size] = chance.randbytes(size)
        elif kind == 2:
            del found[at : at + size]
        elif kind == 3:
            found[at:at] = found[at : at + size]
        elif kind == 4:
            found[at : at + size] = (b"\xff" if chance.random() < 0.5 else b"\0") * size
        else:
            del found[at:]
    return bytes(found)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    cc = fakedriver.compiler()
    if cc is None:
        pytest.skip("no C compiler on PATH")
    out = tmp_path_factory.mktemp("library") / "libcudnn.so.9"
    argv = [
        cc,
        "-shared",
        "-fPIC",
        "-s",
        "-x",
        "c",
        "-",
        "-o",
        str(out),
        "-Wl,-soname,libcudnn.so.9",
        "-Wl,-rpath,$ORIGIN/../x",
    ]
    subprocess.run(argv, input="unsigned long cudnnGetVersion(void) { return 90300; }\n", text=True, check=True)
    return out.read_bytes()


class Site:
    """A tiny environment, one file of which is damaged at a time."""

    def __init__(self, folder: Path, library: bytes) -> None:
        self.prefix = folder / "env"
        self.site = self.prefix / "lib/python3.12/site-packages"
        self.info = self.site / "tensorflow-2.17.1.dist-info"
        self.home = folder / "home"
        self.library = self.put(self.site / "tensorflow/libtensorflow_framework.so.2", library)
        self.record = self.put(self.info / "RECORD", RECORD)
        self.metadata = self.put(self.info / "METADATA", METADATA)
        self.kernel = self.put(self.home / ".local/share/jupyter/kernels/python3/kernel.json", KERNEL)
        self.put(self.prefix / "bin/python", b"")
        self.build = self.put(self.site / "tensorflow/python/platform/build_info.py", BUILD)
        self.generated = self.put(self.site / "tensorflow/core/framework/types_pb2.py", GENERATED)
        paths = (self.prefix, self.prefix / "bin/python", self.site)
        self.env = EnvRef(*(PurePosixPath(path) for path in paths), "venv", managed=False)

    @staticmethod
    def put(path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def read_library(self) -> None:
        elf_fault(self.library, "x86_64")
        with suppress(InvalidFileError):
            read_dynamic(self.library)
        read_damage(self.env, [Owned("tensorflow", self.info)], "x86_64", deep=True)

    def read_record(self) -> None:
        installed_files(self.info)
        faults, _ = read_damage(self.env, [Owned("tensorflow", self.info)], "x86_64", deep=True)
        assert all(fault.path.startswith(str(self.prefix)) for fault in faults), "a RECORD sent us to another place"

    def read_metadata(self) -> None:
        info = info_folders(self.site).get(("tensorflow", "2.17.1"))
        environment = {"python_version": "3.12", "sys_platform": "linux", "extra": ""}
        read_package(Installed("tensorflow", "2.17.1", str(self.site)), info, environment)
        wheel_tags(self.info)

    def read_kernel(self) -> None:
        read_pointers(System({"HOME": str(self.home)}), self.env, self.home)

    def read_build(self) -> None:
        read_build(self.site)
        read_gencode(self.site)


def explained(data: bytes) -> None:
    """Explain a log alone, down to what is printed."""
    found = diagnose(Snapshot(MATRIX, log=read_log("log", data)), subject="log")
    json.dumps(doctor_document(found, 0.0))
    assert "\x1b" not in doctor_text(found, colour=False), "a log's escape sequences must not reach the terminal"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
@pytest.mark.parametrize("mutations", [1000, *([10_000] if EVERY_ROW else [])])
def test_thousands_of_damaged_files_are_read_without_a_crash_or_a_hang(
    mutations: int, library: bytes, tmp_path: Path
) -> None:
    chance = random.Random(20261121)  # noqa: S311 - the same accidents each time
    site = Site(tmp_path, library)
    readers: list[tuple[Path, Callable[[], None]]] = [
        (site.library, site.read_library),
        (site.record, site.read_record),
        (site.metadata, site.read_metadata),
        (site.kernel, site.read_kernel),
        (site.build, site.read_build),
    ]
    each = mutations // (len(readers) + 1)
    for path, read in readers:
        whole = path.read_bytes()
        for number in range(each):
            damaged = mutated(whole, chance)
            path.write_bytes(damaged)
            try:
                with at_most(SECONDS):
                    read()
            except Exception as error:
                raise AssertionError(f"mutation {number} of {path.name}: {damaged!r}"[:300]) from error
        path.write_bytes(whole)
    for _ in range(each + mutations % (len(readers) + 1)):
        damaged = mutated(LOG, chance)
        try:
            with at_most(SECONDS):
                explained(damaged)
        except Exception as error:
            raise AssertionError(f"log {damaged!r}"[:300]) from error


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(LOG.splitlines())), max_size=30),
    st.sampled_from((b"\n", b"\r\n", b"\r", b"\0")),
)
def test_any_bytes_are_a_log(parts: list[bytes], between: bytes) -> None:
    with at_most(SECONDS):
        explained(between.join(parts))


_NOISE = random.Random(1).randbytes(200_000)  # noqa: S311 - the same noise each time
LOGS = {
    "empty": b"",
    "nul": b"\0" * 100_000,
    "every-byte": bytes(range(256)) * 400,
    "invalid-utf-8": LOG.replace(b" ", b"\xc3\x28\xff\xfe "),
    "utf-16": LOG.decode().encode("utf-16"),
    "ansi": b"".join(b"\x1b[31m\x1b]0;title\x07" + line + b"\x1b[0m\r\n" for line in LOG.splitlines()),
    "megabyte-line": b"W tensorflow "
    + b"x" * (1 << 20)
    + b" Could not load dynamic library 'libcudnn.so.8'; dlerror: "
    + b"y" * (1 << 20),
    "many-megabyte-lines": (b"libcud" * 180_000 + b"\n") * 4,
    "no-newline-at-all": LOG.replace(b"\n", b" ") * 500,
    "only-newlines": b"\n" * 1_000_000,
    "carriage-returns": (b"1/100 [>....] loss: 0.5\r" * 50_000) + LOG,
    "many-brackets": b"[" * 300_000 + b"\n" + b"(" * 300_000,
    "quotes": b"'libcud" * 50_000 + b"\"'\n" * 1000,
    "binary-around": _NOISE + b"\n" + LOG + _NOISE,
}


@pytest.mark.parametrize("name", LOGS)
def test_a_hostile_log_is_explained_or_said_to_tell_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LOGS[name])
    with at_most(2 * SECONDS):
        explained(LOGS[name])
        result = doctor(System({"PATH": os.defpath}), tmp_path, log=str(path))
    assert result.snapshot.host is None, "a log alone needs no machine"
    if name in ("ansi", "utf-16", "binary-around", "carriage-returns"):
        assert result.diagnosis.findings, "the decisive lines are there for whoever looks"


SCRIPTS = {
    "syntax-error": b"import tensorflow as tf\nwith tf.device('/CPU:0'\n    x =\n",
    "python-2": b"import tensorflow as tf\nprint 'a'\nexec 'b'\n",
    "nul": b"import tensorflow\n\0\0\0",
    "not-text": b"import tensorflow\n" + bytes(range(256)) * 100,
    "wrong-cookie": b"# -*- coding: klingon -*-\nimport tensorflow as tf\n",
    "deep-brackets": b"import tensorflow as tf\nx = " + b"(" * 20_000 + b")" * 20_000,
    "deep-operators": b"import tensorflow as tf\nx = " + b"-" * 50_000 + b"1\n",
    "long-sum": b"import tensorflow as tf\nx = " + b"1+" * 30_000 + b"1\n",
    "deep-blocks": b"import tensorflow as tf\n" + b"".join(b" " * depth + b"if x:\n" for depth in range(99)),
    "deep-attributes": b"import tensorflow as tf\ntf" + b".a" * 20_000 + b"()\n",
    "huge-number": b"import tensorflow as tf\nx = " + b"9" * 20_000 + b"\n",
    "one-long-line": b"import tensorflow as tf; " + b"x = 1; " * 100_000,
    "notebook-of-nothing": b'{"cells": [{"cell_type": "code", "source": [1, null, {"a": "tensorflow"}]}], "x": "tensorflow"}',
    "surrogates": b"import tensorflow as tf\ns = '\\ud800'\n",
}


@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_hostile_script_is_read_or_said_to_be_none(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"train{suffix}"
    path.write_bytes(SCRIPTS[name])
    with at_most(2 * SECONDS):
        result = doctor(System({"PATH": os.defpath}), tmp_path, script=path)
    json.dumps(doctor_document(result.diagnosis, 0.0))


def test_links_that_never_end_and_files_that_never_end(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "self.py").symlink_to("self.py")
    (project / "up").symlink_to("..")
    (project / "a").symlink_to("b")
    (project / "b").symlink_to("a")
    (project / "zero.py").symlink_to("/dev/zero")
    os.mkfifo(project / "pipe.py")
    (project / "gone.py").symlink_to("nowhere.py")
    (project / "train.py").write_text("import tensorflow as tf\ntf.config.set_visible_devices([], 'GPU')\n")
    with at_most(SECONDS):
        found = doctor(System({"PATH": os.defpath}), project, script=project).diagnosis
    assert [item.code for item in found.findings] == ["explicit_cpu_placement"]
    for name in ("self.py", "pipe.py", "a", "zero.py"):
        with at_most(SECONDS), pytest.raises(ProvisionError) as raised:
            doctor(System({"PATH": os.defpath}), project, script=project / name)
        assert raised.value.hint


def test_an_environment_of_links_that_never_end(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/python3*/site-packages"))
    (site / "tensorflow").symlink_to("tensorflow")
    (site / "nvidia").symlink_to(".")
    (site / "tensorflow-2.17.1.dist-info").symlink_to("tensorflow-2.17.1.dist-info")
    (site / "numpy-1.26.4.dist-info").mkdir()
    (site / "numpy-1.26.4.dist-info/RECORD").symlink_to("/dev/zero")
    (prefix / "share").symlink_to(".")
    (prefix / ".tfgpu").symlink_to(".tfgpu")
    with at_most(6 * SECONDS):
        found = doctor(System({"PATH": os.defpath, "HOME": str(tmp_path)}), tmp_path, str(prefix)).diagnosis
    assert found.primary is not None
    assert not found.sound
    shutil.rmtree(prefix / "bin")
    (prefix / "bin").symlink_to("bin")
    with at_most(6 * SECONDS):
        assert doctor(System({"PATH": os.defpath}), tmp_path, str(prefix)).diagnosis.primary is not None

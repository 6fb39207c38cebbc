"""Faults of Python and its packages: what is installed, what hides what, what is damaged, what does not fit."""

from __future__ import annotations

import re

from doctor.lab.bench import Bench, Fault


def _dangling(bench: Bench) -> None:
    """The Python from which it was made was updated away."""
    for path in (bench.env.prefix / "bin").glob("python*"):
        path.unlink()
    (bench.env.prefix / "bin/python").symlink_to("/opt/python/3.99/bin/python3")


def _without_library(bench: Bench) -> None:
    """An interpreter that starts and finds no standard library."""
    bench.env.replace(bench.env.prefix / "pyvenv.cfg", "home = /nonexistent/bin\nversion_info = 3.12\n")
    for path in (bench.env.prefix / "bin").glob("python*"):
        path.unlink()
    bench.env.replace(
        bench.env.prefix / "bin/python",
        '#!/bin/sh\necho "Fatal Python error: init_fs_encoding: failed to get the Python codec" >&2\nexit 1\n',
        0o755,
    )


def _moved(bench: Bench) -> None:
    gone = bench.scratch / "old-place"
    script = bench.env.prefix / "bin/activate"
    lines = [line for line in script.read_text().splitlines() if "VIRTUAL_ENV=" not in line]
    bench.env.replace(script, "\n".join([f"VIRTUAL_ENV='{gone}'", *lines, ""]))
    bench.machine.variables["VIRTUAL_ENV"] = str(gone)


def _unfinished(bench: Bench) -> None:
    bench.env.remove(bench.env.prefix / ".tfgpu/environment.json")
    for name in ("nvidia_cublas_cu12", "nvidia_cusolver_cu12"):
        bench.env.remove(bench.env.info(name))
    bench.env.remove(bench.env.site / "nvidia/cublas")


def _other_python(bench: Bench) -> None:
    """site-packages taken over into an environment of another Python, as an update of the system does."""
    old = bench.env.site.parent
    other = old.with_name("python3.12" if old.name != "python3.12" else "python3.11")
    old.rename(other)
    for path in (bench.env.prefix / "bin").glob("python*"):
        path.unlink()
    bench.env.replace(
        bench.env.prefix / "pyvenv.cfg",
        f"home = {_python(other.name[6:])[: -len('/python')]}\ninclude-system-site-packages = false\n",
    )
    (bench.env.prefix / "bin/python").symlink_to(_python(other.name[6:]))


def _python(series: str) -> str:
    import pytest

    from provision.host import find_interpreters
    from provision.system import System

    found = [item.path for item in find_interpreters(System()) if item.version.series.text == series]
    if not found:
        pytest.skip(f"no Python {series} on this machine")
    return found[0]


def _local_file(bench: Bench) -> None:
    (bench.machine.folder / "tensorflow.py").write_text("import tensorflow as tf\nprint(tf.__version__)\n")


def _local_folder(bench: Bench) -> None:
    place = bench.machine.folder / "tensorflow"
    place.mkdir()
    (place / "__init__.py").write_text("__version__ = '1.0'\n")


def _local_keras(bench: Bench) -> None:
    (bench.machine.folder / "keras.py").write_text("from tensorflow import keras\n")


def _not_installed(bench: Bench) -> None:
    bench.env.uninstall("tensorflow")


def _second_distribution(bench: Bench) -> None:
    info = bench.env.claim("tensorflow-cpu", bench.env.version("tensorflow"))
    files = (bench.env.info("tensorflow") / "RECORD").read_text()
    bench.env.replace(info / "RECORD", files + "".join(f"{info.name}/{path.name},,\n" for path in info.iterdir()))


def _half_removed(bench: Bench) -> None:
    """pip was interrupted while it removed TensorFlow: what it had renamed is left."""
    bench.env.info("tensorflow").rename(bench.env.site / "~ensorflow-2.17.1.dist-info")
    (bench.env.site / "tensorflow").rename(bench.env.site / "~ensorflow")


def _claimed_by_nobody(bench: Bench) -> None:
    bench.env.remove(bench.env.info("tensorflow"))


def _python_path(bench: Bench) -> None:
    folder = bench.scratch / "shared/python"
    bench.machine.variables["PYTHONPATH"] = str(_foreign(bench, folder, "numpy", "1.16.4"))


def _foreign(bench: Bench, folder: object, name: str, version: str) -> object:
    from pathlib import Path

    place = Path(str(folder))
    info = place / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    module = place / ("google/protobuf" if name == "protobuf" else name)
    module.mkdir(parents=True)
    (module / "__init__.py").write_text(f"__version__ = '{version}'\n")
    return place


def _python_home(bench: Bench) -> None:
    bench.machine.variables["PYTHONHOME"] = str(bench.scratch)


def _numpy_2(bench: Bench) -> None:
    bench.env.install("numpy==2.0.2")


def _protobuf_4(bench: Bench) -> None:
    bench.env.install("protobuf==4.25.9")


def _protobuf_3(bench: Bench) -> None:
    bench.env.install("protobuf==3.20.3")


def _keras_3(bench: Bench) -> None:
    bench.env.install("keras==3.10.0")


def _keras_2(bench: Bench) -> None:
    bench.env.install("keras==2.10.0")


def _gone(name: str) -> object:
    def inject(bench: Bench) -> None:
        bench.env.uninstall(name)

    return inject


def _cpu_build(bench: Bench) -> None:
    """What tensorflow-cpu of this release is: the same package, built without CUDA, under another name."""
    info = bench.env.info("tensorflow")
    metadata = (info / "METADATA").read_text().replace("\nName: tensorflow\n", "\nName: tensorflow_cpu\n", 1)
    build = bench.env.file("tensorflow/python/platform/build_info.py")
    bench.env.edit(build, lambda data: re.sub(rb"(is_cuda_build\W+)True", rb"\1False", data))
    version = bench.env.version("tensorflow")
    bench.env.remove(info)
    bench.env.replace(bench.env.claim("tensorflow-cpu", version) / "METADATA", metadata)


def _cut_framework(bench: Bench) -> None:
    bench.env.cut(bench.env.file("tensorflow/libtensorflow_framework.so.2"))


def _deleted_module(bench: Bench) -> None:
    bench.env.remove(bench.env.file("tensorflow/python/framework/ops.py"))


def _emptied_module(bench: Bench) -> None:
    bench.env.replace(bench.env.file("tensorflow/python/eager/context.py"), "")


def _emptied_extension(bench: Bench) -> None:
    bench.env.replace(bench.env.file("tensorflow/python/_pywrap_tensorflow_internal.so"), b"")


_ANY = ("plain-2.17.1",)
FAULTS = (
    Fault(
        "python-gone",
        "broken_interpreter",
        "tfgpu-provision create {env}",
        _dangling,
        ("plain-2.17.1", "created-2.10.1"),
    ),
    Fault("python-fails", "broken_interpreter", "tfgpu-provision create {env}", _without_library, _ANY),
    Fault("moved", "environment_moved", "mv {env}", _moved, ("plain-2.17.1",)),
    Fault(
        "unfinished",
        "environment_incomplete",
        "tfgpu-provision create {env}",
        _unfinished,
        ("created-2.21.0",),
        beside=("dependency_conflict",),
    ),
    Fault(
        "other-python",
        "python_version_unsupported",
        "--python 3.",
        _other_python,
        ("plain-2.16.1",),
        beside=("wheel_rpath_bug", "damaged_install", "dependency_conflict"),
    ),
    Fault(
        "local-tensorflow.py", "stale_import_shadow", "mv ", _local_file, ("plain-2.17.1", "created-2.10.1"), cured=True
    ),
    Fault("local-tensorflow-folder", "stale_import_shadow", "mv ", _local_folder, _ANY),
    Fault("local-keras.py", "stale_import_shadow", "keras.py", _local_keras, _ANY, cured=True),
    Fault("not-installed", "tensorflow_missing", "tensorflow", _not_installed, _ANY, cured=True),
    Fault(
        "two-distributions",
        "conflicting_tf_packages",
        "tensorflow-cpu",
        _second_distribution,
        ("plain-2.17.1", "created-2.10.1"),
        cured=True,
    ),
    Fault("half-removed", "tensorflow_remnants", "rm -r ", _half_removed, _ANY, cured=True),
    Fault("claimed-by-nobody", "tensorflow_remnants", "rm -r ", _claimed_by_nobody, _ANY, cured=True),
    Fault("python-path", "python_path_leak", "unset PYTHONPATH", _python_path, ("created-2.21.0",)),
    Fault("python-home", "python_path_leak", "PYTHONHOME", _python_home, _ANY),
    Fault("numpy-2", "numpy_abi_conflict", "", _numpy_2, ("created-2.10.1", "wired-2.16.1"), cured=True),
    Fault("protobuf-4", "protobuf_conflict", "", _protobuf_4, ("created-2.10.1", "wired-2.4.1"), cured=True),
    Fault("protobuf-3", "protobuf_conflict", "protobuf", _protobuf_3, ("created-2.21.0",), cured=True),
    Fault("keras-3", "keras_conflict", "", _keras_3, ("created-2.10.1",), cured=True),
    Fault("keras-2", "keras_conflict", "keras", _keras_2, ("plain-2.17.1",), cured=True),
    Fault("no-flatbuffers", "dependency_conflict", "flatbuffers", _gone("flatbuffers"), _ANY, cured=True),
    Fault("cpu-build", "cpu_only_package", "tensorflow", _cpu_build, ("plain-2.17.1", "created-2.21.0"), cured=True),
    Fault(
        "cut-framework", "damaged_install", "tensorflow==2", _cut_framework, ("plain-2.17.1", "wired-2.4.1"), cured=True
    ),
    Fault("deleted-module", "damaged_install", "tensorflow==2", _deleted_module, _ANY, cured=True),
    Fault("emptied-module", "damaged_install", "", _emptied_module, ("created-2.10.1",)),
    Fault("emptied-extension", "damaged_install", "tensorflow==2", _emptied_extension, _ANY, cured=True),
)

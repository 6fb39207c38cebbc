from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest

from provision.doctor.causes.packages import CAUSES
from provision.doctor.checks.packages import CHECKS
from provision.matrix.loading import load
from provision.model.doctor import Certainty, Finding, Role
from provision.model.environment import EnvRef
from provision.model.environment_facts import CxxLibrary, EnvironmentFacts, FileFault, Package
from provision.model.snapshot import Snapshot
from provision.model.versions import GlibcVersion, PythonVersion, TfVersion

MATRIX = load()
SITE = "/home/you/env/lib/python3.11/site-packages"
ENV = EnvRef(
    PurePosixPath("/home/you/env"), PurePosixPath("/home/you/env/bin/python"), PurePosixPath(SITE), "venv", False
)
CERTAIN, LIKELY, POSSIBLE = Certainty.CERTAIN, Certainty.LIKELY, Certainty.POSSIBLE


def package(name: str, version: str, *requires: str, folder: str = SITE, installer: str = "pip") -> Package:
    return Package(name, version, folder, requires, installer)


def facts(*packages: Package, **changes: Any) -> EnvironmentFacts:
    """Return a sound environment of the first package's release, with changes."""
    chosen = packages[0] if packages else package("tensorflow", "2.16.1", "numpy<2.0.0,>=1.23.5", "protobuf<5,>=3.20.3")
    rest = packages[1:] or (package("numpy", "1.26.4"), package("protobuf", "4.25.8"), package("pip", "24.0"))
    seen = EnvironmentFacts(
        env=ENV,
        path="/home/you/env",
        python=PythonVersion("3.11.7"),
        glibc=GlibcVersion("2.36"),
        packages=(chosen, *rest),
        tensorflow=(f"{SITE}/tensorflow/__init__.py",),
        distribution=chosen,
        wheel_tags=("cp311-cp311-manylinux2014_x86_64",),
        gencode="builder",
        build={"is_cuda_build": True},
        cuda_build=True,
        row=MATRIX.row(TfVersion(chosen.version)) if chosen.name == "tensorflow" else None,
    )
    return dataclasses.replace(seen, **changes)


def findings(seen: EnvironmentFacts | None, variables: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    snapshot = Snapshot(matrix=MATRIX, environment=seen, variables=variables or {})
    found = tuple(item for check in CHECKS for item in check.run(snapshot))
    for check in CHECKS:
        assert {item.code for item in check.run(snapshot)} <= set(check.codes)
    assert all(item.evidence and item.fixes and item.summary for item in found)
    return found


def codes(seen: EnvironmentFacts, variables: Mapping[str, str] | None = None) -> dict[str, Certainty]:
    return {item.code: item.certainty for item in findings(seen, variables)}


def test_every_code_of_a_check_has_a_row_and_every_row_a_check() -> None:
    assert {code for check in CHECKS for code in check.codes} == {cause.code for cause in CAUSES}


def test_silence_where_all_is_well_and_where_nothing_is_known() -> None:
    assert findings(None) == ()
    assert findings(facts()) == ()
    assert codes(EnvironmentFacts(env=ENV, path="/home/you/env")) == {"tensorflow_missing": CERTAIN}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"env": None, "broken": ("it is a link to /gone/python, which is gone",)}, {"broken_interpreter": CERTAIN}),
        ({"record": "incomplete"}, {"environment_incomplete": CERTAIN}),
        ({"record": "moved", "recorded_prefix": "/gone/env"}, {"environment_moved": POSSIBLE}),
        ({"wheel_tags": ("cp310-cp310-manylinux2014_x86_64",)}, {"python_version_unsupported": CERTAIN}),
        ({"wheel_tags": ("py2.py3-none-any",)}, {}),
        ({"abiflags": "t"}, {"python_version_unsupported": CERTAIN}),
        ({"implementation": "pypy"}, {"python_version_unsupported": CERTAIN}),
        ({"glibc": GlibcVersion("2.12")}, {"glibc_too_old": CERTAIN}),
        ({"cuda_build": False}, {"cpu_only_package": CERTAIN}),
        ({"tensorflow": ()}, {"tensorflow_remnants": CERTAIN}),
        ({"remnants": (f"{SITE}/~ensorflow",)}, {"tensorflow_remnants": POSSIBLE}),
        (
            {"tensorflow": ("/home/you/tensorflow.py", f"{SITE}/tensorflow/__init__.py")},
            {"stale_import_shadow": CERTAIN},
        ),
        ({"shadows": (("keras", "/home/you/keras.py"),)}, {"stale_import_shadow": LIKELY}),
        ({"shadows": (("random", "/home/you/random.py"),)}, {"stale_import_shadow": POSSIBLE}),
        ({"shadows": (("six", f"{SITE}/six.py"),)}, {}),
        ({"user_error": "No module named 'encodings'"}, {"python_path_leak": CERTAIN}),
        ({"others": (package("tensorflow-cpu", "2.16.1"),)}, {"conflicting_tf_packages": CERTAIN}),
        ({"others": (package("tensorflow-gpu", "2.16.1"),)}, {"conflicting_tf_packages": POSSIBLE}),
        ({"others": (package("tensorflow", "2.15.0", folder="/usr/lib/python3/dist-packages"),)}, {}),
    ],
)
def test_what_is_wrong_with_python_or_tensorflow(changes: dict[str, Any], expected: dict[str, Certainty]) -> None:
    assert codes(facts(**changes)) == expected


def test_nothing_is_installed_for_a_python_that_is_too_new() -> None:
    empty = {"tensorflow": (), "distribution": None, "packages": (), "row": None, "wheel_tags": ()}
    found = codes(facts(**empty, python=PythonVersion("3.19.0")))
    assert found == {"tensorflow_missing": CERTAIN, "python_version_unsupported": LIKELY}
    assert codes(facts(**empty)) == {"tensorflow_missing": CERTAIN}


def test_what_an_old_cxx_library_lacks() -> None:
    cxx = CxxLibrary(
        "/opt/old/libstdc++.so.6", "LD_LIBRARY_PATH", {"GLIBCXX": "3.4.9"}, {"GLIBCXX": "3.4.19"}, "libx.so"
    )
    (found,) = findings(facts(cxx=cxx))
    assert (found.code, found.certainty) == ("glibc_too_old", CERTAIN)
    assert "needs GLIBCXX_3.4.19" in found.summary
    newer = dataclasses.replace(cxx, has={"GLIBCXX": "3.4.30"})
    assert codes(facts(cxx=newer)) == {}


@pytest.mark.parametrize(
    ("tensorflow", "other", "gencode", "expected"),
    [
        # Each of these was tried: certain ones end the import or the first layer, possible ones do not.
        (("2.16.1", "protobuf<5,>=3.20.3"), ("protobuf", "3.19.6"), "builder", {"protobuf_conflict": CERTAIN}),
        (("2.16.1", "protobuf<5,>=3.20.3"), ("protobuf", "5.29.5"), "builder", {"protobuf_conflict": POSSIBLE}),
        (("2.21.0", "protobuf<8,>=6.31.1"), ("protobuf", "6.31.0"), "6.31.1", {"protobuf_conflict": CERTAIN}),
        (("2.21.0", "protobuf<8,>=6.31.1"), ("protobuf", "7.36.2"), "6.31.1", {}),
        (("2.4.1", "protobuf>=3.9.2"), ("protobuf", "4.25.8"), "old", {"protobuf_conflict": CERTAIN}),
        (("2.4.1", "protobuf>=3.9.2"), ("protobuf", "3.20.3"), "old", {}),
        (("2.10.1", "protobuf<3.20,>=3.9.2"), ("protobuf", "3.20.3"), "old", {"protobuf_conflict": POSSIBLE}),
        (("2.16.1", "numpy<2.0.0,>=1.23.5"), ("numpy", "2.0.2"), "", {"numpy_abi_conflict": CERTAIN}),
        (("2.10.1", "numpy>=1.20"), ("numpy", "2.0.2"), "", {"numpy_abi_conflict": CERTAIN}),
        (("2.10.1", "numpy>=1.20"), ("numpy", "1.26.4"), "", {"numpy_abi_conflict": POSSIBLE}),
        (("2.4.1", "numpy~=1.19.2"), ("numpy", "1.24.4"), "", {"numpy_abi_conflict": CERTAIN}),
        (("2.21.0", "numpy>=1.26.0"), ("numpy", "2.5.5"), "", {}),
        (("2.16.1", "keras>=3.0.0"), ("keras", "2.15.0"), "", {"keras_conflict": CERTAIN}),
        (("2.10.1", "keras<2.11,>=2.10.0"), ("keras", "2.13.1"), "", {"keras_conflict": CERTAIN}),
        (("2.21.0", "keras>=3.12.0"), ("keras", "3.4.1"), "", {"keras_conflict": POSSIBLE}),
        (
            ("2.4.1", "typing-extensions~=3.7.4"),
            ("typing-extensions", "4.13.2"),
            "",
            {"typing_extensions_conflict": POSSIBLE},
        ),
        (
            ("2.16.1", "typing-extensions>=3.6.6"),
            ("typing-extensions", "3.5"),
            "",
            {"typing_extensions_conflict": LIKELY},
        ),
        (("2.4.1", "gast==0.3.3"), ("gast", "0.4.0"), "", {"dependency_conflict": POSSIBLE}),
        (("2.16.1", "wrapt>=1.11.0"), ("six", "1.0"), "", {"dependency_conflict": CERTAIN}),
        (("2.16.1", "tensorboard<2.17"), ("six", "1.0"), "", {"dependency_conflict": POSSIBLE}),
    ],
)
def test_versions_that_do_not_fit(
    tensorflow: tuple[str, str], other: tuple[str, str], gencode: str, expected: dict[str, Certainty]
) -> None:
    seen = facts(package("tensorflow", *tensorflow), package(*other), gencode=gencode)
    assert codes(seen) == expected


def test_what_keras_needs_is_needed_and_what_tensorboard_needs_is_not() -> None:
    tensorflow = package("tensorflow", "2.16.1", "keras>=3.0.0", "tensorboard<2.17")
    keras, optree = package("keras", "3.15.1", "optree"), package("optree", "0.20", "typing-extensions>=4.10")
    board = package("tensorboard", "2.16.2", "markdown>=2.6.8")
    old = package("typing-extensions", "4.5.0")
    found = codes(facts(tensorflow, keras, optree, board, old))
    assert found == {"typing_extensions_conflict": LIKELY, "dependency_conflict": POSSIBLE}


def test_legacy_keras_is_asked_for_and_is_not_there() -> None:
    variables = {"TF_USE_LEGACY_KERAS": "1"}
    assert codes(facts(), variables) == {"keras_conflict": CERTAIN}
    fitting = package("tensorflow", "2.16.1"), package("tf-keras", "2.16.0")
    assert codes(facts(*fitting), variables) == {}
    assert codes(facts(package("tensorflow", "2.10.1"), package("pip", "24.0")), variables) == {}


def test_pure_protobuf_reads_old_code() -> None:
    seen = facts(package("tensorflow", "2.10.1"), package("protobuf", "4.25.8"), gencode="old")
    assert codes(seen) == {"protobuf_conflict": CERTAIN}
    assert codes(seen, {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}) == {}


def test_the_fix_meets_everybody_and_goes_through_the_pip_that_is_there() -> None:
    tensorflow = package("tensorflow", "2.16.1", "numpy<2.0.0,>=1.23.5", "h5py")
    others = package("h5py", "3.11", "numpy>=1.17.3"), package("numpy", "2.0.2")
    (found,) = findings(facts(tensorflow, *others))
    assert found.fixes[0].commands == ("uv pip install --python /home/you/env/bin/python 'numpy<2.0.0,>=1.23.5'",)
    (found,) = findings(facts(tensorflow, *others, package("pip", "24.0")))
    assert found.fixes[0].commands == ("/home/you/env/bin/python -m pip install 'numpy<2.0.0,>=1.23.5'",)
    ours = dataclasses.replace(ENV, managed=True)
    (found,) = findings(facts(tensorflow, *others, env=ours))
    assert found.fixes[0].commands == ("tfgpu-provision sync /home/you/env",)
    by_conda = package("numpy", "2.0.2", installer="conda")
    (found,) = findings(facts(tensorflow, others[0], by_conda))
    assert found.fixes[0].commands == ("conda install -p /home/you/env 'numpy<2.0.0,>=1.23.5'",)


def test_a_leak_is_the_root_of_the_conflict_that_it_makes() -> None:
    tensorflow = package("tensorflow", "2.16.1", "numpy<2.0.0", "six")
    leaked, own = package("numpy", "2.0.2", folder="/home/you/lib"), package("numpy", "1.26.4")
    seen = facts(tensorflow, leaked, own, package("six", "1.0"), python_path=("/home/you/lib",), hidden=(own,))
    found = {item.code: item for item in findings(seen, {"PYTHONPATH": "/home/you/lib"})}
    assert set(found) == {"python_path_leak", "numpy_abi_conflict"}
    assert "numpy_abi_conflict" in found["python_path_leak"].explains
    assert found["python_path_leak"].certainty is CERTAIN
    # Another six is no fault.
    leaked, own = package("six", "1.1", folder="/home/you/lib"), package("six", "1.0")
    seen = facts(tensorflow, leaked, own, package("numpy", "1.26.4"), python_path=("/home/you/lib",), hidden=(own,))
    assert codes(seen, {"PYTHONPATH": "/home/you/lib"}) == {"python_path_leak": POSSIBLE}


def test_damage_names_files_packages_and_consequences() -> None:
    library = f"{SITE}/nvidia/cudnn/lib/libcudnn.so.8"
    faults = (
        FileFault(f"{SITE}/tensorflow/a.py", "tensorflow", "size", "10 bytes", "9 bytes"),
        FileFault(library, "nvidia-cudnn-cu12", "truncated", "9000 bytes by its headers", "4096 bytes"),
    )
    seen = facts(
        package("tensorflow", "2.16.1"), package("nvidia-cudnn-cu12", "8.9.7.29"), package("pip", "1"), faults=faults
    )
    (found,) = findings(seen)
    assert (found.code, found.certainty) == ("damaged_install", CERTAIN)
    assert found.summary == f"{library} is cut short: 4096 bytes, 9000 bytes by its headers, and 1 more"
    assert "missing_cudnn" in found.explains
    assert found.fixes[0].commands == (
        "/home/you/env/bin/python -m pip install --no-deps --force-reinstall nvidia-cudnn-cu12==8.9.7.29 tensorflow==2.16.1",
    )
    # Code that somebody edited is no proof of damage.
    assert codes(facts(faults=faults[:1])) == {"damaged_install": LIKELY}


def test_a_build_for_the_cpu_is_exchanged_by_what_has_cuda() -> None:
    old = package("tensorflow", "1.15.5"), package("pip", "24.0")
    (found,) = findings(facts(*old, cuda_build=False, row=None, gencode=""))
    assert "--backend conda --tf 1.15.5" in found.fixes[0].commands[0]
    conda = package("tensorflow", "2.10.0", installer="conda")
    builds = {"tensorflow-base": "cpu_py310h4e259b3_0"}
    (found,) = findings(facts(conda, package("pip", "1"), cuda_build=None, conda_builds=builds, wheel_tags=()))
    assert found.fixes[0].commands == ("conda install -p /home/you/env -c conda-forge 'tensorflow=2.10.0=*cuda*'",)


def test_another_framework_holds_cudnn_down() -> None:
    tensorflow = package("tensorflow", "2.21.0")
    torch = package("torch", "2.4.0", "nvidia-cudnn-cu12==9.1.0.70")
    low, high = package("nvidia-cudnn-cu12", "9.1.0.70"), package("nvidia-cudnn-cu12", "9.5.1.17")
    (found,) = findings(facts(tensorflow, torch, low, gencode=""))
    assert (found.code, found.certainty) == ("framework_conflict_pytorch", CERTAIN)
    assert {"cudnn_version_mismatch", "wrong_cuda_version"} <= set(found.explains)
    assert (found.data["built"], found.data["found"]) == ("9.3", "9.1.0.70")
    # The pin is broken already, or met by what serves TensorFlow too: then torch is not what holds it down.
    assert codes(facts(tensorflow, torch, high, gencode="")) == {}
    newer = package("torch", "2.8.0", "nvidia-cudnn-cu12==9.5.1.17")
    assert codes(facts(tensorflow, newer, high, gencode="")) == {}


def test_what_is_harmless_is_said_to_be() -> None:
    (found,) = findings(facts(remnants=(f"{SITE}/~ensorflow",)))
    assert found.role is Role.HARMLESS

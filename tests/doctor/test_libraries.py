"""Checks of CUDA libraries, cuDNN and XLA's tools over described environments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from doctor.library_samples import PREFIX, SITE, Case, machine, run

from provision.model.doctor import Certainty
from provision.model.environment import EnvRef
from provision.model.environment_facts import GateFacts, Package, Tool
from provision.model.host import Toolkit
from provision.model.versions import CudaVersion

WIRE = f"tfgpu-provision wire {PREFIX}"
CUDA_LIBRARIES = "/usr/local/cuda-12.1/lib64"


@pytest.mark.parametrize("release", ["2.4.1", "2.10.1", "2.14.1", "2.16.1", "2.17.1", "2.20.0", "2.21.0"])
def test_nothing_on_a_sound_environment(release: str) -> None:
    case = Case(release)
    case.more["tools"] = (Tool("ptxas", "/x/ptxas", "/x/ptxas"), Tool("libdevice", "/x/l", "/x/l"))
    assert case.findings() == {}


def test_nothing_where_another_toolkit_lies_on_the_machine_or_on_the_path() -> None:
    case = Case("2.17.1", host=machine(("NVIDIA L4", "8.9")))
    case.host.__dict__["toolkits"] = (Toolkit("/usr/local/cuda-13.0", CudaVersion("13.0"), "test"),)
    case.library_path("/usr/local/cuda-13.0/lib64", "libcudart.so.13", "libcublas.so.13")
    assert case.findings() == {}


def test_nothing_where_the_loader_was_not_asked() -> None:
    case = Case("2.17.1")
    case.more["gate"] = None
    assert case.findings() == {}


@pytest.mark.parametrize(
    ("release", "lost"),
    [
        ("2.10.1", ()),
        ("2.4.1", ()),
        ("2.16.1", ("libcublas.so.12", "libcudnn.so.8")),
        ("2.21.0", ("libcusolver.so.11",)),
    ],
)
def test_installed_and_not_looked_for(release: str, lost: tuple[str, ...]) -> None:
    case = Case(release)
    case.lose(*lost)
    found = case.findings()
    assert list(found) == ["wheel_rpath_bug"]
    finding = found["wheel_rpath_bug"]
    assert finding.certainty is Certainty.CERTAIN
    assert finding.fixes[0].commands == (WIRE,)
    assert finding.data["libraries"] == list(lost or case.row.gate)


def test_what_only_2_4_calls_by_its_old_name() -> None:
    case = Case("2.4.1")
    case.uninstall()
    for name in case.row.gate:
        case.user[name] = case.found(name, f"/usr/local/cuda-11.2/lib64/{name}", "11.2")
    case.user["libcudnn.so.8"] = case.found("libcudnn.so.8", "/usr/local/cuda-11.2/lib64/libcudnn.so.8", "8.1.0")
    case.lose("libcusolver.so.10")
    found = case.findings({})
    assert list(found) == ["libcusolver_soname_24"]
    assert "libcusolver.so.11" in found["libcusolver_soname_24"].summary


def test_links_of_ours_that_are_gone() -> None:
    case = Case("2.21.0")
    case.lose("libcusolver.so.11")
    case.more["wiring"] = "nvidia/cublas/lib/libcusolver.so.11 is gone"
    found = case.findings()
    assert list(found) == ["wiring_lost"]
    assert found["wiring_lost"].fixes[0].commands == (WIRE,)


def test_a_wheel_that_was_removed_is_named_with_its_version() -> None:
    case = Case("2.17.1")
    case.uninstall("libcufft.so.11")
    case.lose("libcufft.so.11")
    wheels = {pin.name: pin.version for pin in case.set.pins if pin.name != "nvidia-cufft-cu12"}
    found = case.findings(wheels)
    assert list(found) == ["missing_cuda_library"]
    install, *_ = found["missing_cuda_library"].fixes
    assert install.commands == (f"{PREFIX}/bin/python -m pip install nvidia-cufft-cu12==11.0.12.1", WIRE)


def test_a_library_that_a_library_needs() -> None:
    case = Case("2.17.1")
    case.uninstall("libnvJitLink.so.12")
    case.lose(
        "libcusparse.so.12", error="libnvJitLink.so.12: cannot open shared object file: No such file or directory"
    )
    finding = case.findings()["missing_cuda_library"]
    assert finding.data["libraries"] == ["libnvJitLink.so.12"]
    assert finding.data["packages"] == ["nvidia-nvjitlink-cu12 12.3.101"]


def test_the_extra_that_was_never_installed_wants_the_whole_set() -> None:
    case = Case("2.18.1")
    case.uninstall()
    case.lose()
    finding = case.findings({})["missing_cuda_library"]
    assert "`and-cuda` was not installed" in finding.summary
    assert all(pin.requirement in finding.fixes[0].commands[0] for pin in case.set.pins)


def test_only_cudnn() -> None:
    case = Case("2.17.1")
    case.uninstall("libcudnn.so.8")
    case.lose("libcudnn.so.8")
    assert list(case.findings()) == ["missing_cudnn"]


def test_wheels_of_another_cuda_are_exchanged() -> None:
    case = Case("2.18.1")
    older = Case("2.13.1")
    case.provided = older.provided
    # CUDA 11 and 12 both have a libcusolver.so.11.
    case.lose(*(name for name in case.row.gate if name != "libcusolver.so.11"))
    found = case.findings({pin.name: pin.version for pin in older.set.pins})
    assert list(found) == ["wrong_cuda_version", "cudnn_version_mismatch"]
    finding = found["wrong_cuda_version"]
    assert "libcudart.so.12" in finding.summary
    assert "libcudart.so.11.0" in finding.summary
    remove, install, wire = finding.fixes[0].commands
    assert "pip uninstall -y" in remove
    assert "nvidia-cublas-cu11" in remove
    assert "nvidia-cublas-cu12==12.5.3.2" in install
    assert wire == WIRE


def test_a_variable_that_leads_to_another_cuda() -> None:
    case = Case("2.10.1")
    case.uninstall()
    case.lose()
    case.library_path("/usr/local/cuda-12.4/lib64", "libcudart.so.12", "libcublas.so.12")
    assert list(case.findings({})) == ["wrong_cuda_version"]


def test_on_the_machine_and_not_on_the_search_path() -> None:
    case = Case("2.10.1")
    case.uninstall()
    case.lose()
    case.more["elsewhere"] = {name: f"/usr/local/cuda-11.2/lib64/{name}" for name in case.row.gate}
    found = case.findings({})
    assert list(found) == ["ld_library_path_wrong"]
    commands = [command for fix in found["ld_library_path_wrong"].fixes for command in fix.commands]
    assert any("export LD_LIBRARY_PATH=/usr/local/cuda-11.2/lib64" in command for command in commands)


def test_a_folder_of_the_variable_that_does_not_exist() -> None:
    case = Case("2.17.1")
    case.uninstall()
    case.lose()
    case.library_path("/usr/local/cuda-12.3/lib64", exists=False)
    found = case.findings({})
    assert list(found) == ["missing_cuda_library", "ld_library_path_wrong"]
    assert found["ld_library_path_wrong"].certainty is Certainty.LIKELY


def test_found_by_this_shell_alone_is_only_possible() -> None:
    case = Case("2.21.0")
    case.bare = dict(case.user)
    case.bare["libcusolver.so.11"] = case.found("libcusolver.so.11").__class__("libcusolver.so.11", None, "not found")
    case.library_path(f"{SITE}/nvidia/cusolver/lib", "libcusolver.so.11")
    found = case.findings()
    assert list(found) == ["ld_library_path_wrong"]
    assert found["ld_library_path_wrong"].certainty is Certainty.POSSIBLE
    assert found["ld_library_path_wrong"].fixes[0].commands == (WIRE,)


def test_an_older_cudnn_that_the_variable_puts_first() -> None:
    case = Case("2.18.1")
    case.library_path("/opt/old", "libcudnn.so.9")
    case.answer("libcudnn.so.9", file="/opt/old/libcudnn.so.9", version="9.1.0", reached="/opt/old/libcudnn.so.9")
    found = case.findings()
    assert set(found) == {"ld_library_path_conflict", "cudnn_version_mismatch"}
    assert "cudnn_version_mismatch" in found["ld_library_path_conflict"].explains
    assert found["ld_library_path_conflict"].fixes[0].commands == ("unset LD_LIBRARY_PATH",)


def test_other_copies_that_fit_are_no_conflict() -> None:
    case = Case("2.18.1")
    case.library_path("/usr/local/cuda-12.9/lib64", "libcudart.so.12", "libcublas.so.12", "libcudnn.so.9")
    versions = {"libcudart.so.12": "12.9", "libcublas.so.12": "12.9.0", "libcudnn.so.9": "9.3.0"}
    for name, version in versions.items():
        case.answer(name, file=f"/usr/local/cuda-12.9/lib64/{name}", version=version)
    assert case.findings() == {}


def test_an_older_toolkit_first_is_a_conflict() -> None:
    case = Case("2.18.1")
    case.library_path(CUDA_LIBRARIES, "libcudart.so.12", "libcublas.so.12")
    for name, version in (("libcudart.so.12", "12.1"), ("libcublas.so.12", "12.1.3")):
        case.answer(name, file=f"{CUDA_LIBRARIES}/{name}", version=version)
    finding = case.findings()["ld_library_path_conflict"]
    assert finding.certainty is Certainty.LIKELY
    assert finding.data["libraries"] == ["libcudart.so.12", "libcublas.so.12"]


def test_bogus_files_take_their_neighbours_along() -> None:
    case = Case("2.18.1")
    case.library_path("/opt/bogus", "libcublas.so.12")
    case.answer("libcublas.so.12", file="/opt/bogus/libcublas.so.12", version=None, impostor=True)
    case.lose("libcusolver.so.11", error=f"{SITE}/x/libcusolver.so.11: undefined symbol: cublasX", by_variable=True)
    found = case.findings()
    assert list(found) == ["ld_library_path_conflict"]
    assert found["ld_library_path_conflict"].data["libraries"] == ["libcublas.so.12", "libcusolver.so.11"]


def test_preloaded_is_not_on_the_path() -> None:
    case = Case("2.18.1")
    case.variables["LD_PRELOAD"] = "/opt/x/libcudnn.so.9"
    case.more["preloaded"] = (("/opt/x/libcudnn.so.9", "/opt/x/libcudnn.so.9.0.0"),)
    case.answer("libcudnn.so.9", file="/opt/x/libcudnn.so.9.0.0", version=None, impostor=True)
    assert list(case.findings()) == ["ld_preload_interferes"]


@pytest.mark.parametrize(
    ("variable", "code"),
    [("LD_LIBRARY_PATH", "ld_library_path_conflict"), ("LD_PRELOAD", "ld_preload_interferes")],
)
def test_a_variable_that_kills(variable: str, code: str) -> None:
    case = Case("2.18.1")
    case.variables[variable] = "/opt/x"
    if variable == "LD_LIBRARY_PATH":
        case.library_path("/opt/x", "libcudnn.so.9")
    else:
        case.more["preloaded"] = (("/opt/x", "/opt/x"),)
    case.more["gate"] = GateFacts(ended="signal SIGBUS", culprit="/opt/x/libcudnn.so.9" if "PATH" in variable else "")
    assert list(case.findings()) == [code]


def test_a_file_that_kills_whoever_maps_it() -> None:
    case = Case("2.18.1")
    culprit = case.provided["libcudnn.so.9"]
    case.more["gate"] = case.more["gate_bare"] = GateFacts(ended="signal SIGBUS", culprit=culprit)
    finding = case.findings()["damaged_install"]
    assert finding.data["package"] == "nvidia-cudnn-cu12 9.3.0.75"
    assert "--force-reinstall" in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("OSError: /lib/libc.so.6: version `GLIBC_2.27' not found (required by x)", "glibc_too_old"),
        ("OSError: libcudart.so.11.0: cannot open shared object file: No such file", "missing_cuda_library"),
        ("OSError: x.so: failed to map segment from shared object", "host_memory_or_noexec"),
        ("OSError: x.so: invalid ELF header", "damaged_install"),
    ],
)
def test_a_framework_library_that_cannot_be_loaded(said: str, code: str) -> None:
    case = Case("2.18.1")
    case.more["gate"] = case.more["gate_bare"] = GateFacts(unloadable=said)
    assert list(case.findings()) == [code]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("/x/libcublas.so.12: file too short", "damaged_install"),
        ("libcublas.so.12: cannot open shared object file: Permission denied", "damaged_install"),
        (
            "/x/libcusparse.so.12: undefined symbol: __nvJitLinkAddData_12_5, version libnvJitLink.so.12",
            "wrong_cuda_version",
        ),
        ("/x/libcublas.so.12: failed to map segment from shared object", "host_memory_or_noexec"),
    ],
)
def test_why_a_library_that_is_there_cannot_be_loaded(error: str, code: str) -> None:
    case = Case("2.18.1")
    case.lose("libcublas.so.12", error=error)
    assert list(case.findings()) == [code]


def test_cudnn_below_the_build() -> None:
    case = Case("2.18.1")
    case.user["libcudnn.so.9"] = case.found("libcudnn.so.9", version="9.1.0")
    finding = case.findings()["cudnn_version_mismatch"]
    assert (finding.data["built"], finding.data["needs"], finding.data["found"]) == ("9.3", "9.3", "9.1.0")
    assert "nvidia-cudnn-cu12==9.3.0.75" in finding.fixes[0].commands[0]


def test_older_libraries_of_the_right_name() -> None:
    case = Case("2.18.1")
    case.user["libcudart.so.12"] = case.found("libcudart.so.12", version="12.1")
    case.user["libcublas.so.12"] = case.found("libcublas.so.12", version="12.1.3")
    finding = case.findings()["wrong_cuda_version"]
    assert finding.certainty is Certainty.LIKELY
    assert finding.data["needs"] == {"libcudart.so.12": "12.5", "libcublas.so.12": "12.5.3.2"}


@pytest.mark.parametrize(("capability", "found"), [("7.0", ["cudnn_drops_gpu"]), ("7.5", []), ("9.0", [])])
def test_cudnn_that_left_a_gpu_behind(capability: str, found: list[str]) -> None:
    case = Case("2.21.0", host=machine(("a GPU", capability)))
    findings = case.findings()
    assert list(findings) == found
    for finding in findings.values():
        assert "nvidia-cudnn-cu12==9.10.2.21" in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("release", "certainty"),
    [("2.10.1", Certainty.POSSIBLE), ("2.12.1", Certainty.LIKELY), ("2.18.1", Certainty.LIKELY)],
)
def test_tools_of_xla(release: str, certainty: Certainty) -> None:
    case = Case(release)
    present = f"{SITE}/nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc"
    case.more["tools"] = (Tool("ptxas", "/usr/bin/ptxas", None), Tool("libdevice", None, present, "searched: /x"))
    finding = case.findings()["ptxas_libdevice_missing"]
    assert finding.certainty is certainty
    assert finding.fixes[0].commands == (WIRE,)


def test_tools_that_are_not_installed_come_with_the_compiler_wheel() -> None:
    case = Case("2.18.1")
    case.more["tools"] = (Tool("ptxas", None, None, "searched: /x"), Tool("libdevice", None, None, "searched: /x"))
    wheels = {pin.name: pin.version for pin in case.set.pins if "nvcc" not in pin.name}
    finding = case.findings(wheels)["ptxas_libdevice_missing"]
    assert "nvidia-cuda-nvcc-cu12==12.5.82" in finding.fixes[0].commands[0]


def test_an_environment_without_pip_gets_commands_of_uv() -> None:
    case = Case("2.17.1")
    case.uninstall("libcudnn.so.8")
    case.lose("libcudnn.so.8")
    case.more["packages"] = (Package("tensorflow", "2.17.1", SITE),)
    command = case.findings()["missing_cudnn"].fixes[0].commands[0]
    assert command.startswith(f"uv pip install --python {PREFIX}/bin/python nvidia-cudnn-cu12==8.9.7.29")


def test_a_conda_environment_is_mended_by_conda() -> None:
    case = Case("2.10.1")
    prefix = Case("2.10.1").row.conda_sets[0]
    case.provided = {name: f"{PREFIX}/lib/{name}" for pin in prefix.conda for name in pin.libraries}
    case.uninstall("libcudnn.so.8")
    case.lose()
    case.more["conda"] = {"cudatoolkit": "11.2.2"}
    case.more["env"] = EnvRef(
        PurePosixPath(PREFIX), PurePosixPath(f"{PREFIX}/bin/python"), PurePosixPath(SITE), "conda", False
    )
    found = case.findings({})
    assert list(found) == ["missing_cudnn", "wheel_rpath_bug"]
    install, *_ = found["missing_cudnn"].fixes
    assert install.commands == (f"conda install -p {PREFIX} -c conda-forge cudnn=8.1.0.77", WIRE)


def test_a_hook_that_was_switched_off() -> None:
    case = Case("2.18.1")
    case.variables["TFGPU_NO_PRELOAD"] = "1"
    case.more["wiring"] = "ok"
    case.library_path("/opt/bogus", "libcublas.so.12")
    case.answer("libcublas.so.12", file="/opt/bogus/libcublas.so.12", version=None, impostor=True)
    fixes = case.findings()["ld_library_path_conflict"].fixes
    assert [fix.commands for fix in fixes] == [("unset LD_LIBRARY_PATH",), ("unset TFGPU_NO_PRELOAD",)]


def test_a_release_without_a_row_is_told_to_bring_its_own() -> None:
    case = Case("2.18.1")
    case.uninstall()
    case.lose()
    case.more |= {"row": None, "distribution": Package("tf-nightly", "2.23.0.dev1", SITE)}
    finding = case.findings({})["missing_cuda_library"]
    assert finding.fixes[0].commands == (f"{PREFIX}/bin/python -m pip install 'tf-nightly[and-cuda]==2.23.0.dev1'",)


@pytest.mark.parametrize(
    ("wiring", "certainty"),
    [("lib/x is gone", Certainty.LIKELY), ("stale: made for another build", Certainty.POSSIBLE)],
)
def test_torn_wiring_without_a_consequence(wiring: str, certainty: Certainty) -> None:
    case = Case("2.17.1")
    case.more["wiring"] = wiring
    assert [(code, item.certainty) for code, item in case.findings().items()] == [("wiring_lost", certainty)]


def test_wheels_that_another_framework_needs_are_not_removed() -> None:
    case, older = Case("2.18.1"), Case("2.13.1")
    case.provided = older.provided
    case.lose(*(name for name in case.row.gate if name != "libcusolver.so.11"))
    wheels = {pin.name: pin.version for pin in older.set.pins}
    snapshot = case.snapshot(wheels)
    assert snapshot.environment is not None
    torch = Package("torch", "2.0.0", SITE, requires=("nvidia-cublas-cu11==11.10.3.66; platform_system == 'Linux'",))
    environment = replace(snapshot.environment, packages=(*snapshot.environment.packages, torch))
    remove = run(replace(snapshot, environment=environment))["wrong_cuda_version"].fixes[0].commands[0]
    assert "nvidia-cusparse-cu11" in remove
    assert "nvidia-cublas-cu11" not in remove


def test_a_file_for_another_machine_is_passed_over_where_it_lies() -> None:
    case = Case("2.17.1")
    case.more["search"] = (f"{SITE}/nvidia/cufft/lib",)
    case.lose("libcufft.so.11")
    found = case.findings()
    assert list(found) == ["damaged_install"]
    assert "for another machine" in found["damaged_install"].summary


def test_libraries_that_miss_one_anothers_functions() -> None:
    case = Case("2.18.1")
    log = "python: symbol lookup error: /x/libcublas.so.12: undefined symbol: cublasLtX, version libcublasLt.so.12"
    case.more["gate"] = case.more["gate_bare"] = GateFacts(ended="exit 127", log=log)
    assert case.findings()["wrong_cuda_version"].data["libraries"] == ["libcublas.so.12"]


def test_a_harmless_preload_beside_a_bogus_folder_is_not_blamed() -> None:
    case = Case("2.18.1")
    case.more["preloaded"] = (("/usr/lib/libtcmalloc.so.4", "/usr/lib/libtcmalloc.so.4.5"),)
    case.variables["LD_PRELOAD"] = "/usr/lib/libtcmalloc.so.4"
    case.library_path("/opt/bogus", "libcublas.so.12")
    case.lose("libcusolver.so.11", error=f"{SITE}/x/libcusolver.so.11: undefined symbol: cublasX", by_variable=True)
    assert list(case.findings()) == ["ld_library_path_conflict"]

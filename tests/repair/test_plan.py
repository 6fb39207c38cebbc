"""What repair decides to do about a diagnosis: whole diagnoses of described environments, nothing of it stubbed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import pytest
from doctor.library_samples import PREFIX, SITE, Case

from provision.doctor.causes import CAUSES
from provision.doctor.checks.typed import commands
from provision.doctor.diagnose import diagnose
from provision.host.description import describe
from provision.matrix import load
from provision.model.environment import EnvRef
from provision.model.environment_facts import FileFault, Package, Pointer, Tool
from provision.model.remedy import (
    CondaInstall,
    Install,
    PointKernel,
    Relocate,
    Remove,
    Step,
    Uninstall,
    Unset,
    Wire,
)
from provision.model.repair import RepairPlan
from provision.model.snapshot import Snapshot
from provision.model.versions import GlibcVersion, PythonVersion, TfVersion
from provision.repair.planning.plan import plan_repair
from provision.repair.planning.remedies import INSTEAD, REPAIRED
from provision.snapshot.snapshot import judge_installed
from provision.system import System

MATRIX = load()
WHEEL = "cp311-cp311-manylinux2014_x86_64"
_NEEDS = ("numpy<2.0.0,>=1.23.5", "protobuf<5,>=3.20.3", "keras>=3.0.0")
_INSTALLED = {"numpy": "1.26.4", "protobuf": "4.25.8", "keras": "3.4.1", "pandas": "2.2.2"}


def snapshot(
    *more_packages: Package, release: str = "2.17.1", case: Case | None = None, machine: str = "", **changes: Any
) -> Snapshot:
    """Return a sound environment of a release, with changes; ``machine`` is described as ``--for`` does it."""
    case = case or Case(release)
    wheels = {pin.name: pin.version for pin in case.set.pins}
    chosen = Package("tensorflow", case.release, SITE, _NEEDS)
    packages = {
        item.name: item
        for item in (
            chosen,
            *(Package(name, version, SITE) for name, version in (_INSTALLED | wheels).items()),
            *more_packages,
        )
    }
    facts: dict[str, Any] = {
        "packages": tuple(packages.values()),
        "python": PythonVersion("3.11.7"),
        "glibc": GlibcVersion("2.36"),
        "tensorflow": (f"{SITE}/tensorflow/__init__.py",),
        "distribution": chosen,
        "wheel_tags": (WHEEL,),
        "build": {"is_cuda_build": True},
        "tools": (Tool("ptxas", "/x", "/x"), Tool("libdevice", "/x", "/x")),
    }
    made = case.snapshot()
    assert made.environment is not None
    environment = dataclasses.replace(made.environment, **(facts | changes))
    host = describe((machine or "driver=570.86.10,gpu=8.6",), System(environ={}))
    return dataclasses.replace(made, environment=environment, host=host)


def plan(seen: Snapshot, only: Sequence[str] = (), **options: bool) -> RepairPlan:
    found = diagnose(seen, subject="env")
    for fix in (fix for item in found.findings for fix in item.fixes if fix.steps and seen.environment):
        typed = commands(seen.environment, fix.steps)
        assert fix.commands == typed or "tfgpu-provision repair" in fix.commands[-1], "what is typed is what is done"
    return plan_repair(found, seen, only=only, **options)


def steps(found: RepairPlan) -> dict[str, tuple[Step, ...]]:
    return {item.code: item.steps for item in found.repairs}


def test_a_sound_environment_has_nothing_to_repair() -> None:
    assert plan(snapshot()) == RepairPlan()


def test_every_cause_stands_in_the_table_as_doctor_has_it() -> None:
    assert not set(REPAIRED) & set(INSTEAD)
    assert {*REPAIRED, *INSTEAD} == set(CAUSES)
    assert {code for code, cause in CAUSES.items() if cause.repairable} == set(REPAIRED)


def test_the_step_for_libraries_that_are_not_searched_is_wiring() -> None:
    case = Case("2.16.1")
    case.lose(*case.row.gate[:3])
    assert steps(plan(snapshot(case=case))) == {"wheel_rpath_bug": (Wire(),)}


def test_a_missing_library_comes_at_the_version_of_the_set_and_what_it_explains_is_not_done_twice() -> None:
    case = Case("2.17.1", more={"wiring": "links are gone"})
    case.lose("libcudnn.so.8")
    case.uninstall("libcudnn.so.8")
    found = plan(snapshot(case=case))
    pin = next(item.requirement for item in case.set.pins if "cudnn" in item.name)
    assert steps(found)["missing_cudnn"] == (Install((pin,), again=True, alone=True), Wire())
    assert found.steps.count(Wire()) == 1


ENVIRONMENT = EnvRef(PurePosixPath(PREFIX), PurePosixPath(f"{PREFIX}/bin/python"), PurePosixPath(SITE), "venv", True)
NUMPY = Package("numpy", "2.0.2", SITE)


def test_an_environment_of_ours_is_repaired_by_exact_steps_though_sync_is_what_doctor_says_first() -> None:
    seen = snapshot(NUMPY, env=ENVIRONMENT)
    (finding,) = diagnose(seen, subject="env").findings
    assert finding.fixes[0].commands == (f"tfgpu-provision sync {PREFIX}",)
    assert steps(plan(seen)) == {"numpy_abi_conflict": (Install(("numpy<2.0.0,>=1.23.5",)),)}


def test_what_is_damaged_comes_again_from_where_it_came() -> None:
    conda = dataclasses.replace(ENVIRONMENT, kind="conda", managed=False)
    damage = (
        FileFault(f"{PREFIX}/lib/libcudart.so.12", "cuda-cudart", "missing"),
        FileFault(f"{SITE}/wrapt/a.so", "wrapt", "size"),
    )
    seen = snapshot(Package("wrapt", "1.16.0", SITE), env=conda, faults=damage, conda={"cuda-cudart": "12.5.82"})
    assert plan(seen).steps == (
        CondaInstall(("cuda-cudart",), channel="", again=True),
        Install(("wrapt==1.16.0",), again=True, alone=True),
    )


def test_what_conda_installed_is_changed_by_conda_from_where_it_came() -> None:
    conda = dataclasses.replace(ENVIRONMENT, kind="conda", managed=False)
    seen = snapshot(dataclasses.replace(NUMPY, installer="conda"), env=conda)
    assert steps(plan(seen)) == {"numpy_abi_conflict": (CondaInstall(("numpy<2.0.0,>=1.23.5",), channel=""),)}


def test_every_missing_package_is_installed_though_doctor_speaks_of_one_cause() -> None:
    chosen = Package("tensorflow", "2.17.1", SITE, (*_NEEDS, "wrapt>=1.11.0", "flatbuffers>=24.3.25"))
    found = plan(snapshot(chosen, distribution=chosen))
    wanted = {item for step in found.steps if isinstance(step, Install) for item in step.requirements}
    assert wanted == {"wrapt>=1.11.0", "flatbuffers>=24.3.25"}
    assert {item.code for item in found.repairs} == {"dependency_conflict"}


def test_two_distributions_go_and_one_comes_and_their_damage_is_not_repaired_apart() -> None:
    second = Package("tensorflow-cpu", "2.17.1", SITE)
    damage = (FileFault(f"{SITE}/tensorflow/a.so", "tensorflow-cpu", "size"),)
    seen = snapshot(second, others=(second,), faults=damage, cuda_build=False)
    found = plan(seen)
    assert found.steps == (
        Uninstall(("tensorflow", "tensorflow-cpu")),
        Install(("tensorflow==2.17.1",), again=True, alone=True),
    )
    assert [item.code for item in found.repairs] == ["conflicting_tf_packages"]


def test_remnants_are_removed_and_the_same_release_comes_again() -> None:
    left = (f"{SITE}/~ensorflow",)
    seen = snapshot(tensorflow=(), remnants=left)
    assert plan(seen).steps == (Remove(left), Install(("tensorflow==2.17.1",), again=True, alone=True))
    # What was half removed says which release it was; without a package of that name nothing else does.
    named = f"{SITE}/~ensorflow-2.17.1.dist-info"
    seen = snapshot(tensorflow=(), distribution=None, row=None, remnants=(named,), wheel_tags=(), cuda_build=None)
    assert plan(seen).steps == (Remove((named,)), Install(("tensorflow==2.17.1",), again=True, alone=True))
    outside = ("/usr/lib/python3/dist-packages/~ensorflow",)
    found = plan(snapshot(tensorflow=(), remnants=outside))
    assert found.steps == ()
    assert [item.code for item in found.by_hand] == ["tensorflow_remnants"]


def test_a_release_without_an_extra_brings_the_libraries_of_its_set() -> None:
    empty: dict[str, Any] = {"tensorflow": (), "distribution": None, "row": None, "wheel_tags": (), "gate": None}
    seen = snapshot(**empty, packages=(), python=PythonVersion("3.8.10"), cuda_build=None)
    (install, wire) = plan(seen).steps
    assert isinstance(install, Install)
    assert wire == Wire()
    assert any(item.startswith("nvidia-cudnn-cu11==8.6") for item in install.requirements)
    assert "tensorflow==2.13.1" in install.requirements


def test_the_release_that_is_installed_is_one_that_this_machine_can_run() -> None:
    empty: dict[str, Any] = {"tensorflow": (), "distribution": None, "row": None, "wheel_tags": (), "gate": None}
    seen = snapshot(**empty, packages=(), cuda_build=None, machine="driver=470.57.02,gpu=8.6")
    (install, _) = plan(seen).steps
    assert isinstance(install, Install)
    release = next(item for item in install.requirements if item.startswith("tensorflow=="))
    row = MATRIX.row(TfVersion(release.partition("==")[2]))
    assert row is not None
    assert row.cuda.major == 11, "driver 470 serves no CUDA 12"


def test_scripts_that_name_a_place_that_is_gone_are_settled_though_tensorflow_works() -> None:
    seen = snapshot(record="moved", recorded_prefix="/home/you/old")
    assert diagnose(seen, subject="env").sound
    assert steps(plan(seen)) == {"environment_moved": (Relocate("/home/you/old"),)}


def test_an_interrupted_creation_gets_what_its_lock_names_and_is_wired() -> None:
    seen = snapshot(record="incomplete", unfinished=("nvidia-cublas-cu12==12.3.4.1", "wrapt==1.16.0"))
    missing = Install(("nvidia-cublas-cu12==12.3.4.1", "wrapt==1.16.0"), alone=True)
    assert plan(seen).steps == (missing, Wire())
    empty = {"tensorflow": (), "distribution": None, "row": None, "cuda_build": None, "wheel_tags": ()}
    seen = snapshot(record="incomplete", unfinished=("tensorflow==2.16.1", "six==1.16.0"), **empty)
    assert plan(seen).steps == (Install(("tensorflow==2.16.1", "six==1.16.0"), alone=True), Wire())
    without_lock = snapshot(record="incomplete")
    assert plan(without_lock).steps == (Remove((f"{PREFIX}/.tfgpu/environment.json",)),)


ACTIVATE = f"{PREFIX}/bin/activate"


def test_a_variable_is_taken_out_where_the_environment_sets_it_and_left_where_the_user_does() -> None:
    inside = snapshot(scripts_set=((ACTIVATE, "CUDA_VISIBLE_DEVICES", "-1"),))
    assert steps(plan(inside)) == {"visible_devices_hidden": (Unset(ACTIVATE, "CUDA_VISIBLE_DEVICES"),)}
    own = snapshot(scripts_set=((f"{PREFIX}/etc/conda/activate.d/tfgpu-provision.sh", "CUDA_VISIBLE_DEVICES", "-1"),))
    found = plan(own)
    assert (found.steps, [item.code for item in found.by_hand]) == ((), ["visible_devices_hidden"])
    seen = dataclasses.replace(snapshot(), variables={"TF_FORCE_GPU_ALLOW_GROWTH": "yes"})
    seen = dataclasses.replace(seen, host=dataclasses.replace(_host(seen), described=False))
    found = plan(seen)
    assert (found.steps, [item.code for item in found.by_hand]) == ((), ["variable_interferes"])
    assert seen.environment is not None
    sets = dataclasses.replace(seen.environment, scripts_set=((ACTIVATE, "TF_FORCE_GPU_ALLOW_GROWTH", "yes"),))
    found = plan(dataclasses.replace(seen, environment=sets))
    assert found.steps == (Unset(ACTIVATE, "TF_FORCE_GPU_ALLOW_GROWTH"),)


def _host(seen: Snapshot) -> Any:
    assert seen.host is not None
    return seen.host


def test_a_kernel_outside_is_changed_only_when_it_is_asked_for_and_one_inside_always() -> None:
    outside = "/home/you/.local/share/jupyter/kernels/you/kernel.json"
    kernel = Pointer("jupyter", outside, "you (you)", "/opt/python", exists=False, same=False)
    seen = snapshot(pointers=(kernel,))
    found = plan(seen)
    assert (found.repairs, [item.code for item in found.by_hand]) == ((), ["jupyter_kernel_elsewhere"])
    inside, beyond = plan(seen, kernels=True).repairs
    assert (inside.steps, inside.outside) == ((Install(("ipykernel",)),), False)
    assert (beyond.steps, beyond.outside) == ((PointKernel(outside),), True)
    assert plan(seen, kernels=True).steps == inside.steps
    own = dataclasses.replace(kernel, file=f"{PREFIX}/share/jupyter/kernels/python3/kernel.json")
    found = plan(snapshot(Package("ipykernel", "6", SITE), pointers=(own,)))
    assert [(item.steps, item.outside) for item in found.repairs] == [((PointKernel(own.file),), False)]


def test_what_something_explains_that_the_user_has_to_remove_is_left_alone() -> None:
    leaked = Package("numpy", "2.0.2", "/home/you/lib")
    own = Package("numpy", "1.26.4", SITE)
    seen = snapshot(leaked, python_path=("/home/you/lib",), hidden=(own,))
    seen = dataclasses.replace(seen, variables={"PYTHONPATH": "/home/you/lib"})
    assert {item.code for item in diagnose(seen, subject="env").findings} == {"python_path_leak", "numpy_abi_conflict"}
    found = plan(seen)
    assert (found.repairs, [item.code for item in found.by_hand]) == ((), ["python_path_leak"])
    assert plan(seen, only=["numpy_abi_conflict"]).steps == (Install(("numpy<2.0.0,>=1.23.5",)),)


def test_only_takes_what_is_named_and_what_is_merely_possible_as_well() -> None:
    seen = snapshot(NUMPY, Package("protobuf", "5.29.5", SITE), gencode="builder")
    assert {item.code for item in plan(seen).repairs} == {"numpy_abi_conflict"}
    assert {item.code for item in plan(seen, only=["protobuf_conflict"]).repairs} == {"protobuf_conflict"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"env": dataclasses.replace(ENVIRONMENT, kind="system")}, "system-python"),
        ({"writable": False}, "no-write-rights"),
        ({"wheel_tags": ("cp310-cp310-manylinux2014_x86_64",)}, "wrong-python"),
        ({"env": None, "broken": ("it is a link to /gone, which is gone",)}, "interpreter-broken"),
        ({"glibc": GlibcVersion("2.12")}, "glibc-too-old"),
    ],
)
def test_what_cannot_be_repaired_inside_is_refused_with_the_way_that_works(changes: dict[str, Any], code: str) -> None:
    found = plan(snapshot(NUMPY, **changes))
    assert found.denial is not None
    assert (found.denial.code, found.repairs) == (code, ())
    assert "--into PATH" in found.denial.hint or "--replace" in found.denial.hint
    assert found.beside == "2.17.1"


def test_a_gpu_that_the_release_does_not_serve_means_another_release_beside() -> None:
    seen = snapshot(release="2.21.0", machine="driver=570.86.10,gpu=5.2")
    inventory: Any = type("Seen", (), {"env": ENVIRONMENT, "python": PythonVersion("3.11.7")})
    environment = seen.environment
    assert environment is not None
    judged = judge_installed(inventory, environment.row, environment.library_set, _host(seen), MATRIX)
    found = plan(dataclasses.replace(seen, judged=judged))
    assert found.denial is not None
    assert found.denial.code == "gpu-unserved"
    row = MATRIX.row(TfVersion(found.beside))
    assert row is not None
    assert row.release < TfVersion("2.21.0")


def test_two_frameworks_without_libraries_in_common_are_told_to_part() -> None:
    cudnn = Package("nvidia-cudnn-cu12", "8.9.2.26", SITE)
    torch = Package("torch", "2.2.0", SITE, ("nvidia-cudnn-cu12==8.9.2.26",))
    found = plan(snapshot(torch, cudnn, release="2.21.0"))
    assert found.denial is not None
    assert found.denial.code == "no-common-set"
    assert f"tfgpu-provision create {PREFIX}-tf --tf 2.21.0" in found.denial.hint
    later = plan(
        snapshot(
            Package("torch", "2.5", SITE, ("nvidia-cudnn-cu12==9.0.0.1",)),
            Package("nvidia-cudnn-cu12", "9.0.0.1", SITE),
            release="2.21.0",
        )
    )
    assert later.denial is None
    assert {item.code for item in later.repairs} == {"framework_conflict_pytorch"}


def test_what_is_carried_over_is_the_users_own() -> None:
    more = (
        Package("seaborn", "0.13.2", SITE, ("pandas>=1.2",)),
        Package("tf-keras", "2.17.0", SITE, ("tensorflow<2.18,>=2.17",)),
        Package("mine", "0.1", SITE, origin="file:///home/you/mine (editable)"),
        Package("pip", "24.0", SITE),
    )
    found = plan(snapshot(*more), beside=True)
    assert (found.beside, found.carry) == ("2.17.1", ("seaborn==0.13.2", "tf-keras==2.17.0"))
    assert found.left_out == ("mine 0.1 (file:///home/you/mine (editable))",)
    older = plan(snapshot(*more, machine="driver=470.57.02,gpu=8.6"), beside=True)
    assert older.beside != "2.17.1"
    assert older.carry == ("seaborn==0.13.2", "tf-keras")


def test_what_is_typed_is_what_is_done() -> None:
    facts = snapshot().environment
    assert facts is not None
    every: tuple[Step, ...] = (
        Remove((f"{SITE}/~umpy",)),
        Uninstall(("tensorflow-cpu", "tensorflow")),
        Install(("numpy<2",), again=True, alone=True),
        CondaInstall(("cudnn=8.9",), again=True),
        Wire(),
        Wire(),
        Unset(ACTIVATE, "LD_LIBRARY_PATH"),
    )
    python = f"{PREFIX}/bin/python"
    assert commands(facts, every) == (
        f"rm -r '{SITE}/~umpy'",
        f"uv pip uninstall --python {python} tensorflow-cpu tensorflow",
        f"uv pip install --python {python} --no-deps --reinstall 'numpy<2'",
        f"conda install -p {PREFIX} -c conda-forge --force-reinstall cudnn=8.9",
        f"tfgpu-provision wire {PREFIX}",
        f"tfgpu-provision repair {PREFIX}",
    )


def test_what_lies_in_the_python_below_is_left_alone() -> None:
    below = Package("wrapt", "1.16.0", "/opt/python/lib/python3.11/site-packages")
    damage = (FileFault(f"{below.folder}/wrapt/a.so", "wrapt", "size"),)
    found = plan(snapshot(below, faults=damage))
    assert (found.repairs, [item.code for item in found.by_hand]) == ((), ["damaged_install"])


def test_nothing_is_planned_without_an_environment() -> None:
    seen = Snapshot(matrix=MATRIX, environment=None)
    found = plan(seen)
    assert found.denial is not None
    assert found.denial.code == "no-environment"

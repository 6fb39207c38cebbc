"""Is what is installed whole, and was it built with CUDA?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from provision.doctor.check import Check
from provision.doctor.checks.installed import SAME_BUILD, release_of
from provision.doctor.checks.package_fixes import create_anew, restore_tensorflow, resync
from provision.doctor.checks.typed import commands, fix
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.remedy import CondaInstall, Install, Step, Uninstall
from provision.model.snapshot import Snapshot
from provision.model.versions import TfVersion

_SHOWN = 8


def _damaged(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or not seen.faults:
        return
    faults = sorted(
        seen.faults, key=lambda item: (not re.search(r"\.so|ptxas|libdevice", item.path), item.kind, item.path)
    )
    soft = all(item.kind in ("size", "content") and item.path.endswith(".py") for item in faults)
    names = list(dict.fromkeys(item.package for item in faults if item.package))
    conda = tuple(name for name in names if name in seen.conda)
    requirements = tuple(f"{name}=={seen.versions[name]}" for name in names if name in seen.versions.keys() - conda)
    first = faults[0]
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    steps: tuple[Step, ...] = (Install(requirements, again=True, alone=True),) if requirements else ()
    if conda:
        steps = (CondaInstall(conda, channel="", again=True), *steps)
    fixes = [*resync(seen)]
    if steps:
        fixes.append(fix(seen, "Install again what brings them", *steps))
    if requirements and not seen.package("pip"):
        again = (f"uv cache clean {' '.join(names)}", *commands(seen, steps))
        fixes.append(Fix("Where they are damaged in uv's cache as well (it links files)", again))
    yield Finding(
        "damaged_install",
        Certainty.LIKELY if soft else Certainty.CERTAIN,
        f"{first.path} is {_described(first.kind, first.wanted, first.found)}{more}",
        tuple(
            Clue(
                item.path,
                f"{_described(item.kind, item.wanted, item.found)}{f' ({item.package})' if item.package else ''}",
            )
            for item in faults[:_SHOWN]
        ),
        tuple(fixes) or (create_anew(seen),),
        explains=tuple(dict.fromkeys(code for item in faults for code in _broken_by(item.path))),
        data={
            "files": [item.path for item in faults[:50]],
            "count": len(faults),
            "packages": names,
            "kinds": sorted({item.kind for item in faults}),
        },
    )


def _described(kind: str, wanted: str, found: str) -> str:
    return {
        "missing": "gone, although the package's RECORD names it",
        "size": f"not the file that was installed: {found}, should be {wanted}",
        "content": f"not the file that was installed: {found}, should be {wanted}",
        "truncated": f"cut short: {found}, {wanted}",
        "not-elf": f"no shared library: {found}",
        "architecture": f"for another machine: {found}, needed {wanted}",
        "unreadable": f"not readable: {found}",
    }.get(kind, kind)


def _broken_by(path: str) -> tuple[str, ...]:
    """Return the causes that are consequences of one file being wrong."""
    name = PurePosixPath(path).name
    if name.startswith("libcudnn"):
        return ("missing_cudnn", "missing_cuda_library", "cudnn_version_mismatch", "ld_library_path_wrong")
    if name in ("ptxas", "libdevice.10.bc"):
        return ("ptxas_libdevice_missing",)
    if re.match(r"lib(cu|nv|nccl)", name):
        return ("missing_cuda_library", "wrong_cuda_version", "ld_library_path_wrong")
    if "/tensorflow" in path:
        return ("tensorflow_missing", "dependency_conflict")
    return ()


def _cpu_only(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or seen.distribution is None or seen.env is None:
        return
    chosen = seen.distribution
    conda = next((name for name in ("tensorflow-base", "tensorflow") if name in seen.conda_builds), "")
    conda_build = seen.conda_builds.get(conda, "") if chosen.installer == "conda" else ""
    by_build = re.match(r"cpu_|mkl_|eigen_", conda_build) is not None
    if seen.cuda_build is not False and not by_build:
        return
    clues = []
    if seen.cuda_build is False:
        place = f"{chosen.folder}/tensorflow/python/platform/build_info.py"
        clues.append(Clue(place, f"is_cuda_build: False ({chosen.name} {chosen.version})"))
    if by_build:
        clues.append(Clue(f"{seen.path}/conda-meta", f"{conda} {seen.conda.get(conda, '')} {conda_build}"))
    release = release_of(chosen)
    yield Finding(
        "cpu_only_package",
        Certainty.CERTAIN,
        f"{chosen.name} {chosen.version}{f' ({conda_build})' if by_build else ''} is a build without CUDA: "
        "no driver and no library makes it use a GPU",
        tuple(clues),
        _with_cuda(snapshot, seen, chosen, release, from_conda=chosen.installer == "conda"),
        explains=("missing_cuda_library", "missing_cudnn", "wheel_rpath_bug", "ld_library_path_wrong"),
        data={"found": f"{chosen.name}=={chosen.version}", "needs": "a build with CUDA", "build": dict(seen.build)},
    )


def _with_cuda(
    snapshot: Snapshot, seen: EnvironmentFacts, chosen: Package, release: TfVersion, *, from_conda: bool
) -> tuple[Fix, ...]:
    """Return how the same release is had with CUDA: the wheel tensorflow, conda's cuda build, or tensorflow-gpu."""
    anew = create_anew(seen, chosen.version if snapshot.matrix.row(release) else "")
    if from_conda:
        build = CondaInstall((f"tensorflow={chosen.version}=*cuda*",))
        return (fix(seen, "Install conda-forge's build with CUDA", build), anew)
    if chosen.name == "tensorflow" and TfVersion("1.15.2") <= release < SAME_BUILD:
        # Under the name tensorflow these releases are builds for the CPU.
        gpu = "1.15.5" if release < TfVersion("2.0") else "2.0.4"
        command = f"tfgpu-provision create {seen.path} --backend conda --tf {gpu} --replace"
        return (Fix("Install tensorflow-gpu, on CUDA 10 from conda", (command,)),)
    if chosen.name.startswith("tf-nightly"):
        nightly = Install(("tf-nightly[and-cuda]",))
        return (fix(seen, "Install the nightly with CUDA", Uninstall((chosen.name,)), nightly),)
    exchanged = (Uninstall((chosen.name,)), *restore_tensorflow(seen, chosen.version))
    return (fix(seen, "Install tensorflow in its place", *exchanged), anew)


CHECKS: tuple[Check, ...] = (
    Check(("damaged_install",), _damaged),
    Check(("cpu_only_package",), _cpu_only),
)

"""Libraries that TensorFlow's loader asks for and does not get: why, and what brings them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from provision.doctor.checks.library_fixes import (
    create,
    install,
    install_step,
    meant_set,
    providers,
    unset,
    whole,
    wire,
    wire_step,
)
from provision.doctor.checks.library_view import Lost, View, clues, is_cuda, package_of, short, stem, view_of
from provision.doctor.checks.package_fixes import resync
from provision.doctor.checks.typed import fix
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import STALE
from provision.model.remedy import Uninstall
from provision.model.snapshot import Snapshot

CODES = (
    "wheel_rpath_bug",
    "wiring_lost",
    "libcusolver_soname_24",
    "missing_cuda_library",
    "missing_cudnn",
    "wrong_cuda_version",
    "cudnn_version_mismatch",
    "ld_library_path_wrong",
)
_REQUIRED = re.compile(r"[^A-Za-z0-9._-]")


def missing(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield why each library that was not found was not found; one finding for each reason."""
    view = view_of(snapshot)
    if view is None:
        return
    lost = view.lost()
    # What is missing altogether first: what installs it makes it visible as well.
    yield from _not_there(view, lost)
    unsearched = _of(lost, "unsearched")
    if view.seen.wiring not in ("", "ok"):
        yield _wiring_lost(view, unsearched)
    elif unsearched:
        yield _soname_24(view, unsearched) if _only_alias(view, lost) else _unsearched(view, unsearched)
    if lost:
        yield from _useless_variable(view)


def _not_there(view: View, lost: tuple[Lost, ...]) -> Iterator[Finding]:
    """Yield what the environment does not have: nothing of it, another version of it, or the machine has it."""
    elsewhere, other, absent = _of(lost, "elsewhere"), _of(lost, "other"), _of(lost, "absent")
    if absent and _only_alias(view, lost):
        yield _soname_24(view, absent)
        return
    if elsewhere and all(item.cudnn for item in absent):
        yield _elsewhere(view, elsewhere)
    else:
        absent = (*absent, *elsewhere)
    other_cuda = tuple(item for item in other if not item.cudnn)
    if other_cuda or _variable_leads_to_others(view, absent):
        yield _wrong_version(view, (*other_cuda, *absent))
    elif absent:
        yield _absent(view, absent, lost)
    if len(other) > len(other_cuda):
        yield _other_cudnn(view, next(item for item in other if item.cudnn))


def _of(lost: Sequence[Lost], kind: str) -> tuple[Lost, ...]:
    return tuple(item for item in lost if item.kind == kind)


def _data(view: View, lost: Sequence[Lost]) -> dict[str, object]:
    return {
        "libraries": [item.name for item in lost],
        "built": str(view.built_cuda) if view.built_cuda else None,
        "found": [item.where for item in lost if item.where],
    }


def _only_alias(view: View, lost: Sequence[Lost]) -> bool:
    """Whether all that is missing is a name that the release alone uses (2.4 and cuSOLVER)."""
    row = view.seen.row
    return bool(row and lost) and all(row is not None and item.name in row.aliases for item in lost)


def _unsearched(view: View, lost: tuple[Lost, ...]) -> Finding:
    row = view.seen.row
    total = len(view.gate.libraries)
    evidence = [*clues(lost, 4)]
    for item in lost[:4]:
        package = package_of(view, item.where)
        evidence.append(Clue(item.where, f"the environment has it here{f' ({package})' if package else ''}"))
    folders = ", ".join(view.shown(folder) for folder in view.seen.search) or "nothing"
    evidence.append(
        Clue("libtensorflow_framework.so", f"its {view.seen.search_kind or 'search path'}: {folders}"[:300])
    )
    fault = next((item for item in row.faults if item.code == "search-path"), None) if row else None
    if fault:
        evidence.append(Clue(view.source, fault.what[:300]))
    folder_list = ":".join(dict.fromkeys(posixpath.dirname(item.where) for item in lost))
    by_variable = Fix(
        "For programs of one shell only, name the folders",
        (f"export LD_LIBRARY_PATH={folder_list}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}",),
    )
    # No variable answers a name that no file has.
    renamed = any(view.alias(item.name) != item.name for item in lost)
    return Finding(
        "wheel_rpath_bug",
        Certainty.CERTAIN,
        f"{len(lost)} of {total} CUDA libraries are in the environment and {view.release} does not look there: "
        f"{short([item.name for item in lost])}",
        tuple(evidence),
        (
            *wire(view.seen, "Put links where TensorFlow looks; it needs no variable and can be undone"),
            *(() if renamed else (by_variable,)),
            *create(view.seen),
        ),
        data=_data(view, lost),
    )


def _wiring_lost(view: View, lost: tuple[Lost, ...]) -> Finding:
    names = short([item.name for item in lost])
    # Made for another build, and everything is found all the same: nothing is wrong yet.
    stale = view.seen.wiring.startswith(STALE)
    consequence = f"TensorFlow does not find {names}" if lost else "TensorFlow may take other libraries, or miss some"
    return Finding(
        "wiring_lost",
        Certainty.CERTAIN if lost else Certainty.POSSIBLE if stale else Certainty.LIKELY,
        f"what this tool had put into the environment no longer fits: {consequence}",
        (Clue(f"{view.seen.path}/.tfgpu/wiring.json", view.seen.wiring[:300]), *clues(lost)),
        (*wire(view.seen, "Wire the environment again"), *create(view.seen)),
        explains=("ptxas_libdevice_missing",),
        data=_data(view, lost),
    )


def _soname_24(view: View, lost: tuple[Lost, ...]) -> Finding:
    name = lost[0].name
    real = view.seen.row.aliases[name] if view.seen.row else ""
    there = [item.file for item in view.gate.libraries if item.file and item.soname.startswith("libcusparse")]
    beside = [Clue(path, "its neighbours are found here") for path in there]
    return Finding(
        "libcusolver_soname_24",
        Certainty.CERTAIN,
        f"{view.release} needs {name}; every other CUDA library is found, and CUDA 11.1 and newer have {real}",
        (*clues(lost), *(Clue(item.where, "it is here under its newer name") for item in lost if item.where), *beside),
        (
            *wire(view.seen, f"Put a link of the old name to {real} of the environment"),
            *install(view.snapshot, whole(meant_set(view.snapshot)), "Install the wheels, then wire"),
        ),
        data=_data(view, lost),
    )


def _elsewhere(view: View, lost: tuple[Lost, ...]) -> Finding:
    folders = tuple(dict.fromkeys(posixpath.dirname(item.where) for item in lost))
    pins = providers(meant_set(view.snapshot), view.seen.row, [item.item.soname for item in lost])
    return Finding(
        "ld_library_path_wrong",
        Certainty.CERTAIN,
        f"{short([item.name for item in lost])}: on this machine in {short(folders)}, where the loader does not look",
        (*clues(lost, 4), *(Clue(item.where, "it is here") for item in lost[:4]), _variable(view)),
        (
            *install(view.snapshot, pins, "Install them into the environment, where no variable is needed"),
            Fix(
                "Name the folder, in every place from which programs are started",
                (f"export LD_LIBRARY_PATH={':'.join(folders)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}",),
            ),
        ),
        data=_data(view, lost),
    )


def _absent(view: View, lost: tuple[Lost, ...], everything: tuple[Lost, ...]) -> Finding:
    only_cudnn = all(item.cudnn for item in lost) and all(
        item.cudnn or item.kind in ("unsearched", "elsewhere") for item in everything
    )
    names = short([item.name for item in lost])
    one = meant_set(view.snapshot)
    extra = not any(item.name.startswith("nvidia-") for item in view.seen.packages) and not view.seen.library_set
    none_at_all = extra and len(lost) == len(view.gate.libraries)
    pins = whole(one) if none_at_all else providers(one, view.seen.row, [item.name for item in lost])
    foreign = [item.name for item in lost if not is_cuda(item.name)]
    fixes = install(view.snapshot, pins, f"Install {'them' if len(pins) > 1 else 'it'}")
    if foreign:
        fixes = (Fix(f"Install the system package that brings {short(foreign)}", root=True), *fixes)
    code = "missing_cudnn" if only_cudnn else "missing_cuda_library"
    brought = [f"{pin.name} {pin.version}" for pin in pins]
    summary = f"{view.release} opens {names}, found nowhere"
    if none_at_all:
        summary += ": the environment has none of NVIDIA's packages (the extra `and-cuda` was not installed)"
    elif brought:
        summary += f"; brought by {short(brought)}"
    needs = f"built with CUDA {view.built_cuda}, cuDNN {view.built_cudnn}"
    evidence = [*clues(lost), *([Clue(view.source, needs)] if view.built_cuda else []), *_toolkits(view)]
    return Finding(
        code,
        Certainty.CERTAIN,
        summary,
        tuple(evidence),
        fixes,
        explains=("wiring_lost", *(("ptxas_libdevice_missing",) if none_at_all else ())),
        data={**_data(view, lost), "packages": brought},
    )


def _toolkits(view: View) -> Iterator[Clue]:
    """Name toolkits of the machine that cannot serve: not a fault, and what most people look at first."""
    built = view.built_cuda
    for toolkit in view.snapshot.host.toolkits if view.snapshot.host else ():
        if built and toolkit.cuda and toolkit.cuda.major != built.major:
            words = f"CUDA {toolkit.cuda} of this machine cannot serve: its libraries bear other names"
            yield Clue(toolkit.path, words)


def _variable_leads_to_others(view: View, lost: Sequence[Lost]) -> bool:
    """Whether the user's variable leads to the same libraries of another version: that is what was meant to be used."""
    return bool(_others_on_path(view, lost))


def _others_on_path(view: View, lost: Sequence[Lost]) -> list[tuple[str, str]]:
    stems = {stem(item.name): item.name for item in lost if not item.cudnn}
    return [
        (f"{folder.path}/{name}", stems[stem(name)])
        for folder in view.seen.library_path
        for name in folder.libraries
        if stem(name) in stems and name.count(".") > 1 and name != stems[stem(name)]
    ]


def _wrong_version(view: View, lost: tuple[Lost, ...]) -> Finding:
    one = meant_set(view.snapshot)
    installed = [item for item in lost if item.kind == "other"]
    wrong = {package.rpartition(" ")[0] for item in installed if (package := package_of(view, item.where))}
    family = {name.rpartition("-")[2] for name in wrong}
    there = [Clue(item.where, f"found; needed is {item.name}") for item in installed[:6]]
    there += [Clue(path, f"found; needed is {name}") for path, name in _others_on_path(view, lost)[:6]]
    found = short([posixpath.basename(clue.source) for clue in there])
    pins = whole(one) if len(lost) > 1 else providers(one, view.seen.row, [item.name for item in lost])
    fixes = install(view.snapshot, pins, "Install the libraries of the version that the build asks for")
    leaving = {name for name in view.seen.versions if name.startswith("nvidia-") and name.rpartition("-")[2] in family}
    wheels = sorted(leaving - {pin.name for pin in pins} - _needed_by_others(view))
    if wheels and pins and view.seen.env and view.seen.env.kind != "system":
        # The wheels of two CUDA versions share folders and some file names: the wrong ones go first.
        steps = (Uninstall(tuple(wheels)), install_step(view.seen, pins), *wire_step(view.seen))
        what = "Exchange the libraries for those of the version that the build asks for"
        fixes = (*resync(view.seen), fix(view.seen, what, *steps), *create(view.seen))
    built = f" (built with CUDA {view.built_cuda})" if view.built_cuda else ""
    return Finding(
        "wrong_cuda_version",
        Certainty.CERTAIN,
        f"{view.release} needs {short([item.name for item in lost])}{built}; found {found}",
        (*clues(lost, 4), *there),
        fixes,
        explains=("missing_cuda_library", "missing_cudnn", "wheel_rpath_bug"),
        data=_data(view, lost),
    )


def _needed_by_others(view: View) -> set[str]:
    """Return NVIDIA wheels that another framework of this environment requires: removing them would break it."""
    return {
        name
        for package in view.seen.packages
        if not package.name.startswith(("nvidia-", "tensorflow", "tf-"))
        for text in package.requires
        if (name := _REQUIRED.split(text.strip(), maxsplit=1)[0]).startswith("nvidia-")
    }


def _other_cudnn(view: View, item: Lost) -> Finding:
    package = package_of(view, item.where)
    pins = providers(meant_set(view.snapshot), view.seen.row, [item.name])
    return Finding(
        "cudnn_version_mismatch",
        Certainty.CERTAIN,
        f"{view.release} needs {item.name} (built with cuDNN {view.built_cudnn or 'of that major'}); "
        f"the environment has {posixpath.basename(item.where)}{f' of {package}' if package else ''}",
        (item.clue, Clue(item.where, f"another major version{f' ({package})' if package else ''}")),
        install(view.snapshot, pins, "Install the cuDNN of the major version that the build asks for"),
        explains=("missing_cudnn",),
        data=_data(view, [item]),
    )


def _useless_variable(view: View) -> Iterator[Finding]:
    """Yield that LD_LIBRARY_PATH names folders that are not there, where libraries are not found."""
    gone = [folder.path for folder in view.seen.library_path if not folder.exists]
    if gone:
        left = [folder.path for folder in view.seen.library_path if folder.exists]
        yield Finding(
            "ld_library_path_wrong",
            Certainty.LIKELY,
            f"LD_LIBRARY_PATH names {short(gone)}, which {'does' if len(gone) == 1 else 'do'} not exist",
            (_variable(view), *(Clue(path, "no such folder") for path in gone)),
            (*wire(view.seen, "Make the environment independent of the variable"), unset("LD_LIBRARY_PATH", left)),
            data={"missing_folders": gone},
        )


def _variable(view: View) -> Clue:
    value = view.snapshot.variables.get("LD_LIBRARY_PATH")
    return Clue("variable LD_LIBRARY_PATH", (value or "not set")[:300])

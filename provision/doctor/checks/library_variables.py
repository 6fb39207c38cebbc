"""What the user's own LD_LIBRARY_PATH and LD_PRELOAD do to the libraries: compared with a run under no variables."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from provision.doctor.checks.library_fixes import install, meant_set, providers, unset, wire
from provision.doctor.checks.library_view import View, is_cuda, older, short, stem, view_of
from provision.doctor.checks.typed import taken_out
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import Answered
from provision.model.snapshot import Snapshot

CODES = ("ld_library_path_conflict", "ld_preload_interferes", "ld_library_path_wrong")
_ERROR = re.compile(r"\berror:", re.IGNORECASE)
_CONSEQUENCES = (
    "cudnn_version_mismatch",
    "wrong_cuda_version",
    "glibc_too_old",
    "missing_cuda_library",
    "missing_cudnn",
    "damaged_install",
)


@dataclass(frozen=True)
class _Bent:
    """One library that answers otherwise because of a variable: ``why`` it is wrong, ``sure`` whether that was read."""

    name: str
    file: str
    why: str
    sure: bool
    preload: bool


def variables(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what the user's variables make worse, and what only they make work; nothing where versions fit."""
    view = view_of(snapshot)
    if view is None or view.seen.gate_bare is None or not _loader_variables(view):
        return
    bent = [*_killed(view), *_answers(view)]
    for preload, code in ((False, "ld_library_path_conflict"), (True, "ld_preload_interferes")):
        found = [item for item in bent if item.preload is preload]
        if found:
            yield _finding(view, code, found)
    yield from _only_here(view)


def _loader_variables(view: View) -> bool:
    return any(view.snapshot.variables.get(name) for name in ("LD_LIBRARY_PATH", "LD_PRELOAD"))


def _killed(view: View) -> Iterator[_Bent]:
    """Yield that the child dies, or cannot load TensorFlow's framework library, only under the user's variables."""
    user, bare = view.user, view.bare
    if bare.ended or bare.unloadable or user.ended == "timeout":
        return
    preload = _by_preload(view, user.culprit)
    # With both variables set and a file of neither, either may be it.
    both = bool(view.seen.preloaded and view.seen.library_path)
    sure = not both or preload or _on_path(view, user.culprit)
    if user.ended:
        said = [line.strip() for line in user.log.splitlines() if _ERROR.search(line)]
        what = f"the process ends ({user.ended}){f': {said[-1]}' if said else ''}"
        yield _Bent(posixpath.basename(user.culprit) or "the program", user.culprit, what, sure=sure, preload=preload)
    elif user.unloadable:
        yield _Bent("libtensorflow_framework.so", "", user.unloadable, sure=sure, preload=preload)


def _by_preload(view: View, file: str) -> bool:
    """Whether LD_PRELOAD is to blame for a file: it leads to it, or it alone of the two variables is set."""
    return _preloaded(view, file) or (bool(view.seen.preloaded) and not view.seen.library_path)


def _preloaded(view: View, path: str) -> bool:
    return bool(path) and any(path in entry for entry in view.seen.preloaded)


def _on_path(view: View, path: str) -> bool:
    return any(path.startswith(f"{folder.path.rstrip('/')}/") for folder in view.seen.library_path if folder.path)


def _answers(view: View) -> Iterator[_Bent]:
    """Yield libraries that are lost by the variables, or answered by a file that does not fit."""
    bare = {item.soname: item for item in view.bare.libraries}
    for item in view.user.libraries:
        usual = bare.get(item.soname)
        if usual is None or item.file == usual.file:
            continue
        preload = _preloaded(view, item.file) if item.file else _by_preload(view, item.reached)
        if item.file is None and usual.file:
            yield _Bent(item.soname, item.reached, item.error, sure=True, preload=preload)
        elif item.file:
            why, sure = _misfit(view, item, usual)
            if why:
                yield _Bent(item.soname, item.file, why, sure=sure, preload=preload)


def _misfit(view: View, item: Answered, usual: Answered) -> tuple[str, bool]:
    """Return why a file that answers in the place of another does not fit, empty where it does."""
    if item.impostor and not usual.impostor:
        return "it is not that library: it has no function that tells a version", True
    built = view.built_cudnn if stem(item.soname) == "libcudnn" else None
    if built is not None:
        bad = older(item.version, f"{built.major}.{built.minor}")
        return (f"version {item.version}; TensorFlow was built against {built}", True) if bad else ("", False)
    cuda = view.built_cuda
    if stem(item.soname) == "libcudart" and cuda is not None:
        bad = older(item.version, f"{cuda.major}.{cuda.minor}")
        return (f"CUDA {item.version}; TensorFlow was built against {cuda}", False) if bad else ("", False)
    # No other library says of which toolkit it is; older than the environment's own and than the runtime's need is.
    if older(item.version, usual.version) and usual.inside and not _runtime_fits(view):
        return f"version {item.version}, older than the environment's own {usual.version}", False
    return "", False


def _runtime_fits(view: View) -> bool:
    """Whether the variable brings a runtime that is new enough: its neighbours of one toolkit then are too."""
    runtime = view.user.library("libcudart")
    cuda = view.built_cuda
    if runtime is None or runtime.file is None or cuda is None or runtime.file == view.bare_file(runtime.soname):
        return False
    return not older(runtime.version, f"{cuda.major}.{cuda.minor}")


def _finding(view: View, code: str, found: Sequence[_Bent]) -> Finding:
    variable = "LD_PRELOAD" if code == "ld_preload_interferes" else "LD_LIBRARY_PATH"
    names = short([item.name for item in found])
    guilty = {posixpath.dirname(item.file) for item in found if item.file}
    left = [folder.path for folder in view.seen.library_path if folder.path.rstrip("/") not in guilty and folder.exists]
    known = len(left) < len(view.seen.library_path)
    keep = left if variable == "LD_LIBRARY_PATH" and known else []
    ours = variable == "LD_LIBRARY_PATH" and all(is_cuda(item.name) for item in found)
    return Finding(
        code,
        Certainty.CERTAIN if any(item.sure for item in found) else Certainty.LIKELY,
        f"{variable} changes what answers for {names} ({found[0].name}: {found[0].why})"[:300],
        (
            Clue(f"variable {variable}", view.snapshot.variables.get(variable, "")[:300]),
            *(Clue(item.file or "loader", f"{item.name}: {item.why}"[:300]) for item in found[:8]),
            *_usual(view, found),
        ),
        (unset(variable, keep), *(_own_first(view) if ours else ()), *_of_files(view, variable, guilty)),
        explains=_CONSEQUENCES,
        data={"variable": variable, "libraries": [item.name for item in found], "found": [item.file for item in found]},
    )


def _own_first(view: View) -> tuple[Fix, ...]:
    """Return how the environment's own libraries win against LD_LIBRARY_PATH: by the hook that wiring makes."""
    if view.seen.wiring == "ok" and view.snapshot.variables.get("TFGPU_NO_PRELOAD", "") not in ("", "0"):
        return (unset("TFGPU_NO_PRELOAD"),)
    return wire(view.seen, "Wire the environment, so that its own libraries are loaded first")


def _of_files(view: View, variable: str, guilty: Collection[str]) -> Iterator[Fix]:
    """Yield how the environment's own files stop to name a folder that is to blame."""
    for folder in sorted(guilty):
        yield from taken_out(view.seen, variable, folder)


def _usual(view: View, found: Sequence[_Bent]) -> Iterator[Clue]:
    files = [(item.name, file) for item in found if (file := view.bare_file(item.name))]
    for name, file in files[:4]:
        yield Clue(file, f"{name}: answers without the variable")


def _only_here(view: View) -> Iterator[Finding]:
    """Yield that only this shell's LD_LIBRARY_PATH leads to some libraries: it works here and not elsewhere."""
    gained = [item for item in view.user.libraries if item.file and view.bare_file(item.soname) is None]
    if not gained or not view.seen.library_path:
        return
    inside = [item for item in gained if item.inside]
    pins = providers(meant_set(view.snapshot), view.seen.row, [item.soname for item in gained])
    fixes = (
        wire(view.seen, "Make them visible without the variable")
        if len(inside) == len(gained)
        else install(view.snapshot, pins, "Install them into the environment, where no variable is needed")
    )
    yield Finding(
        "ld_library_path_wrong",
        Certainty.POSSIBLE,
        f"only this shell's LD_LIBRARY_PATH leads to {short([item.soname for item in gained])}: "
        "cron, an IDE or a notebook that starts without it runs on the CPU",
        (
            Clue("variable LD_LIBRARY_PATH", view.snapshot.variables.get("LD_LIBRARY_PATH", "")[:300]),
            *(Clue(item.file or "", f"{item.soname}: found through the variable alone") for item in gained[:4]),
        ),
        fixes or (Fix("Set LD_LIBRARY_PATH in every place from which programs are started"),),
        data={"libraries": [item.soname for item in gained]},
    )

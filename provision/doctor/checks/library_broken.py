"""Libraries that are there and cannot be loaded: damaged, forbidden, of a mixture, or deadly to the process."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from provision.doctor.checks.library_fixes import again, create, install, meant_set, providers, whole
from provision.doctor.checks.library_view import Lost, View, clues, is_cuda, package_of, short, view_of
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import GateFacts
from provision.model.snapshot import Snapshot

CODES = (
    "damaged_install",
    "wrong_cuda_version",
    "missing_cuda_library",
    "glibc_too_old",
    "avx_missing_illegal_instruction",
    "host_memory_or_noexec",
)
_DEADLY = {
    "signal SIGBUS": "a file that is shorter than its header says kills whoever maps it",
    "signal SIGSEGV": "it crashes while it is loaded",
    "signal SIGABRT": "it aborts the process while it is loaded",
}
_OLD_LIBC = re.compile(r"version `((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found")
_LOOKUP = re.compile(r"symbol lookup error: (\S+): undefined symbol: \S+")
_ABSENT = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file: No such file")
_MAPPING = re.compile(r"failed to map segment|annot allocate memory")


def broken(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what cannot be loaded, and the file that it is; what only the user's variables break is not among it."""
    view = view_of(snapshot)
    if view is None:
        return
    if view.gate.ended:
        yield from _deadly(view)
    if view.gate.unloadable:
        yield from _framework(view)
    lost = view.lost()
    by_kind = {kind: tuple(item for item in lost if item.kind == kind) for kind in {item.kind for item in lost}}
    if "damaged" in by_kind:
        yield _damaged(view, by_kind["damaged"])
    if "denied" in by_kind:
        yield _denied(by_kind["denied"])
    if "mixed" in by_kind:
        yield _mixed(view, by_kind["mixed"])
    if "mapping" in by_kind:
        yield _unmappable(by_kind["mapping"])


def _deadly(view: View) -> Iterator[Finding]:
    gate, culprit = view.gate, view.gate.culprit
    if gate.ended == "signal SIGILL":
        words = "loading TensorFlow's framework library ends with SIGILL: the CPU lacks an instruction that it uses"
        yield Finding("avx_missing_illegal_instruction", Certainty.LIKELY, words, (_ending(gate),))
        return
    lookup = _LOOKUP.search(gate.log)
    if lookup:
        yield _mixture(view, (posixpath.basename(lookup[1]),), lookup[0], (_ending(gate),))
        return
    if gate.ended not in _DEADLY or not culprit:
        return
    package = package_of(view, culprit)
    yield Finding(
        "damaged_install",
        Certainty.CERTAIN,
        f"opening {view.shown(culprit)} kills the process ({gate.ended}): {_DEADLY[gate.ended]}",
        (Clue(culprit, f"the last file that the loader touched{f'; it belongs to {package}' if package else ''}"),
         _ending(gate)),
        (*again(view.seen, (package,) if package else ()), *create(view.seen)),
        explains=("missing_cuda_library", "missing_cudnn"),
        data={"culprit": culprit, "ended": gate.ended, "package": package},
    )  # fmt: skip


def _ending(gate: GateFacts) -> Clue:
    last = [line.strip() for line in gate.log.splitlines() if line.strip()]
    return Clue(
        "loader", f"the child that called TensorFlow's loader ended: {gate.ended}; {last[-1] if last else ''}"[:300]
    )


def _framework(view: View) -> Iterator[Finding]:
    said = view.gate.unloadable
    evidence = (Clue("loader", said[:300]),)
    name = "TensorFlow's framework library cannot be loaded"
    libc, absent = _OLD_LIBC.search(said), _ABSENT.search(said)
    if libc:
        yield Finding(
            "glibc_too_old",
            Certainty.CERTAIN,
            f"{name}: it needs {libc[1]}, and the library that answers is older",
            evidence,
            create(view.seen),
            data={"needs": libc[1]},
        )
    elif absent and is_cuda(absent[1]):
        pins = providers(meant_set(view.snapshot), view.seen.row, [absent[1]])
        yield Finding(
            "missing_cuda_library",
            Certainty.CERTAIN,
            f"{name}: it is linked against {absent[1]}, which is not found",
            evidence,
            install(view.snapshot, pins, "Install it"),
            data={"libraries": [absent[1]]},
        )
    elif _MAPPING.search(said):
        yield Finding("host_memory_or_noexec", Certainty.LIKELY, f"{name}: the kernel refuses to map it", evidence)
    else:
        yield Finding(
            "damaged_install",
            Certainty.CERTAIN,
            f"{name}: {said}"[:300],
            evidence,
            (*again(view.seen, ()), *create(view.seen)),
            data={"unloadable": said},
        )


def _damaged(view: View, lost: tuple[Lost, ...]) -> Finding:
    packages = tuple(dict.fromkeys(filter(None, (package_of(view, item.where) for item in lost))))
    names = short([posixpath.basename(item.where) or item.name for item in lost])
    passed_over = "No such file" in lost[0].item.error
    why = "the loader passes over it, as it does with files for another machine" if passed_over else lost[0].item.error
    return Finding(
        "damaged_install",
        Certainty.CERTAIN,
        f"{names}: there, and no library that can be loaded: {why}"[:300],
        (*clues(lost), *(Clue(item.where, "this file was tried") for item in lost[:4] if item.where)),
        (*again(view.seen, packages), *create(view.seen)),
        explains=("missing_cuda_library", "missing_cudnn"),
        data={"libraries": [item.name for item in lost], "packages": list(packages)},
    )


def _denied(lost: tuple[Lost, ...]) -> Finding:
    files = [item.where for item in lost if item.where]
    return Finding(
        "damaged_install",
        Certainty.CERTAIN,
        f"{short([item.name for item in lost])}: the file may not be read (permission denied)",
        tuple(clues(lost)),
        (Fix("Give the right to read", (f"chmod -R a+rX {posixpath.dirname(files[0])}",) if files else ()),),
        explains=("missing_cuda_library", "missing_cudnn"),
        data={"libraries": [item.name for item in lost]},
    )


def _mixed(view: View, lost: tuple[Lost, ...]) -> Finding:
    return _mixture(view, tuple(item.item.soname for item in lost), lost[0].item.error, tuple(clues(lost)))


def _mixture(view: View, names: tuple[str, ...], said: str, evidence: tuple[Clue, ...]) -> Finding:
    return Finding(
        "wrong_cuda_version",
        Certainty.LIKELY,
        f"{short(names)} cannot be loaded beside the other libraries: they are of different CUDA versions ({said})"[
            :300
        ],
        evidence,
        install(view.snapshot, whole(meant_set(view.snapshot)), "Install libraries that belong together"),
        data={"libraries": list(names), "built": str(view.built_cuda) if view.built_cuda else None},
    )


def _unmappable(lost: tuple[Lost, ...]) -> Finding:
    names = short([item.item.soname for item in lost])
    return Finding(
        "host_memory_or_noexec",
        Certainty.LIKELY,
        f"{names}: the kernel refuses to map the file: a mount without execution, or a limit of memory",
        tuple(clues(lost)),
        data={"libraries": [item.item.soname for item in lost]},
    )

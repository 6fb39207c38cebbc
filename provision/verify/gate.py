"""The gate: does TensorFlow's own loader find every CUDA library it wants, and are they the ones meant?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.model.verdict import Level, Stage, StageStatus
from provision.model.versions import CudnnVersion
from provision.verify.answer import Premises, Said
from provision.verify.causes import Cause, cause_of_ending
from provision.verify.libraries import alias_of, library_document, wheel_of, why_shown

_FRAMEWORK = "libtensorflow_framework.so.2"
_NO_VERSION_FUNCTION = "no version function"
"""What the probe says of a file that lacks the function by which the real library tells its version."""


def precondition(premises: Premises) -> Cause | None:
    """Return what stands in the way before anything needs to run: no TensorFlow, or one without CUDA."""
    if premises.tensorflow is None and premises.shadow is None:
        return Cause(
            "no-tensorflow",
            "TensorFlow is not installed in this environment",
            "`tfgpu-provision create --tf …` makes an environment with it",
            ("the user's own site folder has one; it is no part of the environment",) if premises.user_site else (),
        )
    if premises.cuda_build is False:
        return Cause(
            "cpu-only-build",
            f"{premises.distribution} {premises.tensorflow} is a build without CUDA: it can never use a GPU",
            "install `tensorflow` for Linux x86_64 instead",
        )
    return None


def judge_gate(premises: Premises, user: Said, bare: Said) -> Stage:
    """Judge what the loader said under the user's variables, against the same under none.

    Args:
        premises: what is known about the environment.
        user: the gate probe's answer under the user's environment.
        bare: its answer under a bare one; a difference is reported.
    """
    blocked = precondition(premises) or cause_of_ending(user) or _unreadable(user)
    if blocked:
        return failed(Level.GATE, blocked, user)
    call = user.get("gate")
    if call is None:
        return Stage(
            Level.GATE,
            StageStatus.SKIPPED,
            "this build links its CUDA libraries itself and has no loader to ask",
            "no-loader",
            seconds=user.seconds,
        )
    culprit = _culprit(premises, user)
    if culprit:
        return failed(Level.GATE, culprit, user)
    libraries = [library_document(premises, item) for item in call["libraries"]]
    data = {
        "libraries": libraries,
        "beside": [
            library_document(premises, item) for other in user.get("calls").values() for item in other["libraries"]
        ],
        "search": user.get("search"),
        "namespace": _namespace(user),
        "status_ok": call.get("status_ok"),
        "version_crash": call.get("version_crash"),
    }
    missing = [item for item in call["libraries"] if not item["found"]]
    differences, needs_variable = _differences(premises, call, bare)
    if missing:
        return _missing(premises, user, missing, differences, data)
    wrong = _wrong(premises, libraries)
    if wrong:
        return failed(Level.GATE, wrong, user, data, extra=differences)
    if not libraries:
        closed = Cause("gate-closed", "TensorFlow's loader refuses although it names no library that is missing")
        return failed(Level.GATE, closed, user, data)
    where = "outside the environment" if any(not item["inside"] for item in libraries) else "in the environment"
    details = (*differences, *_remarks(premises, libraries))
    if call.get("status_ok") is False:
        # The layout of the returned status changed between releases: it may be misread, the libraries cannot.
        details = (
            *details,
            "the status that the loader returned does not read as OK, although it opened every library",
        )
    if needs_variable:
        where = "only with this shell's LD_LIBRARY_PATH"
    return Stage(
        Level.GATE,
        StageStatus.PASSED,
        f"all {len(libraries)} CUDA libraries found {where}, cuDNN {_version(libraries, 'libcudnn')}",
        details=details,
        data=data,
        seconds=user.seconds,
    )


def failed(
    level: Level, cause: Cause, said: Said, data: Mapping[str, Any] | None = None, extra: tuple[str, ...] = ()
) -> Stage:
    """Return a failed stage from its cause."""
    hint = (f"hint: {cause.hint}",) if cause.hint else ()
    return Stage(
        level,
        StageStatus.FAILED,
        cause.what,
        cause.code,
        (*cause.evidence, *extra, *hint),
        data or {},
        said.seconds,
    )


def _unreadable(user: Said) -> Cause | None:
    unreadable = user.get("unreadable")
    if unreadable:
        return Cause(
            "framework-unreadable", f"{_FRAMEWORK} cannot be read", "install TensorFlow again", (str(unreadable),)
        )
    reason = user.get("gate", "unloadable")
    if reason:
        return Cause(
            "framework-unloadable", f"{_FRAMEWORK} cannot be loaded", "install TensorFlow again", (str(reason),)
        )
    return None


def _culprit(premises: Premises, user: Said) -> Cause | None:
    """Name the library that killed the child, from the calls made one by one."""
    ended = user.get("gate", "ended")
    if not ended:
        return None
    base = cause_of_ending(Said(None, ended, user.get("gate", "log") or "")) or Cause("crashed", f"it ended: {ended}")
    for name, call in user.get("calls").items():
        if call["ended"]:
            file = call.get("died_at") or next((item["tried"] for item in call["libraries"] if item["tried"]), None)
            shown = premises.shown(file) if file else f"the {name} library"
            wheel = wheel_of(premises, shown)
            return Cause(
                base.code,
                f"opening {shown} kills the process ({call['ended']})",
                f"install {wheel.split()[0]} again" if wheel else base.hint,
                (base.what, *((f"it belongs to {wheel}",) if wheel else ())),
            )
    return base


def _missing(
    premises: Premises,
    user: Said,
    missing: list[Mapping[str, Any]],
    differences: tuple[str, ...],
    data: Mapping[str, Any],
) -> Stage:
    total = len(user.get("gate", "libraries"))
    names = ", ".join(item["soname"] for item in missing)
    lines: list[str] = []
    framework = premises.shown(user.get("framework") or _FRAMEWORK)
    for item in missing:
        lines.append(f"{item['soname']}: not found by {framework}: {_dlerror(item)}")
        alias = alias_of(premises, item["soname"])
        own = premises.files.get(alias)
        if own and alias == item["soname"]:
            lines.append(f"  the environment has {own}{_brings(premises, own)}, but not where is searched")
        elif own:
            lines.append(f"  no wheel brings that name; {own}{_brings(premises, own)} serves under it as an alias")
    lines += ["searched, in this order:", *_searched(premises, missing[0])]
    summary = f"{len(missing)} of {total} CUDA libraries not found: {names}"
    hint = (
        "hint: `tfgpu-provision create` makes an environment in which TensorFlow finds them; "
        "until then it will run on the CPU"
    )
    return Stage(
        Level.GATE,
        StageStatus.FAILED,
        summary,
        "library-not-found",
        (*lines, *differences, hint),
        data,
        user.seconds,
    )


def _dlerror(item: Mapping[str, Any]) -> str:
    """Return what dlopen said, without the library's own name: another name there is a dependency that is missing."""
    said, own = str(item["dlerror"]), f"{item['soname']}: "
    return said.removeprefix(own)


def _brings(premises: Premises, path: str) -> str:
    wheel = wheel_of(premises, path)
    return f" ({wheel})" if wheel else ""


def _searched(premises: Premises, item: Mapping[str, Any]) -> list[str]:
    lines = []
    for step in item.get("searched") or ():
        folders = ", ".join(premises.shown(folder) for folder in step["folders"])
        lines.append(f"  {why_shown(premises, step['why'])}: {folders}")
    return lines or ["  the loader did not say"]


def _differences(premises: Premises, call: Mapping[str, Any], bare: Said) -> tuple[tuple[str, ...], bool]:
    """Compare with the bare run: (lines, whether the user's variables are what makes it work)."""
    other = {item["soname"]: item for item in bare.get("gate", "libraries") or ()}
    gained, lost, replaced = [], [], []
    for item in call["libraries"]:
        there = other.get(item["soname"])
        if there is None or (item["found"], item.get("file")) == (there["found"], there.get("file")):
            continue
        if item["found"] and not there["found"]:
            gained.append(item["soname"])
        elif there["found"] and not item["found"]:
            lost.append(item["soname"])
        else:
            files = [premises.shown(one.get("file") or "?") for one in (item, there)]
            replaced.append(
                f"{item['soname']}: this shell's LD_LIBRARY_PATH puts {files[0]} in the place of {files[1]}"
            )
    lines = list(replaced)
    if gained:
        lines.append(f"only this shell's LD_LIBRARY_PATH leads to {', '.join(gained)}: cron, an IDE or Jupyter lack it")
    if lost:
        lines.append(f"without this shell's LD_LIBRARY_PATH these are found: {', '.join(lost)}")
    return tuple(lines), bool(gained)


def _wrong(premises: Premises, libraries: list[dict[str, Any]]) -> Cause | None:
    """Return what is wrong with libraries that were all found."""
    impostors = [item for item in libraries if item["version_problem"] == _NO_VERSION_FUNCTION]
    if impostors:
        return Cause(
            "not-the-library",
            f"{', '.join(item['soname'] for item in impostors)}: the file that answers is not that library",
            "take its folder out of LD_LIBRARY_PATH",
            tuple(f"{item['file']}: {item['version_problem']}" for item in impostors),
        )
    cudnn = CudnnVersion.parse(_version(libraries, "libcudnn"))
    row = premises.row
    if row and cudnn and (cudnn.major != row.cudnn.major or cudnn.minor < row.cudnn.minor):
        return Cause(
            "cudnn-too-old" if cudnn < row.cudnn else "cudnn-other-major",
            f"cuDNN {cudnn} answers; TensorFlow {row.release} was built with {row.cudnn} and needs "
            f"{row.cudnn.major}.{row.cudnn.minor} or a later {row.cudnn.major}.x",
            "TensorFlow only notices at the first convolution; install a cuDNN wheel that is new enough",
        )
    foreign = [item for item in libraries if item["meant"] is False]
    if foreign and premises.managed:
        return Cause(
            "library-hijacked",
            f"{', '.join(item['soname'] for item in foreign)}: another file answers than the locked one",
            "unset LD_LIBRARY_PATH, or create the environment again if its wheels were changed",
            tuple(f"{item['soname']}: {item['file']} {item['version'] or ''}".rstrip() for item in foreign),
        )
    return None


def _remarks(premises: Premises, libraries: list[dict[str, Any]]) -> tuple[str, ...]:
    lines = [
        f"{item['soname']}: {item['file']} {item['version'] or ''} answers, not the environment's own"
        for item in libraries
        if item["meant"] is False and not item["inside"]
    ]
    if premises.others:
        lines.append(f"{', '.join(premises.others)} is installed as well and overwrites files of the same package")
    return tuple(lines)


def _version(libraries: list[dict[str, Any]], stem: str) -> str:
    found = (item["version"] for item in libraries if item["soname"].startswith(f"{stem}.so"))
    return next(found, None) or "unknown"


def _namespace(user: Said) -> str | None:
    functions = user.get("functions") or {}
    sample = next(iter(functions.values()), "")
    return "tsl" if "3tsl" in sample else "stream_executor" if "stream_executor" in sample else None

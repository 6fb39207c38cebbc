"""Checks: what user code says about the GPU, and whether that explains what is seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from provision.doctor.check import Check
from provision.doctor.checks import deep, pointing
from provision.doctor.checks.visible import select
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import Gpu
from provision.model.script import Remark, ScriptFacts
from provision.model.snapshot import Snapshot

_ORDER = (Certainty.CERTAIN, Certainty.LIKELY, Certainty.POSSIBLE)
_CLUES = 12
_VARIABLE = "CUDA_VISIBLE_DEVICES"
_EXPLAINS_NOTHING = re.compile(
    r"TF_CPP_\w+|TF_ENABLE_ONEDNN_OPTS|TF_USE_LEGACY_KERAS|KERAS_BACKEND|PYTHON\w+|NVIDIA_\w+|XLA_FLAGS"
)
"""Variables that keep no GPU from being used, or of which it is not sure that they were read by then: XLA reads its
flags when it first compiles."""
_OF_THE_PROCESS = ("LD_LIBRARY_PATH", "LD_PRELOAD")
_TESTS = re.compile(
    r"(?:\A|/)(?:tests?|testing|examples?|benchmarks?)/|(?:\A|/)(?:test_[^/]*|[^/]*_test|conftest)\.py\Z"
)


def gpus_of(snapshot: Snapshot) -> Sequence[Gpu] | None:
    """Return the GPUs of the machine, None where they are not known or there are none."""
    return (snapshot.host.gpus.value or None) if snapshot.host else None


def _visible(snapshot: Snapshot) -> Iterator[Finding]:
    """Code that hides every GPU with CUDA_VISIBLE_DEVICES, in time."""
    script = snapshot.script
    for remark in _of(script, "visible-devices-env"):
        value = remark.fields.get("value")
        chosen = select(value, gpus_of(snapshot)) if value is not None and not remark.late else None
        if script is None or chosen is None or chosen.shown:
            continue
        why = f": {chosen.why}" if value else ""
        by_default = " by default" if remark.fields.get("certain") == "default" else ""
        yield Finding(
            "visible_devices_hidden",
            _certainty(script, remark, Certainty.CERTAIN),
            f"{_where(remark)} sets {_VARIABLE}={value!r}{by_default} before TensorFlow looks for GPUs, which hides "
            f"them all{why}",
            (_clue(remark),),
            (Fix(f"Take {_where(remark)} out, or set {_VARIABLE} there to a GPU that exists, such as '0'"),),
            data={"variable": _VARIABLE, "value": value, "file": remark.file, "line": remark.line},
        )


def _placement(snapshot: Snapshot) -> Iterator[Finding]:
    """Code that asks for the CPU, or for a GPU that is not there."""
    script = snapshot.script
    if script is None:
        return
    said: list[tuple[Certainty, Remark, str]] = []
    for remark in _of(script, "cpu-device"):
        if remark.fields.get("share") == "whole":
            told = "puts the work of the program on the CPU"
            said.append((_certainty(script, remark, Certainty.LIKELY), remark, told))
        else:
            told = "puts a part of the work on the CPU, which explains that part only"
            said.append((Certainty.POSSIBLE, remark, told))
    for remark in _of(script, "visible-devices-call"):
        if remark.fields.get("hides") and not remark.late:
            told = "hides every GPU from TensorFlow"
            said.append((_certainty(script, remark, Certainty.CERTAIN), remark, told))
    for remark in _of(script, "session-without-gpu"):
        told = "makes a session without a GPU"
        said.append((_certainty(script, remark, Certainty.LIKELY), remark, told))
    count = _visible_count(snapshot)
    for remark in _of(script, "gpu-device"):
        index = int(remark.fields.get("index", "0"))
        if count and index >= count:
            told = f"asks for GPU {index}; TensorFlow sees {count}, counted from 0"
            said.append((_certainty(script, remark, Certainty.LIKELY), remark, told))
    yield from _one("explicit_cpu_placement", said, _placement_fix)


def _placement_fix(remark: Remark) -> Fix:
    if remark.kind == "gpu-device":
        return Fix(f"Name a GPU that exists in {_where(remark)}, `/GPU:0` for the first")
    return Fix(f"Take {_where(remark)} out; without it TensorFlow takes the first GPU by itself")


def _growth(snapshot: Snapshot) -> Iterator[Finding]:
    """Memory growth, limits and visible devices set too late or unlike."""
    script = snapshot.script
    if script is None:
        return
    said: list[tuple[Certainty, Remark, str]] = []
    for remark in (*_of(script, "growth-late"), *_of(script, "visible-devices-call")):
        if remark.late:
            told = _after(remark)
            said.append((_certainty(script, remark, Certainty.CERTAIN), remark, told))
    for remark in _of(script, "growth-with-limit"):
        told = "sets memory growth on a GPU that was given logical devices, which TensorFlow refuses"
        said.append((_certainty(script, remark, Certainty.LIKELY), remark, told))
    count = _visible_count(snapshot)
    for remark in _of(script, "growth-unequal"):
        some = len(remark.fields.get("devices", "0").split(","))
        if count is None or count > some:
            of_all = f"{some} of {count} GPUs" if count else f"GPU {remark.fields.get('devices')} alone"
            sure = _certainty(script, remark, Certainty.CERTAIN) if count else Certainty.POSSIBLE
            said.append((sure, remark, f"sets memory growth for {of_all}; it must be the same for all"))
    yield from _one("memory_growth_config_error", said, _growth_fix)


def _after(remark: Remark) -> str:
    after, line = remark.fields.get("after", ""), remark.fields.get("after_line")
    if line is None:
        return f"has no effect any more: {after}"
    return f"comes after `{after}` (line {line}), which initialised the GPUs"


def _growth_fix(remark: Remark) -> Fix:
    if remark.kind == "growth-unequal":
        return Fix(
            "Set it for all: `for gpu in tf.config.list_physical_devices('GPU'): "
            "tf.config.experimental.set_memory_growth(gpu, True)`, or `export TF_FORCE_GPU_ALLOW_GROWTH=true`",
            ("export TF_FORCE_GPU_ALLOW_GROWTH=true",),
        )
    if remark.kind == "growth-with-limit":
        return Fix(f"Keep one of the two: take {_where(remark)} out, or the logical devices")
    return Fix(f"Move {_where(remark)} to the top of the program, right after `import tensorflow`")


def _late(snapshot: Snapshot) -> Iterator[Finding]:
    """Variables that code sets after they were read."""
    script = snapshot.script
    if script is None:
        return
    said = [
        (_lateness(snapshot, script, remark), remark, _late_told(remark))
        for remark in (*_of(script, "variable-late"), *_of(script, "visible-devices-env"))
        if remark.late
    ]
    yield from _one("variable_set_too_late", said, _late_fix)


def _lateness(snapshot: Snapshot, script: ScriptFacts, remark: Remark) -> Certainty:
    """Return how far a late variable explains anything: one that changes nothing here explains nothing."""
    name, value = remark.fields.get("variable", ""), remark.fields.get("value")
    if _EXPLAINS_NOTHING.fullmatch(name):
        return Certainty.POSSIBLE
    gpus = gpus_of(snapshot)
    if name == _VARIABLE and value is not None and gpus:
        chosen = select(value, gpus)
        if chosen is not None and len(chosen.shown) == len(gpus):
            return Certainty.POSSIBLE
    gate = snapshot.environment.gate if snapshot.environment else None
    if name in _OF_THE_PROCESS and gate is not None and gate.libraries and not gate.missing:
        # The libraries are found without it.
        return Certainty.POSSIBLE
    return _certainty(script, remark, Certainty.CERTAIN)


def _late_told(remark: Remark) -> str:
    name, moment = remark.fields.get("variable"), remark.fields.get("moment")
    if moment == "shell":
        return f"sets {name} in a shell of its own, which ends with that line: Python never sees it"
    if moment == "process":
        return f"sets {name} in the running program; it was read when the process started, so this changes nothing"
    place = f" (line {remark.fields['after_line']})" if remark.fields.get("after_line") else ""
    return f"sets {name} after `{remark.fields.get('after', '')}`{place}, by when it had been read"


def _late_fix(remark: Remark) -> Fix:
    name, value = remark.fields.get("variable", ""), remark.fields.get("value")
    if remark.fields.get("moment") == "process" or name in _OF_THE_PROCESS:
        shown = value if value and re.fullmatch(r"[\w./:,=+-]+", value) else "…"
        return Fix(f"Set {name} before Python starts", (f"export {name}={shown}",))
    if remark.fields.get("moment") == "shell":
        return Fix(f"Use `%env {name}={value or '…'}` in the first cell, or set it before Jupyter starts")
    return Fix(f"Move {_where(remark)} above the first import of TensorFlow")


def _one(code: str, said: Sequence[tuple[Certainty, Remark, str]], fix: Callable[[Remark], Fix]) -> Iterator[Finding]:
    """Yield one finding of everything that was said for a code, what is surest first."""
    if not said:
        return
    ordered = sorted(said, key=lambda item: (_ORDER.index(item[0]), item[1].file, item[1].line))
    certainty, first, told = ordered[0]
    more = f", and {len(ordered) - 1} more" if len(ordered) > 1 else ""
    fixes = dict.fromkeys(fix(remark) for level, remark, _ in ordered if level is certainty)
    yield Finding(
        code,
        certainty,
        f"{_where(first)} {told}{more}",
        tuple(_clue(remark, told) for _, remark, told in ordered[:_CLUES]),
        tuple(fixes)[:3],
        data={
            "places": [
                {"file": remark.file, "line": remark.line, "kind": remark.kind, **dict(remark.fields)}
                for _, remark, _ in ordered[:_CLUES]
            ]
        },
    )


def _of(script: ScriptFacts | None, kind: str) -> list[Remark]:
    return [remark for remark in script.remarks if remark.kind == kind] if script else []


def _certainty(script: ScriptFacts, remark: Remark, best: Certainty) -> Certainty:
    """Return ``best``, less where the line may not run: in a branch, in a function that nothing calls, in a test.

    Of a folder with several files that say something nobody knows which is run.
    """
    if remark.fields.get("certain") != "yes" or (script.files > 1 and _TESTS.search(remark.file)):
        return Certainty.POSSIBLE
    several = len({item.file for item in script.remarks}) > 1
    return Certainty.LIKELY if several and best is Certainty.CERTAIN else best


def _where(remark: Remark) -> str:
    cell = remark.fields.get("cell")
    return f"{remark.file}, cell {cell}, line {remark.line}" if cell else f"{remark.file}:{remark.line}"


def _clue(remark: Remark, told: str = "") -> Clue:
    cell = remark.fields.get("cell")
    source = f"{remark.file} cell {cell}" if cell else remark.file
    text = f"{remark.text} – {told}" if told else remark.text
    return Clue(source, text[:300], remark.line)


def _visible_count(snapshot: Snapshot) -> int | None:
    """Return how many GPUs TensorFlow sees under the user's variables, None where that is not known."""
    gpus = gpus_of(snapshot)
    if gpus is None:
        return None
    value = snapshot.variables.get(_VARIABLE)
    if value is None:
        return len(gpus)
    chosen = select(value, gpus)
    return len(chosen.shown) if chosen is not None else None


CHECKS: tuple[Check, ...] = (
    Check(("visible_devices_hidden",), _visible),
    Check(("explicit_cpu_placement",), _placement),
    Check(("memory_growth_config_error",), _growth),
    Check(("variable_set_too_late",), _late),
    *pointing.CHECKS,
    *deep.CHECKS,
)

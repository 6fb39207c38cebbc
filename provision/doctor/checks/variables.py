"""Variables of the driver and of TensorFlow that do not do what their user meant."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

from provision.doctor.check import Check
from provision.doctor.checks.presence import driver_clue
from provision.doctor.checks.typed import taken_out
from provision.doctor.checks.visible import variables_of
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import HostFacts
from provision.model.plan import GpuService, Plan
from provision.model.snapshot import Snapshot
from provision.model.versions import CudaVersion

_CODE = "variable_interferes"
_ON = frozenset(("1", "true", "True", "TRUE"))
_JIT = {
    "CUDA_FORCE_PTX_JIT": "the driver ignores the machine code inside TensorFlow and compiles its PTX at every start; "
    "what exists as machine code alone fails",
    "CUDA_DISABLE_PTX_JIT": "the driver compiles no PTX: kernels without machine code for this GPU fail (error 223)",
    "CUDA_DISABLE_JIT": "the driver compiles nothing: kernels without machine code for this GPU fail (error 223)",
}
_MPS_NOT_THERE = 805
_MOST_MULTIPROCESSORS = 192
"""No GPU up to and including Blackwell has more."""
_ASYNC_FROM = CudaVersion("11.2")

_MEANT = {
    "CUDA_VISIBLE_DEVICES": 0.9,
    "CUDA_DEVICE_ORDER": 0.92,
    "TF_FORCE_GPU_ALLOW_GROWTH": 0.84,
    "LD_LIBRARY_PATH": 0.92,
}
"""Names that people mistype, each with how alike another name must be; what is near them and real lies below."""


def _growth(snapshot: Snapshot) -> Iterator[Finding]:
    """TF_FORCE_GPU_ALLOW_GROWTH understands ``true`` and ``false`` alone.

    Source: TensorFlow's gpu_bfc_allocator.cc: any other value is an error message and no effect.
    """
    name = "TF_FORCE_GPU_ALLOW_GROWTH"
    value = variables_of(snapshot).get(name)
    if value is not None and value not in ("true", "false"):
        yield _finding(
            name,
            value,
            f"{name}={value!r} is not understood: TensorFlow knows `true` and `false` and leaves it aside",
            Fix("Write the word as TensorFlow knows it", (f"export {name}={'true' if value in _ON else 'false'}",)),
        )


def _jit(snapshot: Snapshot) -> Iterator[Finding]:
    """Switches of the driver's compiler."""
    for name, effect in _JIT.items():
        value = variables_of(snapshot).get(name)
        if value is not None and value not in ("", "0"):
            yield _finding(name, value, f"{name}={value} is set: {effect}", Fix("Unset it", (f"unset {name}",)))
    disabled = variables_of(snapshot).get("CUDA_CACHE_DISABLE", "0")
    slow = isinstance(snapshot.judged, Plan) and any(item.code == "ptx-jit" for item in snapshot.judged.caveats)
    if slow and disabled not in ("", "0"):
        yield _finding(
            "CUDA_CACHE_DISABLE",
            disabled,
            f"CUDA_CACHE_DISABLE={disabled}: what the driver compiles for this GPU is compiled again at every start",
            Fix("Unset it", ("unset CUDA_CACHE_DISABLE",)),
        )


def _mps(snapshot: Snapshot) -> Iterator[Finding]:
    """CUDA_MPS_PIPE_DIRECTORY without a daemon behind it."""
    host, machine = snapshot.host, snapshot.machine
    name = "CUDA_MPS_PIPE_DIRECTORY"
    if host is None or machine is None or machine.cuda_result != _MPS_NOT_THERE:
        return
    yield _finding(
        name,
        variables_of(snapshot).get(name, "(not set: the default folder)"),
        "cuInit answers 805: programs are sent to an MPS daemon, and none answers",
        Fix("Unset it", (f"unset {name}",)),
        Fix("Start the daemon", ("nvidia-cuda-mps-control -d",)),
        host=host,
    )


def _small(snapshot: Snapshot) -> Iterator[Finding]:
    """A lower limit of multiprocessors that no GPU reaches."""
    name = "TF_MIN_GPU_MULTIPROCESSOR_COUNT"
    value = variables_of(snapshot).get(name, "").strip()
    if value.isdecimal() and int(value) > _MOST_MULTIPROCESSORS:
        yield _finding(
            name,
            value,
            f"{name}={value}: TensorFlow leaves out every GPU, since none has so many multiprocessors",
            Fix("Unset it", (f"unset {name}",)),
        )


def _allocator(snapshot: Snapshot) -> Iterator[Finding]:
    """The stream-ordered allocator on a driver that has none."""
    host = snapshot.host
    cuda = host.driver_cuda.value if host else None
    if (
        cuda is not None
        and cuda < _ASYNC_FROM
        and variables_of(snapshot).get("TF_GPU_ALLOCATOR") == "cuda_malloc_async"
    ):
        yield _finding(
            "TF_GPU_ALLOCATOR",
            "cuda_malloc_async",
            f"TF_GPU_ALLOCATOR=cuda_malloc_async needs a driver with CUDA 11.2, found CUDA {cuda}",
            Fix("Unset it", ("unset TF_GPU_ALLOCATOR",)),
        )


def _order(snapshot: Snapshot) -> Iterator[Finding]:
    """CUDA_DEVICE_ORDER, where one number means a GPU that is served in nvidia-smi and one that is not in CUDA.

    Source: CUDA programming guide: CUDA counts the fastest GPU first unless told PCI_BUS_ID, which is nvidia-smi's
    order. GPUs that a release serves are taken to be faster than those it leaves out.
    """
    variables = variables_of(snapshot)
    value, visible = variables.get("CUDA_DEVICE_ORDER"), variables.get("CUDA_VISIBLE_DEVICES", "").strip()
    judged = snapshot.judged
    if not isinstance(judged, Plan) or value == "PCI_BUS_ID" or not visible.isdecimal():
        return
    served = [item.gpu for item in judged.gpus if item.service is not GpuService.NONE]
    meant = next((gpu for gpu in served if gpu.index == int(visible)), None)
    if meant is None or int(visible) < len(served):
        return
    yield Finding(
        _CODE,
        Certainty.LIKELY,
        f"CUDA_VISIBLE_DEVICES={visible} is {meant.name} for nvidia-smi; CUDA counts the fastest first and takes a GPU "
        "that this release does not serve",
        (
            Clue("variable CUDA_DEVICE_ORDER", value or "(not set: FASTEST_FIRST)"),
            Clue("variable CUDA_VISIBLE_DEVICES", visible),
            Clue("GPUs", ", ".join(f"{item.gpu.index}: {item.gpu.name}" for item in judged.gpus)[:300]),
        ),
        (Fix("Count as nvidia-smi does", ("export CUDA_DEVICE_ORDER=PCI_BUS_ID",)),),
        data={"variable": "CUDA_DEVICE_ORDER", "value": value or ""},
    )


def _misspelt(snapshot: Snapshot) -> Iterator[Finding]:
    """A name that nothing reads and that looks like one that is not set."""
    for name in sorted(variables_of(snapshot)):
        meant = next((item for item in _MEANT if item not in variables_of(snapshot) and _alike(name, item)), None)
        if meant is not None:
            value = variables_of(snapshot)[name]
            yield Finding(
                _CODE,
                Certainty.LIKELY,
                f"{name} is set, which nothing reads; {meant} is what TensorFlow and CUDA read, and it is not set",
                (Clue(f"variable {name}", value[:200] or "(empty)"),),
                (Fix("Write the name as it is read", (f"unset {name}", f"export {meant}='{value[:200]}'")),),
                data={"variable": name, "value": value[:200], "meant": meant},
            )


def _alike(name: str, meant: str) -> bool:
    """Whether a name is a slip of the pen; a copy kept aside under a longer name is none."""
    if name == meant or abs(len(name) - len(meant)) > len(meant) // 3:
        return False
    if name.upper() == meant:
        return True
    if name.startswith(meant) or name.endswith(meant):
        return name in (f"{meant}S", f"{meant}_")
    return name[0] == meant[0] and SequenceMatcher(None, name, meant).ratio() >= _MEANT[meant]


def _flags(snapshot: Snapshot) -> Iterator[Finding]:
    """XLA_FLAGS and TF_XLA_FLAGS with something in them that ends the program.

    Source: TensorFlow's parse_flags_from_env.cc: a value that does not begin with ``-`` is the name of a file, and a
    flag that is not known is fatal. Seen with 2.21.0 at the first operation, with 2.10.1 at the first compilation;
    2.4.1 passes over a file that is not there.
    """
    variables = variables_of(snapshot)
    for name in ("XLA_FLAGS", "TF_XLA_FLAGS"):
        value = variables.get(name, "").strip()
        wrong = _wrong_flag(name, value)
        if wrong is None:
            continue
        token, why = wrong
        fixes = [Fix("Unset it, and set it anew with each flag as --name=value", (f"unset {name}",))]
        if token == value and why != _OTHER_VARIABLE:
            fixes.insert(0, Fix("Write the flag with -- in front", (f"export {name}='--{token.lstrip('-')}'",)))
        text = f"{name}={value[:120]!r}: {why}; this ends the program when XLA reads it"
        yield _finding(name, value, text, *fixes)


_OTHER_VARIABLE = "that flag belongs into the other variable"


def _wrong_flag(name: str, value: str) -> tuple[str, str] | None:
    """Return the first flag that cannot be understood, and why."""
    try:
        tokens = shlex.split(value)
    except ValueError:
        return None
    if tokens and not tokens[0].startswith("-"):
        is_flag = re.match(r"(tf_)?xla_\w+(=|$)", tokens[0])
        return (tokens[0], "without -- in front it is taken for the name of a file") if is_flag else None
    for token in tokens:
        if not token.startswith("--"):
            return token, f"{token!r} is no flag (values follow their flag with =, flags begin with --)"
        if name == "XLA_FLAGS" and token.startswith("--tf_"):
            return token, _OTHER_VARIABLE
        if name == "TF_XLA_FLAGS" and token.startswith("--xla_gpu_"):
            return token, _OTHER_VARIABLE
    return None


def _finding(name: str, value: str, summary: str, *fixes: Fix, host: HostFacts | None = None) -> Finding:
    clues = (Clue(f"variable {name}", value[:300] or "(empty)"), *((driver_clue(host),) if host else ()))
    return Finding(_CODE, Certainty.CERTAIN, summary, clues, fixes, data={"variable": name, "value": value})


def _with_files(run: Callable[[Snapshot], Iterator[Finding]]) -> Callable[[Snapshot], Iterator[Finding]]:
    """Return a check that also says where the environment itself sets the variable to what is in force."""

    def found(snapshot: Snapshot) -> Iterator[Finding]:
        for item in run(snapshot):
            value = str(item.data["value"])
            more = taken_out(snapshot.environment, str(item.data["variable"]), value) if value else ()
            yield dataclasses.replace(item, fixes=(*item.fixes, *more))

    return found


CHECKS: tuple[Check, ...] = tuple(
    Check((_CODE,), _with_files(run)) for run in (_growth, _jit, _mps, _small, _allocator, _order, _misspelt, _flags)
)

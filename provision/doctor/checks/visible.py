"""What CUDA_VISIBLE_DEVICES and its like leave for TensorFlow to see.

Source: CUDA programming guide, environment variables: a list of indices or UUIDs, of which the first wrong one cuts
off itself and everything after it; an empty value shows none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provision.doctor.check import Check
from provision.doctor.checks.presence import container_of, driver_clue
from provision.doctor.checks.typed import taken_out
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.snapshot import Snapshot

_NAME = "CUDA_VISIBLE_DEVICES"
_FOR_RUNTIME = "NVIDIA_VISIBLE_DEVICES"
_NONE = ("void", "none", "")
_CODE = "visible_devices_hidden"


@dataclass(frozen=True)
class Selection:
    """What a value of CUDA_VISIBLE_DEVICES selects.

    Attributes:
        shown: entries that name a GPU, before the first that does not.
        wrong: the first entry that names none; None where all do.
        lost: entries after it, which are ignored.
        why: what is wrong with ``wrong``.
    """

    shown: tuple[str, ...]
    wrong: str | None = None
    lost: tuple[str, ...] = ()
    why: str = ""


def select(value: str, gpus: Sequence[Gpu] | None) -> Selection | None:
    """Return what ``value`` selects among the GPUs, None where that cannot be told.

    Args:
        value: of CUDA_VISIBLE_DEVICES.
        gpus: of the machine; None where they are not known: only what never names a GPU is wrong then.
    """
    tokens = [token.strip() for token in value.split(",")]
    for place, token in enumerate(tokens):
        why = _wrong(token, gpus)
        if why:
            return Selection(tuple(tokens[:place]), token, tuple(tokens[place + 1 :]), why)
        if why is None:
            return None
    return Selection(tuple(tokens))


def _wrong(token: str, gpus: Sequence[Gpu] | None) -> str | None:
    """Return why a token names no GPU, empty where it names one, None where nobody can say."""
    if re.fullmatch(r"\d+", token):
        if gpus is None:
            return None
        count = len(gpus)
        return "" if int(token) < count else f"there is no GPU {token}: {count} here, counted from 0"
    if re.match(r"(?i)GPU-[0-9a-f]", token):
        known = [gpu.uuid.lower() for gpu in gpus or () if gpu.uuid]
        if not gpus or len(known) < len(gpus):
            return None
        return "" if any(uuid.startswith(token.lower()) for uuid in known) else "no GPU here has a UUID that begins so"
    if re.match(r"(?i)MIG-", token):
        devices = [name.lower() for gpu in gpus or () for name in gpu.mig_devices]
        if not devices or not all(name.startswith("mig-") for name in devices) or token.count("/"):
            return None
        return "" if any(name.startswith(token.lower()) for name in devices) else "no MIG device here is called so"
    if not token:
        return "an empty entry names no GPU"
    if re.fullmatch(r"-\d+", token):
        return "a negative number names no GPU"
    return "it is neither an index nor a UUID"


def _visible(snapshot: Snapshot) -> Iterator[Finding]:
    """A value that shows no GPU, or that loses some of those it names."""
    host = snapshot.host
    variables = variables_of(snapshot)
    value = variables.get(_NAME)
    if host is None or value is None:
        return
    gpus = host.gpus.value or None
    chosen = select(value, gpus)
    seen_by_cuda = host.driver_state is DriverState.WORKING and not host.described
    none = chosen is not None and not chosen.shown
    if host.driver_state is DriverState.HIDDEN or (none and not seen_by_cuda):
        yield _all_hidden(snapshot, host, value, chosen, variables)
    elif chosen is not None and chosen.shown and gpus and _loses(chosen, gpus):
        yield _cut(snapshot, host, value, chosen, gpus)


def variables_of(snapshot: Snapshot) -> Mapping[str, str]:
    """Return the variables that hold on the machine in question: a described one has its own."""
    host = snapshot.host
    return host.variables if host is not None and host.described else snapshot.variables


def _loses(chosen: Selection, gpus: Sequence[Gpu]) -> bool:
    """Whether a wrong entry costs GPUs; a closing ``-1``, and names beyond all that there are, cost none."""
    if chosen.wrong is None or len(chosen.shown) >= len(gpus):
        return False
    named_after = any(_wrong(token, gpus) == "" for token in chosen.lost)
    return named_after or not (chosen.wrong == "-1" or not chosen.wrong)


def _all_hidden(
    snapshot: Snapshot, host: HostFacts, value: str, chosen: Selection | None, variables: Mapping[str, str]
) -> Finding:
    why = f": {chosen.why}" if chosen is not None and chosen.wrong is not None and value else ""
    number = len(host.gpus.value or ())
    gpus = {0: "every GPU", 1: "the only GPU"}.get(number, f"all {number} GPUs")
    mig = any(gpu.mig for gpu in host.gpus.value or ())
    job = "SLURM_JOB_ID" in variables
    fixes = [
        Fix(f"Unset it, here and where it is set ({_NAME} in ~/.bashrc, a job script, a kernel)", (f"unset {_NAME}",))
    ]
    if job:
        fixes.insert(0, Fix("Ask for a GPU when the job is started", ("srun --gres=gpu:1 --pty bash",)))
    if number and not mig:
        fixes.append(Fix("Name GPUs that are there", (f"export {_NAME}=0",)))
    elif mig:
        fixes.append(Fix("Name a MIG device as `nvidia-smi -L` lists it", ("nvidia-smi -L",)))
    fixes += taken_out(snapshot.environment, _NAME, value)
    return Finding(
        _CODE,
        Certainty.CERTAIN,
        f"{_NAME}={value[:80]!r} hides {gpus} from TensorFlow{why}",
        (
            Clue(f"variable {_NAME}", value[:300] or "(empty)"),
            *_set_by(snapshot, value),
            Clue(
                "driver",
                f"TensorFlow sees 0 of {number} GPUs" if number else host.driver_state_why or "no GPU is known",
            ),
            driver_clue(host),
        ),
        tuple(fixes),
        data={"variable": _NAME, "value": value, "found": 0, "gpus": number},
    )


def _cut(snapshot: Snapshot, host: HostFacts, value: str, chosen: Selection, gpus: Sequence[Gpu]) -> Finding:
    lost = ", ".join(token for token in (chosen.wrong or "", *chosen.lost) if token)
    good = [token for token in (*chosen.shown, *chosen.lost) if _wrong(token, gpus) == ""]
    return Finding(
        _CODE,
        Certainty.CERTAIN,
        f"{_NAME}={value[:80]!r} shows {len(chosen.shown)} of {len(gpus)} GPUs: {chosen.wrong!r} is wrong "
        f"({chosen.why}), and everything from there on is ignored: {lost}"[:400],
        (Clue(f"variable {_NAME}", value[:300]), *_set_by(snapshot, value), driver_clue(host)),
        (
            Fix("Name GPUs that are there", (f"export {_NAME}={','.join(dict.fromkeys(good))}",)),
            *taken_out(snapshot.environment, _NAME, value),
        ),
        data={"variable": _NAME, "value": value, "found": len(chosen.shown), "gpus": len(gpus)},
    )


def _set_by(snapshot: Snapshot, value: str) -> tuple[Clue, ...]:
    scripts = snapshot.environment.scripts_set if snapshot.environment else ()
    return tuple(Clue(file, f"{name}={text}"[:300]) for file, name, text in scripts if name == _NAME and text == value)


def _runtime(snapshot: Snapshot) -> Iterator[Finding]:
    """A container whose own variable asks the runtime for no GPU.

    Not in Kubernetes, where the device plugin sets it because the pod asked for none, and not where the GPU is there:
    newer runtimes set ``void`` when they pass it in by another way.
    """
    host = snapshot.host
    value = variables_of(snapshot).get(_FOR_RUNTIME)
    if host is None or host.driver_state is not DriverState.NOT_PASSED or value is None or value not in _NONE:
        return
    kind = container_of(host)
    if kind in ("", "kubernetes", "apptainer"):
        return
    yield Finding(
        _CODE,
        Certainty.CERTAIN,
        f"{_FOR_RUNTIME}={value!r} tells the container runtime to pass no GPU in",
        (Clue(f"variable {_FOR_RUNTIME}", value or "(empty)"), driver_clue(host)),
        (
            Fix(
                "Start the container with another value, or change it in the image",
                (f"{kind} run --gpus all -e {_FOR_RUNTIME}=all IMAGE",) if kind == "docker" else (),
            ),
        ),
        explains=("container_runtime_missing",),
        data={"variable": _FOR_RUNTIME, "value": value},
    )


CHECKS: tuple[Check, ...] = (Check((_CODE,), _visible), Check((_CODE,), _runtime))

"""Which of several locks a machine takes, and why. The answers of the plan are given; here they are only ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provision.model.host import DriverState, HostFacts
from provision.model.lock import Contract, Lock
from provision.model.plan import Plan, Refusal
from provision.model.versions import ComputeCapability


@dataclass(frozen=True)
class Candidate:
    """A lock, its name (of the file or target) and what the plan says of it on this machine."""

    name: str
    lock: Lock
    answer: Plan | Refusal


@dataclass(frozen=True)
class NotChosen:
    """A lock that was not taken, and why in one sentence."""

    name: str
    why: str


@dataclass(frozen=True)
class Choice:
    """The answer.

    Attributes:
        chosen: the lock to take; None where none runs here.
        why: one sentence.
        others: the other ones, in the order given.
    """

    chosen: Candidate | None
    why: str
    others: tuple[NotChosen, ...]


def choose(candidates: Sequence[Candidate], host: HostFacts) -> Choice:
    """Return the lock that fits a machine best.

    Only those whose answer is a plan can be chosen. With GPUs: the one made for just their compute capabilities, then
    one that serves all of them and was not made for a machine without a GPU. Without: one made for such a machine, then
    one for which no GPU was known. Where nobody knows whether there are GPUs: one for which none was known. Of equals
    the newer release, then the one given first.
    """
    capabilities = _capabilities(host)
    fitting = [item for item in candidates if isinstance(item.answer, Plan)]
    if not fitting:
        return Choice(
            None,
            f"none of the {len(candidates)} locks runs on this machine" if candidates else "there is no lock",
            tuple(NotChosen(item.name, _refused(item)) for item in candidates),
        )
    ranks = {id(item): _rank(item.lock.contract, capabilities) for item in fitting}
    best = min(ranks.values())
    equals = [item for item in fitting if ranks[id(item)] == best]
    release = max(item.lock.contract.release for item in equals)
    chosen = next(item for item in equals if item.lock.contract.release == release)
    others = tuple(
        NotChosen(item.name, _why_not(item, chosen, ranks, capabilities)) for item in candidates if item is not chosen
    )
    return Choice(chosen, _why(chosen.lock.contract, best, capabilities, alone=len(fitting) == 1), others)


def _capabilities(host: HostFacts) -> frozenset[ComputeCapability] | None:
    """Return the compute capabilities of a machine's GPUs, empty where it has none, None where nobody knows."""
    if host.driver_state is DriverState.NO_GPU or host.gpus.value == ():
        return frozenset()
    known = frozenset(gpu.compute_capability for gpu in host.gpus.value or () if gpu.compute_capability is not None)
    return known or None


def _rank(contract: Contract, capabilities: frozenset[ComputeCapability] | None) -> int:
    """Return how well a lock fits, 0 is best."""
    for_unknown = not contract.made_for and not contract.without_gpu
    if capabilities is None:
        return 0 if for_unknown else 2 if contract.without_gpu else 1
    if not capabilities:
        return 0 if contract.without_gpu else 1 if for_unknown else 2
    if not contract.without_gpu and frozenset(contract.made_for) == capabilities:
        return 0
    serves_all = capabilities <= {item.compute_capability for item in contract.gpus}
    return (1 if serves_all else 3) + contract.without_gpu


def _why(contract: Contract, rank: int, capabilities: frozenset[ComputeCapability] | None, *, alone: bool) -> str:
    if alone:
        return "it is the only one that runs on this machine"
    return f"it {_is(contract, rank, capabilities)}"


def _is(contract: Contract, rank: int, capabilities: frozenset[ComputeCapability] | None) -> str:
    """Say what a lock of that rank is to the machine, as the end of a sentence."""
    made = ", ".join(item.text for item in contract.made_for)
    if capabilities is None:
        return (
            "was made where no GPU was known, and none is known here",
            f"was made for compute capability {made}, and no GPU is known here",
            "was made for a machine without a GPU, and whether there is one is not known here",
        )[rank]
    if not capabilities:
        return (
            "was made for a machine without a GPU, like this one",
            "was made where no GPU was known, and this machine has none",
            f"was made for compute capability {made}, and this machine has no GPU",
        )[rank]
    here = ", ".join(item.text for item in sorted(capabilities))
    return (
        f"was made for compute capability {here}, which this machine has",
        f"serves every GPU of this machine (compute capability {here})",
        f"was made for a machine without a GPU; it serves compute capability {here} all the same",
        f"serves some of this machine's GPUs (compute capability {here}), not all",
        "was made for a machine without a GPU and does not serve every GPU of this one",
    )[rank]


def _why_not(
    item: Candidate,
    chosen: Candidate,
    ranks: dict[int, int],
    capabilities: frozenset[ComputeCapability] | None,
) -> str:
    if id(item) not in ranks:
        return _refused(item)
    rank = ranks[id(item)]
    if rank != ranks[id(chosen)]:
        return f"it {_is(item.lock.contract, rank, capabilities)}"
    if item.lock.contract.release != chosen.lock.contract.release:
        newer = chosen.lock.contract.release
        return f"it fits as well, but {chosen.name} has the newer TensorFlow {newer}"
    return f"it fits as well, but {chosen.name} comes first"


def _refused(item: Candidate) -> str:
    """Say in one sentence why the plan refuses."""
    reasons = item.answer.reasons if isinstance(item.answer, Refusal) else ()
    if not reasons:
        return "it does not run on this machine"
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{reasons[0].what} [{reasons[0].code}]{more}"

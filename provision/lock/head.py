"""The first lines of a lock that a person reads: what is in it, and for which machines."""

from __future__ import annotations

from provision.model.lock import Contract

_SYSTEMS = {"linux": "Linux"}


def head_lines(contract: Contract) -> tuple[str, ...]:
    """Return two lines in ASCII, drawn from the contract alone."""
    features = " and ".join(sorted({name.upper() for name in contract.cpu_features}))
    system = _SYSTEMS.get(contract.system, contract.system)
    return (
        (
            f"TensorFlow {contract.release} with CUDA {contract.cuda} and cuDNN {contract.cudnn} for Python "
            f"{contract.python}{_meant(contract)}"
        ),
        (
            f"for {system} on {contract.machine}, glibc {contract.glibc} or newer"
            f"{f', a processor with {features}' if features else ''}; {_gpus(contract)}"
        ),
    )


def _meant(contract: Contract) -> str:
    """Name the machine that was meant, where it has a name or its GPUs are known."""
    name = f", target {contract.target}" if contract.target else ""
    if contract.made_for:
        return f"{name}, made for compute capability {', '.join(item.text for item in sorted(set(contract.made_for)))}"
    return f"{name}, made for a machine without a GPU" if contract.without_gpu else name


def _gpus(contract: Contract) -> str:
    """Name the GPUs that are served and the oldest driver for any of them."""
    if not contract.gpus:
        return f"driver {contract.driver_floor} or newer"
    ordered = sorted(contract.gpus, key=lambda item: item.compute_capability.parts)
    oldest = min((item.driver for item in ordered), key=lambda driver: driver.parts)
    low, high = ordered[0].compute_capability, ordered[-1].compute_capability
    newer = any(item.driver > oldest for item in ordered)
    return (
        f"GPUs of compute capability {low}{f' to {high}' if high > low else ''} on driver {oldest} or newer"
        f"{', some on newer ones only' if newer else ''}"
    )

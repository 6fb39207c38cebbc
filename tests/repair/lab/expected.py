"""What repair does about each fault of doctor's laboratory."""

from __future__ import annotations

from provision.model.repair import RepairPlan

REPAIRED = (
    "bare-wheels",
    "links-gone",
    "no-extra",
    "no-cufft",
    "no-cudnn",
    "no-cudnn-cu11",
    "other-cuda",
    "older-cudnn",
    "cudnn-drops-gpu",
    "cut-library",
    "empty-library",
    "deleted-library",
    "library-of-another-machine",
    "no-ptxas",
    "moved",
    "unfinished",
    "not-installed",
    "two-distributions",
    "half-removed",
    "claimed-by-nobody",
    "numpy-2",
    "protobuf-4",
    "protobuf-3",
    "keras-3",
    "keras-2",
    "no-flatbuffers",
    "cpu-build",
    "cut-framework",
    "deleted-module",
    "emptied-module",
    "emptied-extension",
    "visible-by-activation",
    "kernel-elsewhere",
    "old-cudnn-first",
    "bogus-first",
    "empty-files-first",
    "toolkit-not-on-path",
    "cusolver-10",
)
"""Faults that are gone afterwards."""

REFUSED = {
    "gpu-too-old": "gpu-unserved",
    "gpu-too-old-kepler": "gpu-unserved",
    "gpu-too-new": "gpu-unserved",
    "python-gone": "interpreter-broken",
    "python-fails": "interpreter-broken",
    "other-python": "wrong-python",
}
"""Faults with which nothing inside can help, with the code of the answer; a new environment beside it can."""
PROVED_LATER = {"torch-pulls-cudnn": "conflict"}
"""Faults that uv's resolver proves to be without a remedy."""
LEFT_IN_THE_SHELL = {"visible-by-activation": "CUDA_VISIBLE_DEVICES"}
"""Variables that the shell keeps until it is ended, after what set them is gone."""
ASKED_FOR = ("kernel-elsewhere",)
"""Faults of which a part lies outside of the environment: they are repaired with ``--kernels``."""

_TWELVE = ("plain-2.15.1", "created-2.15.1", "plain-2.20.0", "created-2.20.0")
LARGE = (
    "half-removed",
    "not-installed",
    "emptied-extension",
    "deleted-module",
    "two-distributions",
    "cut-framework",
    "claimed-by-nobody",
)
"""Those that put 20,000 files of TensorFlow back; `cpu-build` stands for them in the gate."""

MORE = {
    "bare-wheels": (),
    "links-gone": ("created-2.15.1", "created-2.20.0", "wired-2.16.1", "wired-2.4.1"),
    "no-cufft": _TWELVE,
    "no-cudnn": _TWELVE,
    "no-ptxas": _TWELVE,
    "no-extra": _TWELVE,
    "other-cuda": _TWELVE,
    "older-cudnn": ("plain-2.20.0", "created-2.20.0"),
    "deleted-library": _TWELVE,
    "cut-library": _TWELVE,
    "numpy-2": ("plain-2.15.1", "created-2.15.1", "created-2.20.0", "wired-2.4.1"),
    "protobuf-3": ("plain-2.20.0", "created-2.20.0"),
    "protobuf-4": ("plain-2.20.0", "created-2.20.0"),
    "keras-2": _TWELVE,
    "keras-3": ("plain-2.15.1", "created-2.15.1"),
    "cut-framework": (*_TWELVE, "wired-2.16.1", "created-2.10.1", "created-2.21.0"),
    "two-distributions": (*_TWELVE, "wired-2.16.1", "wired-2.4.1", "created-2.21.0"),
    "half-removed": _TWELVE,
    "cpu-build": (*_TWELVE, "created-2.10.1"),
}
"""Further originals, for those who have an hour."""


def surprise(name: str, code: str, plan: RepairPlan) -> str:
    """Return in what a plan differs from what is expected of a fault, empty for nothing.

    Args:
        name: of the fault.
        code: of its cause.
        plan: that was made of doctor's diagnosis.
    """
    repaired = [item.code for item in plan.repairs]
    by_hand = {item.code: item for item in plan.by_hand}
    denied = plan.denial.code if plan.denial else ""
    if name in REPAIRED or name in PROVED_LATER:
        kept = name in ASKED_FOR or (code in repaired and all(item.steps for item in plan.repairs))
        return "" if kept and not denied else f"it repairs {repaired}, {denied}"
    if repaired or denied != REFUSED.get(name, "") or code not in by_hand:
        return f"it repairs {repaired}, leaves {list(by_hand)}, {denied}"
    return "" if by_hand[code].fixes else "it does not say what to do"

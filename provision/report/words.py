"""Reason codes in at most three words, where a line has no room for the sentence."""

from __future__ import annotations

from collections.abc import Mapping

_WORDS: Mapping[str, str] = {
    "architecture-unsupported": "no CUDA build",
    "cpu-too-old": "CPU too old",
    "derived-libraries": "untried library set",
    "driver-library-mismatch": "driver versions differ",
    "driver-no-permission": "no device permission",
    "driver-not-installed": "no driver installed",
    "driver-not-loaded": "driver not loaded",
    "driver-too-old-for-gpu": "driver predates GPU",
    "driver-too-old-for-ptx": "driver lacks PTX",
    "fault-conv2d-training-cudnn": "Conv2D training uncertain",
    "gpu-capability-unknown": "GPU not known",
    "gpu-hidden": "GPU hidden",
    "gpu-left-driver": "driver dropped GPU",
    "gpu-left-out": "GPU left out",
    "gpu-not-passed": "GPU not passed",
    "gpu-too-old": "GPU too old",
    "gpu-unserved": "GPU not served",
    "libraries-lack-gpu": "libraries lack GPU",
    "library-alias": "borrowed library name",
    "macos-unsupported": "not on macOS",
    "mig": "no MIG device",
    "musl-unsupported": "musl C library",
    "no-library-set": "no library set",
    "ptx-for-another-gpu": "foreign GPU code",
    "ptx-jit": "slow first run",
    "python-unsupported": "Python not supported",
    "requirement-conflict": "packages contradict",
    "windows-unsupported": "not on Windows",
}
"""Three words for a code that says it in more, or less well."""
_MOST_WORDS = 3


def in_words(code: str) -> str:
    """Return a reason code in at most three words."""
    return _WORDS.get(code) or " ".join(code.removeprefix("fault-").split("-")[:_MOST_WORDS])


def printable(text: str) -> str:
    """Return a text without control characters: logs and file names come from anywhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)

"""How a child of ours can end, and what that means: every failure gets a name, its evidence stays with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provision.verify.answer import Said


@dataclass(frozen=True)
class Cause:
    """Why something failed.

    Attributes:
        code: stable, lower case with hyphens.
        what: one sentence without a full stop.
        hint: what to do about it, empty where that depends.
        evidence: lines that show it.
    """

    code: str
    what: str
    hint: str = ""
    evidence: tuple[str, ...] = ()


_ENDINGS: dict[str, tuple[str, str, str]] = {
    "timeout": ("hung", "it did not come back within the time limit", "a longer --timeout helps only if it was slow"),
    "not started": ("interpreter-broken", "the environment's Python could not be started", "create it again"),
    "signal SIGBUS": (
        "library-truncated",
        "a library file is shorter than its header says; mapping it killed the process (SIGBUS)",
        "install the wheel that brings the file again; a full disk or an interrupted copy cuts files short",
    ),
    "signal SIGILL": (
        "cpu-instructions",
        "the CPU does not know an instruction that TensorFlow's code uses (SIGILL)",
        "TensorFlow's wheels need AVX; `tfgpu-provision host` shows what this CPU has",
    ),
    "signal SIGSEGV": ("crashed", "the process crashed (SIGSEGV)", ""),
    "signal SIGABRT": ("aborted", "TensorFlow or a library aborted the process (SIGABRT)", ""),
    "signal SIGKILL": (
        "killed",
        "something killed the process (SIGKILL); the kernel does that when memory runs out",
        "look at `dmesg` and at the memory limit of the container or job",
    ),
}

_TEXTS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"ImportError: .*version `GLIBC_[\d.]+' not found.*",
        "glibc-too-old",
        "the system's C library is older than the wheel needs",
        "use a release with an older platform tag: `tfgpu-provision matrix list`",
    ),
    (
        r"ImportError: .*version `(?:GLIBCXX|CXXABI)_[\d.]+' not found.*",
        "libstdcxx-too-old",
        "the C++ library found first is older than the wheel needs",
        "an old libstdc++ on LD_LIBRARY_PATH or in a conda environment hides the system's",
    ),
    (
        (
            r"TypeError: Descriptors cannot (?:not )?be created directly.*"
            r"|.*Detected incompatible Protobuf Gencode.*"
            r"|ImportError: cannot import name '(?:runtime_version|builder|descriptor)' from 'google\..*"
            r"|AttributeError: .*(?:MessageFactory|FieldDescriptor|protobuf).*"
        ),
        "protobuf-mismatch",
        "the installed protobuf does not fit this TensorFlow",
        "releases up to 2.9 need protobuf<3.21; `pip check` says what later ones need",
    ),
    (
        r"ModuleNotFoundError: No module named 'tensorflow'\s*$",
        "no-tensorflow",
        "TensorFlow is not installed",
        "`tfgpu-provision create --tf …` makes an environment with it",
    ),
    (
        (
            r".*A module that was compiled using NumPy 1\.x cannot be run in.*|.*_ARRAY_API not found.*"
            r"|AttributeError: (?:module 'numpy' has no attribute|`np\.\w+` was removed).*"
            r"|.*numpy\.core\.\w+ failed to.*"
            r"|.*numpy\.dtype size changed.*|RuntimeError: module compiled against (?:ABI|API) version.*"
        ),
        "numpy-mismatch",
        "the installed NumPy does not fit this TensorFlow",
        "releases up to 2.11 need numpy<1.24, up to 2.17 numpy<2",
    ),
    (
        r"ImportError: (?:[^\n]*?)(\S+\.so[.\d]*): cannot open shared object file.*",
        "library-not-found",
        "a shared library that TensorFlow is linked against is not found",
        "",
    ),
    (
        r"ImportError: .*(?:file too short|invalid ELF header|undefined symbol|ELF load command).*",
        "library-broken",
        "a shared library is damaged or of another version",
        "install the package that brings it again",
    ),
    (
        (
            r"ImportError: cannot import name .* from '?keras.*|ModuleNotFoundError: No module named 'keras.*"
            r"|AttributeError: .*keras.*"
        ),
        "keras-mismatch",
        "the installed Keras does not fit this TensorFlow",
        "TensorFlow 2.6 to 2.15 need the Keras of the same minor",
    ),
    (
        r"ModuleNotFoundError: No module named .*",
        "module-missing",
        "a package that TensorFlow needs is not installed",
        "",
    ),
    (
        r"AttributeError: (?:partially initialized )?module 'tensorflow' .*has no attribute.*",
        "tensorflow-shadowed",
        "what was imported as tensorflow is not TensorFlow, or only parts of it are installed",
        "look for a file tensorflow.py, and install TensorFlow again",
    ),
    (r"MemoryError.*", "out-of-memory", "memory ran out", ""),
)


def cause_of_ending(said: Said) -> Cause | None:
    """Return why the child ended badly, None where it ended by itself with 0."""
    if not said.failure:
        return None
    tail = tuple(line.strip() for line in said.log.strip().splitlines()[-4:])
    if said.failure in _ENDINGS:
        return Cause(*_ENDINGS[said.failure], evidence=tail)
    named = cause_in_text(said.log)
    return named or Cause("probe-failed", f"the check in the environment ended with {said.failure}", evidence=tail)


def cause_in_text(text: str) -> Cause | None:
    """Return the cause that a traceback or log names; the first pattern of the table that fits."""
    for pattern, code, what, hint in _TEXTS:
        match = re.search(f"^(?:{pattern})", text, re.MULTILINE)
        if match:
            return Cause(code, what, hint, (match.group(0).strip()[:400],))
    return None

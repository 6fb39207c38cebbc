"""Every way in which a child can end has a name."""

from __future__ import annotations

import pytest
from verify.samples import said

from provision.verify.causes import cause_in_text, cause_of_ending

TRACEBACK = (
    'Traceback (most recent call last):\n  File "import_check.py", line 80, in main\n    import tensorflow as tf\n'
)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("timeout", "hung"),
        ("not started", "interpreter-broken"),
        ("signal SIGBUS", "library-truncated"),
        ("signal SIGILL", "cpu-instructions"),
        ("signal SIGSEGV", "crashed"),
        ("signal SIGABRT", "aborted"),
        ("signal SIGKILL", "killed"),
        ("exit 3", "probe-failed"),
        ("no answer", "probe-failed"),
        ("signal 64", "probe-failed"),
    ],
)
def test_endings(failure: str, code: str) -> None:
    cause = cause_of_ending(said(failure=failure, log="first\nlast words"))
    assert cause is not None
    assert cause.code == code
    assert cause.evidence[-1] == "last words"


def test_a_good_ending_has_no_cause() -> None:
    assert cause_of_ending(said({"step": "done"}, log="ImportError: this is only talk")) is None


def test_a_plain_exit_is_named_by_its_traceback() -> None:
    log = TRACEBACK + "ModuleNotFoundError: No module named 'tensorflow'\n"
    cause = cause_of_ending(said(failure="exit 1", log=log))
    assert cause is not None
    assert cause.code == "no-tensorflow"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ModuleNotFoundError: No module named 'tensorflow'", "no-tensorflow"),
        ("ModuleNotFoundError: No module named 'wrapt'", "module-missing"),
        ("ModuleNotFoundError: No module named 'keras.api'", "keras-mismatch"),
        ("TypeError: Descriptors cannot not be created directly.", "protobuf-mismatch"),
        ("TypeError: Descriptors cannot be created directly.", "protobuf-mismatch"),
        ("AttributeError: 'MessageFactory' object has no attribute 'GetPrototype'", "protobuf-mismatch"),
        (
            "ImportError: cannot import name 'runtime_version' from 'google.protobuf' (/e/google/protobuf/__init__.py)",
            "protobuf-mismatch",
        ),
        (
            "google.protobuf.runtime_version.VersionError: Detected incompatible Protobuf Gencode/Runtime versions",
            "protobuf-mismatch",
        ),
        ("A module that was compiled using NumPy 1.x cannot be run in", "numpy-mismatch"),
        ("AttributeError: _ARRAY_API not found", "numpy-mismatch"),
        ("AttributeError: module 'numpy' has no attribute 'object'.", "numpy-mismatch"),
        ("AttributeError: `np.complex_` was removed in the NumPy 2.0 release.", "numpy-mismatch"),
        ("ImportError: numpy.core._multiarray_umath failed to import", "numpy-mismatch"),
        ("ImportError: numpy.core.umath failed to import", "numpy-mismatch"),
        ("RuntimeError: module compiled against API version 0xf but this version of numpy is 0xd", "numpy-mismatch"),
        (
            "ImportError: /lib/x86_64-linux-gnu/libm.so.6: version `GLIBC_2.27' not found (required by /e/x.so)",
            "glibc-too-old",
        ),
        (
            "ImportError: /usr/lib/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by /e/x.so)",
            "libstdcxx-too-old",
        ),
        (
            "ImportError: libcublas.so.12: cannot open shared object file: No such file or directory",
            "library-not-found",
        ),
        ("ImportError: /e/libtensorflow_cc.so.2: file too short", "library-broken"),
        ("ImportError: /e/libtensorflow_cc.so.2: invalid ELF header", "library-broken"),
        ("ImportError: /e/_pywrap.so: undefined symbol: _ZN3tsl", "library-broken"),
        ("ImportError: cannot import name 'dtensor' from 'keras' (/e/keras/__init__.py)", "keras-mismatch"),
        (
            "AttributeError: partially initialized module 'tensorflow' has no attribute 'config'",
            "tensorflow-shadowed",
        ),
        ("AttributeError: module 'tensorflow' from '/w/tensorflow.py' has no attribute 'test'", "tensorflow-shadowed"),
        ("MemoryError", "out-of-memory"),
    ],
)
def test_tracebacks(line: str, code: str) -> None:
    cause = cause_in_text(TRACEBACK + line + "\n")
    assert cause is not None, line
    assert cause.code == code
    assert cause.evidence[0].startswith(line[:20])


@pytest.mark.parametrize(
    "text", ["", "I tensorflow: all is well", "the word ImportError inside a line is no import error"]
)
def test_no_cause_is_invented(text: str) -> None:
    assert cause_in_text(text) is None

"""What NVIDIA's libraries open by name while they run; no dynamic section tells that.

Read out of the names written in the libraries of every set in matrix.yaml (``tests/wiring/test_opens.py`` reads them
again). Names are stems; a version is whatever the environment has. The driver's libraries (libcuda, libnvidia-ml) and
plug-ins that nobody has to have (libnccl-net, libnvidia-opencl, libnvperf_host) are not among them.
"""

from __future__ import annotations

import re

_OPENS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    # cuDNN 8 and 9 are a thin library that opens the parts it needs; the parts open one another too.
    (re.compile(r"libcudnn(_\w+)?\Z"), ("libcudnn_*",)),
    # Run-time compiled kernels; matrix products inside convolution and attention.
    (re.compile(r"libcudnn_\w+\Z"), ("libnvrtc", "libcublas", "libcublasLt")),
    (re.compile(r"libcublasLt\Z"), ("libnvrtc",)),
    (re.compile(r"libcufft\Z"), ("libnvJitLink", "libnvrtc")),
    (re.compile(r"libnvrtc\Z"), ("libnvrtc-builtins",)),
)

# cuDNN 8 and cuBLAS 11 open plain ``libnvrtc.so``, a name that no wheel has.
_PLAIN = ((re.compile(r"libcudnn_\w+\.so\.8\Z"), "libnvrtc"), (re.compile(r"libcublasLt\.so\.11\Z"), "libnvrtc"))


def opens(opener: str) -> tuple[str, ...]:
    """Return the stems that the library with this stem opens at run time; ``libcudnn_*`` stands for all of them."""
    return tuple(dict.fromkeys(name for pattern, names in _OPENS if pattern.match(opener) for name in names))


def opens_plainly(soname: str, wanted: str) -> bool:
    """Whether the library with this SONAME opens the stem ``wanted`` by a name without a version."""
    return any(pattern.match(soname) and wanted == name for pattern, name in _PLAIN)

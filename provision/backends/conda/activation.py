"""Scripts in ``etc/conda/activate.d`` and ``deactivate.d`` for those who activate.

Nothing in them is needed: wiring makes the libraries found without activation, so LD_LIBRARY_PATH is never set. What
is set serves programs beside TensorFlow's import, such as XLA's ``--xla_gpu_cuda_data_dir`` for ptxas and libdevice.
Each variable is given back as it was, also when it was not set, and nested activations of two such environments
restore in order because each keeps its own memory, named after the environment.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from provision.system.files import write_atomic

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE = re.compile(r"[A-Za-z0-9_./:=,+@ -]*")
_HEAD = "# Written by tfgpu-provision; not needed to use the GPU.\n"
SCRIPT = "tfgpu-provision"


def write_activation(prefix: Path, variables: Mapping[str, str], final: Path | None = None) -> tuple[str, ...]:
    """Write the scripts for sh and fish and return their paths below the prefix; nothing for no variables.

    Args:
        prefix: where the environment is built.
        variables: name to value; ``$CONDA_PREFIX`` in a value becomes the environment that is activated. XLA_FLAGS is
            appended to what is there, every other variable replaces it.
        final: where the environment will stand, for names that no two environments share.

    Raises:
        ValueError: a name or value that no script may hold.
        OSError: it cannot be written.
    """
    if not variables:
        return ()
    for name, value in variables.items():
        if not _NAME.fullmatch(name) or not _SAFE.fullmatch(value.replace("$CONDA_PREFIX", "")):
            raise ValueError(f"{name}={value!r} cannot stand in an activation script")
    mark = hashlib.sha256(os.fsencode(final or prefix)).hexdigest()[:8].upper()
    written = []
    for folder, shell, text in (
        ("activate.d", "sh", "".join(_sh_on(*item, mark) for item in sorted(variables.items()))),
        ("deactivate.d", "sh", "".join(_sh_off(name, mark) for name in sorted(variables))),
        ("activate.d", "fish", "".join(_fish_on(*item, mark) for item in sorted(variables.items()))),
        ("deactivate.d", "fish", "".join(_fish_off(name, mark) for name in sorted(variables))),
    ):
        path = Path("etc", "conda", folder, f"{SCRIPT}.{shell}")
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(prefix / path, _HEAD + text)
        written.append(str(path))
    return tuple(written)


def _sh_on(name: str, value: str, mark: str) -> str:
    old = f"_TFGPU_{mark}_{name}"
    quoted = value.replace("$CONDA_PREFIX", "${CONDA_PREFIX}")
    new = f"${{{name}:+${{{name}}} }}{quoted}" if name == "XLA_FLAGS" else quoted
    # The mark tells "was empty" from "was not set", and a second activation from the first.
    return (
        f'if [ -z "${{{old}+x}}" ]; then\n'
        f'    if [ -n "${{{name}+x}}" ]; then export {old}="=${{{name}}}"; else export {old}=""; fi\n'
        f'    export {name}="{new}"\n'
        "fi\n"
    )


def _sh_off(name: str, mark: str) -> str:
    old = f"_TFGPU_{mark}_{name}"
    return (
        f'if [ -n "${{{old}+x}}" ]; then\n'
        f'    if [ -n "${{{old}}}" ]; then export {name}="${{{old}#=}}"; else unset {name}; fi\n'
        f"    unset {old}\n"
        "fi\n"
    )


def _fish_on(name: str, value: str, mark: str) -> str:
    old = f"_TFGPU_{mark}_{name}"
    # Without a value before it, the flag stands alone: no blank at its front.
    new = f'(string trim --left -- "${name} {value}")' if name == "XLA_FLAGS" else f'"{value}"'
    return (
        f"if not set -q {old}\n"
        f'    if set -q {name}; set -gx {old} "=${name}"; else; set -gx {old} ""; end\n'
        f"    set -gx {name} {new}\n"
        "end\n"
    )


def _fish_off(name: str, mark: str) -> str:
    old = f"_TFGPU_{mark}_{name}"
    return (
        f"if set -q {old}\n"
        f'    if test -n "${old}"; set -gx {name} (string sub --start 2 -- "${old}"); else; set -e {name}; end\n'
        f"    set -e {old}\n"
        "end\n"
    )

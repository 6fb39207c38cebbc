"""The library from which TensorFlow opens all of CUDA: its dynamic section, and what its loader functions ask for.

The names are not written anywhere in it: they are put together by code. So the code is run, alone in an empty folder,
by a child that has neither network nor files (`confined_gate`); nothing is found there, and every name that it asks
for is said.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.audit.contents.dynamic import read_dynamic_facts
from provision.errors import ToolFailedError
from provision.model.wheel import FrameworkFacts, Unread
from provision.probes import run_probe
from provision.system import System

FRAMEWORK = r"tensorflow(_core)?/libtensorflow_framework\.so\.\d+"
"""Its path in a wheel; ``tensorflow_core`` in 1.15 and 2.0."""
GATE = "MaybeTryDlopenGPULibraries"
_OF_THE_GATE = ("CudaRuntime", "Cublas", "CublasLt", "Cufft", "Curand", "Cusolver", "Cusparse", "Cudnn")
_NEVER_OPTIONAL = {"CudaDriver", "NvInfer", "NvInferPlugin", "Nvml", *_OF_THE_GATE}
"""The driver brings libcuda and libnvidia-ml; TensorRT is no part of any row."""
_BESIDE = ("Cupti", "Nccl", "Nvshmem")
_MEMORY = 8 << 30
_CPU_SECONDS = 120
_FILE_SIZE = 64 << 20
_SECONDS = 60.0


def read_framework(
    system: System, file: Path, path: str, *, ask: bool = True, in_part: bool = False
) -> tuple[FrameworkFacts, Unread | None]:
    """Return the facts of a framework library, and what could not be read of them.

    Args:
        system: the door.
        file: where the library lies; it is called there.
        path: its path in the wheel, or below site-packages.
        ask: whether its loader functions are called; a build without CUDA asks for nothing.
        in_part: whether kernels were left out of the file.

    Raises:
        InvalidFileError: code ``unreadable-library``.
    """
    dynamic = read_dynamic_facts(file)
    said, why = _ask(system, file) if ask else (None, "it was built without CUDA")
    if said is None:
        return FrameworkFacts(path, dynamic, (), in_part=in_part), Unread("gate", why)
    functions = tuple(sorted(said.get("functions", {})))
    gate, why = _gate(said, functions)
    facts = FrameworkFacts(
        path=path,
        dynamic=dynamic,
        functions=functions,
        gate=gate,
        optional=_optional(said),
        nccl_inside=_nccl(said.get("nccl")),
        confined=tuple(said.get("confined", ())),
        in_part=in_part,
    )
    return facts, Unread("gate", why) if gate is None else None


def _ask(system: System, file: Path) -> tuple[Mapping[str, Any] | None, str]:
    folder = Path(tempfile.mkdtemp(prefix="tfgpu-audit-"))
    try:
        # Alone in an empty folder: whatever its search path names is not there.
        alone = folder / "wheel" / "tensorflow" / file.name
        alone.parent.mkdir(parents=True)
        try:
            os.link(file, alone)
        except OSError:
            shutil.copyfile(file, alone)
        work = folder / "work"
        work.mkdir()
        answer = run_probe(
            system,
            sys.executable,
            "confined_gate",
            {
                "framework": str(alone),
                "folder": str(work),
                "beside": _BESIDE,
                "seconds": _SECONDS,
                "memory": _MEMORY,
                "cpu_seconds": _CPU_SECONDS,
                "file_size": _FILE_SIZE,
            },
            timeout=3 * _SECONDS,
            environ={"HOME": str(work), "TMPDIR": str(work), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C"},
            flags=("-s", "-E"),
        )
    except OSError as error:
        raise ToolFailedError(
            "a framework library cannot be put where it is to be called",
            code="operating-system",
            why=(error.strerror or str(error),),
            hint="check the free space of the temporary folder",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if answer.data is None:
        return None, f"the child in which it was to be called ended with {answer.failure}"
    if "unreadable" in answer.data:
        return None, f"its loader functions cannot be found ({answer.data['unreadable']})"
    return answer.data, ""


def _gate(said: Mapping[str, Any], functions: tuple[str, ...]) -> tuple[tuple[str, ...] | None, str]:
    """Return the SONAMEs of the gate in the order asked for, or why they are not known."""
    if GATE in functions:
        call = said.get("gate") or {}
        names = _names(call)
        if names and not call.get("ended"):
            return names, ""
        why = call.get("ended") or call.get("unloadable") or "it asked for nothing"
        return None, f"{GATE} did not answer: {why}"
    calls = said.get("calls", {})
    found = [name for function in _OF_THE_GATE for name in _names(calls.get(function) or {})]
    if found:
        return tuple(dict.fromkeys(found)), ""
    return None, "it exports no loader function"


def _optional(said: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return purpose to the SONAMEs that its function tries in order, for what stops no GPU."""
    calls: Mapping[str, Any] = said.get("calls", {})
    found = {name.lower(): _names(call or {}) for name, call in calls.items() if name not in _NEVER_OPTIONAL}
    return {name: names for name, names in sorted(found.items()) if names}


def _names(call: Mapping[str, Any]) -> tuple[str, ...]:
    found = (str(item.get("soname", "")) for item in call.get("libraries", ()) if isinstance(item, dict))
    return tuple(dict.fromkeys(name for name in found if re.fullmatch(r"lib[\w.+-]{1,80}", name)))


def _nccl(number: Any) -> str:
    """Return 21903 as 2.19.3, and 2708 as 2.7.8: the number was shorter before 2.9."""
    if not isinstance(number, int) or number <= 0:
        return ""
    large, small = (10_000, 100) if number >= 10_000 else (1_000, 100)  # noqa: PLR2004 - the form of ncclGetVersion
    return f"{number // large}.{number % large // small}.{number % small}"

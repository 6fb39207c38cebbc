"""Which file answers to ``libcuda.so.1``, and is it the driver's?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provision.doctor.check import Check
from provision.doctor.checks.presence import driver_clue
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState, HostFacts
from provision.model.machine import DriverLibrary, MachineFacts
from provision.model.snapshot import Snapshot

_STUB = 34
_MISMATCH = 803
_NO_COMPAT = 804
_CODE = "libcuda_stub_or_shadowed"


def shadowing(host: HostFacts, machine: MachineFacts) -> DriverLibrary | None:
    """Return the first libcuda.so.1 where it is not the one of the installed driver, None where it is or may be.

    An NVML that is at odds with the module too says that the installed driver itself is. A driver's libraries may
    well lie in a folder of LD_LIBRARY_PATH (in Kubernetes they often do): only another copy, of the module's own
    version, makes the first one a stranger.
    """
    if not machine.libcudas:
        return None
    first, *rest = machine.libcudas
    nvml_apart = any(item.source == "nvml" and "mismatch" in item.detail.lower() for item in host.gpus.attempts)
    module = host.kernel_module.value.text if host.kernel_module.value else ""
    own = [item for item in rest if item.kind == "driver" and item.version == module]
    if first.kind == "stub" or (first.kind == "compat" and not nvml_apart):
        return first
    if host.wsl.value and first.version and "/wsl/" not in first.path:
        return first
    return first if first.folder and first.version and first.version != module and own else None


def _shadowed(snapshot: Snapshot) -> Iterator[Finding]:
    """A stub, a compatibility package or another driver's copy comes first, and CUDA fails with it."""
    host, machine = snapshot.host, snapshot.machine
    if host is None or machine is None or host.driver_state is DriverState.WORKING:
        return
    result = machine.cuda_result_all
    first = shadowing(host, machine)
    failed = result not in (0, None)
    if first is None and result in (_STUB, _NO_COMPAT) and machine.libcudas:
        first = machine.libcudas[0]  # whatever it is called, this is what it answers
    asked = host.driver_state in (DriverState.UNKNOWN, DriverState.LIBRARY_MISMATCH)
    if not failed or (first is None and result not in (_STUB, _NO_COMPAT)):
        return
    if not asked and result not in (_STUB, _MISMATCH, _NO_COMPAT):
        return  # without its module or its device files the driver's own library would fail as well
    kind = {_STUB: "stub", _NO_COMPAT: "compat"}.get(result or 0, first.kind if first else "")
    sure = result in (_STUB, _NO_COMPAT, _MISMATCH) or kind == "stub"
    what = {
        "stub": "a toolkit's stub, which is for linking alone",
        "compat": "of a cuda-compat package, which does not go with this driver or this GPU",
    }.get(kind, f"of driver {first.version}" if first else "another driver's")
    place = first.path if first else "libcuda.so.1"
    clues = [Clue("driver", f"cuInit answers {result}"), driver_clue(host)]
    clues += [
        Clue("variable LD_LIBRARY_PATH" if item.folder else "loader cache", f"{item.path} ({item.kind})")
        for item in machine.libcudas
    ]
    yield Finding(
        _CODE,
        Certainty.CERTAIN if sure else Certainty.LIKELY,
        f"the first libcuda.so.1 is {what}: {place}",
        tuple(clues),
        _fixes(first, kind, snapshot.variables),
        explains=("driver_library_mismatch", "driver_unloaded_needs_reboot"),
        data={
            "libraries": [item.path for item in machine.libcudas],
            "found": first.version if first else "",
            "needs": host.kernel_module.value.text if host.kernel_module.value else "",
        },
    )


def _stub_in_environment(snapshot: Snapshot) -> Iterator[Finding]:
    """TensorFlow's own loader, asked in the environment, takes a stub that other programs do not meet."""
    seen = snapshot.environment
    answered = seen.gate.library("libcuda") if seen and seen.gate else None
    if answered is None or answered.file is None or "/stubs/" not in answered.file:
        return
    folder = answered.file.rpartition("/")[0]
    listed = folder in snapshot.variables.get("LD_LIBRARY_PATH", "").split(":")
    yield Finding(
        _CODE,
        Certainty.CERTAIN,
        f"TensorFlow's loader takes a toolkit's stub for libcuda.so.1: {answered.file}",
        (Clue("loader", f"libcuda.so.1 => {answered.file}"),),
        _fixes(DriverLibrary(answered.file, "stub", folder=folder if listed else ""), "stub", snapshot.variables),
        data={"libraries": [answered.file]},
    )


def _fixes(first: DriverLibrary | None, kind: str, variables: Mapping[str, str]) -> tuple[Fix, ...]:
    if first is not None and first.folder:
        folders = variables.get("LD_LIBRARY_PATH", "").split(":")
        rest = ":".join(folder for folder in folders if folder and folder.rstrip("/") != first.folder.rstrip("/"))
        return (
            Fix(
                f"Take {first.folder} off LD_LIBRARY_PATH, here and where it is set (~/.bashrc, activation scripts)",
                (f"export LD_LIBRARY_PATH='{rest}'" if rest else "unset LD_LIBRARY_PATH",),
            ),
        )
    if kind == "compat":
        return (
            Fix(
                "Remove the compatibility package, or its folder from the loader's configuration",
                ("grep -rn compat /etc/ld.so.conf.d", "sudo ldconfig"),
                root=True,
            ),
        )
    where = f"{first.path}" if first is not None else "the file that the loader finds first"
    return (
        Fix(
            f"Take {where} out of the loader's search path: it is no driver",
            ("ldconfig -p | grep libcuda.so.1", "sudo ldconfig"),
            root=True,
        ),
    )


CHECKS: tuple[Check, ...] = (Check((_CODE,), _shadowed), Check((_CODE,), _stub_in_environment))

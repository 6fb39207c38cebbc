"""Libraries that were found, and whether they fit: impostors, older toolkits, cuDNN, and what XLA needs beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provision.doctor.checks.library_fixes import Pin, create, install, meant_set, providers, whole, wire
from provision.doctor.checks.library_view import View, older, package_of, short, stem, view_of
from provision.model.doctor import Certainty, Clue, Finding
from provision.model.environment_facts import Answered, Tool
from provision.model.matrix import CondaPin, LibrarySet
from provision.model.snapshot import Snapshot
from provision.model.versions import ComputeCapability, CudnnVersion, TfVersion

_CUDNN_DROPS = CudnnVersion("9.11")
_CUDNN_FLOOR = ComputeCapability("7.5")
"""From 9.11 on libcudnn_cnn has no code below 7.5: read out of every wheel from 9.0 to 9.28 (matrix, sets cu125-…)."""
_XLA_BY_ITSELF = TfVersion("2.11")
"""From this release on Keras compiles its optimizers with XLA without being asked."""


def versions(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what was found and is not what TensorFlow needs, whoever brought it."""
    view = view_of(snapshot)
    if view is None:
        return
    yield from _impostors(view)
    yield from _older(view)
    yield from _cudnn(view)


def _impostors(view: View) -> Iterator[Finding]:
    # Those that only a variable of the user brings are told by the check of the variables.
    found = [item for item in view.bare.libraries if item.impostor]
    if found:
        pins = providers(meant_set(view.snapshot), view.seen.row, [item.soname for item in found])
        yield Finding(
            "wrong_cuda_version",
            Certainty.CERTAIN,
            f"{short([item.soname for item in found])}: the file that answers is not that library",
            tuple(Clue(item.file or item.soname, "it has no function that tells a version") for item in found),
            install(view.snapshot, pins, "Install the real one"),
            data={"libraries": [item.soname for item in found], "found": [item.file for item in found]},
        )


def _older(view: View) -> Iterator[Finding]:
    """Yield libraries of the right name and an older minor version than those of the build's toolkit."""
    if any(item.kind == "other" for item in view.lost()):
        return  # of another CUDA altogether, and told as that
    wanted = _least(view)
    found = [
        item
        for item in view.bare.libraries
        if stem(item.soname) != "libcudnn" and older(item.version, wanted.get(stem(item.soname)))
    ]
    if not found:
        return
    parts = [f"{stem(item.soname)} {item.version} (needs {wanted[stem(item.soname)]})" for item in found]
    pins = providers(_of_build(view) or meant_set(view.snapshot), view.seen.row, [item.soname for item in found])
    yield Finding(
        "wrong_cuda_version",
        Certainty.LIKELY,
        f"{view.release} was built against CUDA {view.built_cuda}; found older: {short(parts)}",
        (
            *(Clue(item.file or item.soname, f"version {item.version}{_by(view, item)}") for item in found),
            Clue(view.source, f"built with CUDA {view.built_cuda}"),
        ),
        install(view.snapshot, pins, "Install those of the build's version"),
        data={
            "built": str(view.built_cuda),
            "needs": {item.soname: wanted[stem(item.soname)] for item in found},
            "found": {item.soname: item.version for item in found},
        },
    )


def _least(view: View) -> Mapping[str, str]:
    """Return the versions of the build's toolkit by stem; only the runtime's where no set has that toolkit."""
    if view.built_cuda is None:
        return {}
    known = {"libcudart": f"{view.built_cuda.major}.{view.built_cuda.minor}"}
    of_build = _of_build(view)
    for pin in of_build.pins if of_build else ():
        known |= {stem(soname): pin.version for soname in pin.libraries if stem(soname) != "libcudart"}
    return known


def _of_build(view: View) -> LibrarySet | None:
    built = view.built_cuda
    sets = view.seen.row.sets if view.seen.row else ()
    return next((one for one in sets if built and (one.cuda.major, one.cuda.minor) == (built.major, built.minor)), None)


def _by(view: View, item: Answered) -> str:
    package = package_of(view, item.file or "")
    return f", of {package}" if package else ""


def _cudnn(view: View) -> Iterator[Finding]:
    item = view.gate.library("libcudnn")
    found = CudnnVersion.parse(item.version or "") if item and item.file else None
    built = view.built_cudnn
    if item is None or found is None:
        return
    if built and (found.major != built.major or found.minor < built.minor):
        least = f"{built.major}.{built.minor}"
        yield Finding(
            "cudnn_version_mismatch",
            Certainty.CERTAIN,
            f"{view.release} was built against cuDNN {built}, needs {least} or a later {built.major}.x; found {found}",
            (Clue(item.file or "", f"it says that it is {found}{_by(view, item)}"),
             Clue(view.source, f"built with cuDNN {built}")),
            install(view.snapshot, _cudnn_pins(view), "Install a cuDNN that is new enough"),
            data={"built": str(built), "needs": least, "found": str(found), "libraries": [item.soname]},
        )  # fmt: skip
    yield from _dropped(view, item, found)


def _dropped(view: View, item: Answered, found: CudnnVersion) -> Iterator[Finding]:
    host = view.snapshot.host
    gpus = [gpu for gpu in (host.gpus.value or () if host else ()) if gpu.compute_capability]
    dropped = [gpu for gpu in gpus if gpu.compute_capability and gpu.compute_capability < _CUDNN_FLOOR]
    if found < _CUDNN_DROPS or not dropped:
        return
    names = short([f"{gpu.name} ({gpu.compute_capability})" for gpu in dropped])
    sets = [*(view.seen.row.sets if view.seen.row else ()), *(view.seen.row.conda_sets if view.seen.row else ())]
    fits = [one for one in sets if one.cudnn < _CUDNN_DROPS and bool(one.conda) == _from_conda(view)]
    pins = [pin for one in fits[:1] for pin in providers(one, view.seen.row, [item.soname])]
    yield Finding(
        "cudnn_drops_gpu",
        Certainty.LIKELY,
        f"cuDNN {found} has no code for {names}: from {_CUDNN_DROPS} on it starts at compute capability {_CUDNN_FLOOR}",
        (Clue(item.file or "", f"cuDNN {found}{_by(view, item)}"), Clue(host.gpus.source if host else "driver", names)),
        install(view.snapshot, pins, "Install the last cuDNN that serves this GPU"),
        data={"found": str(found), "needs": f"<{_CUDNN_DROPS}", "gpus": [gpu.name for gpu in dropped]},
    )


def _from_conda(view: View) -> bool:
    one = meant_set(view.snapshot)
    return bool(one and one.conda)


def _cudnn_pins(view: View) -> tuple[Pin, ...]:
    return tuple(pin for pin in whole(meant_set(view.snapshot)) if "cudnn" in pin.name)


def xla_tools(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield that XLA finds no libdevice or no ptxas; silent where the set of libraries is known to have none."""
    seen = snapshot.environment
    if seen is None or seen.cuda_build is False or seen.row is None:
        return
    # conda's older toolkits have no ptxas at all; XLA then leaves the last step to the driver.
    without = seen.library_set is not None and seen.library_set.ptxas is None
    gone = [tool for tool in seen.tools if tool.found is None and not (tool.name == "ptxas" and without)]
    if not gone:
        return
    by_itself = seen.row.release >= _XLA_BY_ITSELF
    present = [tool for tool in gone if tool.present]
    one = meant_set(snapshot)
    pins = [pin for pin in whole(one) if isinstance(pin, CondaPin) == bool(one and one.conda) and "nvcc" in pin.name]
    if len(present) == len(gone):
        fixes = (*wire(seen, "Tell XLA where the environment has them"), *create(seen))
    else:
        fixes = install(snapshot, pins, "Install the compiler package, and tell XLA where it is")
    names = short([tool.name for tool in gone])
    where = ", although it is in the environment" if len(present) == len(gone) else ""
    users = "Keras' optimizers and jit_compile" if by_itself else "programs that ask for XLA (jit_compile)"
    yield Finding(
        "ptxas_libdevice_missing",
        Certainty.LIKELY if by_itself else Certainty.POSSIBLE,
        f"XLA of TensorFlow {seen.row.release} finds no {names}{where}; {users} need it",
        tuple(_tool_clue(tool) for tool in gone),
        fixes,
        data={"tools": [tool.name for tool in gone], "present": [tool.present for tool in present]},
    )


def _tool_clue(tool: Tool) -> Clue:
    return Clue(tool.present or tool.name, (f"it is here; {tool.why}" if tool.present else tool.why)[:300])

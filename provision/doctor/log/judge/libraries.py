"""Findings about CUDA libraries, cuDNN and XLA's tools."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.log import fixes
from provision.doctor.log.judge.containers import started_with
from provision.doctor.log.judge.gpus import busy_at_start
from provision.doctor.log.seen import LIKELY, MAYBE, SURE, Library, Seen
from provision.model.doctor import Finding, Fix

_FIRST_MAJOR_SONAMES = 11.0
# cuDNN's own words where a part of it is not found: cuDNN 8, and 9
_CUDNN_SAYS = ("could not load library", "unable to load any of")
# the CUDA that TensorFlow's builds with that series of cuDNN want
_CUDA_OF = {"6": 8.0, "7": 10.1, "8": 11.0, "9": 12.0}


def missing(seen: Seen) -> Iterator[Finding]:
    """Yield which CUDA or cuDNN libraries were not found, and why as far as the log says."""
    if (older := seen.all("cuda-older")) and not seen.works:
        name, found, needs = (older[0].fields[key] for key in ("library", "loaded", "built"))
        what = f"the {name} that is found ({found}) is older than what this build was made with ({needs})"
        yield seen.finding("wrong_cuda_version", LIKELY, what, older, fixes.fresh(seen), found=found, needs=needs)
        return
    cuda, cudnn_parts = seen.missing_of("cuda"), seen.missing_of("cudnn")
    files = {item.fields["library"] for item in seen.all("file-there")}
    if there := [item for item in (*cuda, *cudnn_parts) if item.name in files]:
        names = ", ".join(item.name for item in there)
        add = Fix("put its folder on the loader's path", ("export LD_LIBRARY_PATH=FOLDER:$LD_LIBRARY_PATH",))
        what = f"{names}: installed, and not on the loader's path"
        yield seen.finding("ld_library_path_wrong", LIKELY, what, [item.signal for item in there], add, fixes.WIRE)
        return
    if seen.works and not seen.has("cudnn-absent", "cudnn-create", "cannot-dlopen"):
        # up to 1.x a GPU is registered without cuDNN; whatever was not found is not missed by this program
        cuda = ()
        cudnn_parts = tuple(item for item in cudnn_parts if "dynamic library" not in item.signal.text)
        cudnn_parts = tuple(item for item in cudnn_parts if not item.signal.text.startswith("Couldn't"))
    if cuda:
        yield from _missing_cuda(seen, cuda, cudnn_parts)
    elif cudnn_parts:
        yield _missing_cudnn(seen, cudnn_parts)
    elif seen.has("cannot-dlopen") and not seen.works:
        yield from _unnamed(seen)


def _missing_cudnn(seen: Seen, parts: tuple[Library, ...]) -> Finding:
    names = ", ".join(item.name for item in parts)
    # A line that stands alone and was printed without LD_LIBRARY_PATH says neither that CUDA is found nor where
    # cuDNN was looked for.
    context = (
        seen.opened
        or seen.enumerated
        or seen.windows
        or any(item.signal.fields.get("path") for item in parts)
        # cuDNN's own words: its first library was found, and one of its parts was not
        or any(item.signal.text.lower().startswith(_CUDNN_SAYS) for item in parts)
        or any(item.signal.family != "dlopen-failed" for item in parts)
    )
    return seen.finding(
        "missing_cudnn",
        LIKELY if context else MAYBE,
        f"cuDNN is not found: {names}",
        [item.signal for item in parts],
        *fixes.libraries(seen, seen.toolkit or next((_CUDA_OF[major] for major in _majors(parts)), None)),
        libraries=[item.name for item in parts],
    )


def _majors(parts: tuple[Library, ...]) -> list[str]:
    found = [re.search(r"\.so\.(\d+)|64_(\d+)\.dll", item.name) for item in parts]
    return [major for match in found if match and (major := match[1] or match[2]) in _CUDA_OF]


def _unnamed(seen: Seen) -> Iterator[Finding]:
    signals = seen.all("cannot-dlopen", "no-cuda-libraries")
    if wheels := seen.all("pip-cuda"):
        what = "the NVIDIA wheels are installed, and TensorFlow's loader does not find their libraries"
        yield seen.finding("wheel_rpath_bug", LIKELY, what, [*signals, *wheels[:3]], fixes.WIRE)
    elif (image := seen.all("official-image")) and (seen.has("smi-table") or any(map(started_with, image))):
        what = "the official image lacks CUDA libraries that its TensorFlow needs"
        add = fixes.pip("install the libraries in it, or use the image of another release", "tensorflow[and-cuda]")
        yield seen.finding("broken_official_image", LIKELY, what, [*signals, *image[:1]], add)


def _missing_cuda(seen: Seen, cuda: tuple[Library, ...], with_cudnn: tuple[Library, ...]) -> Iterator[Finding]:
    names = [item.name for item in (*cuda, *with_cudnn)]
    signals = [item.signal for item in (*cuda, *with_cudnn)]
    runtime_first = sorted(cuda, key=lambda item: "cudart" not in item.name.lower())
    needs = next((item.toolkit for item in runtime_first if item.toolkit), None)
    opened = [item for item in seen.opened if item.family == "cuda"]
    data = {"libraries": names, "needs": f"CUDA {needs:g}" if needs else None}
    listed = ", ".join(names)
    if [item.name for item in cuda] == ["libcusolver.so.10"] and _of_11(opened):
        what = "TensorFlow 2.4 opens libcusolver.so.10, which CUDA 11.0 brings and later toolkits do not"
        other = Fix("install CUDA 11.0, or use a release after 2.4", ("tfgpu-provision create --tf 2.11",))
        yield seen.finding("libcusolver_soname_24", LIKELY, what, signals, other, **data)
        return
    other_version = _other_toolkit(seen, cuda, needs)
    hard_link = seen.has("import-so") or any(item.signal.family == "import-dll" for item in cuda)
    partly = bool(opened) and any("cudart" in item.name.lower() for item in cuda)
    if other_version or hard_link or partly:
        there = f"CUDA {other_version} is installed" if other_version else "another CUDA version, or none, is installed"
        what = f"this TensorFlow needs {listed}{f' (CUDA {needs:g})' if needs else ''}; {there}"
        ways = fixes.libraries(seen, needs)
        yield seen.finding("wrong_cuda_version", LIKELY, what, signals, *ways, found=other_version, **data)
        return
    # said of itself to be of no matter without a GPU, and neither a line of the log nor the search path speaks of one
    meant = seen.enumerated or seen.has("cannot-dlopen") or any(_names_cuda(item) for item in cuda)
    quiet = seen.has("cudart-stub") and len(names) == 1 and not meant
    sure = MAYBE if quiet else LIKELY
    ways = fixes.libraries(seen, needs)
    yield seen.finding("missing_cuda_library", sure, f"not found: {listed}", signals, *ways, **data)


def _names_cuda(item: Library) -> bool:
    return bool(re.search(r"cuda|nvidia", item.signal.fields.get("path", ""), re.IGNORECASE))


def _of_11(opened: list[Library]) -> bool:
    return not opened or any(".so.11" in item.name for item in opened)


def _other_toolkit(seen: Seen, cuda: tuple[Library, ...], needs: float | None) -> str | None:
    """Return another CUDA version that the search path or a tool names, where none that would do is named."""
    if needs is None:
        return None
    named = [found for item in cuda for found in re.findall(r"cuda-(\d+\.\d+)", item.signal.fields.get("path", ""))]
    named += [item.fields["version"] for item in seen.all("nvcc")]
    fits = [
        float(found) == needs if needs < _FIRST_MAJOR_SONAMES else int(float(found)) == int(needs) for found in named
    ]
    return None if any(fits) else next(iter(named), None)


def cudnn(seen: Seen) -> Iterator[Finding]:
    """Yield that cuDNN is of another version, or that it finds no memory."""
    if wrong := seen.all("cudnn-mismatch"):
        loaded, built = _dotted(wrong[0].fields["loaded"]), _dotted(wrong[0].fields["built"])
        what = f"cuDNN {loaded} is loaded, this TensorFlow was built with {built}"
        yield seen.finding(
            "cudnn_version_mismatch", SURE, what, wrong, *fixes.cudnn(seen, built), found=loaded, built=built
        )
        return
    if parts := seen.all("cudnn-sublibrary"):
        what = "parts of cuDNN of different versions are loaded"
        yield seen.finding("cudnn_version_mismatch", LIKELY, what, parts, *fixes.cudnn(seen, None))
        return
    failed = [item for item in seen.all("cudnn-create") if "BAD_PARAM" not in item.text]
    if failed and not seen.missing_of("cudnn") and not busy_at_start(seen):
        what = "cuDNN cannot make its handle, as a rule because the GPU's memory is taken already"
        yield seen.finding("cudnn_init_failed_memory", LIKELY, what, failed, fixes.growth(seen), fixes.WHO_HOLDS)


def blas(seen: Seen) -> Iterator[Finding]:
    """Yield that cuBLAS or one of its like finds no memory."""
    create = seen.all("blas-create")
    alloc = seen.all("blas-alloc")
    if (create and not seen.newer_than_toolkit) or alloc:
        what = "cuBLAS cannot make its handle, as a rule because the GPU's memory is taken already"
        signals = [*create, *alloc]
        yield seen.finding(
            "cublas_init_failed_memory", LIKELY if alloc else MAYBE, what, signals, fixes.growth(seen), fixes.WHO_HOLDS
        )


def _dotted(text: str) -> str:
    """Return ``7.1.2`` of ``7102``, ``9.3.0`` of ``90300``."""
    if "." in text:
        return text
    number, five_digits = int(text), 10000
    if number >= five_digits:
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return f"{number // 1000}.{number // 100 % 10}.{number % 100}"


def tools(seen: Seen) -> Iterator[Finding]:
    """Yield that XLA finds no ptxas or no libdevice."""
    if lacking := seen.all("libdevice", "ptxas"):
        names = [name for name, family in (("libdevice.10.bc", "libdevice"), ("ptxas", "ptxas")) if seen.has(family)]
        # without ptxas the driver may do its work: then nothing fails, unless an operation says so
        failed = any("OP_REQUIRES" in item.text for item in lacking)
        instead = seen.has("ptxas-fallback") and not failed
        sure = SURE if seen.has("libdevice") else MAYBE if instead else LIKELY
        what = f"XLA does not find {' and '.join(names)}"
        yield seen.finding("ptxas_libdevice_missing", sure, what, lacking, fixes.WIRE, fixes.XLA_FLAGS)

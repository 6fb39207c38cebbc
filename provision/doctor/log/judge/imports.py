"""Findings about an import of TensorFlow that fails."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.log import fixes
from provision.doctor.log.seen import LIKELY, SURE, Seen
from provision.model.doctor import Finding, Fix
from provision.model.log import Signal

# Names that every TensorFlow has had since 0.x: where one is lacking, something else of that name was imported.
_ALWAYS_THERE = frozenset(
    {"__version__", "constant", "Variable", "float32", "int32", "nn", "add", "zeros", "ones", "python", "version"}
)
_AS_NEW_AS_CODE = re.compile(r"builder|runtime_version|gencode|create_key|serialized_|pool", re.IGNORECASE)
_NUMPY_TWO = re.compile(r"NumPy 1\.x|_ARRAY_API|has no attribute|was removed", re.IGNORECASE)
_OF_CUDA = re.compile(r"cublas|cusolver|cusparse|cufft|__nvJitLink|nvJitLink|__cuda")


def system(seen: Seen) -> Iterator[Finding]:
    """Yield that the system under Python cannot carry this build."""
    # TensorBoard does without its data server where the system is too old for that one program
    if old := [
        item for item in seen.all("symbol-version") if "tensorboard_data_server" not in item.fields.get("by", "")
    ]:
        symbols = sorted({item.fields["symbol"] for item in old})
        what = f"the system's C or C++ library is older than needed: {', '.join(symbols)} not found"
        other = Fix(
            "use a release that was built for an older system, or a newer system or container", fixes.PLAN.commands
        )
        yield seen.finding("glibc_too_old", SURE, what, old, other, needs=symbols[-1])
    if (sigill := seen.all("illegal-instruction")) and not seen.works:
        what = "the processor, or the virtual machine, lacks instructions that this build uses (AVX)"
        look = Fix(
            "give the virtual machine the host's processor, or use another machine or a build without AVX",
            ("grep -o -m1 -w avx /proc/cpuinfo",),
        )
        sure = SURE if any("what" in item.fields for item in sigill) else LIKELY
        yield seen.finding("avx_missing_illegal_instruction", sure, what, sigill, look)
    if segment := seen.all("map-segment"):
        what = "a library cannot be mapped: a memory limit, or a file system that is mounted noexec"
        look = Fix("see the limit and the mount, and raise or move", ("ulimit -v", "findmnt -T ENV"))
        yield seen.finding("host_memory_or_noexec", SURE, what, segment, look)
    if full := seen.all("no-space"):
        what = "a file system is full, or a quota is used up"
        yield seen.finding("disk_full", SURE, what, full, Fix("see which, and make room", ("df -h", "df -i")))
    if broken := seen.all("broken-file"):
        what = "a library file is damaged or of another architecture"
        words = ("--force-reinstall", "--no-cache-dir", "tensorflow[and-cuda]")
        yield seen.finding("damaged_install", SURE, what, broken, fixes.pip("install the package anew", *words))


def symbols(seen: Seen) -> Iterator[Finding]:
    """Yield whose symbol is lacking: Python's, the driver's or a CUDA library's."""
    for item in seen.all("undefined-symbol"):
        symbol = item.fields["symbol"]
        if seen.has("dso-symbol"):
            continue  # the library itself is not there
        if re.match(r"PyUnicodeUCS[24]_|_?Py[A-Z]", symbol):
            what = f"the build is for another Python: this one has no {symbol}"
            yield seen.finding("python_version_unsupported", SURE, what, [item], fixes.other_python(seen))
        elif re.match(r"cu[A-Z]", symbol):
            what = f"the driver's libcuda is too old: it has no {symbol}"
            yield seen.finding("driver_too_old", LIKELY, what, [item], fixes.driver(seen))
        elif re.match(r"cudnn|_ZN\w{0,6}?\d+cudnn", symbol) or "libcudnn" in item.fields.get("by", ""):
            what = f"the cuDNN that is found first has no {symbol}"
            yield seen.finding("cudnn_version_mismatch", LIKELY, what, [item], fixes.fresh(seen))
        elif _OF_CUDA.match(symbol):
            what = f"a CUDA library of another version is found first: it has no {symbol}"
            unset = Fix("take other CUDA versions out of the loader's path", ("unset LD_LIBRARY_PATH",))
            yield seen.finding("ld_library_path_conflict", LIKELY, what, [item], unset)


def windows(seen: Seen) -> Iterator[Finding]:
    """Yield that Windows cannot load TensorFlow's own library."""
    loads = seen.all("dll-load", "runtime-dll")
    if loads and not seen.missing_of("cuda") and not seen.missing_of("cudnn"):
        what = "Windows cannot load TensorFlow's own library or one that it needs"
        runtime = Fix(
            "install the Visual C++ redistributable for 2015 to 2022 (x64)",
            ("winget install Microsoft.VCRedist.2015+.x64",),
        )
        avx = Fix("where that does not help, the processor may lack AVX")
        yield seen.finding("msvc_or_dll_load_failed", LIKELY, what, loads, runtime, avx)


def packages(seen: Seen) -> Iterator[Finding]:
    """Yield which package beside TensorFlow does not fit."""
    if seen.works:
        return
    protobuf, numpy = seen.all("protobuf"), seen.all("numpy")
    if protobuf:
        what = "protobuf is of a version that TensorFlow's generated code cannot use"
        newer = any(_AS_NEW_AS_CODE.search(item.text) for item in protobuf)
        words = ("--upgrade", "protobuf>=3.20.3") if newer else ("protobuf<3.21",)
        yield seen.finding("protobuf_conflict", SURE, what, protobuf, fixes.pip("install one that fits", *words))
    if numpy and not protobuf:
        what = "NumPy is of another version than this TensorFlow was built with"
        words = ("numpy<2",) if any(_NUMPY_TWO.search(item.text) for item in numpy) else ("--upgrade", "numpy<2")
        yield seen.finding("numpy_abi_conflict", SURE, what, numpy, fixes.pip("install one that fits", *words))
    if extensions := seen.all("typing-extensions"):
        what = "typing_extensions is older than a package needs"
        fix = fixes.pip("install a newer one", "typing_extensions>=4.6")
        yield seen.finding("typing_extensions_conflict", SURE, what, extensions, fix)
    if keras := seen.all("keras"):
        what = "Keras is of another series than this TensorFlow or a package expects"
        yield seen.finding(
            "keras_conflict", LIKELY, what, keras, fixes.pip("install the Keras 2 beside it", "tf-keras")
        )


def whose(seen: Seen) -> Iterator[Finding]:
    """Yield that what was imported is not TensorFlow, or that there is none."""
    shadow = _shadow(seen)
    if shadow and not seen.works:
        what = "another file or folder named tensorflow is imported instead of the package"
        look = ('python -c "import tensorflow; print(tensorflow)"',)
        fix = Fix("see which one, rename it and delete its __pycache__", look)
        yield seen.finding("stale_import_shadow", LIKELY, what, shadow, fix)
    elif none := seen.all("no-tensorflow"):
        what = "the Python that ran has no TensorFlow"
        add = fixes.pip("install it for the Python that ran", "tensorflow[and-cuda]")
        other = Fix("run the Python that has it", ('python -c "import sys; print(sys.executable)"',))
        yield seen.finding("tensorflow_missing", SURE, what, none, add, other)


def _shadow(seen: Seen) -> list[Signal]:
    empty = [item for item in seen.all("tensorflow-empty") if item.fields["name"] in _ALWAYS_THERE]
    local = [item for item in seen.all("local-file") if "site-packages" not in item.fields["file"]]
    return [*seen.all("shadow"), *local, *empty]

"""Messages of TensorFlow's library loader and of the dynamic loader itself."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

_LIBRARY = r"(?P<library>(?:lib)?[A-Za-z][\w+\-]*(?:\.so(?:\.\d+)*|(?:64|32)?[_\-\d]*\.dll|\.dylib))"
_TENSORRT = "TensorRT is an inference extra that TensorFlow only opens where it is installed; the GPU works without it"

FAMILIES: tuple[Family, ...] = (
    # 1.14 to 2.12, and in verbose logs of later ones; before that "Couldn't open CUDA library"
    family(
        "dlopen-failed",
        rf"could not load dynamic library '?{_LIBRARY}'?(?:;? dlerror:(?P<error>[^;\n]*))?"
        r"(?:; LD_LIBRARY_PATH:\s?(?P<path>\S*))?",
        "dynamic library|dlerror",
    ),
    family(
        "dlopen-failed",
        rf"couldn't open CUDA library {_LIBRARY}\.?(?: LD_LIBRARY_PATH:\s?(?P<path>\S*))?",
        "couldn't open",
    ),
    family("dlopen-failed", rf"could not dlopen DSO: {_LIBRARY}; dlerror:(?P<error>[^\n]*)", "dlopen dso"),
    family(
        "dlopen-failed",
        rf"could not load (?:the )?library {_LIBRARY}\.(?: Error:(?P<error>[^\n]*))?",
        "could not load|unable to load",
    ),
    family("dlopen-failed", rf"(?:could not locate|unable to load(?: any of)?) [{{']*{_LIBRARY}", "locate|unable to"),
    family("dlopen-failed", r"unable to load (?P<library>cuDNN) DSO", "cudnn dso"),
    family("dlopen-ok", rf"successfully opened (?:dynamic|CUDA) library {_LIBRARY}", "successfully opened"),
    # up to 0.9 functions are looked up one by one, and a library that is not there lacks its first one
    family(
        "dso-symbol", r"could not find (?P<symbol>\w+) in (?P<library>cudnn|cublas|cufft|curand|cudart) DSO", " dso"
    ),
    family("cannot-dlopen", r"cannot dlopen some GPU libraries", "some gpu"),
    family("skipping-gpus", r"skipping registering GPU devices", "skipping registering"),
    # CPython, ctypes or another library's loader: a hard link that is not met
    family(
        "import-so",
        rf"(?:ImportError|OSError|RuntimeError|error while loading shared libraries)[^\n]{{0,200}}?:? ?{_LIBRARY}: "
        r"cannot open shared object file",
        "cannot open shared",
    ),
    family("unfound-so", rf"(?<!dlerror:\s)(?<![\w.]){_LIBRARY}: cannot open shared object file", "cannot open shared"),
    family("import-dll", rf"could not find '?(?:the DLL\(s\) )?'?{_LIBRARY}'?", ".dll"),
    family(
        "dll-load",
        r"DLL load failed(?: while importing (?P<module>[\w.]+))?: (?P<error>[^\n\"]{0,120})",
        "dll load failed",
        kind="python",
    ),
    family("native-runtime", r"failed to load the native TensorFlow runtime", "native tensorflow", kind="python"),
    family(
        "map-segment",
        r"(?<![^\s:])(?P<file>[^\s:]{1,240}): failed to map segment from shared object",
        "map segment",
        kind="python",
    ),
    family("static-tls", r"cannot allocate memory in static TLS block", "static tls", kind="python"),
    family(
        "broken-file",
        r"(?<![^\s:])(?P<file>[^\s:]{1,240}?\.so[\d.]{0,12}): (?P<error>file too short|invalid ELF "
        r"header|wrong ELF class: \w+|"
        r"ELF load command[^\n]{0,60}|cannot read file data[^\n]{0,40}|cannot map[^\n]{0,60})",
        "file too short|elf|cannot read file|cannot map",
        kind="python",
    ),
    family(
        "symbol-version",
        r"version `?'?(?P<symbol>(?:GLIBC|GLIBCXX|CXXABI|GCC)_[\d.]+)'? not found(?: \(required by (?P<by>[^)\n]+)\))?",
        "glibc|cxxabi|gcc_",
        kind="python",
    ),
    family(
        "undefined-symbol",
        r"undefined symbol: (?P<symbol>[\w@]+)(?:, version (?P<by>[\w.\-]+))?",
        "undefined symbol",
        kind="python",
    ),
    family(
        "cudart-stub",
        r"ignore above cudart dlerror if you do not have a GPU|cudart_stub\.cc:\d+\] Ignore",
        "cudart dlerror|cudart_stub.cc",
        meaning="says itself that the missing CUDA runtime does not matter on a machine without a GPU",
    ),
    family("no-cuda-libraries", r"(?:could|can) ?not find cuda drivers on your machine", "cuda drivers"),
    family(
        "tensorrt",
        r"TF-TRT Warning|(?:could not load dynamic library|dlopen)[^\n]{0,20}libnvinfer|could not find TensorRT|"
        r"cannot dlopen some TensorRT libraries",
        "trt|libnvinfer|tensorrt",
        meaning=_TENSORRT,
    ),
)
"""Rows of the loader."""

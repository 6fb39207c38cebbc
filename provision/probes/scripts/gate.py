"""Call TensorFlow's own library loader without importing TensorFlow.

``libtensorflow_framework`` exports the function that opens the CUDA libraries before a GPU is registered
(``MaybeTryDlopenGPULibraries``) and one ``Get…DsoHandle`` per library. They are C++ functions that return an object
through a hidden pointer, so a buffer as the only argument is all they need. What they say is read from TensorFlow's own
log, from the loader's (``LD_DEBUG=libs``) and from what is mapped afterwards; the returned object is only looked at for
agreement, because its layout changed between releases.

Every call runs in a child of this process: a truncated library kills whoever maps it.
"""

import ctypes
import json
import os
import re
import signal
import sys

import _elf
import _guest

_OPENED = re.compile(r"Successfully opened dynamic library (\S+)")
_NOT_OPENED = re.compile(r"Could not load dynamic library '([^']+)'; dlerror: (.*)")
_FIND = re.compile(r"find library=(\S+) \[\d+\]; searching")
_PATH = re.compile(r"search path=(\S*)\s+\((.+)\)\s*$")
_TRY = re.compile(r"trying file=(.+?)\s*$")
_HARDWARE = re.compile(r"/(glibc-hwcaps/[^/]+|tls|haswell|avx512_1|x86_64)(?=/|$)")
_UNWRITTEN = 0x5AA5C33C5AA5C33C
_WORDS = 64
_NOLOAD = 4
_DI_LINKMAP = 2
_GATE = "MaybeTryDlopenGPULibraries"
_OF_THE_GATE = ("CudaRuntime", "Cublas", "CublasLt", "Cufft", "Curand", "Cusolver", "Cusparse", "Cudnn")
_BESIDE_THE_GATE = ("CudaDriver", "Cupti", "Nccl")


# --- inside a child ----------------------------------------------------------------------------------------------


def loaded_file(soname):
    """Return the file that answers to this name in this process, None where none does."""

    class LinkMap(ctypes.Structure):
        _fields_ = [("l_addr", ctypes.c_void_p), ("l_name", ctypes.c_char_p)]

    try:
        library = ctypes.CDLL(soname, mode=_NOLOAD)
        pointer = ctypes.POINTER(LinkMap)()
        dlinfo = ctypes.CDLL(None).dlinfo
        dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        if dlinfo(
            library._handle,  # noqa: SLF001 - ctypes has no public name for it
            _DI_LINKMAP,
            ctypes.byref(pointer),
        ):
            return None
        return os.path.realpath(os.fsdecode(pointer.contents.l_name))
    except (OSError, AttributeError, ValueError):
        return None


def _parts(function, *kinds):
    values = []
    for kind in kinds:
        value = ctypes.c_int(-1)
        if function(kind, ctypes.byref(value)) or value.value < 0:
            return None
        values.append(str(value.value))
    return ".".join(values)


def library_version(soname, file):
    """Return (version, problem) as the library itself says; ``no version function`` betrays an impostor."""
    name = re.match(r"lib([A-Za-z]+)", soname).group(1)
    library = ctypes.CDLL(file)
    try:
        if name == "cudnn":
            library.cudnnGetVersion.restype = ctypes.c_size_t
            number = library.cudnnGetVersion()
            # 8600 is 8.6.0, from 9 on 90300 is 9.3.0
            major, rest = divmod(number, 10000) if number >= 90000 else divmod(number, 1000)
            return "%d.%d.%d" % (major, rest // 100, rest % 100), None
        if name in ("cudart", "cupti", "nccl"):
            function = {"cudart": "cudaRuntimeGetVersion", "cupti": "cuptiGetVersion", "nccl": "ncclGetVersion"}[name]
            value = ctypes.c_int(0)
            code = getattr(library, function)(ctypes.byref(value))
            if code or value.value <= 0:
                return None, "%s returned %d" % (function, code)
            if name == "cudart":
                return "%d.%d" % (value.value // 1000, value.value % 1000 // 10), None
            if name == "nccl" and value.value >= 10000:
                return "%d.%d.%d" % (value.value // 10000, value.value % 10000 // 100, value.value % 100), None
            return str(value.value), None
        function = getattr(library, name + "GetProperty", None)
        if function is None and name in ("cublas", "cublasLt", "cufft", "curand", "cusolver", "cusparse"):
            return None, "no version function"
        return (_parts(function, 0, 1, 2), None) if function is not None else (None, None)
    except AttributeError:
        return None, "no version function"


def child(task):
    """Call one loader function and say what is there afterwards."""
    import importlib.util

    _wake_hooks(importlib.util)
    said = {"before": _guest.mapped_libraries()}
    try:
        library = ctypes.CDLL(task["framework"])
        function = getattr(library, task["function"])
    except (OSError, AttributeError) as error:
        said["unloadable"] = _guest.error_text(error)
        _guest.answer(said)
        return
    function.restype = None
    buffer = (ctypes.c_uint64 * _WORDS)(*([_UNWRITTEN] * _WORDS))
    # Newer framework libraries open the CUDA runtime when they are loaded: what they said then is not this call's.
    start = os.path.getsize(task["log"])
    function(ctypes.byref(buffer))
    with open(task["log"], "rb") as stream:
        stream.seek(start)
        libraries = said_by_tensorflow(stream.read().decode("utf-8", "replace"))
    written = [word for word in buffer if word != _UNWRITTEN]
    # A returned status is OK where its last word is 0 or 1 and an error where it points to one; a handle says nothing.
    said["status_ok"] = (written[-1] in (0, 1)) if written and task["status"] else None
    for item in libraries:
        if item["found"]:
            item["file"] = loaded_file(item["soname"])
    said["libraries"] = libraries
    said["mapped"] = _guest.mapped_libraries()
    said["returned"] = True
    # The runtime may start up the driver to answer, and a sick driver may crash it: it is asked last.
    for item in sorted(libraries, key=lambda item: item["soname"].startswith("libcudart")):
        if item["found"] and item["file"]:
            said["asking"] = item["soname"]
            _guest.answer(said)
            item["version"], item["version_problem"] = library_version(item["soname"], item["file"])
    said["asking"] = None
    _guest.answer(said)


def _wake_hooks(util):
    """Let hooks of the environment do what they do when tensorflow is imported, without importing it.

    This tool's own hook loads the libraries early where LD_LIBRARY_PATH is set and a driver is there. The gate asks
    what would happen with a driver, so the same files are loaded in the same way without one too.
    """
    try:
        util.find_spec("tensorflow")
        hook = sys.modules.get("_tfgpu_hook")
        if hook is None or hook.Finder not in sys.meta_path:
            return
        hook.prepare()
        if hook.SEARCHED_FIRST.strip(":;"):
            for name in hook.PRELOAD:
                try:
                    ctypes.CDLL(os.path.join(hook.HERE, name), os.RTLD_LAZY | os.RTLD_LOCAL)
                except OSError:
                    pass
    except Exception:
        pass


def said_by_tensorflow(log):
    """Return each library that TensorFlow's log names, once, in order, with what dlopen said."""
    found = {}
    order = []
    for line in log.splitlines():
        opened, failed = _OPENED.search(line), _NOT_OPENED.search(line)
        if opened or failed:
            soname = (opened or failed).group(1)
            if soname not in found:
                order.append(soname)
            error = None if opened else failed.group(2).split("; LD_LIBRARY_PATH:")[0].strip()
            found[soname] = {"soname": soname, "found": bool(opened), "file": None, "dlerror": error}
    return [found[soname] for soname in order]


# --- outside: start a child, read both logs ------------------------------------------------------------------------


def said_by_loader(text):
    """Return per library name where the loader searched, in order, and the last file it tried."""
    found = {}
    current = None
    for line in text.splitlines():
        match = _FIND.search(line)
        if match:
            current = found.setdefault(match.group(1), {"searched": [], "tried": None})
            continue
        if current is None:
            continue
        match = _PATH.search(line)
        if match:
            _add_folders(current["searched"], match.group(1), match.group(2))
        elif "search cache=" in line:
            current["searched"].append({"why": "loader cache", "folders": [line.split("search cache=")[1].strip()]})
        match = _TRY.search(line)
        if match:
            current["tried"] = match.group(1)
        elif "calling init:" in line:
            current = None
    return found


def being_loaded(text):
    """Return the files that were found and not yet started when the loader stopped talking; else the last one started.

    The first of them is what was asked for, the others are what it needs.
    """
    files, started = [], []
    fresh = False
    for line in text.splitlines():
        if "calling init:" in line:
            files, started = [], [line.split("calling init:")[1].strip()]
        elif _FIND.search(line):
            fresh, started = True, []
        else:
            match = _TRY.search(line)
            if match:
                # Of the files tried for one name the last one is what was found.
                files[len(files) if fresh else len(files) - 1 :] = [match.group(1)]
                fresh = False
    return files or started


def _add_folders(searched, folders, why):
    plain = []
    for folder in folders.split(":"):
        bare = os.path.normpath(_HARDWARE.sub("", folder)) if folder else "."
        if bare not in plain:
            plain.append(bare)
    searched.append({"why": why, "folders": plain})


def ending(code):
    """Return how a child ended: empty, ``signal SIGBUS``, ``exit 1``."""
    if code == 0:
        return ""
    if code < 0:
        try:
            return "signal " + signal.Signals(-code).name
        except ValueError:
            return "signal %d" % -code
    return "exit %d" % code


def start(folder, framework, name, function):
    """Start one child for one loader function; `finish` waits for it."""
    import subprocess  # the child, which starts as often, does without

    log = os.path.join(folder, name + ".log")
    debug = os.path.join(folder, name + ".ld")
    environ = dict(os.environ, LD_DEBUG="libs", LD_DEBUG_OUTPUT=debug)
    # A user's level of 2 or 3 hides what went wrong; from 2.5 on successes are said at verbosity 1 only.
    environ.update(TF_CPP_MIN_LOG_LEVEL="0", TF_CPP_VMODULE="dso_loader=1", TF_CPP_MAX_VLOG_LEVEL="0")
    task = {"framework": framework, "function": function, "log": log, "status": name == _GATE}
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-s", os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=environ,
        )
    try:
        process.stdin.write(json.dumps({"child": task}).encode())
        process.stdin.close()
    except OSError:
        pass  # it has died already, and `finish` tells how
    process.stdin = None
    return process, folder, log, debug


def finish(started, seconds):
    """Wait for a child and return what it and both logs say; always a dict with ``ended``."""
    import subprocess

    process, folder, log, debug = started
    try:
        output, _ = process.communicate(timeout=seconds)
        ended = ending(process.returncode)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        ended = "timeout"
    with open(log, encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    result = {"libraries": said_by_tensorflow(text), "log": text[-6000:], "status_ok": None, "mapped": None}
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith(_guest.MARK):
            result.update(json.loads(line[len(_guest.MARK) :]))
    # A library that crashes when it is asked for its version has been opened all the same.
    result["ended"] = "" if result.get("returned") else ended
    if result.get("returned") and ended:
        result["version_crash"] = {"soname": result.get("asking"), "ended": ended}
    loader = {}
    unfinished = []
    for file in sorted(os.listdir(folder)):
        if file.startswith(os.path.basename(debug) + "."):
            with open(os.path.join(folder, file), encoding="utf-8", errors="replace") as stream:
                text = stream.read()
            loader.update(said_by_loader(text))
            unfinished += being_loaded(text)
    for item in result["libraries"]:
        item.update(loader.get(item["soname"], {"searched": [], "tried": None}))
    if result["ended"]:
        # What a library needs is looked for before the library is mapped whole: either may be what killed the child.
        damaged = [file for file in unfinished if _elf.cut_short(file)]
        result["died_at"] = (damaged + unfinished + [None])[0]
    return result


def main():
    """Answer for one framework library."""
    given = _guest.arguments()
    if "child" in given:
        child(given["child"])
        return
    import shutil
    import tempfile

    framework = given["framework"]
    seconds = float(given.get("seconds", 60))
    try:
        read = _elf.read_framework(framework)
    except (OSError, ValueError) as error:
        _guest.answer({"framework": framework, "unreadable": _guest.error_text(error)})
        return
    said = dict(read, framework=framework, calls={})
    folder = tempfile.mkdtemp(prefix="tfgpu-gate-")
    try:
        functions = read["functions"]

        def begin(names):
            # Side by side: each of them spends most of its time with loading the same library.
            return [(name, start(folder, framework, name, functions[name])) for name in names if name in functions]

        started = begin([_GATE]) + begin(given.get("beside", _BESIDE_THE_GATE))
        for name, child_process in started:
            answer = finish(child_process, seconds)
            if name == _GATE:
                said["gate"] = answer
            else:
                said["calls"][name] = answer
        if "gate" not in said or (said["gate"]["ended"] and given.get("narrow", True)):
            for name, child_process in begin(_OF_THE_GATE):
                said["calls"][name] = finish(child_process, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _guest.answer(said)


if __name__ == "__main__":
    main()

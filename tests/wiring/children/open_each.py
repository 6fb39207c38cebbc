"""Run inside an environment: open each library named on the command line, each in a child of its own.

Afterwards ask for what is only opened at run time: the parts of cuDNN through cuDNN's own version checks, and the
built-in functions of NVRTC by compiling a kernel. None of it needs a GPU. Prints one JSON object: path to failure.
"""

import ctypes
import json
import os
import sys

CUDNN_CHECKS = (
    "cudnnOpsInferVersionCheck",
    "cudnnOpsTrainVersionCheck",
    "cudnnCnnInferVersionCheck",
    "cudnnCnnTrainVersionCheck",
    "cudnnAdvInferVersionCheck",
    "cudnnAdvTrainVersionCheck",
    "cudnnGraphVersionCheck",
    "cudnnOpsVersionCheck",
    "cudnnCnnVersionCheck",
    "cudnnAdvVersionCheck",
)
KERNEL = b"__global__ void f(float *x) { x[0] = __expf(x[1]); }"


def use(path):
    library = ctypes.CDLL(path, os.RTLD_NOW | os.RTLD_LOCAL)
    name = os.path.basename(path)
    if name.startswith("libcudnn.so"):
        for check in CUDNN_CHECKS:
            if hasattr(library, check) and getattr(library, check)() != 0:
                raise OSError(check + " failed")
    if name.startswith("libnvrtc.so"):
        program = ctypes.c_void_p()
        library.nvrtcCreateProgram(ctypes.byref(program), KERNEL, b"f.cu", 0, None, None)
        status = library.nvrtcCompileProgram(program, 0, None)
        if status != 0:
            raise OSError("nvrtcCompileProgram returned %d" % status)


def failure(path):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            use(path)
            text = ""
        except Exception as error:
            text = "%s: %s" % (type(error).__name__, error)
        os.write(write, text.encode()[:2000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        text = stream.read().decode()
    status = os.waitpid(child, 0)[1]
    return text or ("" if status == 0 else "status %d" % status)


FAILURES = {path: failure(path) for path in sys.argv[1:]}
print(json.dumps({"opened": len(FAILURES), "failures": {path: text for path, text in FAILURES.items() if text}}))

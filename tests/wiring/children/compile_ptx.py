"""Run inside an environment: let its own TensorFlow compile PTX, through its own flags and search, without a GPU.

TensorFlow exports the functions that XLA uses for it. They are called as C++ would call them on x86-64: what is
returned by value, and what is passed by value but has a destructor, goes by a pointer to room for it. Prints one JSON
object: ``cuda`` is the toolkit release of the ptxas that answered, read from the cubin, None where none did.
"""

import ctypes
import glob
import json
import os
import re
import struct

import tensorflow as tf

FOLDER = os.path.dirname(tf.__file__)
LIBRARIES = [
    ctypes.CDLL(path)
    for pattern in ("python/_pywrap_tensorflow_internal.so", "libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
    for path in glob.glob(os.path.join(FOLDER, pattern))
]
PTX = b".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry f(.param .u64 a){ ret; }\n"
ROOM = 1 << 14
KEPT = []  # whatever C++ was given a pointer to


def function(name):
    for library in LIBRARIES:
        found = getattr(library, name, None)
        if found is not None:
            found.restype = None
            return found
    return None


def read(address, size):
    """Memory of this process, b"" where there is none: guessed addresses must not crash it."""
    try:
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(address)
            return memory.read(size)
    except (OSError, ValueError, OverflowError):
        return b""


def room():
    KEPT.append(ctypes.create_string_buffer(ROOM))
    return KEPT[-1]


def words(data):
    return struct.unpack("%dQ" % (len(data) // 8), data[: len(data) // 8 * 8])


def folder_in(flags):
    """The text of xla_gpu_cuda_data_dir inside a DebugOptions message: the one string of it that is a path."""
    for pointer in words(flags.raw[:4096]):
        for text in (read(pointer & ~3, 8), read(pointer, 512)):
            target = read(words(text)[0], 512) if len(text) == 8 else text
            match = re.match(rb"(/[^\0]{3,400}|\./cuda_sdk_lib)\0", target)
            if match:
                return match.group(1)
    return b""


def options():
    """The GpuAsmOpts that follow from XLA_FLAGS."""
    flags, asked = room(), room()
    function("_ZN3xla24GetDebugOptionsFromFlagsEv")(flags)
    convert = function("_ZN3xla3gpu23PtxOptsFromDebugOptionsERKNS_12DebugOptionsE")
    if convert:
        convert(asked, flags)
    else:  # the oldest releases: a bool, then the folder as a reference-counted string, as their compiler made them
        folder = folder_in(flags)
        text = ctypes.create_string_buffer(struct.pack("<QQq", len(folder), len(folder), 1) + folder + b"\0")
        KEPT.append(text)
        struct.pack_into("<QQ", asked, 0, 0, ctypes.addressof(text) + 24)
    return asked


def compile_ptx():
    """Room with the StatusOr<vector<uint8>> that comes back; each release has one of these signatures."""
    answer = room()
    capability = (ctypes.c_int * 16)(8, 0)
    source = ctypes.create_string_buffer(PTX)
    text = (ctypes.c_uint64 * 4)(ctypes.addressof(source), len(PTX), 0, 0)  # a std::string
    KEPT.extend((capability, source, text))
    base, string = "_ZN15stream_executor13CompileGpuAsmE", "RKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
    by_capability = base + "RKNS_21CudaComputeCapabilityE"
    for name, arguments in (
        (base + "iiPKc", (8, 0, ctypes.c_char_p(PTX))),
        (by_capability + string, (capability, text)),
        (by_capability + "PKc", (capability, ctypes.c_char_p(PTX))),
    ):
        for tail, more in (("NS_10GpuAsmOptsE", ()), ("NS_10GpuAsmOptsEb", (False,))):
            found = function(name + tail)
            if found is not None:
                found(answer, *arguments, options(), *more)
                return answer
    return None


def toolkit(answer):
    """The release of the toolkit that made the cubin in the answer."""
    found = words(answer.raw[:128])
    for begin, end in zip(found, found[1:]):
        if 64 < end - begin < (1 << 20):
            cubin = read(begin, end - begin)
            if cubin.startswith(b"\x7fELF"):
                noted = re.search(rb"release (\d+\.\d+)", cubin)  # since CUDA 13; before, the ELF header's version
                return noted.group(1).decode() if noted else "%.1f" % (struct.unpack_from("<I", cubin, 20)[0] / 10)
    return None


ANSWER = compile_ptx()
print(
    json.dumps(
        {
            "callable": ANSWER is not None,
            "cuda": toolkit(ANSWER) if ANSWER is not None else None,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        }
    )
)

"""Ask the CUDA driver library itself: which file is it, what does cuInit say, which devices does it show?

Pure ctypes. Takes nothing; answers ``{"library", "load_error", "version", "init", "count", "devices": [...]}`` where
``init`` and ``count_code`` are CUresult numbers. It obeys CUDA_VISIBLE_DEVICES of its own environment, so the caller
asks twice. ``cuDriverGetVersion`` is asked before ``cuInit``: a broken driver still tells its version.
"""

import ctypes

import _guest

# What TensorFlow asks for, and where WSL keeps it should the loader not know. Never libcuda.so: that is a stub.
NAMES = ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
COMPUTE_CAPABILITY_MAJOR = 75  # CUdevice_attribute numbers of cuda.h
COMPUTE_CAPABILITY_MINOR = 76


def library_file():
    """Return the file that answered."""
    return next((path for path in _guest.mapped_libraries() or () if "/libcuda.so" in path), None)


def load():
    """Return the library, or None, and what the loader said."""
    errors = []
    for name in NAMES:
        try:
            return ctypes.CDLL(name), errors
        except OSError as error:
            errors.append(str(error))
    return None, errors


def call(library, name, *arguments):
    """Return the CUresult, None where this library has no such function."""
    function = getattr(library, name, None)
    if function is None:
        return None
    function.restype = ctypes.c_int
    return function(*arguments)


def device(library, index):
    """Return everything about one device."""
    handle = ctypes.c_int()
    code = call(library, "cuDeviceGet", ctypes.byref(handle), ctypes.c_int(index))
    if code != 0:
        return {"index": index, "code": code}
    found = {"index": index, "code": 0, "name": None, "compute_capability": None, "memory_mib": None}
    found.update({"uuid": None, "pci_bus_id": None})
    name = ctypes.create_string_buffer(256)
    if call(library, "cuDeviceGetName", name, ctypes.c_int(256), handle) == 0:
        found["name"] = name.value.decode("utf-8", "replace")
    parts = []
    for attribute in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR):
        value = ctypes.c_int()
        if call(library, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), handle) == 0:
            parts.append(value.value)
    if len(parts) == 2:
        found["compute_capability"] = parts
    size = ctypes.c_size_t()
    if call(library, "cuDeviceTotalMem_v2", ctypes.byref(size), handle) == 0:
        found["memory_mib"] = size.value >> 20
    uuid = (ctypes.c_ubyte * 16)()
    if call(library, "cuDeviceGetUuid", ctypes.byref(uuid), handle) == 0:
        text = "".join("%02x" % byte for byte in uuid)
        found["uuid"] = "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    bus = ctypes.create_string_buffer(32)
    if call(library, "cuDeviceGetPCIBusId", bus, ctypes.c_int(32), handle) == 0:
        found["pci_bus_id"] = bus.value.decode("ascii", "replace")
    return found


def ask():
    """Return the whole answer."""
    answer = {"library": None, "load_error": None, "version": None, "init": None, "count": None, "count_code": None}
    answer["devices"] = []
    library, errors = load()
    if library is None:
        answer["load_error"] = errors
        return answer
    answer["library"] = library_file()
    version = ctypes.c_int()
    if call(library, "cuDriverGetVersion", ctypes.byref(version)) == 0:
        answer["version"] = version.value
    answer["init"] = call(library, "cuInit", ctypes.c_uint(0))
    if answer["init"] != 0:
        return answer
    count = ctypes.c_int()
    answer["count_code"] = call(library, "cuDeviceGetCount", ctypes.byref(count))
    if answer["count_code"] == 0:
        answer["count"] = count.value
        answer["devices"] = [device(library, index) for index in range(min(count.value, 64))]
    return answer


if __name__ == "__main__":
    _guest.arguments()
    _guest.answer(ask())

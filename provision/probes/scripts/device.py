"""Which GPUs TensorFlow lists, and which libcuda lists in the same process."""

import ctypes
import os

import _guest


def driver():
    """Return what libcuda says: result of cuInit, the highest CUDA version it supports, and its devices."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"error": _guest.error_text(error)}
    said = {"init": cuda.cuInit(0), "devices": []}
    value = ctypes.c_int(0)
    if cuda.cuDriverGetVersion(ctypes.byref(value)) == 0:
        said["cuda"] = value.value
    if said["init"] != 0 or cuda.cuDeviceGetCount(ctypes.byref(value)) != 0:
        return said
    for place in range(value.value):
        name = ctypes.create_string_buffer(256)
        handle = ctypes.c_int(0)
        cuda.cuDeviceGet(ctypes.byref(handle), place)
        cuda.cuDeviceGetName(name, 256, handle)
        parts = []
        # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        for attribute in (75, 76):
            part = ctypes.c_int(0)
            cuda.cuDeviceGetAttribute(ctypes.byref(part), attribute, handle)
            parts.append(str(part.value))
        said["devices"].append({"name": name.value.decode("utf-8", "replace"), "compute_capability": ".".join(parts)})
    return said


def main():
    """Answer."""
    given = _guest.arguments()
    said = {"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "step": "list"}
    _guest.answer(said)
    try:
        import tensorflow as tf

        said["listed"] = _guest.listed(tf, given.get("kind", "GPU"))
        said["step"] = "driver"
        _guest.answer(said)
    except BaseException as error:
        said["error"] = _guest.error_text(error)
    said["driver"] = driver()
    said["mapped"] = _guest.mapped_libraries()
    said["step"] = "done"
    _guest.answer(said)


if __name__ == "__main__":
    main()

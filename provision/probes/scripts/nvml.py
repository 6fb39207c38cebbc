"""Ask NVML what the driver knows: version, CUDA version, and every GPU.

Runs with the tool's own interpreter, where nvidia-ml-py (pynvml) is installed. Takes nothing; answers
``{"library", "import_error", "init": {"code", "text"}, "driver", "cuda", "count", "gpus": [...], "errors": {...}}``.
Every call fails on its own: an old library that lacks one function still answers the others. NVML needs no CUDA
context and ignores CUDA_VISIBLE_DEVICES.
"""

import ctypes

import _guest

WSL_LIBRARY = "/usr/lib/wsl/lib/libnvidia-ml.so.1"


def text(value):
    """Return text of bytes or text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def library_file():
    """Return the NVML file that answered."""
    return next((path for path in _guest.mapped_libraries() or () if "/libnvidia-ml.so" in path), None)


def failure(error):
    """Return NVML's number and message of an exception."""
    return {"code": getattr(error, "value", None), "text": str(error)[:300] or type(error).__name__}


def attempt(errors, name, function, *arguments):
    """Return what the function says, or None with its failure noted under ``name``."""
    try:
        return function(*arguments)
    except Exception as error:
        errors[name] = failure(error)
        return None


def processes(nvml, handle, errors):
    """Return what else runs on a GPU, compute and graphics."""
    found = {}
    for kind in ("Compute", "Graphics"):
        listed = attempt(errors, kind.lower(), getattr(nvml, "nvmlDeviceGet%sRunningProcesses" % kind), handle)
        for process in listed or ():
            name = attempt({}, "name", nvml.nvmlSystemGetProcessName, process.pid)
            used = process.usedGpuMemory
            found[process.pid] = {
                "pid": process.pid,
                "name": (text(name) or "").rsplit("/", 1)[-1],
                "memory_mib": used >> 20 if used is not None else None,
            }
    return [found[pid] for pid in sorted(found)]


def mig_devices(nvml, handle, errors):
    """Return the MIG devices of a GPU whose MIG mode is on."""
    found = []
    for index in range(attempt(errors, "mig_count", nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        device = attempt({}, "unused place", nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if device is None:
            continue
        uuid = text(attempt(errors, "mig_uuid", nvml.nvmlDeviceGetUUID, device))
        name = text(attempt({}, "name", nvml.nvmlDeviceGetName, device))
        found.append({"uuid": uuid, "name": name})
    return found


def gpu(nvml, index):
    """Return everything about one GPU."""
    errors = {}
    handle = attempt(errors, "handle", nvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return {"index": index, "errors": errors}
    capability = attempt(errors, "compute_capability", nvml.nvmlDeviceGetCudaComputeCapability, handle)
    memory = attempt(errors, "memory", nvml.nvmlDeviceGetMemoryInfo, handle)
    pci = attempt(errors, "pci", nvml.nvmlDeviceGetPciInfo, handle)
    mode = attempt(errors, "mig", nvml.nvmlDeviceGetMigMode, handle)
    return {
        "index": index,
        "name": text(attempt(errors, "name", nvml.nvmlDeviceGetName, handle)),
        "uuid": text(attempt(errors, "uuid", nvml.nvmlDeviceGetUUID, handle)),
        "compute_capability": list(capability) if capability else None,
        "memory_mib": memory.total >> 20 if memory else None,
        "memory_used_mib": memory.used >> 20 if memory else None,
        "pci_bus_id": text(pci.busId) if pci else None,
        "pci_device_id": "%04X" % (pci.pciDeviceId >> 16) if pci else None,
        "mig": bool(mode[0]) if mode else None,
        "mig_devices": mig_devices(nvml, handle, errors) if mode and mode[0] else [],
        "processes": processes(nvml, handle, errors),
        "errors": errors,
    }


def ask():
    """Return the whole answer."""
    answer = {"library": None, "import_error": None, "init": None, "driver": None, "cuda": None, "count": None}
    answer.update({"gpus": [], "errors": {}})
    try:
        import pynvml as nvml
    except Exception as error:
        answer["import_error"] = str(error)
        return answer
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        try:
            ctypes.CDLL(WSL_LIBRARY)  # found by its SONAME afterwards
        except OSError:
            pass
    try:
        nvml.nvmlInit()
    except Exception as error:
        answer["init"] = failure(error)
        answer["library"] = library_file()
        return answer
    answer["init"] = {"code": 0, "text": ""}
    answer["library"] = library_file()
    errors = answer["errors"]
    answer["driver"] = text(attempt(errors, "driver", nvml.nvmlSystemGetDriverVersion))
    answer["cuda"] = attempt(errors, "cuda", nvml.nvmlSystemGetCudaDriverVersion_v2)
    if answer["cuda"] is None:
        answer["cuda"] = attempt(errors, "cuda_v1", nvml.nvmlSystemGetCudaDriverVersion)
    answer["count"] = attempt(errors, "count", nvml.nvmlDeviceGetCount)
    answer["gpus"] = [gpu(nvml, index) for index in range(answer["count"] or 0)]
    return answer


if __name__ == "__main__":
    _guest.arguments()
    _guest.answer(ask())

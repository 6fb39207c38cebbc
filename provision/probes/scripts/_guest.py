"""What the probes share: arguments in, one JSON object out, and what the process has mapped.

Python 3.6 words and the standard library only: this runs inside other people's environments.
"""

import json
import os
import re
import sys
import time

MARK = "TFGPU-PROBE "
_HERE = os.path.dirname(os.path.abspath(__file__))
_CUDA_FILE = re.compile(
    r"/lib(cuda|cublas|cudnn|cufft|cupti|curand|cusolver|cusparse|nccl|nv|tensorflow_framework|tensorflow_cc)[^/]*\.so[^/]*$"
)
STARTED = time.time()


def leave_path():
    """Take this folder off ``sys.path``: nothing in the environment may import a probe by accident."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]


def arguments():
    """Return the JSON object from standard input."""
    text = sys.stdin.read()
    return json.loads(text) if text.strip() else {}


def answer(data):
    """Print the JSON object; may be called again with more, the last one counts."""
    sys.stdout.write("\n" + MARK + json.dumps(data, default=str) + "\n")
    sys.stdout.flush()


def mapped_libraries():
    """Return the CUDA and TensorFlow library files mapped into this process, links resolved by the kernel."""
    found = set()
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                parts = line.split(None, 5)
                if len(parts) == 6 and _CUDA_FILE.search(parts[5].strip()):
                    found.add(parts[5].strip())
    except OSError:
        return None
    return sorted(found)


def error_text(error):
    """Return an exception as ``Type: message``, shortened."""
    return ("%s: %s" % (type(error).__name__, error))[:4000]


def timed(function, *args):
    """Return what the function returns and the seconds it took, by a clock that nobody sets meanwhile."""
    start = time.perf_counter()
    value = function(*args)
    return value, time.perf_counter() - start


def number(value):
    """Return a finite float, None for what is not: JSON knows no NaN."""
    value = float(value)
    return value if value - value == 0.0 else None


def start_tensorflow(kind, replicas=1):
    """Import TensorFlow, let memory grow, and return (tensorflow, names of the devices of that kind).

    ``kind`` is GPU; tests of the probes themselves say CPU, and may ask for several logical ones.
    """
    import tensorflow as tf

    physical = tf.config.list_physical_devices(kind)
    for device in physical if kind == "GPU" else ():
        tf.config.experimental.set_memory_growth(device, True)
    if kind == "CPU" and replicas > 1:
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(replicas)]
        tf.config.set_logical_device_configuration(physical[0], parts)
    names = ["%s:%d" % (kind, place) for place in range(max(len(physical), replicas if kind == "CPU" else 0))]
    return tf, names


def listed(tf, kind):
    """Return TensorFlow's list with what it says about each device."""
    found = []
    for device in tf.config.list_physical_devices(kind):
        item = {"name": device.name}
        try:
            details = tf.config.experimental.get_device_details(device)
            item["model"] = details.get("device_name")
            capability = details.get("compute_capability")
            item["compute_capability"] = "%d.%d" % tuple(capability) if capability else None
        except Exception as error:
            item["details_error"] = error_text(error)
        found.append(item)
    return found


def tf32_enabled(tf):
    """Whether TensorFlow lets float32 products use TF32, None where it does not say."""
    try:
        return bool(tf.config.experimental.tensor_float_32_execution_enabled())
    except AttributeError:
        return None


def set_tf32(tf, wanted):
    """Switch TF32 on or off; return whether there is such a switch."""
    try:
        tf.config.experimental.enable_tensor_float_32_execution(wanted)
    except AttributeError:
        return False
    return True


def memory(tf, name):
    """Return bytes in use and at the peak on a device as TensorFlow's allocator says, None where it does not."""
    try:
        info = tf.config.experimental.get_memory_info(name)
        return {"current": int(info["current"]), "peak": int(info["peak"])}
    except Exception:
        pass
    try:
        return {"current": int(tf.config.experimental.get_memory_usage(name)), "peak": None}
    except Exception:
        return None


def place(tensor):
    """Return where a tensor says that it is: (device, backing device)."""
    return str(tensor.device), str(getattr(tensor, "backing_device", tensor.device))


leave_path()

"""Run inside an environment: what TensorFlow lists, and which NVIDIA libraries are then mapped."""

import json
import os
import re

import tensorflow as tf

GPUS = [device.name for device in tf.config.list_physical_devices("GPU")]
with open("/proc/self/maps") as maps:
    FILES = {line.split(None, 5)[5].strip() for line in maps if len(line.split(None, 5)) == 6}
MAPPED = sorted(path for path in FILES if re.search(r"/lib(cu|nv|nccl)[^/]*\.so", path))
print(json.dumps({"tf": tf.__version__, "gpus": GPUS, "mapped": MAPPED, "xla_flags": os.environ.get("XLA_FLAGS", "")}))

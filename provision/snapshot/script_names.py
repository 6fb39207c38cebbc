"""What names in user code mean: calls that reach the GPU, variables and when they are read. Data.

When a variable is read and which call initialises TensorFlow was seen with TensorFlow 2.16.1 and 2.21.0 by watching
``getenv`` and the state of its eager context (2026-11); what the CUDA driver reads, it reads in ``cuInit``, and the
dynamic loader reads its own when the process starts (ld.so(8), CUDA programming guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum


class Moment(IntEnum):
    """How far a process has come; what is read at a moment is too late after it."""

    PROCESS = 0
    """The process has started: always, for code that runs."""
    IMPORT = 1
    """TensorFlow was imported."""
    DRIVER = 2
    """The CUDA driver was started: TensorFlow was asked for its devices."""
    CONTEXT = 3
    """TensorFlow has initialised its devices: the first operation."""


READ_AT: Mapping[str, Moment] = {
    "LD_LIBRARY_PATH": Moment.PROCESS,
    "LD_PRELOAD": Moment.PROCESS,
    "PYTHONPATH": Moment.PROCESS,
    "PYTHONNOUSERSITE": Moment.PROCESS,
    "NVIDIA_VISIBLE_DEVICES": Moment.PROCESS,
    "NVIDIA_DRIVER_CAPABILITIES": Moment.PROCESS,
    "TF_CPP_MIN_LOG_LEVEL": Moment.IMPORT,
    "TF_CPP_MAX_VLOG_LEVEL": Moment.IMPORT,
    "TF_CPP_VMODULE": Moment.IMPORT,
    "TF_ENABLE_ONEDNN_OPTS": Moment.IMPORT,
    "TF_USE_LEGACY_KERAS": Moment.IMPORT,
    "KERAS_BACKEND": Moment.IMPORT,
    "CUDA_VISIBLE_DEVICES": Moment.DRIVER,
    "CUDA_DEVICE_ORDER": Moment.DRIVER,
    "CUDA_CACHE_PATH": Moment.DRIVER,
    "CUDA_CACHE_MAXSIZE": Moment.DRIVER,
    "CUDA_CACHE_DISABLE": Moment.DRIVER,
    "CUDA_DISABLE_PTX_JIT": Moment.DRIVER,
    "CUDA_FORCE_PTX_JIT": Moment.DRIVER,
    "TF_XLA_FLAGS": Moment.DRIVER,
    "TF_MIN_GPU_MULTIPROCESSOR_COUNT": Moment.CONTEXT,
    "TF_FORCE_GPU_ALLOW_GROWTH": Moment.CONTEXT,
    "TF_GPU_ALLOCATOR": Moment.CONTEXT,
    "TF_GPU_THREAD_MODE": Moment.CONTEXT,
    "TF_GPU_THREAD_COUNT": Moment.CONTEXT,
    "TF_FORCE_UNIFIED_MEMORY": Moment.CONTEXT,
    "TF_PER_DEVICE_MEMORY_LIMIT_MB": Moment.CONTEXT,
    "XLA_FLAGS": Moment.CONTEXT,
}
"""By when a variable must be set."""

WATCHED = re.compile(r"(?:CUDA|TF|XLA|NVIDIA|LD|KERAS)_[A-Z0-9_]+|PYTHONPATH|PYTHONNOUSERSITE")
"""Variables that are looked at."""

IMPORTS_TENSORFLOW = re.compile(r"(?:tensorflow|tensorflow_\w+|keras|keras_\w+|tf_keras|tflearn|tf_slim)(?:\.|\Z)")
"""Modules whose import imports TensorFlow."""

OTHER_FRAMEWORKS = frozenset({"torch", "jax", "jaxlib", "cupy", "mxnet", "paddle", "pycuda", "theano", "numba"})
"""Modules that bring or use CUDA themselves."""

DRIVER_CALLS = re.compile(
    r"tensorflow\.config\.(?:list_physical_devices|get_visible_devices|get_device_details|set_memory_growth"
    r"|get_memory_growth|set_visible_devices|set_logical_device_configuration|set_virtual_device_configuration)"
    r"|tensorflow\.(?:test\.(?:is_gpu_available|gpu_device_name)|python\.client\.device_lib\.list_local_devices)"
    r"|tensorflow\.sysconfig\.get_device\w*|keras\.mixed_precision\.set_global_policy"
    r"|torch\.cuda\.(?!is_initialized|manual_seed|amp)\w+|torch\.(?:zeros|ones|rand|randn)\.cuda"
    r"|jax\.(?:devices|local_devices|device_count|local_device_count|default_backend|device_put)"
    r"|jax\.(?:numpy|random)\.\w+|cupy\.\w+|pycuda\.autoinit"
)
"""Calls after which the CUDA driver has been started in this process."""

CONTEXT_CALLS = re.compile(
    r"tensorflow\.config\.(?:list_logical_devices|get_memory_info|get_memory_usage)"
    r"|tensorflow\.(?:constant|Variable|zeros|ones|zeros_like|ones_like|fill|range|linspace|eye|convert_to_tensor|cast"
    r"|matmul|add|multiply|subtract|square|reshape|concat|stack|expand_dims|one_hot|tensordot|einsum|transpose"
    r"|Session|InteractiveSession)"
    r"|tensorflow\.(?:reduce_\w+|math\.\w+|linalg\.\w+|image\.\w+|io\.(?:read|decode|parse)_\w+|signal\.\w+)"
    r"|tensorflow\.random\.(?:normal|uniform|truncated_normal|shuffle|Generator)\w*(?:\.\w+)?"
    r"|tensorflow\.data\.Dataset\.\w+|tensorflow\.saved_model\.load|tensorflow_hub\.(?:load|KerasLayer)"
    r"|tensorflow\.(?:distribute\.)(?:experimental\.)?\w*Strategy"
    r"|keras\.applications\.(?:\w+\.)?[A-Z]\w+|keras\.models\.load_model|keras\.backend\.(?:get_session|variable)"
)
"""Calls after which TensorFlow has initialised its devices."""

CONTEXT_METHODS = frozenset(
    {"fit", "fit_generator", "train_on_batch", "predict", "predict_generator", "evaluate", "compile", "load_weights"}
)
"""Methods of models after which it has."""

GRAPH_ONLY = re.compile(r"\.Session\(|\bSession\(|\.placeholder\(|disable_eager_execution|disable_v2_behavior")
"""In a file with one of these, operations only build a graph: the session is what initialises."""

TRAINING = frozenset(
    {"fit", "fit_generator", "train_on_batch", "predict", "evaluate", "minimize", "apply_gradients", "gradient", "run"}
)
"""Methods that do the work of a program."""

_SAME = (
    (re.compile(r"^tensorflow_core\b"), "tensorflow"),
    (re.compile(r"^tensorflow\.compat\.v[12]\b"), "tensorflow"),
    (re.compile(r"^tensorflow\.(?:_api\.v\d|python)\.keras\b"), "tensorflow.keras"),
    (re.compile(r"^tensorflow\.contrib\.keras\b"), "tensorflow.keras"),
    (re.compile(r"^(?:tensorflow\.keras|tf_keras|keras\.src|keras\.api)\b"), "keras"),
    (re.compile(r"^keras\.mixed_precision\.experimental\."), "keras.mixed_precision."),
    (re.compile(r"^tensorflow\.config\.experimental\."), "tensorflow.config."),
    (re.compile(r"^tensorflow\.config\.experimental\Z"), "tensorflow.config"),
    (re.compile(r"^tensorflow\.(?:python\.)?(?:framework\.)?config\."), "tensorflow.config."),
    (re.compile(r"^tensorflow\.python\.framework\.ops\.device\Z"), "tensorflow.device"),
    (re.compile(r"^tensorflow\.python\.client\.session\."), "tensorflow."),
)


def canonical(path: str) -> str:
    """Return one name for what TensorFlow offers under several: ``tf.compat.v1.Session`` is ``tensorflow.Session``."""
    for pattern, plain in _SAME:
        path = pattern.sub(plain, path)
    return path

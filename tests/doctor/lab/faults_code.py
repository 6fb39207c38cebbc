"""Faults of the user's code, and of what points at an environment: kernels, editors."""

from __future__ import annotations

import json

from doctor.lab.bench import Bench, Fault

_ANY = ("plain-2.17.1",)


def _code(text: str) -> object:
    def inject(bench: Bench) -> None:
        bench.script(text)

    return inject


_ON_CPU = """\
import tensorflow as tf

with tf.device('/CPU:0'):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile(loss='mse')
    model.fit(x, y)
"""
_HIDES = """\
import os
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import tensorflow as tf
print(tf.config.list_physical_devices('GPU'))
"""
_HIDES_BY_CALL = """\
import tensorflow as tf
tf.config.set_visible_devices([], 'GPU')
print(tf.reduce_sum(tf.ones((3, 3))))
"""
_LATE_GROWTH = """\
import tensorflow as tf
a = tf.ones((2, 2))
gpus = tf.config.list_physical_devices('GPU')
for gpu in gpus:
    tf.config.experimental.set_memory_growth(gpu, True)
"""
_LATE_VARIABLE = """\
import tensorflow as tf
print(tf.config.list_logical_devices('GPU'))
import os
os.environ['TF_FORCE_GPU_ALLOW_GROWTH'] = 'true'
"""
_SESSION = """\
import tensorflow as tf
config = tf.compat.v1.ConfigProto(device_count={'GPU': 0})
session = tf.compat.v1.Session(config=config)
"""


def _kernel(bench: Bench) -> None:
    folder = bench.env.prefix / "share/jupyter/kernels/python3"
    argv = ["/opt/conda/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    bench.env.replace(
        folder / "kernel.json", json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
    )


def _editor(bench: Bench) -> None:
    """The project's VS Code names another Python; the environment is the project's own ``.venv``."""
    project = bench.machine.folder = bench.env.prefix.parent
    (project / ".vscode").mkdir()
    (project / ".vscode/settings.json").write_text(json.dumps({"python.defaultInterpreterPath": "/usr/bin/python3.99"}))


FAULTS = (
    Fault("code-on-the-cpu", "explicit_cpu_placement", "train.py:3", _code(_ON_CPU), _ANY),
    Fault("code-hides-the-gpu", "visible_devices_hidden", "train.py:2", _code(_HIDES), _ANY),
    Fault("code-hides-by-call", "explicit_cpu_placement", "train.py:2", _code(_HIDES_BY_CALL), _ANY),
    Fault("code-session-without-gpu", "explicit_cpu_placement", "train.py:2", _code(_SESSION), _ANY),
    Fault("code-growth-late", "memory_growth_config_error", "train.py:5", _code(_LATE_GROWTH), _ANY),
    Fault("code-variable-late", "variable_set_too_late", "train.py:4", _code(_LATE_VARIABLE), _ANY),
    Fault("kernel-elsewhere", "jupyter_kernel_elsewhere", "ipykernel install", _kernel, _ANY),
    Fault("editor-elsewhere", "editor_python_elsewhere", "", _editor, _ANY),
)

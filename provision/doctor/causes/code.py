"""Causes: code."""

from __future__ import annotations

from provision.model.doctor import Category, Cause, Effect

CAUSES: tuple[Cause, ...] = (
    Cause(
        "explicit_cpu_placement",
        Category.CODE,
        "The code asks for the CPU, or for a GPU that is not there",
        "The program itself decides where it computes: `tf.device('/CPU:0')`, `set_visible_devices([], 'GPU')`, a "
        "session with no GPU, or a GPU number that this machine does not have. "
        "TensorFlow obeys, or refuses a device that does not exist, however sound the environment is. "
        "Taking the line out, or naming a GPU that exists, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=80,
    ),
    Cause(
        "memory_growth_config_error",
        Category.CODE,
        "GPU memory or visible devices are configured wrongly in code",
        "Memory growth, memory limits and visible devices must be set before the first operation, and growth alike for "
        "all GPUs that are visible. "
        "Later, or unlike, TensorFlow raises RuntimeError or ValueError; where that is caught, it takes nearly all the "
        "memory of the GPU as it does by default. "
        "Moving the calls to the top of the program, in a loop over all GPUs, makes it go away.",
        Effect.DEGRADES,
        repairable=False,
        depth=80,
    ),
    Cause(
        "variable_set_too_late",
        Category.CODE,
        "A variable is set in code after it was read",
        "Some environment variables are read when the process starts (LD_LIBRARY_PATH), some when TensorFlow is "
        "imported, some when it first looks for GPUs (CUDA_VISIBLE_DEVICES) or initialises them. "
        "What code sets afterwards changes nothing in that process, and no message says so. "
        "Setting it before Python starts, or before that moment, makes it go away.",
        Effect.DEGRADES,
        repairable=False,
        depth=80,
    ),
    Cause(
        "jupyter_kernel_elsewhere",
        Category.CODE,
        "A Jupyter kernel runs another Python",
        "A notebook runs in the Python that its kernel's kernel.json names, not in the environment that is active in "
        "the shell from which Jupyter was started. "
        "TensorFlow is then missing there, or is another one that may see no GPU. "
        "Registering the environment's own Python as a kernel, and choosing it in the notebook, makes it go away.",
        Effect.DEGRADES,
        repairable=True,
        depth=90,
    ),
    Cause(
        "editor_python_elsewhere",
        Category.CODE,
        "The editor runs another Python",
        "The project's settings for VS Code or PyCharm name a Python that is not this environment's, or one that is "
        "gone. "
        "What is started from the editor then runs with another TensorFlow, or with none, while the terminal uses this "
        "one. "
        "Choosing the environment's Python in the editor makes it go away.",
        Effect.DEGRADES,
        repairable=False,
        depth=90,
    ),
)

"""Causes among the CUDA libraries: not there, not found, found wrongly, or of a version that does not fit."""

from __future__ import annotations

from provision.model.doctor import Category, Cause, Effect

CAUSES: tuple[Cause, ...] = (
    Cause(
        "ld_library_path_conflict",
        Category.VARIABLES,
        "LD_LIBRARY_PATH puts a wrong library first",
        "A folder that LD_LIBRARY_PATH names holds a library of the right name that is older than needed, of another "
        "toolkit, damaged, or none at all. From TensorFlow 2.7 on that variable beats the folders written into "
        "TensorFlow itself, so that the wrong file is taken even where the environment has the right one. "
        "Taking the folder out of the variable, or wiring the environment so that its own libraries are loaded first, "
        "makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=60,
    ),
    Cause(
        "ld_preload_interferes",
        Category.VARIABLES,
        "LD_PRELOAD loads a library that gets in the way",
        "LD_PRELOAD loads its files into every program before anything else. "
        "A CUDA library among them answers for the one that TensorFlow asks for, and a broken one takes the process "
        "with it. Unsetting the variable makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=60,
    ),
    Cause(
        "wheel_rpath_bug",
        Category.CUDA,
        "The CUDA libraries are installed, and TensorFlow does not look where they are",
        "The environment has the libraries, in folders that are not on the search path written into TensorFlow's "
        "framework library: releases up to 2.13 know no NVIDIA wheels, 2.16.1 and 2.21.0 forgot some of their folders. "
        "One library that is not found is enough for TensorFlow to register no GPU and to run on the CPU. "
        "Links in a folder that is searched, which `tfgpu-provision wire` makes, take care of it without any variable.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "libcusolver_soname_24",
        Category.CUDA,
        "TensorFlow 2.4 asks for libcusolver.so.10, and CUDA 11.1 and newer have libcusolver.so.11",
        "TensorFlow 2.4 was built with CUDA 11.0, the only toolkit whose cuSOLVER bears the number 10 beside "
        "libraries that bear the number 11. With any later CUDA 11 everything is found except that one name, and no "
        "GPU is registered. A link of the old name to the new library, which `tfgpu-provision wire` makes, answers it.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "wiring_lost",
        Category.CUDA,
        "Links that made the CUDA libraries visible are gone",
        "This tool had put links and a hook into the environment so that TensorFlow finds its libraries, and some of "
        "them were removed or changed since, or TensorFlow was exchanged under them. "
        "Without them the loader does not find every library, or takes another one. "
        "Wiring the environment again restores them.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "missing_cuda_library",
        Category.CUDA,
        "A CUDA library that TensorFlow opens is not installed",
        "TensorFlow opens a fixed list of CUDA libraries by name before it registers a GPU, and at least one of them "
        "is nowhere to be found: the extra `and-cuda` was never installed, or a package of it was removed. "
        "One missing library is enough to run on the CPU. "
        "Installing the package that brings it makes it go away; no toolkit on the machine is needed.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "wrong_cuda_version",
        Category.CUDA,
        "CUDA libraries of another version than this TensorFlow loads",
        "The names that TensorFlow opens carry the version of CUDA in them, and what is installed is of another one, "
        "or libraries of several versions are mixed. "
        "TensorFlow finds nothing under its names and runs on the CPU, or misses functions later on. "
        "Installing the libraries of the version that the build asks for makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "missing_cudnn",
        Category.CUDNN,
        "CUDA is there, cuDNN is not",
        "Every CUDA library that TensorFlow opens was found, except cuDNN, which is a package of its own. "
        "Without it TensorFlow registers no GPU at all, not even for programs without convolutions. "
        "Installing the cuDNN package of the major version that the build asks for makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "ld_library_path_wrong",
        Category.VARIABLES,
        "LD_LIBRARY_PATH does not lead to the libraries everywhere",
        "The libraries are on this machine, in a folder that the loader only searches where LD_LIBRARY_PATH names it, "
        "and the variable is not set, names a folder that does not exist, or is set in this shell alone. "
        "Programs that are started without it (cron, a notebook kernel, an editor) run on the CPU. "
        "Libraries inside the environment, made visible by `tfgpu-provision wire`, need no variable.",
        Effect.CPU,
        repairable=True,
        depth=63,
    ),
    Cause(
        "cudnn_version_mismatch",
        Category.CUDNN,
        "cuDNN is older than this TensorFlow needs, or of another major version",
        "At run time cuDNN must have the major version that TensorFlow was built with and at least its minor version. "
        "With an older minor the GPU is listed all the same and the first convolution fails; with another major the "
        "library is not found at all, because its name carries the major. "
        "Installing a cuDNN that is new enough makes it go away.",
        Effect.DEGRADES,
        repairable=True,
        depth=66,
    ),
    Cause(
        "cudnn_drops_gpu",
        Category.CUDNN,
        "This cuDNN has no code for this GPU any more",
        "From cuDNN 9.11 on the wheels hold no code below compute capability 7.5: Maxwell, Pascal and Volta are left "
        "out, while TensorFlow itself still serves them. "
        "The GPU is listed, and convolutions fail. cuDNN 9.10 is the last one that serves these GPUs.",
        Effect.DEGRADES,
        repairable=True,
        depth=66,
    ),
    Cause(
        "ptxas_libdevice_missing",
        Category.XLA,
        "XLA finds no ptxas or no libdevice",
        "XLA compiles for the GPU with NVIDIA's assembler ptxas and its library of functions libdevice.10.bc, and "
        "looks for them in few places: releases before 2.14 do not know the folder of the NVIDIA wheel. "
        "Programs without XLA run on the GPU as they should; `jit_compile=True`, and since 2.11 the optimizers of "
        "Keras by themselves, fail. Installing the compiler wheel and wiring the environment makes it go away.",
        Effect.DEGRADES,
        repairable=True,
        depth=70,
    ),
)

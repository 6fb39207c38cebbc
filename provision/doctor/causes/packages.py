"""Causes in Python and its packages: the interpreter, what is installed, what hides what, what does not fit."""

from __future__ import annotations

from provision.model.doctor import Category, Cause, Effect

_PYTHON = (
    Cause(
        "broken_interpreter",
        Category.PYTHON,
        "The environment's Python does not run",
        "The interpreter of the environment cannot be started: the Python that it was made from was moved or "
        "removed, or its files are damaged. Nothing in the environment can be used, TensorFlow included. Making "
        "the environment anew makes it go away, or putting the Python back.",
        Effect.STOPS,
        repairable=False,
        depth=10,
    ),
    Cause(
        "environment_incomplete",
        Category.PYTHON,
        "The environment was never finished",
        "Its creation or a repair was interrupted, so that packages, links or records are not there or not all new. "
        "What of TensorFlow works in it is left to chance. Creating it again makes it go away, or "
        "`tfgpu-provision repair`, which installs what its lock names and is missing, or ends what was cut off.",
        Effect.STOPS,
        repairable=True,
        depth=10,
    ),
    Cause(
        "environment_moved",
        Category.PYTHON,
        "The environment was moved after it was made",
        "Scripts and activation of most virtual environments hold the path at which they were made, and that path "
        "is gone. `pip` and `activate` of this environment then fail or act on another Python, although its own "
        "interpreter still works when it is called by its path. Moving it back makes it go away, or "
        "`tfgpu-provision repair`, which lets them name the new place.",
        Effect.DEGRADES,
        repairable=True,
        depth=10,
    ),
    Cause(
        "python_version_unsupported",
        Category.PYTHON,
        "TensorFlow has no wheel for this Python",
        "A wheel of TensorFlow is made for exact versions of CPython, and this interpreter is not one of them: too "
        "new, too old, a free-threaded build, or not CPython. pip then finds no distribution, and what was "
        "installed for another Python does not import. An environment with a Python that the release has wheels "
        "for makes it go away.",
        Effect.STOPS,
        repairable=False,
        depth=15,
    ),
    Cause(
        "glibc_too_old",
        Category.PYTHON,
        "The C or C++ library is older than TensorFlow needs",
        "TensorFlow's libraries ask for versioned functions of libc.so.6 and libstdc++.so.6, and the files that "
        "the loader takes do not have them; an old libstdc++ in a conda environment or in LD_LIBRARY_PATH hides a "
        "newer one of the system. The import then ends with `GLIBC_… not found` or `GLIBCXX_… not found`. An older "
        "release, a newer system, or taking the old library out of the way makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=15,
    ),
    Cause(
        "python_path_leak",
        Category.PYTHON,
        "Packages from outside stand before the environment's own",
        "PYTHONPATH and the user's own site folder come before the packages of an environment on Python's path. "
        "What lies there is imported instead, in another version or made for another Python, so that TensorFlow "
        "runs with packages that it was never installed with. Unsetting the variable, or PYTHONNOUSERSITE=1, makes "
        "it go away.",
        Effect.STOPS,
        repairable=False,
        depth=22,
    ),
)

_TENSORFLOW = (
    Cause(
        "stale_import_shadow",
        Category.PACKAGES,
        "A local file hides an installed package",
        "Python looks in the folder of the program first, and a file there bears the name of TensorFlow or of a "
        "package that it imports. The import gives that file, which shows as a missing attribute or a circular "
        "import. Giving the file another name makes it go away.",
        Effect.STOPS,
        repairable=False,
        depth=20,
    ),
    Cause(
        "tensorflow_missing",
        Category.PACKAGES,
        "TensorFlow is not installed in this environment",
        "The environment has no package tensorflow and no distribution that brings one. It may be installed for "
        "another Python: each environment has its own packages. Installing it here, or using the environment that "
        "has it, makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=20,
    ),
    Cause(
        "conflicting_tf_packages",
        Category.PACKAGES,
        "Two TensorFlow distributions share one folder",
        "tensorflow, tensorflow-cpu, tensorflow-gpu, tensorflow-intel and tf-nightly all write the same package "
        "folder, and pip does not know that. Files of one overwrite those of the other, and removing one tears "
        "holes into the other. Removing them all and installing one makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=20,
    ),
    Cause(
        "tensorflow_remnants",
        Category.PACKAGES,
        "Only parts of a TensorFlow installation are left",
        "A removal or an update was interrupted, or a second distribution was removed that shared its files. "
        "Python then finds a folder without code, code without metadata, or metadata without code. Removing what "
        "is left and installing TensorFlow again makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=20,
    ),
    Cause(
        "damaged_install",
        Category.PACKAGES,
        "Installed files are missing or damaged",
        "Files differ from what the package's RECORD says: gone, cut short, changed, or made for another machine; "
        "a full disk, an interrupted copy or a cleaning script does that. A library that is cut short kills the "
        "process that loads it, and one that is gone keeps TensorFlow from registering the GPU. Installing the "
        "package again makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=25,
    ),
    Cause(
        "cpu_only_package",
        Category.PACKAGES,
        "This TensorFlow was built without CUDA",
        "The installed build has no GPU code: tensorflow-cpu, a `cpu` build of conda, the wheels of 1.15.2 to 2.0 "
        "under the name tensorflow, or one for a platform without CUDA wheels. No driver, library or variable "
        "changes that. Installing a build with CUDA makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=30,
    ),
)

_VERSIONS = (
    Cause(
        "protobuf_conflict",
        Category.PACKAGES,
        "protobuf does not fit TensorFlow",
        "TensorFlow contains code that the compiler of one protobuf release generated, and the runtime that is "
        "installed refuses it: releases up to 2.11 predate protobuf 4, later ones need a runtime that is not older "
        "than their compiler. The import then ends with a TypeError, an ImportError or a VersionError of protobuf. "
        "A protobuf within the bounds makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=28,
    ),
    Cause(
        "numpy_abi_conflict",
        Category.PACKAGES,
        "NumPy does not fit TensorFlow",
        "TensorFlow's compiled code and its Python code depend on the NumPy they were made for: NumPy 2 changed "
        "the first, 1.24 removed names that the second uses up to 2.11. The import then ends with `_ARRAY_API not "
        "found` or `module 'numpy' has no attribute`. A NumPy within the bounds makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=28,
    ),
    Cause(
        "keras_conflict",
        Category.PACKAGES,
        "Keras does not fit TensorFlow",
        "From 2.6 to 2.15 `tf.keras` is the package keras of the same minor, from 2.16 on it is Keras 3, or "
        "tf-keras where TF_USE_LEGACY_KERAS asks for it. With another one `tf.keras` fails when it is first used. "
        "The Keras that belongs to the release makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=28,
    ),
    Cause(
        "typing_extensions_conflict",
        Category.PACKAGES,
        "typing-extensions does not fit TensorFlow",
        "TensorFlow 2.4 to 2.6 hold typing-extensions at 3.7, 2.12 to 2.14 below 4.6, while other packages need a "
        "later one; pip installs what was asked for last. Whoever gets the wrong one fails with `cannot import "
        "name … from 'typing_extensions'`. A version that everybody admits, or environments of their own, make it "
        "go away.",
        Effect.STOPS,
        repairable=True,
        depth=28,
    ),
    Cause(
        "dependency_conflict",
        Category.PACKAGES,
        "A package that TensorFlow needs is missing or of another version",
        "TensorFlow's metadata names what it needs, and what is installed does not meet it: something was "
        "installed without its dependencies, or a later installation exchanged one. The import then ends in that "
        "package. Installing what the metadata asks for makes it go away.",
        Effect.STOPS,
        repairable=True,
        depth=28,
    ),
    Cause(
        "framework_conflict_pytorch",
        Category.PACKAGES,
        "Another framework holds a CUDA library at a version that TensorFlow cannot use",
        "PyTorch and others pin NVIDIA's wheels exactly, and two frameworks in one environment share one copy of "
        "each. TensorFlow needs the cuDNN that it was built with or a later minor, and gets the one that was "
        "installed last. Installing the later cuDNN, or an environment for each framework, makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=62,
    ),
)

CAUSES: tuple[Cause, ...] = (*_PYTHON, *_TENSORFLOW, *_VERSIONS)

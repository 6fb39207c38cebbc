"""Causes that only a log, or an installer's answer, can show."""

from __future__ import annotations

from provision.model.doctor import Category, Cause, Effect

CAUSES: tuple[Cause, ...] = (
    Cause(
        code="tensorflow_gpu_package_removed",
        category=Category.PACKAGES,
        title="The package tensorflow-gpu exists no more",
        explanation=(
            "Since 2.12 the package tensorflow-gpu is an empty one whose installation stops with a message. "
            "The GPU support has been part of the package tensorflow since 2.1, so nothing was installed. "
            "Installing tensorflow[and-cuda] gives the same TensorFlow together with the CUDA libraries it needs."
        ),
        effect=Effect.STOPS,
        repairable=False,
        depth=30,
    ),
    Cause(
        code="and_cuda_extra_unsatisfiable",
        category=Category.PACKAGES,
        title="A package of the extra and-cuda cannot be had",
        explanation=(
            "The extra and-cuda of this release names exact versions of NVIDIA's packages, and the package index has "
            "one of them not at all or not for this Python and system. "
            "The installer then refuses the whole request, so that TensorFlow is not installed either. "
            "A release whose extra can be met, or the libraries by other ways, removes it."
        ),
        effect=Effect.STOPS,
        repairable=False,
        depth=30,
    ),
    Cause(
        code="broken_official_image",
        category=Category.CONTAINER,
        title="The container image lacks libraries that its TensorFlow needs",
        explanation=(
            "Some published images of TensorFlow were built without CUDA libraries that their TensorFlow opens, "
            "or with the libraries where its loader does not look. "
            "The driver works inside the container, and TensorFlow still registers no GPU. "
            "The image of another release, or TensorFlow's own CUDA packages installed into it, removes it."
        ),
        effect=Effect.CPU,
        repairable=False,
        depth=63,
    ),
    Cause(
        code="msvc_or_dll_load_failed",
        category=Category.PYTHON,
        title="Windows cannot load TensorFlow's own library",
        explanation=(
            "Windows refused to load the DLL of TensorFlow, or one that it is linked with, and none of CUDA's. "
            "As a rule the Visual C++ runtime is missing or old; a processor without AVX and a damaged installation "
            "end in the same message. "
            "The current Visual C++ redistributable removes it in most cases."
        ),
        effect=Effect.STOPS,
        repairable=False,
        depth=72,
    ),
    Cause(
        code="cudnn_init_failed_memory",
        category=Category.RESOURCES,
        title="cuDNN finds no memory for its handle",
        explanation=(
            "The library was found and is of a fitting version, and it cannot make its handle on the GPU. "
            "As a rule the GPU's memory is taken already: by TensorFlow's own pool, which takes nearly all of it at "
            "the start, or by another process. "
            "Letting the pool grow as it is needed, or ending the other process, removes it."
        ),
        effect=Effect.STOPS,
        repairable=False,
        depth=75,
    ),
    Cause(
        code="cublas_init_failed_memory",
        category=Category.RESOURCES,
        title="cuBLAS finds no memory for its handle",
        explanation=(
            "The library was found, and it cannot make its handle or its workspace on the GPU. "
            "As a rule the GPU's memory is taken already, by TensorFlow's own pool or by another process. "
            "Letting the pool grow as it is needed, or ending the other process, removes it."
        ),
        effect=Effect.STOPS,
        repairable=False,
        depth=75,
    ),
    Cause(
        code="out_of_memory",
        category=Category.RESOURCES,
        title="The work needs more memory than there is",
        explanation=(
            "A tensor, or a pinned buffer of the host, got no memory while the program ran. "
            "The GPU and its libraries work; the batch, the model or the input pipeline is larger than the memory "
            "that is left. "
            "Smaller batches, mixed precision or a GPU with more memory removes it."
        ),
        effect=Effect.STOPS,
        repairable=False,
        depth=75,
    ),
    Cause(
        code="framework_bug_not_environment",
        category=Category.CODE,
        title="An operation fails, and the environment is in order",
        explanation=(
            "The driver and every library were loaded and the GPU was used; one operation then failed with arguments "
            "that its GPU kernel cannot serve. "
            "Nothing in the environment has to be changed for it. "
            "Other shapes (no empty batches), another release or a report to the framework removes it."
        ),
        effect=Effect.DEGRADES,
        repairable=False,
        depth=85,
    ),
)
"""Rows of the table."""

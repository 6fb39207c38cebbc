"""Lines that alarm people and mean no harm, beside those in the other tables that have a meaning."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

FAMILIES: tuple[Family, ...] = (
    family(
        "noise",
        r"Unable to register (?P<what>\w+) (?:plugin )?factory",
        "unable to register",
        meaning=(
            "two parts of TensorFlow announce the same plugin; since 2.10 every GPU build says so, and nothing is lost"
        ),
    ),
    family(
        "noise",
        r"oneDNN custom operations are on",
        "onednn custom",
        meaning="oneDNN speeds up operations on the CPU and rounds a little differently",
    ),
    family(
        "noise",
        r"TensorFlow binary (?:is optimized|was not compiled)|Your CPU supports instructions that this TensorFlow",
        "binary",
        meaning="tells which CPU instructions this build uses; it has nothing to do with the GPU",
    ),
    family(
        "noise",
        r"library wasn't compiled to use \S+ instructions, but these are available",
        "wasn't compiled",
        meaning="the CPU could do more than this build asks of it; it has nothing to do with the GPU",
    ),
    family(
        "noise",
        r"/\S+\.so[\d.]* is not a symbolic link",
        "not a symbolic link",
        meaning="ldconfig found a copy where it expected a link; the library is loaded all the same",
    ),
    family("noise", r"End of sequence", "end of sequence", meaning="a data set came to its end"),
    family(
        "noise",
        r"Executor start aborting|this does not indicate an error and you can ignore",
        "aborting|ignore this",
        meaning="says itself that it can be ignored",
    ),
    family(
        "noise",
        r"All log messages before absl::InitializeLog",
        "initializelog",
        meaning="where the first lines of the log go",
    ),
    family(
        "noise",
        r"None of the MLIR Optimization Passes are enabled",
        "mlir optim",
        meaning="an optional optimiser is not in use",
    ),
    family(
        "noise",
        r"gpu_timer\.cc[^\n]{0,40}(?:Skipping the delay kernel|Delay kernel timed out)",
        "delay kernel",
        meaning="the timing of a kernel is less exact",
    ),
    family(
        "noise",
        r"cuda_executor\.cc[^\n]{0,60}ran out of memory[^\n]{0,60}not a failure",
        "cuda_executor",
        meaning="a larger scratch space would have been faster",
    ),
    family(
        "noise",
        r"non-primary context \w+ for device \d+ exists before initializing",
        "non-primary",
        meaning="another library opened the GPU in this process before TensorFlow did",
    ),
    family(
        "noise",
        r"ptxas before [\d.]+ is known to miscompile|You are using ptxas [\d.]+, which is (?:older than|in range)",
        "using ptxas|ptxas before",
        meaning="XLA warns of faults in an older ptxas; a newer one of the same CUDA major version ends the warning",
    ),
    family(
        "noise",
        r"layout failed: INVALID_ARGUMENT|remapper failed",
        "layout failed|remapper",
        meaning="an optimiser left one graph as it was",
    ),
    family(
        "noise",
        r"Overriding (?:orig_value setting because|allow_growth setting)",
        "overriding",
        meaning="a variable decides about memory growth",
    ),
    family(
        "noise",
        r"XNNPACK delegate for CPU",
        "xnnpack",
        meaning="TensorFlow Lite uses its CPU kernels, as it does by default",
    ),
    family(
        "noise",
        r"cpu_utils\.cc[^\n]{0,20}CPU Frequency|XLA service 0x\w+ (?:initialized|executing)",
        "cpu frequency|xla service",
        meaning="XLA tells which devices it could use",
    ),
    family(
        "noise",
        r"Not creating XLA devices, tf_xla_enable_xla_devices not set",
        "creating xla",
        meaning="XLA devices are off by default and not needed",
    ),
)
"""Rows of noise."""

"""Messages about GPUs: found, made, left out, hidden, placed on."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

_NAMED = r"name: (?P<name>[^,\n]{1,60}),[^\n]{0,80}?(?:compute capability: (?P<cc>\d+\.\d+))?"

FAMILIES: tuple[Family, ...] = (
    family(
        "created",
        r"Creat(?:ed|ing) (?:TensorFlow )?device \(?/?[\w:/]*?gpu:(?P<index>\d+)\)?(?: with (?P<memory>\d+) MB memory)?"
        rf"[^\n]{{0,60}}?{_NAMED}\)?\s",
        "created device|created tensorflow|creating tensorflow|creating device",
    ),
    family(
        "created",
        r"Creat(?:ed|ing) (?:TensorFlow )?device \(?/?[\w:/]*?gpu:(?P<index>\d+)\)?(?: with "
        r"(?P<memory>\d+) MB memory)?",
        "created device|created tensorflow|creating tensorflow|creating device",
    ),
    family("adding", r"Adding visible gpu devices: (?P<devices>[\d, ]+)", "adding visible"),
    family("found", r"Found device (?P<index>\d+) with properties", "found device"),
    family("gpu-name", r"compute capability: (?P<cc>\d+\.\d+)", "compute capability"),
    family("gpu-name", r"computeCapability: (?P<cc>\d+\.\d+)", "computecapability"),
    family("gpu-name", r"\bmajor: (?P<major>\d+) minor: (?P<minor>\d+)", "major:"),
    family("gpu-model", r"\bname: (?P<name>(?:NVIDIA |GeForce |Quadro |Tesla |TITAN |RTX )[^,\n]{1,40})", "name:"),
    family(
        "gpu-model",
        r"\b(?P<name>(?:GeForce |NVIDIA )?(?:GTX|RTX) ?(?:A?\d{3,4})(?: ?Ti)?(?: SUPER)?)\b",
        "gtx|rtx",
    ),
    family(
        "memory-at-start",
        r"Total memory: (?P<total>[\d.]+)(?P<tu>[GMK]iB)[^\n]{0,9}\n?[^\n]{0,40}?Free memory: "
        r"(?P<free>[\d.]+)(?P<fu>[GMK]iB)",
        "free memory",
    ),
    family(
        "memory-at-start",
        r"totalMemory: (?P<total>[\d.]+)(?P<tu>[GMK]iB) freeMemory: (?P<free>[\d.]+)(?P<fu>[GMK]iB)",
        "freememory",
    ),
    family("listed", r"PhysicalDevice\(name='/physical_device:GPU:\d+'", "physical_device:gpu"),
    family("listed", r"Num GPUs(?: Available)?: *(?P<count>[1-9]\d*)\b", "num gpus"),
    family("listed", r"(?:\bname: \"|Default GPU Device: ?)/device:GPU:\d+", "/device:gpu"),
    family("none-listed", r"Num GPUs(?: Available)?: *0\b", "num gpus"),
    family(
        "none-listed",
        r"list_(?:physical|logical)_devices\([\"']GPU[\"']\)[^\n]*\n(?:[^\n]{0,300}\n){0,8}?\[\](?=\n|\Z)",
        "_devices(",
    ),
    family(
        "none-listed",
        r"No GPU devices available on machine|Device mapping: no known devices",
        "gpu devices available|no known devices|no supported",
    ),
    family("none-listed", r"no supported (?:cuda|GPU)? ?devices? (?:were )?found", "no supported"),
    family(
        "too-old-gpu",
        r"Ignoring (?:visible )?gpu device [^\n]{0,200}(?:\s*\n[^\n]{0,120})?"
        r"with Cuda compute capability (?P<cc>\d+\.\d+)\. The minimum required Cuda capability is (?P<needs>\d+\.\d+)",
        "gpu device",
    ),
    family(
        "too-few-cores",
        r"Ignoring (?:visible )?gpu device [^\n]{0,200}with core count: (?P<found>\d+)\. The minimum "
        r"required count is (?P<needs>\d+)|"
        r"Ignoring (?:visible )?gpu device [^\n]{0,200}multiprocessor count: \d+",
        "gpu device",
        meaning="a small GPU beside a larger one is left out; TF_MIN_GPU_MULTIPROCESSOR_COUNT brings it in",
    ),
    family(
        "jit-from-ptx",
        r"(?:not|n't) built with CUDA kernel binaries compatible with compute capability (?P<cc>\d+\.\d+a?)",
        "kernel binaries",
    ),
    family("not-built-for-gpu", r"ptxas fatal[^\n]{0,80}sm_(?P<sm>\d+)", "ptxas"),
    family(
        "invalid-handle", r"CUDA_ERROR_INVALID_HANDLE|cudaErrorInvalidResourceHandle", "invalid_handle|resourcehandle"
    ),
    family(
        "bad-device-list",
        r"'?visible_device_list'? listed an invalid GPU id '?(?P<value>[^'\s]+)'? but visible device "
        r"count is (?P<count>\d+)",
        "visible_device_list",
    ),
    family("bad-device-list", r"(?:could not parse entry in|invalid) '?visible_device_list'?", "visible_device_list"),
    family("growth-differs", r"Memory growth cannot differ between GPU devices", "memory growth"),
    family(
        "late-configuration",
        r"(?P<what>Physical|Virtual|Visible) devices cannot be modified after being initialized",
        "cannot be modified",
    ),
    family("growth-virtual", r"Cannot set memory growth on device when virtual devices configured", "memory growth"),
    family("growth-virtual", r"Cannot configure virtual devices on device with memory growth", "virtual devices"),
    family("virtual-count", r"TensorFlow device \(GPU:\d+\) is being mapped to multiple", "mapped to multiple"),
    family(
        "no-gpu-kernel",
        r"Could not satisfy explicit device specification [^\n]{0,120}because no supported kernel for GPU devices",
        "supported kernel",
    ),
    family(
        "no-gpu-to-place-on",
        r"(?:because no devices matching that specification are registered|"
        r"(?:is|was) (?:explicitly )?assigned to [^\n]{0,60}gpu:\d+ but available devices are|"
        r"unknown device: /?[\w:/]*gpu|/device:GPU:\d+ unknown device)",
        "no devices matching|but available devices|unknown device",
    ),
    family("cuda-build", r"built with cuda:? ?(?P<value>True|False)", "built with cuda"),
    family("cuda-build", r"is_built_with_cuda(?:\(\))?[^\n]{0,20}?\s(?P<value>True|False)\b", "is_built_with_cuda"),
    family("cuda-build", r"'?is_cuda_build'?\"?: ?(?P<value>True|False)", "is_cuda_build"),
    family(
        "windows-native",
        r"GPU support is not available on native Windows for TensorFlow >= 2\.11",
        "native windows",
    ),
    family(
        "metal", r"Metal device set to|tensorflow-metal|PluggableDevice[^\n]{0,60}METAL|\bApple M\d\b", "metal|apple m"
    ),
    family(
        "other-gpu",
        # JAX names every back end that it tries, ROCm's too: the bare word says nothing of the machine
        r"(?P<name>\bROCm (?:Fusion|version|runtime|platform|[\d.]+)|/opt/rocm|"
        r"\bMIOpen|hipError\w+|\bgfx\d{3,4}\b|(?<!repo\.)Radeon|\bAMD/ATI\b|Intel[^\n]{0,20}Graphics)",
        "rocm|miopen|hiperr|gfx|radeon|amd/ati|graphics",
    ),
)
"""Rows of the devices."""

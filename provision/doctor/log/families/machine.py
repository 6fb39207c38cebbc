"""Messages of nvidia-smi, of container engines and of the kernel."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

_SMI, _DOCKER, _KERNEL = "nvidia-smi", "docker", "kernel"

FAMILIES: tuple[Family, ...] = (
    # nvidia-smi and NVML
    family(
        "smi-table",
        r"NVIDIA-SMI (?P<smi>[\d.]+)\s+(?:KMD Version|Driver Version): "
        r"?(?P<driver>[\d.]+)(?:[^\n]{0,12}CUDA[^\n:]{0,20}Version: ?(?P<cuda>[\d.]+))?",
        "nvidia-smi",
        kind=_SMI,
    ),
    family("smi-memory", r"\| *(?P<used>\d+)MiB */ *(?P<total>\d+)MiB", "mib", kind=_SMI),
    family("smi-no-driver", r"couldn't communicate with the NVIDIA driver", "communicate", kind=_SMI),
    family(
        "smi-not-found",
        r"nvidia-smi['\"]?:? (?:command )?not found|'nvidia-smi' is not recognized|not find nvidia-smi",
        "nvidia-smi",
        kind=_SMI,
    ),
    family("nvml-mismatch", r"Driver/library version mismatch", "version mismatch", kind=_SMI),
    family("nvml-unknown", r"Failed to initialize NVML: Unknown Error", "nvml", kind=_SMI),
    family(
        "nvml-rights",
        r"(?:Failed to initialize NVML|nvml(?: error)?): Insufficient Permissions|/dev/nvidia\w*[^\n]{0,10}Permission "
        r"denied|Permission denied[^\n]{0,30}/dev/nvidia|/dev/nvidia[\w\-]*\"[^\n]{0,60}= -1 E(?:PERM|ACCES)\b",
        "nvml|permission|-1 e",
        kind=_SMI,
    ),
    family(
        "nvml-not-loaded", r"(?:Failed to initialize NVML|NVML)[^\n]{0,20}Driver Not Loaded", "not loaded", kind=_SMI
    ),
    family(
        "nvml-library",
        r"couldn't find (?:the )?libnvidia-ml|NVML Shared Library Not Found|libnvidia-ml\.so(?:\.1)?: cannot open",
        "nvidia-ml|nvml shared",
        kind=_SMI,
    ),
    family("nvml-blocked", r"GPU access blocked by the operating system", "access blocked", kind=_SMI),
    family("smi-no-devices", r"No devices were found", "no devices", kind=_SMI),
    family(
        "gpu-lost",
        r"GPU is lost|Unable to determine the device handle for GPU[^\n]{0,30}: Unknown Error|fallen off the bus",
        "gpu is lost|device handle|fallen off",
        kind=_SMI,
    ),
    family("mig", r"\bMIG-(?:GPU-)?[0-9a-f]{8}|No MIG devices found|MIG (?:mode|instance|device)", "mig", kind=_SMI),
    # containers
    family(
        "docker-no-driver",
        r"could not select device driver\b",
        "device driver",
        kind=_DOCKER,
    ),
    family(
        "docker-no-driver",
        r"Unknown runtime specified nvidia|unknown or invalid runtime name: nvidia|"
        r"nvidia-container-runtime[^\n]{0,60}(?:no such file|not found)|"
        r"\"nvidia-container-runtime(?:-hook)?\": executable file not found|unresolvable CDI devices|"
        r"failed to inject CDI devices|CDI device injection failed|Unable to find 'nvidia' runtime",
        "unknown runtime|runtime name|container-runtime|cdi device|'nvidia' runtime",
        kind=_DOCKER,
    ),
    family("container-cli", r"nvidia-container-cli: (?P<error>[^\n]{1,160})", "container-cli", kind=_DOCKER),
    family("banner-no-driver", r"The NVIDIA Driver was not detected", "not detected", kind=_DOCKER),
    family(
        "singularity-nv",
        r"Could not find any nv (?:files|libraries) on this host",
        "nv files|nv libraries",
        kind=_DOCKER,
    ),
    family("kubernetes", r"Insufficient nvidia\.com/gpu", "nvidia.com/gpu", kind=_DOCKER),
    family(
        "docker-run",
        r"(?P<command>\b(?:nvidia-)?(?:docker|podman)(?:-compose)? (?:container )?(?:run|exec|compose)\b[^\n]{0,300})",
        "docker|podman",
        kind=_DOCKER,
    ),
    family(
        "docker-daemon",
        r"docker: Error response from daemon|OCI runtime create failed",
        "daemon|oci runtime",
        kind=_DOCKER,
    ),
    # kernel, modules, installer
    family(
        "nvrm-mismatch",
        r"API mismatch: [^\n]{0,20}client has(?: the)? version "
        r"(?P<library>[\d.]+)[^\n]{0,40}(?:\n[^\n]{0,60})?this kernel module has (?:the )?version "
        r"(?P<kernel>[\d.]+)",
        "api mismatch",
        kind=_KERNEL,
    ),
    family("nvrm-mismatch", r"NVRM: API mismatch", "api mismatch", kind=_KERNEL),
    family(
        "nvrm-version",
        r"NVRM version: NVIDIA UNIX [^\n]{0,60}?Module(?: for \w+)?\s+(?P<version>\d+\.[\d.]+)",
        "nvrm version",
        kind=_KERNEL,
    ),
    family("xid", r"NVRM: Xid \([^)\n]*\): (?P<number>\d+)(?P<text>[^\n]{0,120})", "xid", kind=_KERNEL),
    family("fell-off", r"GPU has fallen off the bus|GPU at [^\n]{0,40}has fallen off", "fallen off", kind=_KERNEL),
    family(
        "nouveau",
        r"such as:?\s*(?:NVRM: )?(?:nouveau|rivafb)|Nouveau kernel driver is currently in use|"
        r"(?:nouveau|rivafb), (?:rivafb|nvidiafb)",
        "nouveau|rivafb",
        kind=_KERNEL,
    ),
    family(
        "nouveau",
        r"Kernel driver in use: nouveau|nouveau \d{4}:[\da-f]{2}:[\da-f.]+:? (?:\[drm\]|DRM|fb0|NVIDIA)",
        "nouveau",
        kind=_KERNEL,
    ),
    family("nouveau-loaded", r"(?:^|\n)nouveau\s+\d{5,}\s+\d+", "nouveau", kind=_KERNEL),
    family(
        "unsigned-module",
        r"could not insert (?:module )?'?(?P<module>[\w./\-]+)'?: (?:Required key not available|Key was rejected)",
        "key",
        kind=_KERNEL,
    ),
    family(
        "unsigned-module",
        r"Required key not available|Key was rejected by service|Lockdown:[^\n]{0,40}unsigned module|"
        r"Loading of (?:unsigned module|module with unavailable key) is (?:rejected|restricted)",
        "key|lockdown|unsigned",
        kind=_KERNEL,
    ),
    family(
        "secure-boot",
        r"SecureBoot enabled|Secure Boot (?:is )?enabled|UEFI Secure Boot",
        "secure ?boot|secureboot|secure boot",
        kind=_KERNEL,
    ),
    family(
        "tainting",
        r"module verification failed: signature and/or required key missing - tainting|(?:nvidia: "
        r")?module license '?NVIDIA'? taints kernel",
        "taint",
        kind=_KERNEL,
        meaning="the kernel notes that NVIDIA's module is not its own; it loads it all the same",
    ),
    family(
        "unsupported-gpu",
        r"NVIDIA GPU[^\n]{0,120}(?:\n[^\n]{0,100}){0,3}?(?:is|are) not supported by|supported through "
        r"the NVIDIA (?P<branch>\d+)[\d.x]* Legacy|(?:is|are) not supported by the [\w "
        r"]{0,30}?(?P<found>\d+\.[\d.]+) (?:NVIDIA|driver)|"
        r"does not include the required GPU|Open nvidia\.ko is only ready for use on|"
        r"requires use of the NVIDIA open kernel "
        r"modules|not supported by open|will ignore (?:\n[^\n]{0,20})?this GPU|installed in this "
        r"system (?:is|requires)",
        "supported|legacy|open kernel|ignore|does not include|installed in|nvidia.ko",
        kind=_KERNEL,
    ),
    family(
        "rm-init",
        r"RmInitAdapter failed|rm_init_adapter failed|Unable to determine the device handle for "
        r"GPU[^\n]{0,30}: Not Found",
        "rminitadapter|rm_init_adapter|device handle",
        kind=_KERNEL,
    ),
    family(
        "module-symbols",
        r"(?:nvidia|nvidia_uvm|nvidia_drm)[\w_]*: (?:Unknown symbol|disagrees about version)",
        "unknown symbol|disagrees about",
        kind=_KERNEL,
    ),
    family(
        "modprobe",
        r"could not insert '(?P<module>nvidia\w*)': (?P<error>[^\n]{1,80})",
        "could not insert",
        kind=_KERNEL,
    ),
    family(
        "modprobe-missing",
        r"Module (?P<module>nvidia[\w\-]*) not found in directory|modprobe: (?:FATAL|ERROR)[^\n]{0,20}Module nvidia",
        "modprobe",
        kind=_KERNEL,
    ),
    family(
        "dkms-failed",
        r"Bad return status for module build on kernel|(?:nvidia[^\n]{0,60})?Error! (?:Module|Your) "
        r"[^\n]{0,40}(?:kernel headers|build)",
        "dkms|bad return|kernel headers",
        kind=_KERNEL,
    ),
    family(
        "dkms-failed",
        r"DKMS module '?nvidia[^\n]{0,80}fail(?:ed|ure)\b",
        "dkms module",
        kind=_KERNEL,
    ),
    # dkms status: its sources are there, and it was built for no kernel
    family("dkms-added", r"\bnvidia[\w\-]{0,40}[/,]\s?[\d.]+: added(?=\s*(?:\n|\Z))", ": added", kind=_KERNEL),
    family(
        "modprobe-missing", r"ERROR: module not found: [`'](?P<module>nvidia\w*)'", "module not found", kind=_KERNEL
    ),
    family(
        "no-nvidia-hardware",
        r"NVRM: No NVIDIA (?:GPU|graphics adapter|device)s? found|No NVIDIA GPU (?:found|detected)",
        "no nvidia",
        kind=_KERNEL,
    ),
    family("uvm-loaded", r"nvidia[_-]uvm: Loaded the UVM driver", "uvm", kind=_KERNEL),
    family("wsl", r"/usr/lib/wsl\b|microsoft-standard|\bWSL2?\b", "wsl|microsoft-standard", kind=_KERNEL),
    family("wsl", r"\bWindows Subsystem for Linux\b", "windows subsystem", kind=_KERNEL),
    family(
        "on-windows",
        r"\b[A-Z]:\\{1,2}(?:Users|Program|tf_jenkins|[\w.]+\\)|\bPowerShell\b|win_amd64|\.dll\b",
        ":\\|powershell|win_amd64|.dll",
        kind=_KERNEL,
    ),
    family(
        "in-conda",
        r"(?:ana|mini)conda\d?|mini(?:forge|mamba)|mambaforge|conda[/\\]envs|\bconda (?:install|activate|create)",
        "anaconda|miniconda|miniforge|mambaforge|conda/envs|conda\\envs|conda install|conda activate|conda create",
        kind="conda",
    ),
    family(
        "in-container",
        r"\btensorflow/tensorflow:|nvcr\.io/|/\.dockerenv|\bdocker-compose\b",
        "tensorflow/tensorflow|nvcr.io|dockerenv|docker-compose",
        kind=_DOCKER,
    ),
    family("official-image", r"\btensorflow/tensorflow:[\w.\-]+", "tensorflow/tensorflow:", kind=_DOCKER),
    family(
        "pip-cuda",
        r"\bnvidia[-_](?:cudnn|cublas|cuda[-_]runtime|cusolver)[-_]cu\d\d(?:==|\s+\d)|site-packages/nvidia/",
        "nvidia-|nvidia_|packages/nvidia",
        kind="pip",
    ),
    family("nvcc", r"Cuda compilation tools, release (?P<version>\d+\.\d+)", "compilation tools", kind="nvidia-smi"),
    family(
        "file-there",
        r"(?:^|\n)[^\n:'\"]{0,80}?/(?:[\w.+\-]+/)+(?P<library>lib[\w+\-]+\.so[\d.]*)\s*(?=\n|\Z|->)",
        ".so",
        kind="python",
    ),
    family(
        "runtime-dll",
        r"(?:find|missing|load)[^\n]{0,60}(?:msvcp140\w*|vcruntime140\w*)\.dll",
        "msvcp140|vcruntime140",
        kind="python",
    ),
    family(
        "package-list",
        r"Package\s+Version\s*\n\s*-{3,}|\b(?:pip3?|conda) (?:list|freeze)\b|# Name\s+Version",
        "package  |package version|pip list|pip3 list|pip freeze|pip3 freeze|conda list|# name",
        kind="pip",
    ),
    family(
        "wsl-libcuda",
        r"/usr/lib/wsl/lib/libcuda[^\n]{0,60}(?:cannot open|No such file)",
        "wsl/lib/libcuda",
        kind=_KERNEL,
    ),
)
"""Rows of the machine."""

"""The machine around the GPU: operating system, processor, C library, WSL and container.

Everything is read from files below the door's root, in the order in which the docstrings list it; what could not be
read stays unknown with its attempts.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence

from provision.model.facts import Attempt, Fact
from provision.model.host import Container
from provision.model.versions import GlibcVersion
from provision.system import System

_SYSTEMS = {"linux": "linux", "darwin": "macos", "windows": "windows"}
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64"}

_VECTOR_FLAGS = ("sse", "ssse", "avx", "fma", "f16c", "bmi", "amx", "popcnt", "asimd", "sve", "neon")
"""Beginnings of the processor flags that numerical code asks for; the other hundred would only fill the page."""

MUSL = "musl"
"""Source of a glibc fact whose answer is "this system has another C library"."""


def normal_architecture(name: str) -> str:
    """Return the name that Linux uses: ``x86_64`` for AMD64, ``aarch64`` for arm64."""
    lower = name.strip().lower()
    return _ARCHITECTURES.get(lower, lower)


def read_text(system: System, path: str, attempts: list[Attempt]) -> str | None:
    """Read a file of /proc, /sys or /etc; a failure becomes an attempt and None."""
    try:
        text = system.read_text(path)
    except FileNotFoundError:
        attempts.append(Attempt(path, "absent"))
    except PermissionError as error:
        attempts.append(Attempt(path, "denied", error.strerror or ""))
    except OSError as error:
        attempts.append(Attempt(path, "failed", error.strerror or str(error)))
    else:
        return text
    return None


def operating_system() -> Fact[str]:
    """``linux``, ``macos`` or ``windows``, from the interpreter itself."""
    name = platform.system().lower()
    return Fact(_SYSTEMS.get(name, name or None), "uname")


def architecture() -> Fact[str]:
    """Processor architecture as the kernel names it: ``x86_64``, ``aarch64`` and so on."""
    return Fact(normal_architecture(platform.machine()) or None, "uname")


def distribution(system: System) -> Fact[str]:
    """Name and version of the distribution, for example ``ubuntu 22.04``, from os-release."""
    attempts: list[Attempt] = []
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = read_text(system, path, attempts)
        if text is None:
            continue
        fields = dict(re.findall(r"^([A-Z_]+)=[\"']?([^\"'\n]*)", text, re.MULTILINE))
        if fields.get("ID"):
            return Fact(f"{fields['ID']} {fields.get('VERSION_ID', '')}".strip(), path, tuple(attempts))
        attempts.append(Attempt(path, "unreadable", "it has no ID"))
    return Fact(None, attempts=tuple(attempts))


def is_wsl(system: System) -> Fact[bool]:
    """Whether this Linux runs under WSL, where the driver number is the Windows one.

    1. the kernel's name contains "microsoft" (WSL 1 and 2 alike); 2. ``/dev/dxg`` exists.
    """
    attempts: list[Attempt] = []
    for path in ("/proc/sys/kernel/osrelease", "/proc/version"):
        text = read_text(system, path, attempts)
        if text is not None:
            answer = "microsoft" in text.lower() or system.exists("/dev/dxg")
            return Fact(answer, path, tuple(attempts))
    if system.exists("/dev/dxg"):
        return Fact(value=True, source="/dev/dxg", attempts=tuple(attempts))
    return Fact(None, attempts=tuple(attempts))


def glibc(system: System) -> Fact[GlibcVersion]:
    """Version of the running system's GNU C library; the source is ``musl`` where there is another one.

    1. ``confstr``: glibc answers for itself, whichever glibc our Python was built against. 2. ``ldd --version``, for a
    Python that is linked with something else. 3. the loader of musl.
    """
    attempts: list[Attempt] = []
    try:
        answer = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError, AttributeError) as error:
        attempts.append(Attempt("confstr", "failed", str(error)))
    else:
        version = GlibcVersion.parse(answer.removeprefix("glibc"))
        if version:
            return Fact(version, "confstr")
        attempts.append(Attempt("confstr", "unreadable", answer))
    ldd = system.run(["ldd", "--version"], timeout=5)
    found = re.search(r"(?:GLIBC|GNU libc)[^\n]*?(\d+\.\d+)\s*$", ldd.stdout, re.MULTILINE)
    if found:
        return Fact(GlibcVersion(found.group(1)), "ldd --version", tuple(attempts))
    attempts.append(Attempt("ldd --version", "failed" if ldd.returncode else "unreadable", ldd.stderr.strip()[:200]))
    if system.glob("/lib", "ld-musl-*.so.1") or "musl" in ldd.stdout + ldd.stderr:
        return Fact(None, MUSL, tuple(attempts))
    return Fact(None, attempts=tuple(attempts))


def cpu_features(system: System) -> Fact[frozenset[str]]:
    """Vector instructions of the processor, lower case as in /proc/cpuinfo (``avx``, ``avx2``, ``fma`` …)."""
    attempts: list[Attempt] = []
    text = read_text(system, "/proc/cpuinfo", attempts)
    if text is not None:
        line = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
        if line:
            flags = frozenset(flag for flag in line.group(1).lower().split() if flag.startswith(_VECTOR_FLAGS))
            return Fact(flags, "/proc/cpuinfo")
        attempts.append(Attempt("/proc/cpuinfo", "unreadable", "no line of flags"))
    return Fact(None, attempts=tuple(attempts))


_CGROUP_KINDS = (
    ("kubepods", "kubernetes"),
    ("libpod", "podman"),
    ("docker", "docker"),
    ("containerd", "containerd"),
    ("/lxc", "lxc"),
)


def container_kind(system: System) -> tuple[str | None, str]:
    """Return the kind of container this process runs in and what said so; ``(None, source)`` for none.

    The order matters: a Kubernetes pod carries the marks of the runtime below it too.
    """
    environ = system.environ
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes", "KUBERNETES_SERVICE_HOST"
    if system.exists("/var/run/secrets/kubernetes.io"):
        return "kubernetes", "/var/run/secrets/kubernetes.io"
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if environ.get(name):
            return "apptainer", name
    for path, kind in (("/.singularity.d", "apptainer"), ("/run/.containerenv", "podman"), ("/.dockerenv", "docker")):
        if system.exists(path):
            return kind, path
    attempts: list[Attempt] = []
    manager = (read_text(system, "/run/systemd/container", attempts) or environ.get("container", "")).strip()
    if manager:
        return manager, "/run/systemd/container" if not attempts else "container"
    for line in (read_text(system, "/proc/1/cgroup", attempts) or "").splitlines():
        for mark, kind in _CGROUP_KINDS:
            if mark in line:
                return kind, "/proc/1/cgroup"
    return None, "no mark of a container"


def container(
    system: System, nodes: Sequence[str] | None, *, host_has_gpu: bool, gpu_answers: bool = False
) -> Fact[Container]:
    """The container around this process and whether a GPU was passed in; the value is None outside of one.

    Args:
        system: the door.
        nodes: the GPU device nodes seen here, None where nobody could look.
        host_has_gpu: whether the kernel shows a GPU or its driver (the kernel is the host's).
        gpu_answers: whether a driver library lists a GPU here.
    """
    kind, source = container_kind(system)
    if kind is None:
        return Fact(None, source)
    passed: bool | None = None
    if nodes or gpu_answers:
        passed = True
    elif nodes is not None and host_has_gpu:
        passed = False
    return Fact(Container(kind, passed), source)

"""Call a framework library's loader functions where neither the library nor what it opens can do harm.

The library comes out of a wheel that nobody has looked at yet. Before the children of ``gate`` are started, this
process gives up what it can, for itself and for them: the network (a namespace of its own), all files but Python, the
system's libraries and one working folder (Landlock), memory, time and the size of files (limits). What the kernel does
not offer is left out, and the answer names what held.
"""

import ctypes
import os
import resource
import struct
import subprocess
import sys

import gate

_guest = gate._guest  # noqa: SLF001 - importing it takes this folder off the path

_NEW_NET, _NEW_USER, _NEW_IPC = 0x40000000, 0x10000000, 0x08000000
_NO_NEW_PRIVILEGES = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_BENEATH = 1
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_ALL_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/proc",
    "/sys/devices/system",
    "/dev/urandom",
)
"""What a Python and the loader read."""


def no_network(libc):
    """Move into an empty network namespace."""
    if libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC) and libc.unshare(_NEW_NET | _NEW_IPC):
        return []
    return ["network"]


def few_files(libc, readable, writable):
    """Let this process and its children open nothing but these folders and files."""
    abi = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return []
    everything = _ALL_BY_ABI.get(abi, _ALL_BY_ABI[3])
    attribute = ctypes.create_string_buffer(struct.pack("<Q", everything), 8)
    rules = libc.syscall(_CREATE_RULESET, attribute, ctypes.c_size_t(8), 0)
    if rules < 0:
        return []
    wanted = [(path, _EXECUTE | _READ | _LIST) for path in readable]
    wanted += [(path, everything) for path in writable] + [("/dev/null", _READ | _WRITE)]
    for path, access in wanted:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = access & everything & (everything if os.path.isdir(path) else _OF_FILES)
        rule = ctypes.create_string_buffer(struct.pack("<Qi", allowed, place), 12)
        libc.syscall(_ADD_RULE, rules, _BENEATH, rule, 0)
        os.close(place)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    held = libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return ["files"] if held else []


def limits(memory, seconds, file_size):
    """Limit what each process may take: bytes of memory, seconds of a CPU, bytes of a file."""
    wanted = [
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CORE, 0),
    ]
    for kind, value in wanted:
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, limit))
    return ["memory", "time"]


def of_python():
    """Return the folders in which this interpreter and the libraries that it has mapped lie."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.abspath(__file__))}
    found.update(os.path.dirname(os.path.realpath(path)) for path in (sys.executable, os.__file__))
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            path = line.rstrip("\n").split(None, 5)[-1]
            if path.startswith("/") and ".so" in path:
                found.add(os.path.dirname(path))
    return sorted(found - {"/"})


def nccl_version(framework):
    """Print what NCCL inside the library answers, nothing where it exports none or only opens another one."""
    library = ctypes.CDLL(framework)
    try:
        function = library.ncclGetVersion
    except AttributeError:
        return
    value = ctypes.c_int(0)
    if function(ctypes.byref(value)) == 0 and value.value > 0:
        print("NCCL %d" % value.value)


def nccl_inside(framework, seconds):
    """Ask the same in a child; returns the number, 0 where there is none."""
    process = subprocess.Popen(
        [sys.executable, "-s", os.path.abspath(__file__), framework],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return 0
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith("NCCL ") and line[5:].isdigit():
            return int(line[5:])
    return 0


def main():
    """Confine this process, then answer as ``gate`` does, with ``confined`` and ``nccl`` besides."""
    if len(sys.argv) > 1:
        nccl_version(sys.argv[1])
        return
    given = _guest.arguments()
    framework, folder = given["framework"], given["folder"]
    libc = ctypes.CDLL(None, use_errno=True)
    confined = no_network(libc)
    confined += limits(given["memory"], given["cpu_seconds"], given["file_size"])
    readable = of_python() + list(_SYSTEM) + [os.path.dirname(framework)]
    confined += few_files(libc, readable, [folder])
    said = {}
    _guest.arguments, answer = (lambda: given), _guest.answer
    _guest.answer = said.update
    gate.main()
    said.update(confined=sorted(confined), nccl=nccl_inside(framework, given.get("seconds", 60)))
    answer(said)


if __name__ == "__main__":
    main()

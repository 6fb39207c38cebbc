"""Say what this interpreter is and which distributions it sees; imports nothing of the environment."""

import os
import platform
import re
import site
import sys
import sysconfig

import _guest

_DIST = re.compile(r"^(?P<name>[A-Za-z0-9._]+?)-(?P<version>[^-]+?)(?:\.dist-info|(?:-py[0-9.]+)?\.egg-info)$")


def distributions():
    """Return every distribution on ``sys.path`` as name, version and folder, in the order of the path."""
    found = []
    for folder in sys.path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for name in names:
            match = _DIST.match(name)
            if match:
                plain = re.sub(r"[-_.]+", "-", match.group("name")).lower()
                found.append({"name": plain, "version": match.group("version"), "folder": folder})
    return found


def tensorflow_folders(path):
    """Return every folder on a path with a tensorflow package or module, first come first served."""
    found = []
    for folder in path:
        for name in ("tensorflow/__init__.py", "tensorflow.py", "tensorflow_core/__init__.py"):
            if os.path.isfile(os.path.join(folder, name)) and os.path.join(folder, name) not in found:
                found.append(os.path.join(folder, name))
    return found


def user_site():
    """Return the user's own site folder, nothing where this Python's ``site`` does not know of one."""
    try:
        return [site.getusersitepackages()]
    except Exception:
        return []


def sees_user_site():
    """Whether this Python has the user's own site folder on its path unless a flag or a variable forbids it."""
    if sys.prefix == getattr(sys, "base_prefix", sys.prefix):
        return True
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as stream:
            return re.search(r"(?im)^include-system-site-packages\s*=\s*true\s*$", stream.read()) is not None
    except OSError:
        return False


def main():
    """Answer."""
    libc = platform.libc_ver()
    user = [folder for folder in user_site() if sees_user_site() and os.path.isdir(folder)]
    _guest.answer(
        {
            "executable": sys.executable,
            "prefix": sys.prefix,
            "base_prefix": getattr(sys, "base_prefix", sys.prefix),
            "conda": os.path.isdir(os.path.join(sys.prefix, "conda-meta")),
            "version": ".".join(str(part) for part in sys.version_info[:3]),
            "implementation": sys.implementation.name,
            "machine": platform.machine(),
            "libc": list(libc),
            "purelib": sysconfig.get_paths()["purelib"],
            "platlib": sysconfig.get_paths()["platlib"],
            "path": sys.path,
            "platform": sys.platform,
            "abiflags": getattr(sys, "abiflags", ""),
            "user_folder": user[0] if user else "",
            "distributions": distributions(),
            "tensorflow": tensorflow_folders(sys.path),
            "user_site_tensorflow": tensorflow_folders(user_site()),
        }
    )


if __name__ == "__main__":
    main()

"""Written by tfgpu-provision into this environment; `tfgpu-provision` can take it out again.

When `tensorflow` of this site-packages folder is about to run for the first time, two things are done before it:

* With LD_LIBRARY_PATH set, the CUDA libraries that belong to it are loaded by their paths, because the dynamic linker
  would otherwise prefer whatever lies on LD_LIBRARY_PATH. glibc then answers every later request from these.
* XLA_FLAGS names the folder of this environment's ptxas and libdevice, and PATH begins with that ptxas, in this process
  and those that it starts: XLA would otherwise take another CUDA's, or find none at all.

Nothing here imports TensorFlow, raises, or costs more than looking at one name per import. TFGPU_NO_PRELOAD=1 switches
all of it off. Standard library, words of Python 3.6.
"""

import os
import sys

PRELOAD = ()  # paths below this folder, what a library needs before the library itself
CUDA_DATA_DIR = ""  # folder, relative to this one, with bin/ptxas and nvvm/libdevice; empty where there is none
HERE = os.path.dirname(os.path.abspath(__file__))
# What the dynamic linker saw when this process began; a later change of os.environ means nothing to it.
SEARCHED_FIRST = os.environ.get("LD_LIBRARY_PATH", "")
MARK = "TFGPU_XLA_DATA_DIR"
FLAG = "--xla_gpu_cuda_data_dir="


class Finder:
    """Stands before the other finders until tensorflow runs; finds nothing by itself."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return what the next finders say about tensorflow, with `prepare` put before its execution."""
        if name != "tensorflow":
            return None
        try:
            for finder in sys.meta_path:
                if finder is Finder or not hasattr(finder, "find_spec"):
                    continue
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return _prepared(spec)
        except Exception:
            pass  # whatever went wrong will go wrong again, and be told, where it belongs
        return None


def _prepared(spec):
    """Make the loader of this spec call `prepare` first, once; the loader stays what it is for everyone else."""
    loader = spec.loader
    mine = os.path.join(HERE, "tensorflow", "__init__.py")
    if loader is None or spec.origin is None or not os.path.exists(mine) or not os.path.samefile(spec.origin, mine):
        return spec
    original = loader.exec_module

    def exec_module(module):
        del loader.exec_module
        prepare()
        return original(module)

    loader.exec_module = exec_module
    return spec


def prepare():
    """Do what has to be done before tensorflow runs; never raises, acts once."""
    if Finder in sys.meta_path:
        sys.meta_path.remove(Finder)
        for step in (_tell_xla, _preload):
            try:
                step()
            except Exception:
                pass


def _preload():
    if not SEARCHED_FIRST.strip(":;"):
        return
    import ctypes

    try:
        # Without a driver TensorFlow opens none of these libraries either.
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    for name in PRELOAD:
        try:
            # RTLD_LOCAL, as TensorFlow itself opens them: no symbol of theirs may shadow one of TensorFlow's.
            ctypes.CDLL(os.path.join(HERE, name), os.RTLD_LAZY | os.RTLD_LOCAL)
        except OSError:
            pass


def _tell_xla():
    """Name the folder of ptxas and libdevice in XLA_FLAGS, unless the user named one or keeps flags in a file."""
    wanted = os.path.normpath(os.path.join(HERE, *CUDA_DATA_DIR.split("/"))) if CUDA_DATA_DIR else ""
    flags = os.environ.get("XLA_FLAGS", "")
    inherited = os.environ.pop(MARK, "")
    if inherited and inherited != wanted:
        # The hook of another environment set it, whose program started this one.
        flags = flags.replace(_flag(inherited), "").strip()
        os.environ["XLA_FLAGS"] = flags
        if not flags:
            del os.environ["XLA_FLAGS"]
    if not wanted or (flags.strip() and not flags.strip().startswith("-")):
        return
    if FLAG not in flags:
        os.environ["XLA_FLAGS"] = (flags + " " + _flag(wanted)).strip()
    elif _flag(wanted) not in flags:
        return
    os.environ[MARK] = wanted
    # Up to 2.13 a ptxas on PATH comes before the one in that folder; 2.16 and 2.17 crash where there is no PATH at all.
    path = os.environ.get("PATH") or os.defpath
    programs = os.path.join(wanted, "bin")
    if path.split(os.pathsep)[0] != programs:
        os.environ["PATH"] = programs + os.pathsep + path


def _flag(folder):
    """Return the flag as XLA reads it: in double quotes, with backslashes, where the path has other characters."""
    if all(character.isalnum() or character in "/._-+" for character in folder):
        return FLAG + folder
    return FLAG + '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'


def install():
    """Take a place before the other finders; called once by _tfgpu.pth when the interpreter starts."""
    if os.environ.get("TFGPU_NO_PRELOAD", "") in ("", "0") and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, Finder)

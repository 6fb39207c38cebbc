"""The files that a wired environment gets: the hook's module, the line that starts it, and the alias libraries."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from provision.model.environment import RECORD_FOLDER, EnvRef
from provision.model.matrix import LibrarySet
from provision.wiring.alias import alias_library
from provision.wiring.links import Link, LinkPlan

MODULE = "_tfgpu_hook.py"
START = "_tfgpu.pth"
ALIASES = "aliases"
"""Folder below our own one in the environment, for libraries that are other names of libraries."""
CUDA = "cuda"
"""Folder below our own one in a conda environment, laid out as XLA wants it."""
START_LINE = "import _tfgpu_hook; _tfgpu_hook.install()\n"
_TEMPLATE = Path(__file__).parent / "guest" / MODULE
_PRELOAD_LINE = "PRELOAD = ()"
_DATA_DIR_LINE = 'CUDA_DATA_DIR = ""'
_LIBDEVICE = PurePosixPath("nvvm/libdevice/libdevice.10.bc")
_PTXAS = PurePosixPath("bin/ptxas")


def hook_files(root: Path, site_packages: Path, plan: LinkPlan, data_dir: str) -> dict[Path, bytes]:
    """Return the hook's files, absolute path to content: its module, the line that starts it, the alias libraries.

    Args:
        root: of the environment, absolute.
        site_packages: absolute.
        plan: gives the libraries to load, their order and their other names.
        data_dir: from `cuda_data_dir`.
    """
    folder = root / RECORD_FOLDER / ALIASES
    aliases = {folder / name: alias_library(name, soname) for name, soname in plan.aliases.items()}
    # An alias comes right after the library that it stands for, before anything that may ask for it.
    meant = {plan.aliases[path.name]: path for path in aliases}
    loaded: list[Path] = []
    for path in plan.preload:
        soname = plan.aliases.get(path.name, path.name)
        loaded += [path, meant[soname]] if soname in meant else [path]
    names = [Path(os.path.relpath(path, site_packages)).as_posix() for path in loaded]
    listed = "PRELOAD = (\n" + "".join(f"    {name!r},\n" for name in names) + ")" if names else _PRELOAD_LINE
    text = _TEMPLATE.read_text(encoding="utf-8")
    text = text.replace(_PRELOAD_LINE, listed, 1).replace(_DATA_DIR_LINE, f"CUDA_DATA_DIR = {data_dir!r}", 1)
    return {**aliases, site_packages / MODULE: text.encode(), site_packages / START: START_LINE.encode()}


def cuda_data_dir(env: EnvRef, library_set: LibrarySet) -> tuple[str, tuple[Link, ...]]:
    """Return the folder that XLA is told about, relative to site-packages, empty for none, and links that it needs.

    It is the folder with ``bin/ptxas`` and ``nvvm/libdevice/libdevice.10.bc`` of the CUDA compiler wheel. Releases
    before 2.14 never look there; later ones look there last, after PATH and /usr/local/cuda, whose ptxas may know
    neither the GPU nor the PTX of this release. A folder that XLA_FLAGS names comes before all of these. Read from the
    system calls of 2.10.1, 2.16.1 and 2.21.0, November 2026 (docs/wiring.md).

    In a conda environment it is the prefix where that has both; conda's older toolkits have libdevice in ``lib`` and no
    ptxas, so that a folder of ours gives what is there the place where XLA looks.
    """
    site_packages, root = Path(env.site_packages), Path(env.prefix)
    if env.kind == "conda":
        return _of_conda(root, site_packages, library_set)
    meant = PurePosixPath(library_set.ptxas).parent.parent if library_set.ptxas else PurePosixPath("nvidia/cuda_nvcc")
    whole = all((site_packages / meant / part).is_file() for part in (_PTXAS, _LIBDEVICE))
    return meant.as_posix() if whole else "", ()


def _of_conda(root: Path, site_packages: Path, library_set: LibrarySet) -> tuple[str, tuple[Link, ...]]:
    if all((root / part).is_file() for part in (_PTXAS, _LIBDEVICE)):
        return _relative(root, site_packages), ()
    folder = root / RECORD_FOLDER / CUDA
    named = ((library_set.ptxas or _PTXAS, _PTXAS), (library_set.libdevice or _LIBDEVICE, _LIBDEVICE))
    there = tuple(Link(folder / part, root / name, "XLA") for name, part in named if (root / name).is_file())
    libdevice = any(link.path == folder / _LIBDEVICE for link in there)
    return (_relative(folder, site_packages), there) if libdevice else ("", ())


def _relative(folder: Path, site_packages: Path) -> str:
    return Path(os.path.relpath(folder, site_packages)).as_posix()

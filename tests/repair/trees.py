"""A small environment and what a repair makes of it, with every kind of change that there is."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provision.backends.clone import clone

LIB = "lib/site-packages"


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """Give a folder, in memory where there is one: every trial syncs, and a disk would take its time."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="tfgpu-test-", dir=memory if os.access(memory, os.W_OK) else otherwise))
    try:
        yield folder
    finally:
        remove_all(folder)


def remove_all(folder: Path) -> None:
    """Remove a folder with folders in it that forbid that."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put a new file there; what was there goes first, so that nothing is written through a hard link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def make_before(prefix: Path) -> None:
    lib = prefix / LIB
    write(prefix / "pyvenv.cfg", b"home = /usr/bin\n")
    write(prefix / "bin/tool", b"#!/old/bin/python\n", 0o755)
    (prefix / "bin/python").symlink_to("/usr/bin/python3")
    (prefix / "lib64").symlink_to("lib")
    for name in ("a", "b", "c"):
        write(lib / f"p/{name}.py", f"{name} = 1\n".encode())
        write(lib / f"p/__pycache__/{name}.cpython-311.pyc", b"byte code")
    write(lib / "p/a.py", b"a = 1\n")
    write(lib / "p/empty", b"")
    write(lib / "p/script.sh", b"echo\n", 0o644)
    write(lib / "p/read-only", b"old", 0o444)
    write(lib / "gone/deep/x.py", b"x = 1\n")
    write(lib / "gone/deep/__pycache__/x.cpython-311.pyc", b"byte code")
    write(lib / "gone/y", b"y" * 70_000)
    (lib / "gone-empty").mkdir()
    write(lib / "locked/inside", b"l")
    (lib / "locked").chmod(0o555)
    (lib / "mode").mkdir(mode=0o755)
    write(lib / "mode/stays", b"s")
    (lib / "link-changed").symlink_to("p/a.py")
    (lib / "link-gone").symlink_to("p")
    (lib / "link-to-file").symlink_to("nowhere")
    (lib / "link-to-folder").symlink_to("p")
    write(lib / "file-to-link", b"f")
    write(lib / "file-to-folder", b"f")
    write(lib / "folder-to-file/one/two", b"2")
    write(lib / "folder-to-link/one", b"1")
    write(lib / "twin-1", b"twin")
    os.link(lib / "twin-1", lib / "twin-2")
    write(lib / "pair-1", b"pair")
    os.link(lib / "pair-1", lib / "pair-2")
    write(lib / "a name", b"blank")
    write(Path(os.fsdecode(os.fsencode(lib) + b"/\xff\xfe")), b"no UTF-8")
    (prefix / ".tfgpu").mkdir()
    write(prefix / ".tfgpu/environment.json", b"{}")


def make_after(stage: Path) -> None:
    """Change a copy the way installers do: files are replaced."""
    lib = stage / LIB
    write(stage / "bin/tool", b"#!/new/bin/python -s\n", 0o755)
    write(lib / "p/a.py", b"a = 2\n")
    (lib / "p/b.py").unlink()
    write(lib / "p/new.py", b"n = 1\n")
    write(lib / "p/script.sh", b"echo\n", 0o755)
    write(lib / "p/read-only", b"new", 0o444)
    shutil.rmtree(lib / "gone/deep/__pycache__", ignore_errors=True)
    for path in ("gone/deep/x.py", "gone/y"):
        (lib / path).unlink()
    for path in ("gone/deep", "gone", "gone-empty"):
        (lib / path).rmdir()
    (lib / "locked").chmod(0o755)
    (lib / "locked/inside").unlink()
    (lib / "locked").rmdir()
    write(lib / "new-locked/inside", b"n")
    (lib / "new-locked").chmod(0o555)
    (lib / "mode").chmod(0o700)
    write(lib / "mode/more", b"m")
    write(lib / "fresh/deep/z.py", b"z = 1\n")
    (lib / "fresh-empty").mkdir()
    for name, target in (("link-changed", "p/c.py"), ("link-fresh", "fresh")):
        (lib / name).unlink(missing_ok=True)
        (lib / name).symlink_to(target)
    (lib / "link-gone").unlink()
    write(lib / "link-to-file", b"was a link")
    (lib / "link-to-folder").unlink()
    write(lib / "link-to-folder/inside", b"i")
    (lib / "file-to-link").unlink()
    (lib / "file-to-link").symlink_to("p/c.py")
    (lib / "file-to-folder").unlink()
    write(lib / "file-to-folder/sub/inside", b"i")
    (lib / "folder-to-file/one/two").unlink()
    (lib / "folder-to-file/one").rmdir()
    (lib / "folder-to-file").rmdir()
    write(lib / "folder-to-file", b"now a file")
    (lib / "folder-to-link/one").unlink()
    (lib / "folder-to-link").rmdir()
    (lib / "folder-to-link").symlink_to("p")
    write(lib / "twin-1", b"changed")
    write(lib / "pair-1", b"pair, new")
    (lib / "pair-2").unlink()
    os.link(lib / "pair-1", lib / "pair-2")
    write(lib / "a name", b"still blank")
    write(Path(os.fsdecode(os.fsencode(lib) + b"/\xff\xfe")), b"no UTF-8, new")
    write(stage / ".tfgpu/wiring.json", b"{}")


def stage_of(prefix: Path, stage: Path) -> None:
    stage.mkdir()
    clone(prefix, stage, left_out=(prefix / ".tfgpu/repairs",))
    make_after(stage)


Picture = dict[str, tuple[object, ...]]


def picture(root: Path) -> Picture:
    """Return every path with all that counts; byte code and the journal aside."""
    found: Picture = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        here = Path(folder)
        if here == root / ".tfgpu" and "repairs" in folders:
            folders.remove("repairs")
        for name in (*folders, *files):
            path = here / name
            state = path.lstat()
            mode = stat.S_IMODE(state.st_mode)
            said: tuple[object, ...] = ("folder", mode)
            if path.is_symlink():
                said = ("link", os.readlink(path))  # noqa: PTH115 - as it is written
            elif path.is_file():
                said = ("file", mode, path.read_bytes(), state.st_mtime_ns)
            found[str(path.relative_to(root))] = said
    return found

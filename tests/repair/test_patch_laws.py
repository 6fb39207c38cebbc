"""Laws of a patch over any two trees: forward makes the one of the other, back undoes it, from wherever it stopped."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from repair.trees import in_memory, picture, write

from provision.repair.files.patch import deviations, difference, go_back, go_forward, keep

Tree = dict[str, tuple[str, int]]
"""Kind and flavour by path; what stands below something that is no folder is left out."""

NAMES = st.sampled_from(["a", "b", "a.py", "a-b", "ü"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.tuples(st.sampled_from(["file", "link", "folder"]), st.integers(0, 2)), max_size=10)


class StopError(Exception):
    """Something came in between."""


def stop_at(number: int) -> Callable[[str], None]:
    left = iter(range(number - 1, -1, -1))

    def stop(_path: str) -> None:
        if next(left, None) == 0:
            raise StopError

    return stop


def plant(root: Path, tree: Tree) -> None:
    root.mkdir()
    for path, (kind, flavour) in sorted(tree.items()):
        place = root / path
        if any(above.is_symlink() or above.is_file() for above in (place, *place.parents)) or place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            write(place, b"x" * flavour, (0o644, 0o755, 0o444)[flavour])
        elif kind == "link":
            place.symlink_to(("a", "../b", "/nowhere")[flavour])
        else:
            place.mkdir()
            (place / "__pycache__").mkdir()
            write(place / "__pycache__/a.cpython-311.pyc", b"byte code")


@given(TREES, TREES, st.tuples(st.integers(1, 20), st.integers(1, 20)), st.integers(0, 1))
def test_forward_and_back_from_wherever_it_stopped(one: Tree, other: Tree, stops: tuple[int, int], finish: int) -> None:
    with in_memory(Path(tempfile.gettempdir())) as folder:
        prefix, stage, kept = folder / "env", folder / "stage", folder / "kept"
        plant(prefix, one)
        plant(stage, other)
        before, after = picture(prefix), picture(stage)
        patch = difference(prefix, stage)
        keep(patch, prefix, kept)
        with contextlib.suppress(StopError):
            go_forward(patch, prefix, stage, kept, stop_at(stops[0]))
        with contextlib.suppress(StopError):
            go_back(patch, prefix, stage, kept, stop_at(stops[1]))
        if finish:
            go_forward(patch, prefix, stage, kept)
            assert {path: said[:3] for path, said in picture(prefix).items()} == {
                path: said[:3] for path, said in after.items()
            }
            assert deviations(patch, prefix, applied=True) == ()
        go_back(patch, prefix, stage, kept)
        assert picture(prefix) == before
        assert deviations(patch, prefix, applied=False) == ()
        assert not (folder / "aside").exists()

"""The rows of the matrix with each of their sets, over an environment of tiny libraries laid out as the row says."""

from __future__ import annotations

from pathlib import Path

import pytest
from wiring.samples import compiled, env_ref

from provision.matrix import default_path, load
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.wiring import search_path, unwire, wire

MATRIX: Matrix = load(default_path())


def cases() -> list[object]:
    """One row for each different layout: what is searched, asked for and brought."""
    seen = {}
    for row in MATRIX.rows:
        for one in row.sets:
            layout = (row.search, row.gate, tuple(row.aliases.items()), tuple(row.optional.items()), one.ident)
            seen.setdefault(layout, pytest.param(row, one, id=f"{row.distribution}-{row.release}-{one.ident}"))
    return list(seen.values())


def laid_out(prefix: Path, row: Row, library_set: LibrarySet) -> None:
    """Make the libraries of the set, each as searching as the real ones, and a framework library as the row has it."""
    site_packages = prefix / "lib/python3.8/site-packages"
    for pin in library_set.pins:
        for soname, place in pin.libraries.items():
            path = site_packages / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(compiled(soname, "$ORIGIN:$ORIGIN/../../cublas/lib", ()))
    for place in filter(None, (library_set.ptxas, library_set.libdevice)):
        (site_packages / place).parent.mkdir(parents=True, exist_ok=True)
        (site_packages / place).touch()
    folders = [f"$ORIGIN/../nvidia/{name}" for name in row.search.nvidia]
    search = ":".join((["$ORIGIN/"] if row.search.origin else []) + folders)
    framework = site_packages / "tensorflow/libtensorflow_framework.so.2"
    framework.parent.mkdir(parents=True)
    framework.write_bytes(compiled(framework.name, search, (), rpath=row.search.kind == "RPATH"))


@pytest.mark.parametrize(("row", "library_set"), cases())
def test_every_layout_of_the_matrix_is_wired(tmp_path: Path, cc: str, row: Row, library_set: LibrarySet) -> None:
    laid_out(tmp_path, row, library_set)
    env = env_ref(tmp_path)
    unfound = search_path(env, row.gate).missing
    report = wire(env, row, library_set)
    assert report.ok, report
    assert search_path(env, row.gate).missing == ()
    made = {Path(name).name for name in report.links}
    assert made >= set(unfound)
    assert report.cuda_data_dir == "nvidia/cuda_nvcc"
    named = [[name for name in names if name in made] for names in row.optional.values()]
    found = [search_path(env, names).missing != tuple(names) for names in row.optional.values()]
    assert all(found), (named, row.optional)
    unwire(env)
    assert search_path(env, row.gate).missing == unfound


def test_the_alias_that_a_row_names_is_what_is_linked(tmp_path: Path, cc: str) -> None:
    rows = [row for row in MATRIX.rows if row.aliases]
    assert rows
    for row in rows[:: max(1, len(rows) // 5)]:
        prefix = tmp_path / str(row.release)
        laid_out(prefix, row, row.sets[0])
        report = wire(env_ref(prefix), row, row.sets[0])
        links = {Path(name).name: Path(target).name for name, target in report.links.items()}
        for name, meant in row.aliases.items():
            assert links.get(name) == meant

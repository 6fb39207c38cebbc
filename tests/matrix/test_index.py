"""Rows resolve today, with wheels only, from the configured package index.

The newest patch of every minor; ``TFGPU_EVERY_ROW=1`` tries all of them (ten minutes).
"""

from __future__ import annotations

import subprocess

import pytest
from thorough import EVERY_ROW
from uv import find_uv_bin

from provision.matrix import load
from provision.model.matrix import Row

NEWEST = {row.release.minor_series: row for row in load().rows}
ROWS = load().rows if EVERY_ROW else tuple(NEWEST.values())
PLATFORM = "x86_64-manylinux_2_28"


@pytest.mark.index
@pytest.mark.parametrize("row", ROWS, ids=[row.release.text for row in ROWS])
def test_each_row_resolves_with_each_of_its_sets(row: Row) -> None:
    for library_set in row.sets:
        requirements = [row.requirement]
        requirements += [constraint.requirement for constraint in row.constraints]
        requirements += [pin.requirement for pin in library_set.pins]
        requirements += [f"{item.name}=={item.version}" for item in row.source_only]
        exceptions = [word for item in row.source_only for word in ("--no-binary", item.name)]
        done = subprocess.run(
            [
                *(find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"),
                *("--python-version", row.pythons[-1].text, "--python-platform", PLATFORM),
                *("--only-binary", ":all:", *exceptions, "-"),
            ],
            input="\n".join(requirements),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        for pin in library_set.pins:
            assert f"{pin.name}=={pin.version}" in done.stdout
        for item in row.source_only:
            assert f"{item.name}=={item.version}" in done.stdout
            assert f"sha256:{item.sha256}" in done.stdout, "the archive on the index is the one that was looked at"

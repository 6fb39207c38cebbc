from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conda import channel as channels
from conda.world import GPU, ROW, engine_at, solved, tree

from provision.errors import ToolFailedError, UsageError
from provision.model.created import Denial


def test_a_solve_is_complete_sorted_and_the_same_twice(tmp_path: Path, usual: Path) -> None:
    found = solved(engine_at(tmp_path), GPU, usual.as_uri())
    assert [item.requirement for item in found] == [
        "cudatoolkit=11.0.3=0",
        "cudnn=8.0.5.39=ha5ca753_1",
        "libzstub=1.2.13=0",
        "numpy=1.19.5=py38_0",
        "python=3.8.20=h0_cpython",
        "tool=2.0=pyh_0",
    ]
    toolkit = found[0]
    archive = usual / "linux-64/cudatoolkit-11.0.3-0.conda"
    assert toolkit.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (toolkit.url, toolkit.size, toolkit.constrains) == (
        archive.as_uri(),
        archive.stat().st_size,
        ("__cuda >=11",),
    )
    assert toolkit.channel == usual.as_uri()
    assert solved(engine_at(tmp_path / "other"), tuple(reversed(GPU)), usual.as_uri()) == found


def test_the_hosts_virtual_packages_and_overrides_play_no_part(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path, CONDA_OVERRIDE_CUDA="12.4", CONDA_OVERRIDE_GLIBC="2.36")
    without = {key: value for key, value in ROW.items() if key != "__cuda"}
    denied = engine.solve(["cudnn"], [usual.as_uri()], without)
    assert isinstance(denied, Denial)
    assert denied.code == "conda-virtual-package"
    assert denied.why == ("no __cuda was given, cudnn 8.0.5.39 | 8.1.0.77 needs __cuda",)


@pytest.mark.parametrize(
    ("specs", "virtual", "answer"),
    [
        (("newglibc",), {}, ("conda-virtual-package", "__glibc 2.17 was given, newglibc 1.0 needs __glibc >=2.28,<3.0.a0")),
        (("cudnn", "cudatoolkit 11.0.*"), {"__cuda": "10.2"}, ("conda-virtual-package", "__cuda 10.2 was given, cudatoolkit 11.0.3 needs __cuda >=11")),
        (("numpi",), {}, ("conda-package-not-found", "channels: file://")),
        (("numpy 7",), {}, ("conda-package-not-found", "versions there: 1.19.5, 1.26.4")),
        (("numpy 1.19.5", "python 3.9.*"), {}, ("conda-conflict", "python >=3.8,<3.9.0a0")),
        (("cudatoolkit 11.0.*", "cuda-version 11.2"), {}, ("conda-conflict", "cudatoolkit ==11.2|11.2.*")),
    ],
)  # fmt: skip
def test_what_cannot_be_solved_is_told_in_our_words(
    tmp_path: Path, usual: Path, specs: tuple[str, ...], virtual: dict[str, str], answer: tuple[str, str]
) -> None:
    code, said = answer
    denied = engine_at(tmp_path).solve(specs, [usual.as_uri()], {**ROW, **virtual})
    assert isinstance(denied, Denial)
    assert denied.code == code
    assert said in "\n".join(denied.why), denied
    assert denied.hint
    assert denied.asked
    assert "SolverError" not in repr(denied)
    assert "├" not in repr(denied)


def test_good_specs_in_every_writing(tmp_path: Path, usual: Path) -> None:
    address = usual.as_uri()
    for spec in (
        "numpy 1.19.5",
        "numpy=1.19",
        "numpy==1.19.5=py38_0",
        "numpy[version='>=1.19,<1.20']",
        f"{address}::numpy <1.20",
        "NumPy 1.19.*",
    ):
        assert "numpy=1.19.5=py38_0" in [item.requirement for item in solved(engine_at(tmp_path), (spec,), address)]


def test_the_stronger_channel_wins_even_with_the_older_version(tmp_path: Path, usual: Path) -> None:
    strong = channels.make(tmp_path / "strong", [channels.Package("cudatoolkit", "9.2.148")])
    found = engine_at(tmp_path).solve(["cudatoolkit"], [strong, usual.as_uri()], ROW)
    assert not isinstance(found, Denial)
    assert found[0].version == "9.2.148"
    denied = engine_at(tmp_path).solve(["cudatoolkit 11.*"], [strong, usual.as_uri()], ROW)
    assert isinstance(denied, Denial)


def test_locked_packages_stay_where_they_fit(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    old = solved(engine, ("cudatoolkit 11.0.*",), usual.as_uri())
    assert solved(engine, ("cudatoolkit 11.*",), usual.as_uri())[0].version == "11.2.2"
    assert solved(engine, ("cudatoolkit 11.*",), usual.as_uri(), locked=old)[0].version == "11.0.3"
    assert solved(engine, ("cudatoolkit 11.2.*",), usual.as_uri(), locked=old)[0].version == "11.2.2"


def test_as_of_takes_nothing_newer(tmp_path: Path) -> None:
    folder = tmp_path / "channel"
    channels.make(folder, channels.USUAL)
    channels.forget_index_time(folder)
    engine = engine_at(tmp_path)
    assert "1.26.4" in {item.version for item in solved(engine, ("numpy",), folder.as_uri())}
    assert "1.19.5" in {item.version for item in solved(engine, ("numpy",), folder.as_uri(), as_of="2021-03-01")}
    assert isinstance(engine.solve(["numpy"], [folder.as_uri()], ROW, as_of="2020-09-12"), Denial)
    assert not isinstance(engine.solve(["numpy"], [folder.as_uri()], ROW, as_of="2020-09-13"), Denial)
    with pytest.raises(UsageError):
        engine.solve(["numpy"], [folder.as_uri()], ROW, as_of="yesterday")


def test_an_install_names_its_final_place_everywhere(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    packages = solved(engine, GPU, usual.as_uri())
    final, stage = tmp_path / "place" / "env", tmp_path / "place" / ".env.staging"
    stage.parent.mkdir()
    engine.install(packages, stage, final, requested=GPU)
    named = [
        str(path.relative_to(stage))
        for path in stage.rglob("*")
        if path.is_file() and str(stage).encode() in path.read_bytes()
    ]
    assert named == []
    assert f"#!{final}/bin/python3.8" in (stage / "bin/tool").read_text()
    assert (stage / "lib/python3.8/_sysconfigdata.py").read_text() == f"prefix = '{final}'\n"
    # A binary keeps its length.
    assert (stage / "lib/libpython3.8.so.1.0").stat().st_size == len(
        channels.USUAL[0].files["lib/libpython3.8.so.1.0"].content
    )
    record = json.loads((stage / "conda-meta/tool-2.0-pyh_0.json").read_text())
    assert (record["noarch"], record["requested_specs"], record["channel"]) == ("python", ["tool"], usual.as_uri())
    assert json.loads((stage / "conda-meta/python-3.8.20-h0_cpython.json").read_text())["timestamp"] == channels.STAMP
    for item in packages:
        assert (
            json.loads((stage / f"conda-meta/{item.name}-{item.version}-{item.build}.json").read_text())["sha256"]
            == item.sha256
        )


def test_two_installs_of_one_lock_are_the_same_files(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    packages = solved(engine, GPU, usual.as_uri())
    engine.install(packages, tmp_path / "a", tmp_path / "final")
    engine.install(tuple(reversed(packages)), tmp_path / "b", tmp_path / "final")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_only_an_empty_folder_is_filled(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    packages = solved(engine, ("cudatoolkit",), usual.as_uri())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("mine")
    with pytest.raises(ToolFailedError) as failure:
        engine.install(packages, tmp_path / "full", tmp_path / "full")
    assert failure.value.code == "path-exists"
    assert tree(tmp_path / "full").keys() == {"thesis.tex"}


def test_a_lock_without_details_installs(tmp_path: Path, usual: Path) -> None:
    """conda-lock files carry neither size nor constrains."""
    engine = engine_at(tmp_path)
    packages = tuple(replace(item, size=None, constrains=()) for item in solved(engine, GPU, usual.as_uri()))
    engine.install(packages, tmp_path / "env", tmp_path / "env")
    assert (tmp_path / "env/bin/tool").exists()

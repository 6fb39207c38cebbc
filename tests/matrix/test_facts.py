"""The file against what was read independently of it, where that is at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.matrix import find_product, load
from provision.model.versions import ComputeCapability, CudaVersion

FACTS = Path(__file__).parents[2] / ".." / "shared" / "facts"
pytestmark = pytest.mark.skipif(not FACTS.is_dir(), reason="the folder ../shared/facts is not here")

MATRIX = load()
ROWS = {f"{row.distribution}=={row.release}": row for row in MATRIX.rows}


def read(name: str) -> Any:
    text = (FACTS / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        return json.loads(text)
    return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - BaseLoader makes nothing but text


def dotted(number: object) -> ComputeCapability:
    text = str(number)
    return ComputeCapability(f"{text[:-1]}.{text[-1]}")


def test_every_final_release_with_a_linux_wheel_has_a_row() -> None:
    expected = set()
    for release, facts in read("tf_builds.json")["tensorflow"].items():
        wheel = facts["platforms"].get("linux_x86_64")
        if wheel and not facts["yanked"] and tuple(map(int, release.split(".")[:2])) >= (2, 4):
            expected.add(f"tensorflow=={release}")
            row = ROWS[f"tensorflow=={release}"]
            assert row.released == facts["upload"][:10]
            tags = [f"cp{python.major}{python.minor}" for python in row.pythons]
            if any(fault.code == "python-3.8-without-wheels" for fault in row.faults):
                tags.insert(0, "cp38")
            assert tags == sorted(wheel["python_tags"], key=lambda tag: int(tag[3:]))
            assert [row.platform] == wheel["platform_tags"]
    assert {name for name, row in ROWS.items() if row.sets} == expected


def test_what_only_conda_serves_is_what_was_uploaded() -> None:
    compared = 0
    for row in (row for row in MATRIX.rows if not row.sets):
        compared += 1
        facts = read("tf_builds.json")[row.distribution][row.release.text]
        wheel = facts["platforms"]["linux_x86_64"]
        assert row.released == facts["upload"][:10]
        assert [f"cp{python.major}{python.minor}" for python in row.pythons] == wheel["python_tags"]
        assert [row.platform] == wheel["platform_tags"]
        members = read("arch_support.json")["tf"][row.requirement]["members"]
        for member in members.values():
            assert list(row.sass) == [dotted(number) for number in member["sass"]]
            assert list(row.ptx) == [dotted(number) for number in member["ptx"]]
        name = (row.distribution, f"{row.release.minor_series}.0")
        for tested in read("tf_tested.yaml")["tested_linux_gpu"]:
            if (tested["package"], tested["tf"]) == name:
                assert (row.cuda.text, row.cudnn.text) == (tested["cuda"], tested["cudnn"])
    assert compared == 5


def test_the_conda_packages_are_those_of_the_feedstocks() -> None:
    """Each pinned version stands in the table of feedstock versions, a prefix as the beginning of one."""
    text = (FACTS / "conda_engine.md").read_text(encoding="utf-8")
    lines = {line.split("|")[1].split("(")[0].split(":")[0].strip(): line for line in text.splitlines() if "|" in line}
    lines["tensorflow"] = next(line for line in text.splitlines() if line.startswith("| tensorflow (conda-forge)"))
    compared = 0
    for library_set in MATRIX.sets.values():
        for pin in library_set.conda:
            if pin.name in ("cudatoolkit", "cudnn") and pin.version.count(".") > 1:
                compared += 1
                known = re.findall(r"[0-9]+(?:\.[0-9]+)+(?:-[0-9])?", lines[pin.name])
                wanted = pin.version.removesuffix(".*")
                spans = [number.split("-")[0].rsplit(".", 1)[0] for number in known if "-" in number]
                assert any(number.startswith(wanted) for number in known) or wanted.rsplit(".", 1)[0] in spans, pin
    assert compared >= 10


def test_what_each_release_opens() -> None:
    compared = 0
    for name, facts in read("tf_sonames.json")["releases"].items():
        row = ROWS.get(name)
        if row is None:
            continue
        compared += 1
        assert list(row.gate) == facts["gate_libs"], name
        assert list(row.optional["cupti"]) == facts["by_loader_function"]["Cupti"], name
        assert row.search.kind == facts["rpath_kind"], name
        assert set(row.search.nvidia) >= set(facts["runpath_dirs_searched"]), name
    assert compared >= 25


def test_the_code_inside() -> None:
    compared = 0
    for wheel in read("tf_tested.yaml")["wheel_contents"]:
        row = ROWS.get(f"tensorflow=={wheel['tf']}")
        if row is None or not row.sets or wheel["wheel"].startswith("tensorflow_gpu"):
            continue
        compared += 1
        assert list(row.sass) == [dotted(number) for number in wheel["sass"]], wheel["tf"]
        assert list(row.ptx) == [dotted(number) for number in wheel["ptx"]], wheel["tf"]
        assert row.cuda == CudaVersion(wheel["build_info"]["cuda_version"])
        for text in wheel.get("ptx_modules", {}):
            target, isa = re.fullmatch(r"sm_(\w+) ptx(\S+)", text).groups()
            found = {(item.target.replace(".", ""), item.isa.text) for item in row.ptx_modules}
            assert (target, isa) in found, wheel["tf"]
    assert compared >= 18


def test_cudnn_as_tested() -> None:
    for tested in read("tf_tested.yaml")["tested_linux_gpu"]:
        minor = ".".join(tested["tf"].split(".")[:2])
        for row in MATRIX.rows:
            if row.release.minor_series == minor and tested["package"] == "tensorflow":
                assert row.cudnn.text == tested["cudnn"]
                assert row.cuda.text.startswith(tested["cuda"])


def test_the_sets_hold_what_the_wheels_hold() -> None:
    wheels = read("nvidia_wheels.json")
    for library_set in MATRIX.sets.values():
        for pin in library_set.pins:
            contents = wheels[pin.name]["versions"][pin.version]["linux_x86_64_contents"]
            paths = {item["path"] for wheel in contents.values() for item in wheel["so"]}
            assert set(pin.libraries.values()) <= paths, pin.requirement
            if "nvcc" in pin.name:
                tools = {path for wheel in contents.values() for path in [*wheel["ptxas"], *wheel["libdevice"]]}
                assert {library_set.ptxas, library_set.libdevice} <= tools


def test_the_extras_of_the_releases_that_name_exact_versions() -> None:
    compared = 0
    for facts in read("tf_tested.yaml")["requires_dist"]:
        row = ROWS[f"tensorflow=={facts['tf']}"]
        named = dict(re.split(r"\s*==", text, maxsplit=1) for text in facts["and_cuda"] if "==" in text)
        pins = {pin.name: pin.version for pin in row.sets[0].pins}
        for name in named.keys() & pins.keys():
            assert pins[name] == named[name], (row.release, name)
            compared += 1
    assert compared > 90


def test_drivers_and_ptx_isa() -> None:
    facts = read("cuda_driver.yaml")
    for branch in facts["driver_branch_to_max_cuda"]:
        found = next(item for item in MATRIX.branches if item.branch == int(branch["linux_branch"]))
        assert found.max_cuda == CudaVersion(branch["max_cuda"])
    assert {cuda.text: isa.text for cuda, isa in MATRIX.ptx_isa.items()} == facts["ptx_isa_by_cuda"]
    for major, family in MATRIX.families.items():
        assert family.linux_min.text == facts["minor_version_compatibility"][str(major)]["linux_min"]
    toolkits = {".".join(item["version"].split(".")[:2]): item for item in facts["toolkits"]}
    for cuda, family in MATRIX.toolkits.items():
        assert family.linux_min.text == toolkits[cuda.text]["linux_x86_64_min"]
        assert family.windows_min.text == toolkits[cuda.text]["windows_min"]


def test_every_known_product_is_found() -> None:
    for product in read("gpus.yaml")["products"]:
        found = find_product(product["name"].split(" (not in")[0])
        assert found is not None, product["name"]
        assert found.compute_capability.text == product["cc"]

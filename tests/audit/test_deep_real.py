"""Real wheels read whole, held against figures that were measured another way."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from thorough import EVERY_ROW

from provision.audit.claims.row import Read, row_claims
from provision.audit.contents.cover import with_symbols
from provision.audit.contents.deep import scan_library
from provision.audit.contents.extra import by_pins
from provision.audit.contents.wheel import PLAIN, wheel_facts
from provision.audit.reading.cache import Cache
from provision.audit.reading.reader import Reader
from provision.matrix import load
from provision.model.audit import ClaimVerdict
from provision.model.wheel import CodeFacts, GuardFacts

pytestmark = [pytest.mark.e2e, pytest.mark.index]
FACTS = Path(__file__).parents[3] / "shared/facts"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Reader(cache=Cache(tmp_path_factory.mktemp("cache"))) as reader:
        yield reader


def measured(name: str) -> dict[str, Any]:
    if not (FACTS / name).is_file():
        pytest.skip(f"no measured figures ({name}) beside the project")
    found: dict[str, Any] = json.loads((FACTS / name).read_text())
    return found


def counted(library: CodeFacts) -> tuple[dict[str, int], dict[str, int]]:
    """Entries per architecture, in the form of the measured figures: no suffix, no version."""
    sass: Counter[str] = Counter()
    ptx: Counter[str] = Counter()
    for count in library.sass:
        sass[count.target.rstrip("af").replace(".", "")] += count.count
    for count in library.ptx:
        ptx[count.target.rstrip("af").replace(".", "")] += count.count
    return dict(sass), dict(ptx)


@pytest.mark.parametrize("release", ["2.4.1", "2.5.3", "2.17.1"] if EVERY_ROW else ["2.4.1"])
def test_releases(reader: Reader, release: str) -> None:
    facts = wheel_facts(reader, reader.locate(f"tensorflow=={release}"), ("code",))
    figures = measured("arch_support.json")["tf"][f"tensorflow=={release}"]["members"]
    assert facts.code is not None
    code = {library.path: library for library in facts.code}
    for path, figure in figures.items():
        sass, ptx = counted(code[path])
        assert (code[path].modules, sass) == (figure["fatbins"], figure["sass"])
        assert sum(ptx.values()) + code[path].linked == sum(figure["ptx"].values())
    row = next(row for row in load().rows if row.requirement == f"tensorflow=={release}")
    found: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for library in code.values():
        found.update({(count.target, count.isa, count.native): count.count for count in library.ptx})
    assert found == {
        (module.target, module.isa.text, tuple(item.text for item in module.native or ())): module.count
        for module in row.ptx_modules
    }


@pytest.mark.parametrize("release", ["2.4.1", "2.10.1", "2.17.1", "2.21.0"] if EVERY_ROW else ["2.4.1"])
def test_what_it_refuses_to_run_without(reader: Reader, release: str) -> None:
    facts = wheel_facts(reader, reader.locate(f"tensorflow=={release}"), (*PLAIN, "guard"))
    assert facts.guard == GuardFacts(("sse", "sse2", "sse3", "sse4_1", "sse4_2", "avx"))
    row = next(row for row in load().rows if row.requirement == f"tensorflow=={release}")
    claims = [claim for claim in row_claims(row, Read({row.requirement: facts})) if claim.kind == "cpu"]
    assert [(claim.claimed, claim.verdict) for claim in claims] == [("avx", ClaimVerdict.CONFIRMED)]
    planted = dataclasses.replace(row, cpu_features=("avx2",))
    claims = [claim for claim in row_claims(planted, Read({row.requirement: facts})) if claim.kind == "cpu"]
    assert [(claim.claimed, claim.verdict) for claim in claims] == [("avx2", ClaimVerdict.CONTRADICTED)]


@pytest.mark.parametrize(
    "requirement", ["nvidia-cusolver-cu12==11.6.3.83", *(["nvidia-cublas-cu12==12.9.3.13"] if EVERY_ROW else [])]
)
def test_libraries_of_nvidia(reader: Reader, requirement: str) -> None:
    facts = wheel_facts(reader, reader.locate(requirement), ("code",))
    assert facts.code is not None
    code = {library.path.rsplit("/", 1)[-1]: library for library in facts.code}
    for name, figure in measured("arch_support.json")["nvidia"][requirement].items():
        counts = figure["counts"]
        if not counts["fatbins"]:
            assert name not in code
            continue
        sass, ptx = counted(code[name])
        assert sass == {architecture: count for architecture, (count, _) in counts.get("elf", {}).items()}
        assert sum(ptx.values()) + code[name].linked >= sum(count for count, _ in counts.get("ptx", {}).values())
        assert (code[name].modules, code[name].damaged) == (counts["fatbins"], 0)


def test_symbol_cover_is_what_was_measured(reader: Reader) -> None:
    figures = measured("tf_sonames.json")["symbol_coverage"]["2.4.1"]
    located = reader.locate("tensorflow==2.4.1")
    row = next(row for row in load().rows if row.requirement == "tensorflow==2.4.1")
    pins = [(pin.name, pin.version) for pin in row.sets[0].pins]
    symbols = with_symbols(reader, wheel_facts(reader, located, ()), located, by_pins(reader, pins)).symbols
    assert symbols is not None
    assert sorted(name for names in symbols.missing.values() for name in names) == figures["cu11 11.8"]["missing"]
    # Measured without names such as cublasSgemm_v2.
    assert symbols.looked_up >= figures["cu11 11.8"]["looked_up"] + figures["cudnn 8.9.6"]["looked_up"]


def test_cuobjdump_at_hand_says_the_same(reader: Reader, tmp_path: Path) -> None:
    tool = shutil.which("cuobjdump") or pytest.skip("no cuobjdump on PATH")
    archive = reader.archive(reader.locate("nvidia-cusolver-cu11==11.4.0.1"))
    info = archive.names.member("nvidia/cusolver/lib/libcusolver.so.11")
    assert info is not None
    file = tmp_path / "libcusolver.so.11"
    with file.open("wb") as stream:
        stream.writelines(archive.stream(info))
    code, _ = scan_library([file.read_bytes()], file.stat().st_size, file.name)
    said = Counter[tuple[str, str]]()
    for option in ("--list-elf", "--list-ptx"):
        run = subprocess.run([tool, option, str(file)], capture_output=True, text=True, check=True, timeout=300)
        said.update((line.split(".")[-2], line.split(".")[-1]) for line in run.stdout.splitlines() if ".sm_" in line)
    counts = [(count, "ptx" if count.isa else "cubin") for count in (*code.sass, *code.ptx)]
    assert said == {(f"sm_{count.target.replace('.', '')}", kind): count.count for count, kind in counts}

"""Real wheels on the real index: what audit must find, and how little it may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.audit.contents.extra import with_search
from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.cache import Cache
from provision.audit.reading.reader import Reader

pytestmark = pytest.mark.index


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Reader(cache=Cache(tmp_path)) as reader:
        yield reader


def test_what_breaks_2_21_0_is_found_from_its_wheel_alone(reader: Reader) -> None:
    facts = with_search(reader, wheel_facts(reader, reader.locate("tensorflow==2.21.0")))
    assert facts.framework is not None
    assert facts.framework.gate is not None
    assert facts.framework.gate[0] == "libcudart.so.12"
    assert facts.framework.in_part
    assert facts.framework.dynamic.glibc == facts.artifact.glibc == "2.27"
    assert facts.search is not None
    assert facts.search.unfound == {"libcusolver.so.11": "nvidia/cusolver/lib/libcusolver.so.11"}
    assert facts.cost.bytes_read < 0.12 * facts.artifact.size


def test_2_4_1_asks_for_a_library_that_no_wheel_has(reader: Reader) -> None:
    facts = wheel_facts(reader, reader.locate("tensorflow==2.4.1"))
    assert facts.framework is not None
    assert facts.framework.gate is not None
    assert "libcusolver.so.10" in facts.framework.gate
    assert (facts.framework.dynamic.kind, facts.framework.dynamic.search) == ("RPATH", ("$ORIGIN/",))
    assert not facts.framework.in_part


@pytest.mark.parametrize("release", ["tensorflow==2.17.1", "tensorflow-gpu==1.15.5"])
def test_texts_cost_next_to_nothing(reader: Reader, release: str) -> None:
    facts = wheel_facts(reader, reader.locate(release), ("metadata",))
    assert facts.metadata is not None
    assert facts.metadata.cuda_build
    assert facts.cost.bytes_read < 0.005 * facts.artifact.size

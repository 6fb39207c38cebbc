"""Reading parts of a wheel from servers as they are: good ones, weak ones, and ones that lie."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from audit.lab import Shop, make_wheel

from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.cache import Cache, Kept
from provision.audit.reading.net import Meter, Net
from provision.audit.reading.reader import Reader
from provision.audit.reading.source import RemoteSource, sha256_of
from provision.errors import ToolFailedError, UsageError

CHUNK = 50_000


@pytest.fixture
def large(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of a few chunks, which are small here."""
    monkeypatch.setattr("provision.audit.reading.source.CHUNK", CHUNK)
    return make_wheel(
        shop.folder,
        "large",
        "1.0",
        {"large/data": random.Random(1).randbytes(6 * CHUNK), "large/a": b"a"},  # noqa: S311 - test data
    )


def test_only_what_is_needed_is_read(reader: Reader, shop: Shop, large: Path) -> None:
    facts = wheel_facts(reader, reader.locate("large==1.0"), ("metadata",))
    assert facts.cost.bytes_read == shop.given
    assert shop.given < large.stat().st_size / 4


def test_a_member_is_read_in_chunks_and_held_against_its_hash(reader: Reader, shop: Shop, large: Path) -> None:
    archive = reader.archive(reader.locate("large==1.0"))
    assert archive.read("large/data") == random.Random(1).randbytes(6 * CHUNK)  # noqa: S311 - test data
    assert sum(asked[1].startswith("bytes=0-") for asked in shop.asked) == 1
    assert len(shop.asked) > 6


def test_failures_are_tried_again(reader: Reader, shop: Shop, large: Path) -> None:
    located = reader.locate("large==1.0")
    shop.failures = 3
    assert reader.archive(located).read("large/a") == b"a"
    assert shop.failures == 0


def test_a_server_that_goes_on_failing_is_given_up(reader: Reader, shop: Shop, large: Path) -> None:
    located = reader.locate("large==1.0")
    shop.failures = 100
    with pytest.raises(ToolFailedError) as raised:
        reader.archive(located)
    assert raised.value.code == "wheel-not-readable"
    assert shop.address not in str(raised.value.why)


def test_a_broken_connection_is_taken_up_where_it_broke(shop: Shop, large: Path) -> None:
    shop.breaks = 2
    with Net(pause=0.01) as net:
        part = net.part(shop.url(large), 100, 100 + 5 * CHUNK, Meter())
    assert part.data == large.read_bytes()[100 : 100 + 5 * CHUNK]
    starts = [int(asked[1].removeprefix("bytes=").split("-")[0]) for asked in shop.asked]
    assert starts == sorted(set(starts))
    assert len(starts) == 3


def test_an_interrupted_audit_goes_on_where_it_was(shop: Shop, large: Path, tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept")
    size = large.stat().st_size
    with Net() as net:
        pieces = RemoteSource(net, shop.url(large), kept).stream(0, size)
        assert next(pieces) == large.read_bytes()[:CHUNK]
        pieces.close()  # type: ignore[attr-defined]
    shop.asked.clear()
    with Net() as net:
        assert b"".join(RemoteSource(net, shop.url(large), kept).stream(0, size)) == large.read_bytes()
    assert not any(asked[1].startswith("bytes=0-") for asked in shop.asked)


def test_a_server_without_ranges_is_asked_for_nothing_unless_told(reader: Reader, shop: Shop, large: Path) -> None:
    shop.ranges = False
    located = reader.locate("large==1.0")
    with pytest.raises(UsageError) as raised:
        reader.archive(located)
    assert raised.value.code == "no-ranges"
    assert "--download" in (raised.value.hint or "")
    reader.download = True
    assert wheel_facts(reader, located, ("metadata",)).cost.bytes_read == large.stat().st_size
    asked = len(shop.asked)
    assert reader.archive(located).read("large/a") == b"a"
    assert len(shop.asked) == asked, "a wheel that was downloaded is kept"


def test_a_download_must_have_the_hash_that_was_stated(reader: Reader, shop: Shop, large: Path) -> None:
    shop.ranges, reader.download = False, True
    with pytest.raises(ToolFailedError) as raised:
        reader.archive(reader.locate(f"{shop.url(large)}#sha256={'0' * 64}"))
    assert raised.value.code == "hash-mismatch"


def test_a_server_that_knows_ranges_from_the_front_only(reader: Reader, shop: Shop, large: Path) -> None:
    shop.suffix = False
    assert reader.archive(reader.locate("large==1.0")).read("large/a") == b"a"
    assert ("HEAD", "") in shop.asked


def test_a_size_that_is_a_lie_is_found_out(reader: Reader, shop: Shop, large: Path) -> None:
    shop.lies = 1000
    with pytest.raises(ToolFailedError, match="something else than was asked"):
        reader.archive(reader.locate("large==1.0"))


def test_nothing_is_kept_of_a_wheel_without_a_hash(tmp_path: Path) -> None:
    kept = Cache(tmp_path).of("")
    kept.keep_facts("names", {"a": 1})
    kept.keep_range(0, 1, b"x")
    assert (kept.facts("names"), kept.range(0, 1)) == (None, None)
    assert not list(tmp_path.iterdir())


def test_a_range_of_another_length_counts_as_absent(tmp_path: Path, large: Path) -> None:
    kept = Cache(tmp_path).of(sha256_of(large))
    kept.keep_range(0, 4, b"abcd")
    assert kept.range(0, 4) == b"abcd"
    next(tmp_path.rglob("0-4")).write_bytes(b"ab")
    assert kept.range(0, 4) is None

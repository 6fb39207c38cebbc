"""Libraries read without their kernels: the end of a stream unpacked without its beginning."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.lab import BUILD_INFO, Shop, make_wheel
from hypothesis import given
from hypothesis import strategies as st

from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.midstream import unpack_end
from provision.audit.reading.reader import Reader


def text(seed: int, length: int) -> bytes:
    """Return bytes that look like code: words from a small stock, in any order."""
    numbers = random.Random(seed)  # noqa: S311 - test data
    stock = [numbers.randbytes(numbers.randrange(2, 12)) for _ in range(300)]
    return b"".join(numbers.choices(stock, k=length // 6))


def noise(length: int) -> bytes:
    """Return bytes that cannot be packed."""
    return random.Random(2).randbytes(length)  # noqa: S311 - test data


def packed(data: bytes, level: int = 6) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("between", ["noise", "zeros", "text"])
def test_what_is_certain_is_true(between: str, level: int) -> None:
    middle = {"noise": noise(300_000), "zeros": bytes(30_000_000), "text": text(5, 300_000)}[between]
    data = text(1, 600_000) + middle + text(2, 900_000)
    stream = packed(data, level)
    begin = len(packed(data[:600_000], level)) + 10_000
    end = unpack_end(stream[begin:], len(data))
    assert end is not None
    assert end.certain > 500_000 or between == "text", "text repeats what was not read"
    end.file.seek(end.known)
    assert data.endswith(end.file.read())


@given(st.binary(min_size=1, max_size=4000), st.integers(0, 1 << 20))
def test_noise_is_no_stream(noise: bytes, limit: int) -> None:
    end = unpack_end(noise, limit)
    assert end is None or end.size <= limit


def test_a_stream_that_ends_elsewhere_is_refused() -> None:
    data = text(1, 200_000)
    stream = packed(data)
    assert unpack_end(stream[: len(stream) - 1000], len(data)) is None
    assert unpack_end(stream + b"more", len(data)) is None
    assert unpack_end(stream, 1000) is None


KERNELS = '__asm__(".section .nv_fatbin,\\"a\\",@progbits\\n.incbin \\"{file}\\"\\n.previous\\n");'


@pytest.fixture
def with_kernels(
    shop: Shop, framework: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], Path]:
    """A wheel in the shop whose framework library holds so many bytes of kernels, and code behind them."""
    monkeypatch.setattr("provision.audit.contents.without_kernels.WORTH_IT", 1 << 20)
    monkeypatch.setattr("provision.audit.contents.without_kernels._LEAST_HOLE", 1 << 20)
    monkeypatch.setattr("provision.audit.contents.without_kernels._FIRST_END", 1 << 18)
    monkeypatch.setattr("provision.audit.contents.without_kernels._STEP", 1 << 18)

    def build(size: int) -> Path:
        (tmp_path / "kernels").write_bytes(noise(size))
        (tmp_path / "kernels.c").write_text(KERNELS.format(file=tmp_path / "kernels"))
        table = ",".join(str(random.Random(3).randrange(1 << 16)) for _ in range(200_000))  # noqa: S311 - test data
        (tmp_path / "data.c").write_text(f"int many[] = {{{table}}};")
        options = (str(tmp_path / "kernels.c"), str(tmp_path / "data.c"))
        library = framework("libcudart.so.12", "libcudnn.so.9", options=options)
        members = {
            "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
            "tensorflow/libtensorflow_framework.so.2": library,
        }
        return make_wheel(shop.folder, "tensorflow", "2.95.0", members)

    return build


def test_kernels_are_not_read(reader: Reader, shop: Shop, with_kernels: Callable[[int], Path]) -> None:
    file = with_kernels(12 << 20)
    facts = wheel_facts(reader, reader.locate("tensorflow==2.95.0"))
    assert facts.framework is not None
    assert facts.framework.gate == ("libcudart.so.12", "libcudnn.so.9")
    assert facts.framework.in_part
    assert shop.given < file.stat().st_size / 4


def test_a_library_with_few_kernels_is_read_whole(reader: Reader, with_kernels: Callable[[int], Path]) -> None:
    with_kernels(700_000)
    facts = wheel_facts(reader, reader.locate("tensorflow==2.95.0"))
    assert facts.framework is not None
    assert facts.framework.gate == ("libcudart.so.12", "libcudnn.so.9")
    assert not facts.framework.in_part

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.errors import ToolFailedError
from provision.lock.requirements import parse_lock, render_lock
from provision.model.lock import Locked

A, B = "a" * 64, "b" * 64


def test_what_uv_writes_is_read_and_sorted() -> None:
    text = f"# by uv\nsix==1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\nAbsl_py==2.5.1 --hash=sha256:{A}\n"
    assert parse_lock(text) == (Locked("absl-py", "2.5.1", (A,)), Locked("six", "1.0", (A, B)))


@pytest.mark.parametrize(
    "text",
    [
        "six==1.0\n",
        f"six>=1.0 --hash=sha256:{A}\n",
        f"six --hash=sha256:{A}\n",
        f"--index-url http://evil.example\nsix==1.0 --hash=sha256:{A}\n",
        f"six @ http://evil.example/six.whl --hash=sha256:{A}\n",
        f"six==1.0 ; python_version < '3' --hash=sha256:{A}\n",
        f"six==1.0 --hash=md5:{A}\n",
        f"six==1.0 --hash=sha256:{A[:-1]}\n",
        f"six==1.0 --hash=sha256:{A.upper()}\n",
        f"six==1.0 --hash=sha256:{A}\nSIX==1.0 --hash=sha256:{A}\n",
        f"six==1.0 --hash=sha256:{A} \\\n",
        f"-r other.txt --hash=sha256:{A}\n",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    if text.endswith("\\\n"):
        assert parse_lock(text) == (Locked("six", "1.0", (A,)),)
        return
    with pytest.raises(ToolFailedError) as failure:
        parse_lock(text)
    assert failure.value.code == "bad-lock"


_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\.post1)?(\+cu118)?", fullmatch=True)
_HASHES = st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), min_size=1, max_size=4).map(tuple)


@given(st.dictionaries(_NAMES, st.tuples(_VERSIONS, _HASHES), max_size=6), st.lists(st.just("a remark"), max_size=2))
def test_reading_what_was_written_gives_it_back(
    content: dict[str, tuple[str, tuple[str, ...]]], remarks: list[str]
) -> None:
    locked = tuple(Locked(name, *content[name]) for name in sorted(content))
    assert parse_lock(render_lock(locked, tuple(remarks))) == locked


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ToolFailedError):
        for item in parse_lock(text):
            assert item.hashes

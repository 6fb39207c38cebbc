from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lock.lock_builder import A, B, contract, lock, locks, uv_says
from packaging.pylock import Pylock

from provision.errors import ToolFailedError, UsageError
from provision.lock.contract import CONTRACT_MARK, contract_document, read_contract
from provision.lock.files import default_name, is_lock_name, parse, render
from provision.lock.toml import read_toml
from provision.model.lock import CondaLocked, Lock, Locked, LockFormat, LockRequest

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(locks())
def test_a_requirements_lock_reads_as_it_was_written(item: Lock) -> None:
    text = render(item, LockFormat.REQUIREMENTS)
    assert parse("tfgpu-lock.txt", text.encode()) == item
    assert "://" not in "".join(line for line in text.splitlines() if not line.startswith("#"))


@QUICK
@given(locks())
def test_a_pylock_reads_as_it_was_written(item: Lock) -> None:
    text = render(item, LockFormat.PYLOCK, pylock=uv_says(item))
    assert parse("pylock.tfgpu.toml", text.encode()) == item
    Pylock.from_dict(read_toml(text, "pylock.tfgpu.toml")).validate()
    assert "upload-time" not in text


@QUICK
@given(locks(), st.randoms())
def test_the_order_of_what_is_given_changes_no_byte(item: Lock, chance: random.Random) -> None:
    shuffled = Lock(
        item.contract,
        tuple(
            Locked(one.name, one.version, tuple(chance.sample(one.hashes, len(one.hashes))))
            for one in chance.sample(item.packages, len(item.packages))
        ),
        source_only=item.source_only[::-1],
        build_tools=item.build_tools[::-1],
    )
    assert render(shuffled, LockFormat.REQUIREMENTS) == render(item, LockFormat.REQUIREMENTS)
    assert render(shuffled, LockFormat.PYLOCK, pylock=uv_says(item)) == render(
        item, LockFormat.PYLOCK, pylock=uv_says(item)
    )


@QUICK
@given(locks())
def test_a_contract_document_reads_as_it_was_written(item: Lock) -> None:
    parts = read_contract(contract_document(item), "x")
    assert (parts.contract, parts.source_only, parts.build_tools) == (
        item.contract,
        item.source_only,
        item.build_tools,
    )


def test_a_requirements_lock_as_it_stands_in_a_project() -> None:
    lines = render(lock(target="laptop"), LockFormat.REQUIREMENTS).splitlines()
    assert lines[:2] == [
        "# TensorFlow 2.4.1 with CUDA 11.8 and cuDNN 8.6.0.163 for Python 3.8, target laptop",
        "# for linux on x86_64, glibc 2.12 or newer, a processor with AVX; GPUs of compute capability 7.5 to 9.0 on driver "
        "450.80.02 or newer, some on newer ones only".replace("linux", "Linux"),
    ]
    assert lines[3].startswith(CONTRACT_MARK + '{"schema":1,"request":{"tf":"2.4.1",')
    assert lines[4:] == [
        "absl-py==0.15.0 \\",
        f"    --hash=sha256:{A} \\",
        f"    --hash=sha256:{B}",
        "tensorflow==2.4.1 \\",
        f"    --hash=sha256:{B}",
        "termcolor==1.1.0 \\",
        f"    --hash=sha256:{'c' * 64}",
    ]


def test_a_checkout_with_windows_line_ends_is_read() -> None:
    data = render(lock(), LockFormat.REQUIREMENTS).replace("\n", "\r\n").encode()
    assert parse("tfgpu-lock.txt", data) == lock()


def test_an_address_is_read_where_it_is_allowed() -> None:
    text = render(lock(), LockFormat.REQUIREMENTS)
    text += f"mine @ https://files.example.org/a/mine-1.5-py3-none-any.whl --hash=sha256:{A}\n"
    text += f"other @ https://files.example.org/a/other.tar.gz \\\n    --hash=sha256:{B}\n"
    found = parse("tfgpu-lock.txt", text.encode(), allow_urls=True)
    assert Locked("mine", "1.5", (A,), "https://files.example.org/a/mine-1.5-py3-none-any.whl") in found.packages
    assert Locked("other", "", (B,), "https://files.example.org/a/other.tar.gz") in found.packages
    assert parse("tfgpu-lock.txt", render(found, LockFormat.REQUIREMENTS).encode(), allow_urls=True) == found


@pytest.mark.parametrize("asked", ["https://me:word@example.org/x", "https://example.org/t/to-ken/main"])
def test_credentials_are_never_written(asked: str) -> None:
    item = lock(request=LockRequest(channels=(asked,)))
    with pytest.raises(UsageError) as failure:
        render(item, LockFormat.REQUIREMENTS)
    assert failure.value.code == "credentials-in-lock"


def test_credentials_in_an_address_that_uv_names_are_left_out() -> None:
    says = uv_says(lock()).replace("https://files", "https://me:word@files")
    assert render(lock(), LockFormat.PYLOCK, pylock=says) == render(lock(), LockFormat.PYLOCK, pylock=uv_says(lock()))


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (lock(), ""),
        (lock(), uv_says(lock()).replace(A, "0" * 64)),
        (lock(), uv_says(lock()).replace('"0.15.0"', '"0.14.0"').replace("-0.15.0-", "-0.14.0-")),
        (lock(), uv_says(lock()).replace("https://files.example.org/", "file:///home/you/")),
    ],
)
def test_what_the_format_cannot_hold_is_said(item: Lock, says: str) -> None:
    with pytest.raises(ToolFailedError) as failure:
        render(item, LockFormat.PYLOCK, pylock=says)
    assert failure.value.code == "lock-format"


@pytest.mark.parametrize("kind", [LockFormat.REQUIREMENTS, LockFormat.PYLOCK])
def test_conda_packages_do_not_fit_everywhere(kind: LockFormat) -> None:
    package = CondaLocked("python", "3.8", "h0", "linux-64", "conda-forge", "https://example.org/python.conda", "", A)
    with pytest.raises(ToolFailedError) as failure:
        render(Lock(contract(), (), (package,)), kind)
    assert failure.value.code == "lock-format"


@pytest.mark.parametrize(
    ("kind", "plain", "named"),
    [
        (LockFormat.REQUIREMENTS, "tfgpu-lock.txt", "tfgpu-lock.h100.txt"),
        (LockFormat.PYLOCK, "pylock.tfgpu.toml", "pylock.h100.toml"),
        (LockFormat.CONDA_LOCK, "conda-lock.yml", "h100.conda-lock.yml"),
        (LockFormat.EXPLICIT, "conda-linux-64.lock", "h100.conda-linux-64.lock"),
    ],
)
def test_names(kind: LockFormat, plain: str, named: str) -> None:
    assert (default_name(kind), default_name(kind, "h100")) == (plain, named)
    assert is_lock_name(plain) is is_lock_name(named) is kind
    with pytest.raises(ValueError, match="not the name of a target"):
        default_name(kind, "../x")


@pytest.mark.parametrize(
    "name", ["requirements.txt", "tfgpu-lock.A.txt", "pylock.a.b.toml", "uv.lock", "x/pylock.toml"]
)
def test_other_names(name: str) -> None:
    assert is_lock_name(name) is None

"""Logs of any bytes: encodings, colours, long lines, repetition."""

from __future__ import annotations

import codecs

import pytest
from doctor.log_samples import CREATED, missing
from hypothesis import given, settings
from hypothesis import strategies as st

from provision import matrix
from provision.doctor.log.read import read_log
from provision.doctor.log.rules import findings, unsure
from provision.model.snapshot import Snapshot

MATRIX = matrix.load()
LINE = "libdevice not found at ./libdevice.10.bc"


@pytest.mark.parametrize(
    "data",
    [
        f"one\n{LINE}\n".encode(),
        f"one\r\n{LINE}\r\n".encode(),
        b"one\n\x1b[31mlibdevice\x1b[0m not found at ./libdevice.10.bc\n",
        f"one\n{LINE}".encode("utf-16"),
        codecs.BOM_UTF16_BE + f"one\n{LINE}".encode("utf-16-be"),
        f"one\n{LINE}".encode("utf-16-le"),
        codecs.BOM_UTF8 + f"one\n{LINE}".encode(),
        b"\xff\xfe\xfa\x00"[2:] + f"one\n{LINE}".encode(),
        b"one\nlib\x00device not\x00 found at ./libdevice.10.bc",
        f"one\n  3/10 [==>...] \r  4/10 [===>..] \r{LINE}".encode(),
        b"one\nlibdevice not\nfound at ./libdevice.10.bc",
    ],
)
def test_the_line_is_found_whatever_it_is_wrapped_in(data: bytes) -> None:
    found = [(signal.family, signal.line) for signal in read_log("x", data).signals]
    assert found == [("libdevice", 2)]


@pytest.mark.parametrize("before", ["> ", "> > ", "web_1  | ", "2025-03-01T10:00:00.123456789Z stderr F "])
def test_what_stands_before_every_line_does_not_divide_a_message(before: str) -> None:
    lines = ("one", "libdevice not", "found at ./libdevice.10.bc")
    data = "\n".join(before + line for line in lines).encode()
    assert [(signal.family, signal.line) for signal in read_log("x", data).signals] == [("libdevice", 2)]


def test_lines_that_a_terminal_cut_are_read_whole() -> None:
    said = "Can" + "&#39;" + "t find libdevice directory ${CUDA_DIR}/nvvm/libdevice. This may result in failures"
    text = "one\n" + "\n".join(f"2023-01-01 00:00:0{second}: W {said}" for second in range(2))
    cut = "\n".join(line[at : at + 80] for line in text.split("\n") for at in range(0, len(line), 80))
    narrow = "\n".join(line[at : at + 61] for line in text.split("\n") for at in range(0, len(line), 61))
    for data in (text, cut, narrow):
        found = [(signal.family, signal.line) for signal in read_log("x", data.encode()).signals]
        assert found[0] == ("libdevice", 2)


def test_equal_lines_of_their_own_are_not_joined() -> None:
    text = "".join(f"Successfully opened dynamic library lib{name}.so.11 {'.' * 20}\n" for name in ("cublas", "cufftw"))
    assert len(read_log("x", text.encode()).signals) == 2


def test_lines_are_counted_and_kinds_told() -> None:
    facts = read_log("x", ("epoch 1\n" * 5000 + CREATED + "$ nvidia-smi\nNo devices were found\n").encode())
    assert facts.lines == 5003
    assert {"tensorflow", "nvidia-smi"} <= set(facts.kinds)
    assert next(item for item in facts.signals if item.family == "created").line == 5001


def test_a_line_of_a_megabyte_is_read_to_its_end() -> None:
    data = b"x" * 1_500_000 + b" " + LINE.encode() + b" " + b"y" * 1_500_000 + b"\nlast"
    facts = read_log("x", data)
    assert [(item.family, item.line) for item in facts.signals] == [("libdevice", 1)]
    assert all(len(item.text) <= 300 for item in facts.signals)
    assert facts.lines == 2


def test_a_message_on_the_border_of_two_blocks_is_found_once() -> None:
    for before in range(67_300, 67_700, 23):
        facts = read_log("x", b"z" * 80 + b"\n" + b"q" * before + b"\n" + LINE.encode() + b"\n")
        assert [item.family for item in facts.signals] == ["libdevice"], before


def test_endless_repetition_gives_one_signal_of_each_kind() -> None:
    facts = read_log("x", missing("libcudnn.so.8").encode() * 20_000)
    assert facts.lines == 20_000
    assert len(facts.signals) < 10


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    LINE.encode(),
                    CREATED.encode(),
                    missing("libcudart.so.11.0").encode(),
                    b"failed call to cuInit: ",
                    b"compute capability: ",
                    b"Free memory: ",
                    b"(from versions: ",
                    b"Could not find a version that satisfies the requirement tensorflow==",
                    b"Loaded runtime CuDNN library: ",
                    b" but source was compiled with: ",
                    b"possibly insufficient driver version: ",
                    b"\n",
                    b"99999999999999999999.9",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_whatever_the_bytes_are_there_is_an_answer(pieces: list[bytes]) -> None:
    snapshot = Snapshot(matrix=MATRIX, log=read_log("x", b"".join(pieces)))
    for finding in findings(snapshot):
        assert finding.evidence
    assert isinstance(unsure(snapshot), tuple)

"""``matrix list``, ``matrix show``, ``matrix schema`` and ``matrix format`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.cli.main import main
from provision.matrix import default_path, load, schema
from provision.report.words import in_words

MINIMAL = Path(__file__).parent / "minimal.yaml"
MACHINE = ("--for", "driver=535.104.05,gpu=8.6,os=linux,arch=x86_64,glibc=2.35")
H100_550 = ("--for", "driver=550.54.14,gpu=NVIDIA H100,os=linux,arch=x86_64,glibc=2.35")
OLD = ("--for", "driver=450.80.02,gpu=6.1,os=linux,arch=x86_64,glibc=2.31")


class Shell:
    """Types commands and keeps what came back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.delenv("TFGPU_FOR", raising=False)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.argv", ["tfgpu-provision", "matrix", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def json(self, *arguments: str) -> tuple[int, Any]:
        code, out, _ = self(*arguments, "--json")
        document = json.loads(out)
        assert document["schema"] == 1
        return code, document


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(monkeypatch, capsys, tmp_path)


def verdicts(document: Any) -> dict[str, tuple[str, list[str]]]:
    return {item["release"]: (item["outcome"], item["codes"]) for item in document["releases"]}


def test_list_holds_every_row_against_the_machine(shell: Shell) -> None:
    code, document = shell.json("list", *MACHINE)
    assert code == 0
    assert [item["release"] for item in document["releases"]] == [row.release.text for row in reversed(load().rows)]
    assert document["matrix"]["sha256"] == load().digest
    assert document["described"] is True
    said = verdicts(document)
    assert said["2.15.1"] == ("ok", [])
    assert said["2.4.1"][0] == "caveat"
    assert "library-alias" in said["2.4.1"][1]
    assert {entry["ident"] for entry in document["unserved"]} >= {"blackwell", "macos", "aarch64", "windows-native"}


def test_list_says_why_a_release_cannot(shell: Shell) -> None:
    _, document = shell.json("list", *OLD)
    said = verdicts(document)
    assert said["2.15.1"] == ("refused", ["driver-too-old"])
    assert said["2.14.1"][0] != "refused"
    _, document = shell.json("list", *H100_550)
    said = verdicts(document)
    assert said["2.19.1"] == ("refused", ["driver-too-old-for-ptx"])
    assert said["2.18.1"][0] != "refused"


def test_list_as_text_has_a_line_for_each_row_and_adds_up(shell: Shell) -> None:
    code, out, err = shell("list", *H100_550)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["TensorFlow", "CUDA", "cuDNN", "Python", "backends", "the", "described", "machine"]
    row = next(line for line in lines if line.startswith("2.20.0 "))
    assert row.split(maxsplit=8)[:8] == ["2.20.0", "12.5.1", "9.3", "3.9", "to", "3.13", "venv", "conda"]
    old = next(line for line in lines if line.startswith("tensorflow-gpu 1.15.5 "))
    assert old.split()[7:9] == ["conda", "cannot:"]
    assert row.endswith("cannot: driver lacks PTX")
    assert next(line for line in lines if line.startswith("2.15.1 ")).endswith("runs, with a caveat: slow first run")
    total = next(line for line in lines if " releases: " in line)
    runs, caveats, cannot = (sum(word in line for line in lines[1:58]) for word in ("  runs", "caveat", "cannot"))
    assert total == f"57 releases: {runs - caveats} run, {caveats} with a caveat, {cannot} cannot"
    assert any(line.startswith("  blackwell ") for line in lines)
    assert out.isascii()


def test_the_reason_is_three_words_at_most() -> None:
    for code in ("driver-too-old", "driver-too-old-for-gpu", "fault-search-path", "a-b-c-d-e", "x", "gpu-not-passed"):
        assert 1 <= len(in_words(code).split()) <= 3


def test_the_words_are_for_people(shell: Shell) -> None:
    """Every word that today's matrix leads to on a few unlike machines, whatever its code is called."""
    machines = ("gpu=V100", "gpu=5090", "os=macos", "gpu=8.6,python=3.14", "glibc=musl", "driver=470.57.02,gpu=K80")
    said = {item["verdict"] for machine in machines for item in shell.json("list", "--for", machine)[1]["releases"]}
    assert "runs, with a caveat: Conv2D training uncertain" in said
    assert {"cannot: not on macOS", "cannot: Python not supported", "cannot: musl C library"} <= said
    assert not any("unsupported" in words or "cudnn" in words for words in said)


def test_show_names_the_other_patches_of_a_minor(shell: Shell) -> None:
    code, document = shell.json("show", "2.15.7")
    assert code == 2
    assert document["error"]["why"][-1] == "of this minor: 2.15.0, 2.15.0.post1, 2.15.1"


def test_list_of_a_matrix_of_ones_own(shell: Shell) -> None:
    code, document = shell.json("list", "--matrix", str(MINIMAL), *MACHINE)
    assert code == 0
    assert [item["release"] for item in document["releases"]] == ["2.10.0", "2.9.3"]


def test_the_matrix_may_be_named_in_the_project(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINIMAL.read_text())
    (tmp_path / "pyproject.toml").write_text('[tool.tfgpu]\nmatrix = "mine.yaml"\n')
    _, document = shell.json("list", *MACHINE)
    assert [item["release"] for item in document["releases"]] == ["2.10.0", "2.9.3"]
    _, document = shell.json("list", "--matrix", str(default_path()), *MACHINE)
    assert len(document["releases"]) == 57


@pytest.mark.parametrize(
    ("words", "release", "others"),
    [
        ("2.15.1", "2.15.1", []),
        ("2.15", "2.15.1", ["2.15.0", "2.15.0.post1"]),
        ("2.16", "2.16.2", ["2.16.1"]),
        ("2.16.1", "2.16.1", []),
        ("tensorflow==2.4.1", "2.4.1", []),
        ("2.15.0.post1", "2.15.0.post1", []),
        (">=2.12,<2.14", "2.13.1", ["2.12.0", "2.12.1", "2.13.0"]),
        ("latest", "2.21.0", []),
    ],
)
def test_show_finds_the_release(shell: Shell, words: str, release: str, others: list[str]) -> None:
    code, document = shell.json("show", words, *MACHINE)
    assert code == 0
    assert document["row"]["release"] == release
    assert document["others"] == others
    assert document["unserved"] is None
    assert document["answer"]["outcome"] in ("ok", "caveat")
    assert document["row"]["evidence"]["gate"]["certainty"] == "artifact"
    assert document["row"]["sets"][0]["pins"]


def test_show_as_text_gives_each_claim_with_how_it_is_known(shell: Shell) -> None:
    code, out, _ = shell("show", "2.4.1", *MACHINE)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "tensorflow==2.4.1, uploaded 2021-01-21"
    assert lines[1].startswith("on the described machine: runs, with a caveat")
    assert any(line.startswith("built with") and line.endswith("CUDA 11.0  (artifact)") for line in lines)
    assert any("libcusolver.so.10 is answered by libcusolver.so.11  (derived)" in line for line in lines)
    assert any(line.startswith("library sets, preferred first (derived)") for line in lines)
    assert any("derived, not tried on hardware" in line for line in lines)
    assert any("protobuf<3.21" in line for line in lines)
    assert any(line.startswith("  termcolor 1.1.0, sha256 ") for line in lines)
    assert any("tensorflow-2.4.1-cp" in line and "2026-11-21" in line for line in lines)


def test_show_names_the_faults(shell: Shell) -> None:
    _, out, _ = shell("show", "2.16.1", *MACHINE)
    assert "search-path: its framework library does not look where pip puts the CUDA libraries" in out
    assert "links to the libraries are put on its search path" in out


def test_show_says_on_which_machine_it_cannot(shell: Shell) -> None:
    code, out, _ = shell("show", "2.20", *H100_550)
    assert code == 0, "the row is there and was shown"
    assert "on the described machine: cannot: driver lacks PTX" in out
    _, document = shell.json("show", "2.20", *H100_550)
    assert [reason["code"] for reason in document["answer"]["reasons"]] == ["driver-too-old-for-ptx"]


@pytest.mark.parametrize(
    ("words", "ident"),
    [
        ("2.3.1", "tensorflow-1.15-to-2.3"),
        ("1.15.5", "tensorflow-1.15-to-2.3"),
        ("2.0.*", "tensorflow-1.15-to-2.3"),
        ("blackwell", "blackwell"),
        ("macOS", "macos"),
        ("windows-native", "windows-native"),
        ("tensorflow-gpu==2.12.0", "tensorflow-gpu-2.12"),
        ("tensorflow-gpu==2.8", "tensorflow-gpu"),
        ("nightly", "tf-nightly"),
    ],
)
def test_show_of_what_is_not_served_says_what_would_and_leaves_with_3(shell: Shell, words: str, ident: str) -> None:
    code, document = shell.json("show", words, *MACHINE)
    assert code == 3
    assert document["row"] is None
    assert document["unserved"]["ident"] == ident
    code, out, _ = shell("show", words, *MACHINE)
    assert code == 3
    assert "not served here" in out
    assert "  instead: " in out
    assert "  known from: " in out


@pytest.mark.parametrize(
    ("words", "code_name"),
    [
        ("2.99", "unknown-release"),
        ("2.15.7", "unknown-release"),
        ("nonsense", "bad-tf-spec"),
        (">=3", "unknown-release"),
    ],
)
def test_an_unknown_release_is_a_usage_error(shell: Shell, words: str, code_name: str) -> None:
    code, out, err = shell("show", words, *MACHINE)
    assert (code, out) == (2, "")
    assert f"[{code_name}]" in err
    assert "Traceback" not in err
    code, document = shell.json("show", words, *MACHINE)
    assert (code, document["error"]["code"], document["exit_code"]) == (2, code_name, 2)


def test_a_wrong_matrix_is_refused_with_its_lines(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        MINIMAL.read_text().replace("cudnn: 8.1\n    gate: eleven\n    opt", "cudnn: x\n    gate: y\n    opt")
    )
    for command in (("list",), ("show", "2.9")):
        code, out, err = shell(*command, "--matrix", str(path), *MACHINE)
        assert (code, out) == (2, "")
        assert "error: the matrix wrong.yaml has 2 errors [invalid-matrix]" in err
        assert f"{path}:" in err
        code, document = shell.json(*command, "--matrix", str(path), *MACHINE)
        assert code == 2
        assert len(document["error"]["why"]) == 2


def test_a_missing_matrix_is_refused(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("list", "--matrix", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "[invalid-matrix]" in err


def test_schema_prints_the_schema(shell: Shell) -> None:
    code, out, _ = shell("schema")
    assert code == 0
    assert json.loads(out) == schema()


def test_format_writes_the_canonical_form(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = MINIMAL.read_text()
    path.write_text(
        text.replace(
            "  8.0: {architecture: Ampere, first_cuda: 11.0", "  8.0: {first_cuda: '11.0', architecture: Ampere"
        )
    )
    assert shell("format", str(path), "--check")[0] == 1
    code, out, err = shell("format", str(path))
    assert (code, out) == (0, "")
    assert "canonical form" in err
    assert path.read_text() == text
    assert shell("format", str(path), "--check") == (0, "", "")


def test_format_of_a_wrong_matrix_says_what_is_wrong(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL.read_text().replace("kind: derived", "kind: guess"))
    code, _, err = shell("format", str(path))
    assert code == 2
    assert "evidence.thought.kind" in err
    path.write_bytes(b"\xff\xfe")
    assert shell("format", str(path))[0] == 2
    assert path.read_bytes() == b"\xff\xfe", "what cannot be read is left alone"


def test_help_names_the_two_commands(shell: Shell) -> None:
    code, out, _ = shell("--help")
    assert code == 0
    assert "list" in out
    assert "show" in out

"""``matrix certify``, ``matrix list --receipts`` and ``matrix show`` as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audit.receipt_lab import receipt

from provision.cli.main import main
from provision.matrix import canonical, load
from provision.model.level import Level

MATRIX = load()
Shell = Callable[..., tuple[int, str]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_bytes(Path(MATRIX.path).read_bytes())

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tfgpu-provision", "matrix", *words, "--matrix", "m.yaml"])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out + out.err

    return run


def save(name: str, document: dict[str, Any]) -> str:
    Path(name).write_text(json.dumps(document))
    return name


def test_from_a_receipt_to_a_measured_row(shell: Shell) -> None:
    before = Path("m.yaml").read_bytes()
    good = save("good.json", receipt(MATRIX, level=Level.TRAIN))
    code, out = shell("certify", good)
    assert code == 0
    assert "tensorflow==2.20.0 on NVIDIA H200 (compute capability 9.0), driver 570.86.15: level train" in out
    assert [line for line in out.splitlines() if line.startswith("-") and not line.startswith("---")] == []
    assert sum(line.startswith("+") and "NVIDIA H200" in line for line in out.splitlines()) == 1
    assert Path("m.yaml").read_bytes() == before
    assert shell("certify", good, "--write")[0] == 0
    text = Path("m.yaml").read_text()
    assert text == canonical(text)
    code, out = shell("certify", good, "--write")
    assert (code, Path("m.yaml").read_text()) == (0, text)
    assert "has it already" in out
    lines = shell("list", "--receipts")[1].splitlines()
    row = next(line for line in lines if line.startswith("2.20.0 "))
    assert " ".join(row.split()) == "2.20.0 measured NVIDIA H200 9.0 570.86.15 train cu125-cudnn93 2026-11-20"
    assert next(line for line in lines if line.startswith("2.19.1 ")).split() == ["2.19.1", "derived"]
    assert lines[-1] == f"{len(MATRIX.rows)} releases: 1 measured, {len(MATRIX.rows) - 1} derived"
    assert "NVIDIA H200 (9.0), driver 570.86.15: level train" in shell("show", "2.20.0", "--for", "gpu=9.0")[1]


def test_the_order_of_receipts_does_not_matter(shell: Shell) -> None:
    names = [save(f"{release}.json", receipt(MATRIX, release)) for release in ("2.18.1", "2.20.0", "2.19.1")]
    found = set()
    for order in (names, names[::-1]):
        Path("m.yaml").write_bytes(Path(MATRIX.path).read_bytes())
        for name in order:
            assert shell("certify", name, "--write")[0] == 0
        found.add(Path("m.yaml").read_bytes())
    Path("m.yaml").write_bytes(Path(MATRIX.path).read_bytes())
    assert shell("certify", *names, *names, "--write")[0] == 0
    assert found == {Path("m.yaml").read_bytes()}


def test_those_that_are_refused_leave_the_others(shell: Shell) -> None:
    good = save("good.json", receipt(MATRIX))
    bad = save("bad.json", receipt(MATRIX, working=False))
    code, out = shell("certify", good, bad, "--write", "--json")
    document = json.loads(out)
    assert (code, document["exit_code"], document["written"]) == (3, 3, True)
    assert [[item["code"] for item in one["objections"]] for one in document["receipts"]] == [[], ["proves-nothing"]]
    assert len(load(Path("m.yaml")).rows[-2].measurements) == 1
    code, out = shell("certify", bad)
    assert code == 3
    assert "REFUSED bad.json (tensorflow==2.20.0)" in out


def test_a_row_that_changed_is_measured_no_more(shell: Shell) -> None:
    assert shell("certify", save("good.json", receipt(MATRIX)), "--write")[0] == 0
    text = Path("m.yaml").read_text()
    row = text.index("  tensorflow==2.20.0:\n")
    Path("m.yaml").write_text(text[:row] + text[row:].replace("    cudnn: 9.3\n", "    cudnn: 9.2\n", 1))
    lines = shell("list", "--receipts")[1].splitlines()
    assert next(line for line in lines if line.startswith("2.20.0 ")).split()[1] == "outdated"
    document = json.loads(shell("list", "--receipts", "--json")[1])
    entry = next(item for item in document["releases"] if item["release"] == "2.20.0")
    assert (entry["known"], entry["receipts"][0]["holds"]) == ("outdated", False)


def test_a_set_that_is_gone_takes_its_receipts_with_it(shell: Shell) -> None:
    assert shell("certify", save("good.json", receipt(MATRIX)), "--write")[0] == 0
    text = Path("m.yaml").read_text()
    Path("m.yaml").write_text(text.replace("set: cu125-cudnn93, gpu", "set: cu118-cudnn86, gpu"))
    code, out = shell("list", "--receipts")
    assert code == 2
    assert "is no set of tensorflow==2.20.0" in out


def test_wrong_words(shell: Shell) -> None:
    assert "receipt-unreadable" in shell("certify", "nowhere.json")[1]
    assert shell("list", "--receipts", "--for", "gpu=9.0")[0] == 2

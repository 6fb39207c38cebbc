"""What a user sees of create: text, JSON, progress."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from create.conftest import World
from create.small_world import OLD, matrix_text

from provision.errors import ExitCode
from provision.matrix import load
from provision.model.created import CreateOutcome, CreateResult, Denial
from provision.model.plan import Pin, Plan, Refusal, Request
from provision.model.verdict import Level, Outcome, Stage, StageStatus, Verdict
from provision.plan import decide
from provision.report.create import create_document, create_text, exit_code
from provision.report.progress import Live, Plain, progress_for
from provision.system import System
from provision.workflows.common import host_for
from provision.workflows.create_watch import UvWatch, in_words


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("matrix") / "matrix.yaml"
    path.write_text(matrix_text())
    host = host_for(System(environ={}), ["driver=520.61.05,gpu=8.0"])
    answer = decide(Request(OLD, requirements=("pandas",)), host, load(path))
    assert isinstance(answer, Plan)
    return answer


def verdict(outcome: Outcome, *stages: tuple[Level, StageStatus, str, str]) -> Verdict:
    made = tuple(Stage(level, status, summary, cause) for level, status, summary, cause in stages)
    return Verdict(outcome, Level.COMPUTE, made, f"the verdict is {outcome.value}")


NO_GPU = verdict(
    Outcome.CANNOT_TELL,
    (Level.GATE, StageStatus.PASSED, "all found", ""),
    (Level.DEVICE, StageStatus.CANNOT_TELL, "this machine has no NVIDIA GPU", "no-gpu"),
)
PROVED = verdict(Outcome.PROVED, (Level.COMPUTE, StageStatus.PASSED, "1000 × 1000 on 1 GPU", ""))
FAILED = verdict(Outcome.FAILED, (Level.GATE, StageStatus.FAILED, "libcudnn.so.8 not found", "not-found"))


@pytest.mark.parametrize(
    ("outcome", "found", "last", "code", "strict"),
    [
        ("created", NO_GPU, "prepared, not proved on a GPU: this machine has no NVIDIA GPU", 0, 4),
        ("created", None, "prepared, not proved on a GPU: verification was switched off", 0, 4),
        ("created", PROVED, "proved on a GPU: the verdict is proved", 0, 0),
        ("exists", FAILED, "NOT sound: the verdict is failed", 1, 1),
        ("exists", NO_GPU, "prepared, not proved on a GPU: this machine has no NVIDIA GPU", 0, 4),
        ("dry-run", None, "dry run: nothing was touched", 0, 0),
    ],
)
def test_the_last_line_json_and_exit_code_agree(
    plan: Plan, outcome: str, *, found: Verdict | None, last: str, code: int, strict: int
) -> None:
    result = CreateResult(CreateOutcome(outcome), "/p/.venv", plan=plan, packages=("six==1.0",), verdict=found)
    assert create_text(result).splitlines()[-1] == last
    assert exit_code(result, require_gpu=False) == code
    assert exit_code(result, require_gpu=True) == strict
    document = create_document(result, require_gpu=True)
    json.dumps(document)
    assert document["outcome"] == outcome
    assert document["exit_code"] == strict
    assert document["proved"] is (found is PROVED)


def test_the_text_of_a_created_environment(plan: Plan) -> None:
    text = create_text(
        CreateResult(
            CreateOutcome.CREATED,
            "/p/my env",
            plan=plan,
            packages=("a==1", "b==2"),
            verdict=NO_GPU,
            remarks=("removed what it left: .env.tfgpu-1",),
            seconds={"resolve": 1.0, "install": 2.25},
            replaced=True,
        )
    )
    lines = text.splitlines()
    assert lines[0] == "note: removed what it left: .env.tfgpu-1"
    assert lines[1] == "created: /p/my env (the old environment is gone)"
    assert lines[2].startswith("  tensorflow 2.9.3, CUDA 11.8, cuDNN 8.6, Python 3.")
    assert lines[2].endswith("2 packages, 3.2 s")
    assert "  gate     passed      all found" in lines
    assert "  device   cannot tell this machine has no NVIDIA GPU [no-gpu]" in lines
    assert "  activate  source '/p/my env'/bin/activate" in lines
    assert "  verify    tfgpu-provision verify '/p/my env'" in lines


def test_the_text_of_a_conflict(plan: Plan) -> None:
    denial = Denial(
        "conflict",
        "your packages do not fit",
        ("you ask for x", "the plan has y: z"),
        "loosen `x`",
        ("x",),
        (Pin("y", "z"),),
    )
    result = CreateResult(CreateOutcome.REFUSED, "/p/.venv", plan=plan, denial=denial)
    assert create_text(result) == (
        "error: your packages do not fit [conflict]\n  you ask for x\n  the plan has y: z\n\nhint: loosen `x`"
    )
    assert exit_code(result, require_gpu=True) is ExitCode.REFUSED
    assert create_document(result, require_gpu=False)["denial"]["pins"] == [{"requirement": "y", "why": "z"}]


def test_a_refused_plan_is_told_as_plan_tells_it(plan: Plan) -> None:
    refusal = Refusal(plan.request, plan.host, plan.row, (), ())
    result = CreateResult(CreateOutcome.REFUSED, "/p/.venv", refusal=refusal)
    assert create_text(result).startswith("error: ")
    assert create_document(result, require_gpu=False)["plan"]["outcome"] == "refused"


class Recorder:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.moved: list[tuple[int, int | None]] = []

    def step(self, text: str) -> None:
        self.said.append(text)

    def detail(self, text: str) -> None:
        self.said.append(text)

    def transfer(self, done_bytes: int, total_bytes: int | None) -> None:
        self.moved.append((done_bytes, total_bytes))


def test_lines_of_uv_become_what_is_downloaded_and_how_much_is_left() -> None:
    recorder = Recorder()
    watch = UvWatch(recorder)
    for line in (
        "Resolved 3 packages in 1ms",
        "Downloading tensorflow (500.0MiB)",
        "Downloading numpy (15.0MiB)",
        " Downloaded numpy",
        " Downloaded six",
        " Downloaded tensorflow",
        "Installed 3 packages in 4ms",
    ):
        watch(line)
    mib = 1 << 20
    assert recorder.moved == [
        (0, 500 * mib),
        (0, 515 * mib),
        (15 * mib, 515 * mib),
        (15 * mib, 515 * mib),
        (515 * mib, 515 * mib),
    ]
    assert recorder.said[0] == "downloading tensorflow (500 MiB)"
    assert recorder.said[-1] == "installed 3 packages"


def test_what_grows_in_the_cache_moves_the_bar_but_never_back_or_past_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.workflows.create_watch._EVERY", 0.01)
    recorder = Recorder()
    watch = UvWatch(recorder)
    watch("Downloading tensorflow (10.0MiB)")
    with watch.measuring(tmp_path):
        time.sleep(0.05)
        growing = tmp_path / ".tmpAbCd" / "nvidia"
        growing.mkdir(parents=True)
        (growing / "big.so").write_bytes(bytes(5 << 20))
        (tmp_path / "archive-v0").mkdir()
        (tmp_path / "archive-v0/other").write_bytes(bytes(9 << 20))
        _wait(lambda: recorder.moved[-1][0] == int((5 << 20) / 1.9))
        (growing / "big.so").write_bytes(bytes(50 << 20))
        _wait(lambda: recorder.moved[-1][0] == (10 << 20) - 1)
        shutil.rmtree(tmp_path / ".tmpAbCd")
        time.sleep(0.05)
    assert recorder.moved[-1][0] == (10 << 20) - 1
    watch(" Downloaded tensorflow")
    assert recorder.moved[-1] == (10 << 20, 10 << 20)
    assert [done for done, _ in recorder.moved] == sorted(done for done, _ in recorder.moved)


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 KiB"), (5 << 10, "5 KiB"), (704 << 20, "704 MiB"), (6 << 29, "3.0 GiB")]
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


def test_plain_progress_is_lines_and_survives_a_reader_that_went_away() -> None:
    stream = io.StringIO()
    with Plain(stream) as progress:
        progress.step("resolving [x]")
        progress.detail("downloading y")
        progress.transfer(1, 2)
    assert [line[9:].strip() for line in stream.getvalue().splitlines()] == ["resolving [x]", "downloading y"]
    stream.close()
    progress.step("still working")


def test_a_terminal_gets_a_live_display_and_a_pipe_gets_lines(world: World) -> None:
    assert isinstance(progress_for(quiet=False), Plain)
    assert not isinstance(progress_for(quiet=True), Plain | Live)
    master, slave = pty.openpty()
    arguments = world.arguments(path="env", tf=OLD, verify=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "provision", *arguments],
        cwd=world.folder, env={**world.environ, "TERM": "xterm", "COLUMNS": "100"}, stdout=subprocess.DEVNULL, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(master)
    assert process.wait() == 0
    assert b"resolving tensorflow" in seen
    assert b"\x1b[" in seen


def test_nothing_of_a_result_is_lost_between_text_and_json(plan: Plan) -> None:
    result = CreateResult(CreateOutcome.CREATED, "/p/.venv", plan=plan, packages=("six==1.0",), verdict=NO_GPU)
    document = create_document(result, require_gpu=False)
    assert set(document) >= {field.name for field in dataclasses.fields(CreateResult)} - {"refusal", "python"}


def test_help_names_every_option(world: World) -> None:
    said = world.run("create", "--help").stdout
    for option in ("--tf", "--python", "--with", "-r", "--name", "--replace", "--dry-run", "--for", "--no-verify", "--offline",
                   "--allow-source", "--require-gpu", "--matrix", "--json"):  # fmt: skip
        assert option in said


def test_a_path_and_a_name_together_are_refused(world: World) -> None:
    error = world.failure("--name", "x", code=2)
    assert error["code"] == "usage"
    assert not Path(world.folder, "env").exists()

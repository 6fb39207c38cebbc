"""Laws that hold for every machine and every matrix, tried on many."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plan_builder import (
    CU118,
    CU129_NEW,
    CU129_OLD,
    PLAN_KEYS,
    ROW_2_20,
    CudaVersion,
    CudnnVersion,
    GlibcVersion,
    PythonVersion,
    ccs,
    fault,
    gpu,
    host,
    matrix,
    modules,
    row,
)

from provision import matrix as matrix_room
from provision.host import describe
from provision.model.host import DriverState, Gpu
from provision.model.plan import GpuService, Plan, Refusal, Request
from provision.plan import decide, judge
from provision.plan.changes import Situation, with_driver
from provision.plan.judging import judge_request
from provision.plan.machine import driver_reach
from provision.report.plan import plan_document, plan_text
from provision.system import System

REAL = matrix_room.load(Path(__file__).parents[2] / "matrix.yaml")
CAPABILITIES = ("3.5", "3.7", "5.2", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0", "13.5")
DRIVERS = [
    "340.108",
    "418.39",
    "450.80.02",
    "455.23",
    "460.32.03",
    "470.57.02",
    "515.43.04",
    "520.61.05",
    "525.60.13",
    "530.30.02",
    "535.104.05",
    "545.23.08",
    "550.54.15",
    "555.42.02",
    "570.26",
    "580.65.06",
    "590.44.01",
    "610.43.02",
    "999.1",
]
SPECS = (
    "",
    "2.4.1",
    "2.10",
    "2.14",
    "2.15",
    "2.16.1",
    "2.18",
    "2.20",
    "2.21",
    ">=2.12,<2.16",
    "2.3",
    "2.99",
    "tf-nightly",
)

gpus = st.builds(
    lambda capability, index: gpu(capability, f"GPU {capability}", index),
    st.sampled_from([*CAPABILITIES, None]),
    st.none(),
)
known_gpus = st.sampled_from(CAPABILITIES).map(gpu)
hosts = st.builds(
    lambda driver, many, cuda, system, machine, wsl, glibc, musl, cpu, pythons, state, described: host(
        driver,
        *many,
        cuda=cuda,
        system=system,
        machine=machine,
        wsl=wsl,
        glibc=glibc,
        musl=musl,
        cpu=cpu,
        pythons=pythons,
        state=state,
        described=described,
    ),
    st.sampled_from([None, *DRIVERS]),
    st.lists(gpus, max_size=4),
    st.sampled_from([None, "9.0", "11.4", "12.2", "13.1", "99.9"]),
    st.sampled_from(["linux", "linux", "windows", "macos", "plan9", None]),
    st.sampled_from(["x86_64", "x86_64", "aarch64", "riscv64", None]),
    st.booleans(),
    st.sampled_from([None, "2.5", "2.17", "2.27", "2.39"]),
    st.booleans(),
    st.sampled_from([None, "", "sse2", "sse2 avx avx2"]),
    st.sampled_from(["", "3.6", "3.8 3.11", "3.13", "3.15"]),
    st.sampled_from(list(DriverState)),
    st.booleans(),
)
backends = st.sampled_from(["venv", "conda"])
requests = st.builds(
    Request,
    tf=st.sampled_from(SPECS),
    python=st.sampled_from([None, None, PythonVersion("3.8"), PythonVersion("3.11"), PythonVersion("4.0")]),
    requirements=st.sampled_from([(), ("pandas",), ("numpy==2.0.0",), ("tensorflow==1.0",), ("&&",)]),
    distribution=st.sampled_from(["tensorflow", "tensorflow", "tensorflow-gpu", "x"]),
    backend=backends,
)
rows = st.builds(
    lambda release, cuda, cudnn, sass, ptx, listed, sets, glibc, faults: row(
        ROW_2_20,
        release,
        cuda=CudaVersion(cuda),
        cudnn=CudnnVersion(cudnn),
        sass=ccs(" ".join(sass)),
        ptx=ccs(" ".join(ptx)),
        ptx_modules=listed,
        sets=sets,
        glibc=GlibcVersion(glibc),
        faults=faults,
    ),
    st.sampled_from(["2.4.0", "2.15.0.post1", "2.16.1", "2.99.1", "3.0"]),
    st.sampled_from(["9.0", "11.2", "12.5", "14.0"]),
    st.sampled_from(["7.6", "8.1", "9.3", "9.30"]),
    st.lists(st.sampled_from(CAPABILITIES), max_size=4),
    st.lists(st.sampled_from(CAPABILITIES), max_size=2),
    st.lists(
        st.builds(
            modules,
            st.sampled_from(["8.0", "9.0", "9.0a", "12.0a"]),
            st.sampled_from(["6.0", "7.8", "8.5", "99.0"]),
            st.sampled_from([None, 0, 1149]),
            st.sampled_from([None, "", "6.0 8.0"]),
        ),
        max_size=3,
    ).map(tuple),
    st.lists(st.sampled_from([CU118, CU129_NEW, CU129_OLD]), max_size=3).map(tuple),
    st.sampled_from(["2.12", "2.27", "9.9"]),
    st.lists(st.sampled_from([fault(), fault("handled", "yes"), fault("bad", avoid=True)]), max_size=2).map(tuple),
)
RANK = {"ok": 0, "caveat": 1, "refused": 2}


@settings(max_examples=40, deadline=None)
@given(request_=requests, machine=hosts)
def test_decide_never_raises_and_can_always_be_shown(request_: Any, machine: Any) -> None:
    check(decide(request_, machine, REAL))


@settings(max_examples=40, deadline=None)
@given(
    request_=requests,
    machine=hosts,
    some=st.lists(rows, max_size=4, unique_by=lambda item: item.release),
    bare=st.booleans(),
)
def test_decide_never_raises_whatever_the_matrix(request_: Any, machine: Any, some: Any, bare: Any) -> None:
    built = matrix(*some) if some else matrix()
    changes = {"rows": built.rows if some else ()}
    if bare:
        changes |= {"families": {}, "branches": (), "ptx_isa": {}, "generations": {}, "unserved": ()}
    check(decide(request_, machine, dataclasses.replace(built, **changes)))


def check(answer: Plan | Refusal) -> None:
    document = plan_document(answer)
    assert set(document) == set(PLAN_KEYS)
    assert json.loads(json.dumps(document)) == document
    assert document["outcome"] in RANK
    assert (document["outcome"] == "refused") == bool(document["reasons"])
    assert bool(document["pins"]) == (document["outcome"] != "refused")
    assert bool(document["conda_pins"]) == (document["outcome"] != "refused" and document["backend"] == "conda")
    assert document["outcome"] != "ok" or not any(item["notable"] for item in document["caveats"])
    text = plan_text(answer)
    assert "None" not in text.replace("GPU None", "")
    for item in (*document["caveats"], *document["reasons"]):
        assert item["code"] == item["code"].lower()
        assert item["what"]
        assert not item["what"].endswith(".")
        assert item["source"]


@settings(max_examples=150, deadline=None)
@given(
    release=st.sampled_from(REAL.rows),
    many=st.lists(known_gpus, min_size=1, max_size=3),
    pair=st.tuples(*[st.sampled_from(DRIVERS)] * 2),
    wsl=st.booleans(),
    backend=backends,
)
def test_a_newer_driver_never_turns_a_plan_into_a_refusal_unless_it_dropped_a_gpu(
    release: Any, many: Any, pair: Any, wsl: Any, backend: str
) -> None:
    asked = Request(release.requirement, backend=backend)
    older, newer = sorted(pair, key=lambda text: [int(part) for part in text.split(".")])
    before = judge_request(asked, release, host(older, *many, wsl=wsl), REAL)
    after = judge_request(asked, release, host(newer, *many, wsl=wsl), REAL)
    if isinstance(before, Plan) and isinstance(after, Refusal):
        assert {item.code for item in after.reasons} & {"gpu-left-driver"}
    if not dropped(many, newer, wsl=wsl):
        assert RANK[after.outcome] <= RANK[before.outcome]


def dropped(many: list[Gpu], driver: str, *, wsl: bool) -> bool:
    branch = driver_reach(host(driver, wsl=wsl), REAL).branch
    lives = [REAL.generations.get(item.compute_capability) for item in many]
    return any(
        life and life.last_driver_branch and branch and branch.branch > life.last_driver_branch for life in lives
    )


@settings(max_examples=150, deadline=None)
@given(
    release=st.sampled_from(REAL.rows),
    many=st.lists(known_gpus, min_size=2, max_size=4),
    driver=st.sampled_from(DRIVERS),
    data=st.data(),
)
def test_the_order_of_gpus_does_not_matter(release: Any, many: Any, driver: Any, data: Any) -> None:
    other = data.draw(st.permutations(many))
    one, two = (judge(release, host(driver, *items), REAL) for items in (many, other))
    assert one.outcome == two.outcome
    if isinstance(one, Plan):
        assert one.library_set == two.library_set
        assert one.pins == two.pins
        assert {item.code for item in one.caveats} == {item.code for item in two.caveats}
        assert sorted(item.gpu.name + item.service for item in one.gpus) == sorted(
            item.gpu.name + item.service for item in two.gpus
        )
    else:
        assert set(one.reasons) == set(two.reasons)


@settings(max_examples=150, deadline=None)
@given(
    release=st.sampled_from(REAL.rows),
    many=st.lists(known_gpus, min_size=1, max_size=3),
    more=known_gpus,
    driver=st.sampled_from(DRIVERS),
)
def test_another_gpu_never_widens(release: Any, many: Any, more: Any, driver: Any) -> None:
    """What a machine with one GPU more is told is never better than the better of its two parts alone."""
    without = judge(release, host(driver, *many), REAL)
    alone = judge(release, host(driver, more), REAL)
    together = judge(release, host(driver, *many, more), REAL)
    assert RANK[together.outcome] >= min(RANK[without.outcome], RANK[alone.outcome])
    served = [item for item in getattr(together, "gpus", ()) if item.service is not GpuService.NONE]
    if served and isinstance(together, Plan):
        assert all(together.library_set.first_cc <= item.gpu.compute_capability for item in served)


@settings(max_examples=40, deadline=None)
@given(request_=requests, machine=hosts)
def test_every_other_release_that_is_offered_does_run(request_: Any, machine: Any) -> None:
    answer = decide(request_, machine, REAL)
    assume(isinstance(answer, Refusal))
    for item in answer.alternatives:
        if item.kind in ("backend", "release", "python") and " create " in item.command:
            assert isinstance(decide(typed(item.command, request_), machine, REAL), Plan), item


def typed(command: str, request_: Request) -> Request:
    words = shlex.split(command)
    options = {word: words[place + 1] for place, word in enumerate(words) if word.startswith("--")}
    python = options.get("--python")
    with_ = tuple(words[place + 1] for place, word in enumerate(words) if word == "--with")
    return Request(
        options["--tf"], PythonVersion(python) if python else None, with_, backend=options.get("--backend", "venv")
    )


@settings(max_examples=40, deadline=None)
@given(
    release=st.sampled_from(REAL.rows),
    many=st.lists(known_gpus, min_size=1, max_size=2),
    driver=st.sampled_from(DRIVERS),
    wsl=st.booleans(),
    backend=backends,
)
def test_every_driver_and_gpu_that_is_offered_does_work(
    release: Any, many: Any, driver: Any, wsl: Any, backend: str
) -> None:
    machine = host(driver, *many, wsl=wsl)
    asked = Request(release.requirement, backend=backend)
    answer = decide(asked, machine, REAL)
    assume(isinstance(answer, Refusal))
    for item in answer.alternatives:
        if " plan " in item.command:
            words = shlex.split(item.command)
            described = words[words.index("--for") + 1]
            again = decide(asked, describe([described], System(environ={})), REAL)
            assert isinstance(again, Plan), item
        elif item.kind == "driver" and item.command:
            number = next(word for word in item.what.split() if word[0].isdigit())
            if "branch" in item.what.split("driver of", 1)[-1][:8] and wsl:
                continue  # the branch is named by its number on Linux
            then = with_driver(Situation(Request(), machine), type(machine.driver.value)(number.rstrip(",")))
            assert isinstance(judge_request(asked, release, then.host, REAL), Plan), item


@pytest.mark.parametrize("spec", SPECS)
def test_the_same_question_has_the_same_answer(spec: Any) -> None:
    machine = host("535.104.05", "8.6", "9.0")
    assert plan_document(decide(Request(spec), machine, REAL)) == plan_document(decide(Request(spec), machine, REAL))


def test_a_plan_for_one_row_is_the_plan_for_asking_exactly_that_row() -> None:
    machine = host("535.104.05", "7.5")
    for item in (known for known in REAL.rows if known.sets):
        one, two = judge(item, machine, REAL), decide(Request(item.release.text), machine, REAL)
        assert isinstance(one, Plan)
        assert (one.pins, one.library_set, one.python) == (two.pins, two.library_set, two.python)

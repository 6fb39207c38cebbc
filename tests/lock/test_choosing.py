from __future__ import annotations

from typing import Any

import pytest
from lock.lock_builder import floor, lock
from plan.plan_builder import ROW_2_10, ccs, gpu, host, matrix

from provision.lock.choosing import Candidate, choose
from provision.model.facts import Certainty
from provision.model.host import DriverState, HostFacts
from provision.model.plan import Obstacle, Plan, Refusal, Request
from provision.model.versions import TfVersion
from provision.plan.judging import judge

PLAN = judge(ROW_2_10, host("535.104.05", "8.6"), matrix())
assert isinstance(PLAN, Plan)
NO = Refusal(
    Request(), host(), None, (Obstacle("driver-too-old", "the driver is too old", "", Certainty.VENDOR, "x"),), ()
)
WIDE = (floor("7.5"), floor("8.6"), floor("9.0"))
LAPTOP = host("535.104.05", "8.6")
MIXED = host("535.104.05", "8.6", "9.0")
SERVER = host("535.104.05", "9.0", "9.0")
CI = host(state=DriverState.NO_GPU)
UNKNOWN = host()
ODD = host("535.104.05", gpu(None))


def made(name: str, *, no: bool = False, **changed: Any) -> Candidate:
    contract = {"gpus": WIDE, **changed}
    if "release" in contract:
        contract["release"] = TfVersion(contract["release"])
    return Candidate(name, lock(**contract), NO if no else PLAN)


FOR_86 = made("laptop", made_for=ccs("8.6"))
FOR_90 = made("server", made_for=ccs("9.0"))
FOR_CI = made("ci", without_gpu=True)
ANY = made("any")
NARROW = made("narrow", made_for=ccs("7.5"), gpus=(floor("7.5"),))


@pytest.mark.parametrize(
    ("machine", "given", "expected"),
    [
        (LAPTOP, (FOR_CI, ANY, FOR_90, FOR_86), "laptop"),
        (SERVER, (FOR_CI, ANY, FOR_86, FOR_90), "server"),
        (CI, (FOR_86, ANY, FOR_CI), "ci"),
        (CI, (FOR_86, FOR_90, ANY), "any"),
        (CI, (FOR_86, FOR_90), "laptop"),
        (UNKNOWN, (FOR_CI, FOR_86, ANY), "any"),
        (UNKNOWN, (FOR_CI, FOR_86), "laptop"),
        (ODD, (FOR_CI, FOR_86, ANY), "any"),
        (MIXED, (FOR_CI, NARROW, FOR_86), "laptop"),
        (MIXED, (FOR_CI, NARROW), "ci"),
        (MIXED, (NARROW, ANY, FOR_86), "any"),
        (LAPTOP, (made("old", made_for=ccs("8.6")), made("new", made_for=ccs("8.6"), release="2.10.1")), "new"),
        (LAPTOP, (made("a", made_for=ccs("8.6")), made("b", made_for=ccs("8.6"))), "a"),
        (LAPTOP, (FOR_86, made("newer", release="2.21.0")), "laptop"),
        (LAPTOP, (made("exact", no=True, made_for=ccs("8.6")), FOR_CI), "ci"),
    ],
)
def test_which_lock_a_machine_takes(machine: HostFacts, given: tuple[Candidate, ...], expected: str) -> None:
    choice = choose(given, machine)
    assert choice.chosen is not None
    assert choice.chosen.name == expected
    assert [item.name for item in choice.others] == [item.name for item in given if item.name != expected]
    assert choice.why
    assert all(item.why for item in choice.others)


def test_what_is_said_of_it() -> None:
    choice = choose(
        (FOR_CI, made("broken", no=True), FOR_86, made("old", made_for=ccs("8.6"), release="2.4.0")), LAPTOP
    )
    assert choice.why == "it was made for compute capability 8.6, which this machine has"
    assert [item.why for item in choice.others] == [
        "it was made for a machine without a GPU; it serves compute capability 8.6 all the same",
        "the driver is too old [driver-too-old]",
        "it fits as well, but laptop has the newer TensorFlow 2.4.1",
    ]
    assert choose((FOR_86,), LAPTOP).why == "it is the only one that runs on this machine"


def test_none_that_runs() -> None:
    choice = choose((made("a", no=True),), LAPTOP)
    assert (choice.chosen, choice.why) == (None, "none of the 1 locks runs on this machine")
    assert choose((), LAPTOP).why == "there is no lock"

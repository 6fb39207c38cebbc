from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.doctor.diagnose import diagnose, ranked
from provision.matrix import load
from provision.model.doctor import Category, Cause, Certainty, Clue, Effect, Finding, Fix, Role
from provision.model.environment import EnvRef
from provision.model.environment_facts import EnvironmentFacts, GateFacts, Package
from provision.model.snapshot import Snapshot


def cause(code: str, depth: int, effect: Effect = Effect.CPU) -> Cause:
    return Cause(code, Category.CUDA, f"Title of {code}", "One. Two. Three.", effect, repairable=True, depth=depth)


CAUSES: Mapping[str, Cause] = {
    item.code: item
    for item in (
        cause("driver", 42),
        cause("library", 63),
        cause("variable", 60),
        cause("wheel", 63),
        cause("memory", 75, Effect.DEGRADES),
        cause("no_gpu", 40, Effect.NONE),
    )
}


def found(
    code: str,
    certainty: Certainty = Certainty.CERTAIN,
    source: str = "loader",
    explains: tuple[str, ...] = (),
    *,
    role: Role = Role.CONTRIBUTING,
    what: str = "x",
) -> Finding:
    return Finding(
        code,
        certainty,
        f"{code} by {source}",
        (Clue(source, what),),
        (Fix(f"mend {source}", (source,)),),
        explains,
        role,
    )


def codes(*items: Finding) -> list[str]:
    return [item.code for item in ranked(items, CAUSES)]


def roles(*items: Finding) -> list[str]:
    return [item.role.value for item in ranked(items, CAUSES)]


def test_the_one_nearest_to_the_root_comes_first_whatever_the_order() -> None:
    items = [found("driver"), found("library"), found("variable"), found("memory")]
    for order in itertools.permutations(items):
        assert codes(*order) == ["driver", "variable", "library", "memory"]
    assert roles(*items) == ["primary", "contributing", "contributing", "contributing"]


def test_of_two_at_one_depth_the_one_with_more_sources_comes_first() -> None:
    one, two = (
        found("library"),
        found("wheel", source="loader"),
    )
    assert codes(two, one) == codes(one, two) == ["library", "wheel"]
    assert codes(one, two, found("wheel", source="/x")) == ["wheel", "library"]


def test_what_another_explains_is_not_the_root_even_if_it_is_deeper() -> None:
    assert codes(found("driver"), found("library", explains=("driver",))) == ["library", "driver"]


def test_two_that_explain_one_another_leave_the_deeper_one() -> None:
    assert codes(found("library", explains=("variable",)), found("variable", explains=("library",)))[0] == "variable"


def test_a_log_does_not_explain_away_what_was_read_here() -> None:
    said = found("library", source="log", explains=("driver", "variable"))
    assert codes(said, found("driver", source="log"), found("variable", source="/x"))[0] == "variable"
    assert codes(said, found("driver", source="log"))[0] == "library"


def test_a_ring_of_three_still_has_a_first() -> None:
    ring = (
        found("library", explains=("driver",)),
        found("driver", explains=("variable",)),
        found("variable", explains=("library",)),
    )
    assert codes(*ring)[0] == "driver"
    assert roles(*ring).count("primary") == 1


def test_what_only_fits_is_never_the_root_and_excuses_nothing() -> None:
    assert roles(found("driver", Certainty.POSSIBLE)) == ["contributing"]
    guess = found("driver", Certainty.POSSIBLE, explains=("library",))
    assert [(item.code, item.role.value) for item in ranked([guess, found("library")], CAUSES)] == [
        ("library", "primary"),
        ("driver", "contributing"),
    ]
    assert not any(item.is_fault for item in ranked([guess], CAUSES))


def test_what_does_no_harm_is_last_and_excuses_nothing() -> None:
    harmless = found("no_gpu", explains=("library",))
    assert codes(harmless, found("library")) == ["library", "no_gpu"]
    assert roles(harmless) == ["harmless"]
    assert roles(found("driver", role=Role.HARMLESS), found("library")) == ["primary", "harmless"]


def test_findings_of_one_code_are_one_with_all_their_evidence_and_the_surest_word() -> None:
    likely = found("library", Certainty.LIKELY, "log", what="line")
    certain = found("library", Certainty.CERTAIN, "/lib/x", explains=("memory",))
    for order in ((likely, certain), (certain, likely)):
        (merged,) = ranked(order, CAUSES)
        assert merged.certainty is Certainty.CERTAIN
        assert merged.summary == "library by /lib/x"
        assert {clue.source for clue in merged.evidence} == {"log", "/lib/x"}
        assert [fix.what for fix in merged.fixes] == ["mend /lib/x", "mend log"]
        assert merged.explains == ("memory",)


def test_what_was_read_here_speaks_before_a_log_that_is_surer() -> None:
    (merged,) = ranked(
        [found("library", Certainty.CERTAIN, "log"), found("library", Certainty.LIKELY, "/lib/x")], CAUSES
    )
    assert merged.summary == "library by /lib/x"


def test_a_finding_is_filled_from_its_row() -> None:
    (item,) = ranked([found("library")], CAUSES)
    row = CAUSES["library"]
    assert (item.title, item.category, item.explanation, item.effect, item.repairable) == (
        row.title,
        row.category,
        row.explanation,
        row.effect,
        row.repairable,
    )


FINDINGS = st.builds(
    found,
    st.sampled_from(sorted(CAUSES)),
    st.sampled_from(Certainty),
    st.sampled_from(["log", "/lib/x", "driver"]),
    st.lists(st.sampled_from(sorted(CAUSES)), max_size=3).map(tuple),
)


@given(st.lists(FINDINGS, max_size=8))
def test_laws(items: list[Finding]) -> None:
    result = ranked(items, CAUSES)
    assert sorted({item.code for item in items}) == sorted(item.code for item in result)
    order = [item.role for item in result]
    assert order == sorted(order, key=[Role.PRIMARY, Role.CONTRIBUTING, Role.HARMLESS].index)
    assert order.count(Role.PRIMARY) == (1 if any(item.is_fault for item in result) else 0)
    assert all(item.certainty is not Certainty.POSSIBLE for item in result if item.role is Role.PRIMARY)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_the_checks_means_nothing(order: tuple[int, ...]) -> None:
    items = [found("driver"), found("library", Certainty.LIKELY), found("no_gpu")]
    assert ranked([items[place] for place in order], CAUSES) == ranked(items, CAUSES)


@pytest.mark.parametrize("ended", ["timeout", "signal SIGKILL", "exit 127"])
def test_a_loader_that_was_stopped_leaves_the_question_open(ended: str) -> None:
    env = EnvRef(PurePosixPath("/env"), PurePosixPath("/env/bin/python"), PurePosixPath("/env/site"), "venv", False)
    seen = EnvironmentFacts(
        env=env,
        path="/env",
        tensorflow=("/env/site/tensorflow/__init__.py",),
        distribution=Package("tensorflow", "2.17.1", "/env/site"),
        cuda_build=True,
        gate=GateFacts(ended=ended),
    )
    diagnosis = diagnose(Snapshot(matrix=load(), environment=seen), subject="/env")
    assert not diagnosis.sound
    assert any("own loader gave no answer" in item.what for item in diagnosis.unsure)

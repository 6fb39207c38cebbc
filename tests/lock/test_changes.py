from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lock.lock_builder import A, B, C, contract, floor, lock, locks

from provision.lock.changes import changes
from provision.lock.files import render
from provision.model.lock import Change, CondaLocked, Lock, Locked, LockFormat, LockRequest
from provision.model.versions import CudaVersion, TfVersion

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def _near(draw: st.DrawFn) -> tuple[Lock, Lock]:
    """Two locks of which the second takes some parts of a third."""
    one, other = draw(locks()), draw(locks())
    fields = draw(st.sets(st.sampled_from([field.name for field in dataclasses.fields(one.contract)]), max_size=2))
    mixed = dataclasses.replace(one.contract, **{name: getattr(other.contract, name) for name in fields})
    parts = draw(st.sets(st.sampled_from(["packages", "source_only", "build_tools"]), max_size=1))
    return one, dataclasses.replace(one, contract=mixed, **{name: getattr(other, name) for name in parts})


@QUICK
@given(_near())
def test_two_locks_differ_exactly_where_their_texts_do(pair: tuple[Lock, Lock]) -> None:
    before, after = pair
    same = render(before, LockFormat.REQUIREMENTS) == render(after, LockFormat.REQUIREMENTS)
    assert (changes(before, after) == ()) is same


@QUICK
@given(locks(), locks())
def test_the_way_back_is_the_way_there_turned_round(one: Lock, other: Lock) -> None:
    turned = {"added": "removed", "removed": "added"}
    back = {
        Change(turned.get(item.kind, item.kind), item.name, item.after, item.before) for item in changes(one, other)
    }
    assert set(changes(other, one)) == back


def test_each_kind_of_change_in_words() -> None:
    before = Lock(contract(), (Locked("a", "1", (A,)), Locked("b", "1", (A,)), Locked("c", "1", (A,))))
    after = Lock(
        contract(
            release=TfVersion("2.5.0"),
            cuda=CudaVersion("11.8.0"),
            without_gpu=True,
            gpus=(floor("7.5"), floor("8.6", "460.1", derived=True)),
            request=LockRequest("2.4.1", requirements=("pandas<2", "scipy>1,<2")),
        ),
        (Locked("b", "2", (B,)), Locked("c", "1", (A, C)), Locked("d", "1", (A,))),
        (CondaLocked("python", "3.8.20", "h0_0", "linux-64", "conda-forge", "https://example.org/p.conda", "", A),),
        source_only=("d",),
        build_tools=(Locked("wheel", "0.38", (A,)),),
    )
    assert changes(before, after) == (
        Change("removed", "a", "1", ""),
        Change("version", "b", "1", "2"),
        Change("files", "c", "1", "1"),
        Change("added", "d", "", "1"),
        Change("added", "conda:python", "", "3.8.20=h0_0"),
        Change("added", "build:wheel", "", "0.38"),
        Change("contract", "cuda", "11.8", "11.8.0"),
        Change("contract", "gpu 8.6", "driver 455.23 or newer", "driver 460.1 or newer (derived)"),
        Change("contract", "gpu 9.0", "driver 520.61.05 or newer (derived)", ""),
        Change("contract", "release", "2.4.1", "2.5.0"),
        Change("contract", "request.requirements", "pandas<2", '["pandas<2", "scipy>1,<2"]'),
        Change("contract", "source_only", "", "d"),
        Change("contract", "without_gpu", "no", "yes"),
    )
    assert changes(lock(), lock()) == ()
